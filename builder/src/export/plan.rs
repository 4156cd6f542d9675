//! Which layers an image gets, in their order, and where each comes from. Looks at every file, reads none but the
//! metadata.
//!
//! The order is that of the specification: launch layers of each buildpack, SBOM, the app's slices and its rest,
//! launcher, config, process types.

use super::{
    Export, Limits,
    beneath::Beneath,
    image::{LAUNCHER, PROCESSES},
    known::KnownLayer,
    parallel::in_parallel,
    read::{self, BuildpackPart},
    slices,
    stored::Layer,
    walk::{self, Budget, Entry, Mark, Tree},
    wanted::{Found, Wanted, wanted},
};
use pvdify_cnb::{
    id::ProcessName,
    launch::{BuildMetadata, Process},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The whole image's parts.
pub(crate) struct Plan {
    pub(crate) metadata: BuildMetadata,
    pub(crate) buildpacks: Vec<BuildpackPart>,
    pub(crate) parts: Vec<Part>,
    /// Layers that are kept for the next build and are in no image.
    pub(crate) caches: BTreeMap<String, KnownLayer>,
}

/// One layer to be.
pub(crate) struct Part {
    /// Its name in `known.json`.
    pub(crate) key: String,
    /// What the history says.
    pub(crate) created_by: String,
    pub(crate) role: Role,
    pub(crate) content: Content,
    /// Of the folder on disk, when it is one that stays from build to build.
    pub(crate) fingerprint: Option<Mark>,
    pub(crate) shape: Mark,
    /// Uncompressed, without what the archive adds.
    pub(crate) bytes: u64,
}

/// Where the lifecycle's label names the layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The place of the buildpack in the group, and the layer's name.
    Buildpack(usize, String),
    Sbom,
    App,
    Launcher,
    Config,
    ProcessTypes,
}

/// What is in the layer.
pub(crate) enum Content {
    /// A tree, or those entries of it.
    Tree {
        tree: Arc<Tree>,
        only: Option<Vec<usize>>,
        /// Where the tree's root is in the image.
        place: PathBuf,
        /// The folders above it.
        above: Vec<PathBuf>,
    },
    /// The launcher's program, from the host.
    Launcher { program: PathBuf, size: u64 },
    /// A link for each process type.
    ProcessTypes(BTreeSet<ProcessName>),
    /// A layer of the previous image.
    Previous(Layer),
}

/// Makes the plan; an error is what the build did wrong.
pub(crate) fn plan(export: &Export) -> Result<Plan, String> {
    let layers = Beneath::open(&export.layers).map_err(|error| format!("the layers: {error}"))?;
    let mut metadata = read::build_metadata(&layers)?;
    metadata
        .processes
        .retain(|process| runs_in(process, &export.exec_env));
    let buildpacks = read::buildpacks(&layers, &metadata.buildpacks, &export.exec_env)?;
    let mut plan = Plan {
        metadata,
        buildpacks,
        parts: Vec::new(),
        caches: BTreeMap::new(),
    };
    plan.check_default(export)?;
    let wanted = wanted(&plan.buildpacks, &layers, export)?;
    let budget = budget(&export.limits);
    let found = in_parallel(&wanted, |wanted| wanted.look(&layers, &export.workspace, &budget));
    for (wanted, found) in wanted.into_iter().zip(found) {
        plan.add(wanted, found?, export)?;
    }
    plan.add_links();
    Ok(plan)
}

fn budget(limits: &Limits) -> Budget {
    Budget::new(limits.entries, limits.bytes)
}

fn runs_in(process: &Process, exec_env: &str) -> bool {
    let all = &process.exec_env;
    all.is_empty() || all.iter().any(|one| one == "*" || one == exec_env)
}

impl Plan {
    /// The process that runs without a word.
    pub(crate) fn default_process<'a>(&'a self, export: &'a Export) -> Option<&'a ProcessName> {
        let by_buildpacks = self.metadata.buildpack_default_process_type.as_ref();
        export.default_process.as_ref().or(by_buildpacks)
    }

    fn check_default(&self, export: &Export) -> Result<(), String> {
        match self.default_process(export) {
            Some(name)
                if !self
                    .metadata
                    .processes
                    .iter()
                    .any(|process| process.name == *name) =>
            {
                Err(format!(
                    "the default process is to be {name}, but no buildpack made a process of that type"
                ))
            }
            _ => Ok(()),
        }
    }

