//! Which buildpacks one build gets to see, and in which order they are tried.
//!
//! Detected builds see ours as they are laid out. A build that names buildpacks sees those alone: a folder of the
//! build's own, of hard links to what is laid out and of what the project itself brings.

use super::{
    adopt::{self, Adopted, Tree},
    bundle::Bundle,
    failure::LooksFor,
    fetch::{self, Fetcher},
    owned::write_new,
};
use crate::{
    BuildError,
    choose::{Wanted, check_of_source},
};
use pvdify_cnb::{
    descriptor::Descriptor,
    group::{Order, OrderElement, OrderGroup},
    id::{BuildpackId, BuildpackVersion},
    project::{InlineScript, Project, ProjectBuildpack, ProjectSource},
};
use pvdify_types::{BuildpackKind, BuildpackName};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// Ours that reads Procfiles.
const PROCFILE: &str = "pvdify/procfile";

/// What a build container gets.
#[derive(Debug)]
pub(crate) struct Selection {
    /// `/cnb/buildpacks`
    pub(crate) folder: PathBuf,
    /// `/cnb/order.toml`
    pub(crate) order: Order,
    /// What each of them looks for, for when none finds it.
    pub(crate) looks_for: Vec<LooksFor>,
    /// What came from outside: a line for each, for the log.
    pub(crate) came: Vec<String>,
    /// Whether a classic buildpack is among them: those expect the app where Heroku has it.
    pub(crate) has_classic: bool,
}

/// What came from outside, by its name.
pub(crate) type Came = BTreeMap<String, Adopted>;

/// Gets all that is named and not here.
pub(crate) async fn gather(
    wanted: &Wanted,
    project: &Project,
    source: &Path,
    fetcher: &Fetcher<'_>,
    own: &Path,
) -> Result<Came, BuildError> {
    let mut came = Came::new();
    let named: &[BuildpackName] = match wanted {
        Wanted::Named(names) => names,
        Wanted::Detected | Wanted::Project(_) => &[],
    };
    let of_project = match wanted {
        Wanted::Project(buildpacks) => &buildpacks[..],
        Wanted::Detected | Wanted::Named(_) => &[],
    };
    let uris = project.pre.iter().chain(of_project).chain(&project.post);
    let uris = uris.filter_map(|one| match &one.source {
        ProjectSource::Uri(uri) => Some(uri),
        _ => None,
    });
    for name in named {
        if !came.contains_key(name.as_str()) && !matches!(name.kind(), BuildpackKind::Id { .. }) {
            let tree = fetcher.fetch(name, came.len()).await?;
            came.insert(name.to_string(), adopted(tree, own).await?);
        }
    }
    for uri in uris {
        if came.contains_key(uri) {
            continue;
        }
        let tree = match uri.parse::<BuildpackName>() {
            Ok(name) if matches!(name.kind(), BuildpackKind::Id { .. }) => {
                match of_source(uri, source, fetcher, came.len()).await? {
                    Some(tree) => tree,
                    // It is one of those that are here, or will be said not to be.
                    None => continue,
                }
            }
            Ok(name) => {
                check_of_source(&name)
                    .map_err(|error| BuildError::Refused(format!("project.toml: {error}")))?;
                fetcher.fetch(&name, came.len()).await?
            }
            Err(error) => match of_source(uri, source, fetcher, came.len()).await? {
                Some(tree) => tree,
                None => {
                    return Err(BuildError::Refused(format!(
                        "project.toml: the buildpack {uri}: {error}"
                    )));
                }
            },
        };
        came.insert(uri.clone(), adopted(tree, own).await?);
    }
    Ok(came)
}

async fn adopted(tree: Tree, own: &Path) -> Result<Adopted, BuildError> {
    let own = own.to_owned();
    tokio::task::spawn_blocking(move || adopt::adopt(&tree, &own))
        .await
        .map_err(BuildError::unavailable)?
}

/// A buildpack in the pushed source itself; nothing if there is no such folder.
async fn of_source(
    uri: &str,
    source: &Path,
    fetcher: &Fetcher<'_>,
    number: usize,
) -> Result<Option<Tree>, BuildError> {
    let path = uri.trim_start_matches("./").trim_end_matches('/');
    let is_plain = !path.is_empty()
        && !path.contains(':')
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    // The name by which its classic kind would be known: what an ID looks like, and no version.
    let Some(name) = is_plain.then(|| path.parse::<BuildpackName>().ok()).flatten() else {
        return Ok(None);
    };
    let folder = fetcher.folder.join(number.to_string()).join("tree");
    let (source, path, to) = (source.to_owned(), path.to_owned(), folder.clone());
    let taken = tokio::task::spawn_blocking(move || fetch::from_source(&source, &path, &to)).await;
    taken
        .map_err(BuildError::unavailable)?
        .map_err(|error| BuildError::Refused(format!("project.toml: the buildpack {uri}: {error}")))?;
    let is_there = fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some());
    if !is_there {
        fs::remove_dir(&folder).map_err(BuildError::disk)?;
        return Ok(None);
    }
    Ok(Some(Tree {
        name,
        folder,
        what: String::new(),
        top: None,
    }))
}

/// A buildpack that is there.
#[derive(Clone, Debug)]
struct Found {
    descriptor: Descriptor,
    folder: PathBuf,
    looks_for: String,
}

/// Selects; `own` is a folder that this may make. Blocking.
pub(crate) fn select(
    bundle: &Bundle,
    wanted: &Wanted,
    project: &Project,
    came: &Came,
    own: &Path,
) -> Result<Selection, BuildError> {
    let ours = found(&bundle.buildpacks).map_err(BuildError::disk)?;
    let ends: Vec<&ProjectBuildpack> = project.pre.iter().chain(&project.post).collect();
    if matches!(wanted, Wanted::Detected) && ends.is_empty() {
        let looks_for = bundle.order.order.iter().flat_map(|group| &group.group);
        return Ok(Selection {
            folder: bundle.buildpacks.clone(),
            order: bundle.order.clone(),
            looks_for: looked_for(looks_for, &ours),
            came: Vec::new(),
            has_classic: false,
        });
    }
    let mut chosen = Chosen {
        ours: &ours,
        came,
        own,
        inline: 0,
    };
    let pre = chosen.all(&project.pre)?;
    let post = chosen.all(&project.post)?;
    let groups = match wanted {
        Wanted::Detected => bundle
            .order
            .order
            .iter()
            .map(|group| group.group.clone())
            .collect(),
        Wanted::Named(names) => {
            let named = names.iter().map(|name| chosen.named(name));
            let mut group = named.collect::<Result<Vec<_>, _>>()?;
            // A Procfile counts with whatever buildpacks; classic ones see to it themselves.
            if came.values().all(|one| one.classic.is_none()) {
                group.extend(chosen.procfile(&group));
            }
            vec![group]
        }
        Wanted::Project(buildpacks) => vec![chosen.all(buildpacks)?],
    };
    let around = |group: Vec<OrderElement>| OrderGroup {
        group: [pre.clone(), group, post.clone()].concat(),
    };
    let order = Order {
        order: groups.into_iter().map(around).collect(),
        ..Order::default()
    };
    finish(came, &order).map_err(BuildError::disk)?;
    let mut looks_for = looked_for(order.order.iter().flat_map(|group| &group.group), &ours);
    looks_for.extend(came.keys().map(|name| LooksFor {
        name: name.clone(),
        files: "as its own bin/detect says".to_owned(),
    }));
    // All of ours are there besides: composites and projects may refer to them.
    for one in &ours {
        link(&one.folder, &own.join(folder_of(&one.descriptor))).map_err(BuildError::disk)?;
    }
    Ok(Selection {
        folder: own.to_owned(),
        order,
        looks_for,
        came: came.values().map(|one| one.shown.clone()).collect(),
        has_classic: came.values().any(|one| one.classic.is_some()),
    })
}