    fn add(&mut self, wanted: Wanted, found: Found, export: &Export) -> Result<(), String> {
        let dir = Path::new(&export.layers_dir);
        match (wanted, found) {
            (Wanted::Layer(of), Found::Tree(tree)) => {
                let above = vec![dir.to_owned(), dir.join(&of.folder)];
                let (key, by, place) = (of.key(), of.created_by(), dir.join(&of.folder).join(&of.name));
                let role = Role::Buildpack(of.buildpack, of.name);
                self.parts.push(Part::tree(key, by, role, tree, place, above));
            }
            (Wanted::Previous(of, layer), _) => self.parts.push(Part {
                key: of.key(),
                created_by: of.created_by(),
                role: Role::Buildpack(of.buildpack, of.name),
                content: Content::Previous(layer),
                fingerprint: None,
                shape: Mark::new(),
                bytes: 0,
            }),
            (Wanted::Cache(of), Found::Fingerprint(fingerprint)) if of.is_ours() || fingerprint.is_some() => {
                let layer = KnownLayer {
                    fingerprint,
                    cache_only: true,
                    ..KnownLayer::default()
                };
                self.caches.insert(of.key(), layer);
            }
            (Wanted::Sbom, Found::Tree(tree)) if tree.entries.len() > 1 => {
                let above = vec![dir.to_owned(), dir.join("sbom")];
                let (key, by) = ("sbom".to_owned(), "Software Bill-of-Materials".to_owned());
                let place = dir.join("sbom/launch");
                self.parts
                    .push(Part::tree(key, by, Role::Sbom, tree, place, above));
            }
            (Wanted::App, Found::Tree(tree)) => self.add_app(tree, &export.app_dir)?,
            (Wanted::Launcher, _) => self.parts.push(launcher(&export.launcher)?),
            (Wanted::Config, Found::Tree(tree)) => {
                let (key, by) = ("config".to_owned(), "Buildpacks Launcher Config".to_owned());
                let (place, above) = (dir.join("config"), vec![dir.to_owned()]);
                self.parts
                    .push(Part::tree(key, by, Role::Config, tree, place, above));
            }
            _ => {}
        }
        Ok(())
    }

    fn add_app(&mut self, tree: Tree, app_dir: &str) -> Result<(), String> {
        let patterns: Vec<Vec<String>> = self
            .metadata
            .slices
            .iter()
            .map(|slice| slice.paths.clone())
            .collect();
        let place = Path::new(app_dir);
        let layers = slices::slice(&tree.entries, &patterns, place)?;
        let tree = Arc::new(tree);
        let is_whole = layers.len() == 1;
        for (number, only) in layers.into_iter().enumerate() {
            let part = only.iter().map(|at| &tree.entries[*at]);
            let shape = walk::shape(part.clone());
            let bytes = part.map(Entry::size).sum();
            self.parts.push(Part {
                key: format!("app-{number}"),
                created_by: if is_whole {
                    "Application Layer".to_owned()
                } else {
                    format!("Application Slice: {}", number + 1)
                },
                role: Role::App,
                content: Content::Tree {
                    tree: Arc::clone(&tree),
                    only: Some(only),
                    place: place.to_owned(),
                    above: Vec::new(),
                },
                fingerprint: None,
                shape,
                bytes,
            });
        }
        Ok(())
    }

    fn add_links(&mut self) {
        let names: BTreeSet<ProcessName> = self
            .metadata
            .processes
            .iter()
            .map(|process| process.name.clone())
            .collect();
        if !names.is_empty() {
            let all: Vec<&str> = names.iter().map(ProcessName::as_str).collect();
            self.parts.push(Part {
                key: "process-types".to_owned(),
                created_by: "Buildpacks Process Types".to_owned(),
                role: Role::ProcessTypes,
                shape: all.join(" "),
                content: Content::ProcessTypes(names),
                fingerprint: None,
                bytes: 0,
            });
        }
    }
}

impl Part {
    fn tree(
        key: String,
        created_by: String,
        role: Role,
        tree: Tree,
        place: PathBuf,
        above: Vec<PathBuf>,
    ) -> Self {
        Self {
            key,
            created_by,
            role,
            fingerprint: Some(tree.fingerprint.clone()),
            shape: walk::shape(&tree.entries),
            bytes: tree.bytes,
            content: Content::Tree {
                tree: Arc::new(tree),
                only: None,
                place,
                above,
            },
        }
    }
}

fn launcher(program: &Path) -> Result<Part, String> {
    let size = File::open(program)
        .and_then(|file| file.metadata())
        .map_err(|error| format!("the launcher {}: {error}", program.display()))?
        .len();
    Ok(Part {
        key: "launcher".to_owned(),
        created_by: "Buildpacks Application Launcher".to_owned(),
        role: Role::Launcher,
        content: Content::Launcher {
            program: program.to_owned(),
            size,
        },
        fingerprint: None,
        shape: format!("{LAUNCHER} {size}"),
        bytes: size,
    })
}

/// The folders that every app image has for the launcher, and who they belong to is root.
pub(crate) fn folders_of_the_launcher(below: &str) -> [PathBuf; 2] {
    let below = if below == LAUNCHER {
        "/cnb/lifecycle"
    } else {
        PROCESSES
    };
    [PathBuf::from("/cnb"), PathBuf::from(below)]
}