/// Tells each classic buildpack what it has to know of the others.
fn finish(came: &Came, order: &Order) -> io::Result<()> {
    let elements = || order.order.iter().flat_map(|group| &group.group);
    let count = order
        .order
        .iter()
        .map(|group| group.group.len())
        .max()
        .unwrap_or(0);
    let is_classic = |element: &&OrderElement| {
        let mut classic = came.values().filter(|one| one.classic.is_some());
        classic.any(|one| one.element.id == element.id)
    };
    let last = elements().rfind(is_classic);
    for (name, one) in came {
        let is_last = last.is_some_and(|last| last.id == one.element.id);
        adopt::finish(one, name, count == 1, is_last)?;
    }
    Ok(())
}

/// The work of one selection.
struct Chosen<'a> {
    ours: &'a [Found],
    came: &'a Came,
    own: &'a Path,
    inline: usize,
}

impl Chosen<'_> {
    fn all(&mut self, buildpacks: &[ProjectBuildpack]) -> Result<Vec<OrderElement>, BuildError> {
        buildpacks.iter().map(|one| self.of_project(one)).collect()
    }

    fn of_project(&mut self, buildpack: &ProjectBuildpack) -> Result<OrderElement, BuildError> {
        match (&buildpack.source, &buildpack.id) {
            (ProjectSource::Known { version }, Some(id)) => {
                let name = match version {
                    Some(version) => format!("{id}@{version}"),
                    None => id.to_string(),
                };
                self.named(&name.parse().map_err(BuildError::refused)?)
            }
            (ProjectSource::Known { .. }, None) => Err(BuildError::refused(
                "project.toml names a buildpack without an id",
            )),
            (ProjectSource::Uri(uri), _) if self.came.contains_key(uri) => Ok(self.came[uri].element.clone()),
            (ProjectSource::Uri(uri), _) => self.named(&uri.parse().map_err(|error| {
                BuildError::Refused(format!("project.toml: the buildpack {uri}: {error}"))
            })?),
            (ProjectSource::Inline(script), id) => self.inline(script, id.as_ref()),
        }
    }

    fn named(&mut self, name: &BuildpackName) -> Result<OrderElement, BuildError> {
        if let Some(one) = self.came.get(name.as_str()) {
            return Ok(one.element.clone());
        }
        let BuildpackKind::Id { id, version } = name.kind() else {
            return Err(BuildError::Refused(format!(
                "the buildpack {name} is not on this server; there are: {}",
                self.listed()
            )));
        };
        let fits = |one: &&Found| {
            one.descriptor.id.as_str() == id
                && version
                    .as_ref()
                    .is_none_or(|version| one.descriptor.version.as_str() == version)
        };
        let Some(one) = self.ours.iter().find(fits) else {
            return Err(BuildError::Refused(format!(
                "the buildpack {name} is not on this server; there are: {}",
                self.listed()
            )));
        };
        Ok(element(one.descriptor.id.clone(), one.descriptor.version.clone()))
    }

    fn inline(
        &mut self,
        script: &InlineScript,
        id: Option<&BuildpackId>,
    ) -> Result<OrderElement, BuildError> {
        self.inline += 1;
        let id = match id {
            Some(id) => id.clone(),
            None => format!("project/inline-{}", self.inline)
                .parse()
                .map_err(BuildError::refused)?,
        };
        let version: BuildpackVersion = "0.0.0".parse().map_err(BuildError::unavailable)?;
        let folder = self.own.join(id.folder()).join(version.as_str());
        let write = || {
            fs::create_dir_all(folder.join("bin"))?;
            for (name, is_program, text) in script.files(&id) {
                write_new(
                    &folder.join(name),
                    text.as_bytes(),
                    if is_program { 0o755 } else { 0o644 },
                )?;
            }
            Ok(())
        };
        write().map_err(BuildError::disk)?;
        Ok(element(id, version))
    }

    /// Ours for Procfiles, unless it is there already.
    fn procfile(&self, group: &[OrderElement]) -> Option<OrderElement> {
        let one = self
            .ours
            .iter()
            .find(|one| one.descriptor.id.as_str() == PROCFILE)?;
        let is_there = group.iter().any(|element| element.id == one.descriptor.id);
        (!is_there).then(|| OrderElement {
            optional: true,
            ..element(one.descriptor.id.clone(), one.descriptor.version.clone())
        })
    }

    fn listed(&self) -> String {
        let ids: Vec<&str> = self.ours.iter().map(|one| one.descriptor.id.as_str()).collect();
        ids.join(", ")
    }
}

fn element(id: BuildpackId, version: BuildpackVersion) -> OrderElement {
    OrderElement {
        id,
        version: Some(version),
        optional: false,
        exec_env: Vec::new(),
    }
}

fn folder_of(descriptor: &Descriptor) -> PathBuf {
    Path::new(&descriptor.id.folder()).join(descriptor.version.as_str())
}

fn looked_for<'a>(order: impl Iterator<Item = &'a OrderElement>, ours: &[Found]) -> Vec<LooksFor> {
    let mut all: Vec<LooksFor> = Vec::new();
    for element in order {
        let Some(one) = ours.iter().find(|one| one.descriptor.id == element.id) else {
            continue;
        };
        let name = one
            .descriptor
            .name
            .clone()
            .unwrap_or_else(|| element.id.to_string());
        let is_new = !all.iter().any(|known| known.name == name);
        if is_new && !one.looks_for.is_empty() {
            let files = one.looks_for.clone();
            all.push(LooksFor { name, files });
        }
    }
    all
}

/// The buildpacks below `ID/VERSION` of a folder, by their IDs.
fn found(folder: &Path) -> io::Result<Vec<Found>> {
    let mut all = Vec::new();
    for id in fs::read_dir(folder)?
        .flatten()
        .filter(|entry| entry.path().is_dir())
    {
        for version in fs::read_dir(id.path())?.flatten() {
            let folder = version.path();
            let text = fs::read_to_string(folder.join("buildpack.toml"))?;
            let descriptor = Descriptor::parse(&text).map_err(io::Error::other)?;
            let metadata: toml::Table = toml::from_str(&text).map_err(io::Error::other)?;
            let looks_for = metadata
                .get("metadata")
                .and_then(|metadata| metadata.get("looks-for")?.as_str())
                .unwrap_or_default()
                .to_owned();
            all.push(Found {
                descriptor,
                folder,
                looks_for,
            });
        }
    }
    all.sort_by(|a, b| a.descriptor.id.cmp(&b.descriptor.id));
    Ok(all)
}

/// The same folder by hard links: nothing is copied, and the build sees it read-only.
fn link(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)?.flatten() {
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            link(&entry.path(), &target)?;
        } else if !target.exists() {
            fs::hard_link(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(dir: &Path) -> Bundle {
        let buildpacks = dir.join("ours");
        for (id, name, files) in [
            ("pvdify/nodejs", "Node.js", "package.json"),
            ("pvdify/go", "Go", "go.mod"),
        ] {
            let folder = buildpacks.join(id.replace('/', "_")).join("0.1.0");
            fs::create_dir_all(folder.join("bin")).unwrap();
            let text = format!(
                "api = '0.10'\n[buildpack]\nid = '{id}'\nversion = '0.1.0'\nname = '{name}'\n[metadata]\nlooks-for = '{files}'\n"
            );
            fs::write(folder.join("buildpack.toml"), text).unwrap();
            fs::write(folder.join("bin/build"), "").unwrap();
        }
        let order = "[[order]]\n[[order.group]]\nid = 'pvdify/nodejs'\n[[order]]\n[[order.group]]\nid = 'pvdify/go'\n";
        Bundle {
            lifecycle: dir.join("lifecycle"),
            buildpacks,
            order: toml::from_str(order).unwrap(),
        }
    }

    fn ids(selection: &Selection) -> Vec<Vec<&str>> {
        let groups = selection.order.order.iter();
        groups
            .map(|group| group.group.iter().map(|one| one.id.as_str()).collect())
            .collect()
    }

    #[test]
    fn without_a_word_ours_are_tried_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let selection = select(
            &bundle(dir.path()),
            &Wanted::Detected,
            &Project::default(),
            &Came::new(),
            &dir.path().join("own"),
        )
        .unwrap();
        assert_eq!(selection.folder, dir.path().join("ours"));
        assert_eq!(ids(&selection), [["pvdify/nodejs"], ["pvdify/go"]]);
        assert_eq!(selection.looks_for[1].files, "go.mod");
    }

    #[test]
    fn a_project_chooses_adds_and_brings_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("own");
        let project = Project::parse(
            "[_]\nschema-version = '0.2'\n[[io.buildpacks.group]]\nid = 'pvdify/go'\n[[io.buildpacks.group]]\nid = 'me/x'\n[io.buildpacks.group.script]\napi = '0.10'\ninline = 'echo hi'\n[[io.buildpacks.pre.group]]\nid = 'heroku/nodejs'\n",
        )
        .unwrap();
        let wanted = Wanted::Project(project.group.clone());
        let selection = select(&bundle(dir.path()), &wanted, &project, &Came::new(), &own).unwrap();
        assert_eq!(ids(&selection), [["pvdify/nodejs", "pvdify/go", "me/x"]]);
        assert!(
            own.join("me_x/0.0.0/bin/build").is_file() && own.join("pvdify_go/0.1.0/bin/build").is_file()
        );
        let error = |name: &str| {
            let wanted = Wanted::Named(vec![name.parse().unwrap()]);
            select(
                &bundle(dir.path()),
                &wanted,
                &Project::default(),
                &Came::new(),
                &own,
            )
            .unwrap_err()
            .to_string()
        };
        insta::assert_snapshot!(error("pvdify/cobol"), @"the buildpack pvdify/cobol is not on this server; there are: pvdify/go, pvdify/nodejs");
        insta::assert_snapshot!(error("pvdify/go@9"), @"the buildpack pvdify/go@9 is not on this server; there are: pvdify/go, pvdify/nodejs");
    }

    #[test]
    fn what_came_takes_its_place_and_classic_ones_learn_of_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("own");
        let come = |name: &str| {
            let folder = dir.path().join(name.replace('/', "_"));
            fs::create_dir_all(folder.join("bin")).unwrap();
            fs::write(folder.join("bin/compile"), "").unwrap();
            let tree = Tree {
                name: name.parse().unwrap(),
                folder,
                what: "abc".to_owned(),
                top: None,
            };
            (name.to_owned(), adopt::adopt(&tree, &own).unwrap())
        };
        let names = ["https://h/two.git", "pvdify/go", "https://h/one.git"];
        let came = Came::from([come(names[0]), come(names[2])]);
        let wanted = Wanted::Named(names.map(|name| name.parse().unwrap()).to_vec());
        let selection = select(&bundle(dir.path()), &wanted, &Project::default(), &came, &own).unwrap();
        assert!(selection.has_classic);
        assert_eq!(selection.came.len(), 2);
        let group: Vec<&str> = ids(&selection).remove(0);
        assert!(
            group[0].starts_with("classic/two-") && group[1] == "pvdify/go",
            "{group:?}"
        );
        assert!(group[2].starts_with("classic/one-"), "{group:?}");
        for (name, last) in [(names[0], false), (names[2], true)] {
            let folder = came[name].classic.clone().unwrap();
            let says: toml::Table = fs::read_to_string(folder.join("classic.toml"))
                .unwrap()
                .parse()
                .unwrap();
            assert_eq!(
                (says["alone"].as_bool(), says["last"].as_bool()),
                (Some(false), Some(last))
            );
        }
    }
}
