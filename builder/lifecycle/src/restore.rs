//! Restoring: of what the last build left in the layers' folder, what the next one may find stays, and all else goes.
//! Nothing is copied: contents stay where they are.
//!
//! A build that fails leaves layers' files without their types. So what was restored is noted first
//! (`restored.toml`), and read back when the last build did not come to its end (`config/metadata.toml` is missing).
//! The order of the steps makes a restore that is killed repeatable: the note is written before the mark of success is
//! removed, and that before anything else changes.

use crate::{
    failure::{Failure, code},
    files,
    settings::Settings,
};
use pvdify_cnb::{
    analyzed::{Analyzed, AnalyzedBuildpack},
    group::{Group, GroupElement},
    id::LayerName,
    layer::LayerToml,
    restore::{Before, Restored, RestoredToml},
    sbom::{self, Owner},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    thread::{self, JoinHandle},
};

/// Folders with what is removed behind the build's back begin with this.
const REMOVED: &str = ".removed-";
/// Depth of folders that the thread that removes can follow.
const STACK: usize = 64 << 20;

/// What goes on in the background: removing whole layers takes longer than everything else here.
#[must_use]
pub(crate) struct Removing(JoinHandle<io::Result<()>>);

impl Removing {
    /// Waits until all is gone.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let result = self
            .0
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread ended early")));
        result.map_err(|error| {
            failure(format!(
                "layers that are no longer used can't be removed: {error}"
            ))
        })
    }
}

/// Restores; the tomls are ready when it returns.
pub(crate) fn run(settings: &Settings) -> Result<Removing, Failure> {
    restore(settings).map_err(failure)
}

fn failure(message: String) -> Failure {
    Failure::new("restore", code::RESTORE, message)
}

fn restore(settings: &Settings) -> Result<Removing, String> {
    let layers = &settings.layers;
    let missing = |path: &Path| format!("{} is missing; detection writes it", path.display());
    let group: Group = files::toml(&settings.group)?.ok_or_else(|| missing(&settings.group))?;
    let analyzed: Analyzed = files::toml(&settings.analyzed)?.unwrap_or_default();
    let config = layers.join("config");
    let noted_path = layers.join("restored.toml");
    // A note that can't be read (it is the buildpacks' folder) is none.
    let noted: RestoredToml = files::toml(&noted_path).ok().flatten().unwrap_or_default();
    let succeeded = config.join("metadata.toml").exists();

    let mut note = RestoredToml::default();
    let mut kept = BTreeMap::new();
    for element in &group.group {
        let before = Folder {
            path: layers.join(element.id.folder()),
            in_image: analyzed
                .metadata
                .buildpack(element.id.as_str())
                .filter(|_| !settings.skip_layers),
            noted: (!succeeded).then_some(&noted),
            element,
        };
        let restored = if settings.skip_layers {
            BTreeMap::new()
        } else {
            before.layers(&mut note)?
        };
        let store = analyzed
            .metadata
            .buildpack(element.id.as_str())
            .and_then(|it| it.store.clone());
        kept.insert(element.id.folder(), (restored, store));
    }

    files::write_toml(&noted_path, &note)?;
    let mut trash = Trash::new(layers);
    trash.add(&config)?;
    let own = [
        &settings.group,
        &settings.plan,
        &settings.analyzed,
        &settings.order,
        &settings.generated,
        &noted_path,
    ];
    for name in files::names(layers)? {
        let path = layers.join(&name);
        let known = name.to_str().and_then(|it| kept.get(it));
        match known {
            Some((restored, _)) => clean(&path, restored, &mut trash)?,
            None if own.contains(&&path) => {}
            None => trash.add(&path)?,
        }
    }
    for (folder, (restored, store)) in &kept {
        let folder = layers.join(folder);
        fs::create_dir_all(&folder)
            .map_err(|error| format!("{} can't be made: {error}", folder.display()))?;
        for (name, (metadata, _)) in restored {
            let toml = LayerToml {
                metadata: metadata.clone(),
                ..LayerToml::default()
            };
            files::write_toml(&folder.join(format!("{name}.toml")), &toml)?;
        }
        if let Some(store) = store {
            files::write_toml(&folder.join("store.toml"), store)?;
        }
    }
    trash.empty()
}

/// What the next build finds: metadata, and whether the contents are there.
type Layers = BTreeMap<LayerName, (toml::Table, bool)>;

/// One buildpack's folder as the last build left it.
struct Folder<'a> {
    path: PathBuf,
    element: &'a GroupElement,
    in_image: Option<&'a AnalyzedBuildpack>,
    /// What counts instead of the files there, after a build that failed.
    noted: Option<&'a RestoredToml>,
}

impl Folder<'_> {
    fn layers(&self, note: &mut RestoredToml) -> Result<Layers, String> {
        let mut layers = Layers::new();
        for name in self.names()? {
            let on_disk = self.on_disk(&name);
            let before = Before {
                in_image: self.in_image.and_then(|it| it.layers.get(name.as_str())),
                on_disk: on_disk.as_ref(),
                has_contents: is_folder(&self.path.join(name.as_str())),
            };
            match before.restored() {
                Restored::Nothing => {}
                Restored::Metadata(metadata) => {
                    layers.insert(name, (metadata, false));
                }
                Restored::All(metadata) => {
                    let types = on_disk.as_ref().map(LayerToml::flags).unwrap_or_default();
                    note.note(self.element.id.as_str(), name.as_str(), types, metadata.clone());
                    layers.insert(name, (metadata, true));
                }
            }
        }
        Ok(layers)
    }

    /// All names that there is anything of.
    fn names(&self) -> Result<BTreeSet<LayerName>, String> {
        let there = if is_folder(&self.path) {
            files::names(&self.path)?
        } else {
            Vec::new()
        };
        let there = there.iter().filter_map(|it| files::layer_of_toml(it));
        let in_image = self
            .in_image
            .into_iter()
            .flat_map(|it| it.layers.keys())
            .filter_map(|it| it.parse().ok());
        Ok(there.chain(in_image).collect())
    }

    fn on_disk(&self, name: &LayerName) -> Option<LayerToml> {
        let noted = self
            .noted
            .and_then(|it| it.layer(self.element.id.as_str(), name.as_str()));
        noted.cloned().or_else(|| {
            // One that can't be read is as good as none: its buildpack makes the layer anew.
            let text = files::text(&self.path.join(format!("{name}.toml")))
                .ok()
                .flatten()?;
            LayerToml::parse(&text).ok()
        })
    }
}

/// Removes from a buildpack's folder what is not restored.
fn clean(folder: &Path, layers: &Layers, trash: &mut Trash) -> Result<(), String> {
    if !is_folder(folder) {
        return trash.add(folder);
    }
    for name in files::names(folder)? {
        let stays = name.to_str().is_some_and(|text| {
            let contents = |name: &str| {
                name.parse()
                    .ok()
                    .and_then(|it: LayerName| Some(layers.get(&it)?.1))
            };
            match sbom::parse(text) {
                Some((Owner::Layer(layer), Some(_))) => contents(layer).is_some(),
                Some(_) => false,
                None => contents(text) == Some(true) && is_folder(&folder.join(text)),
            }
        });
        if !stays {
            trash.add(&folder.join(&name))?;
        }
    }
    Ok(())
}

fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|it| it.is_dir())
}

/// What goes: files at once, folders by a rename here and in the background.
struct Trash<'a> {
    layers: &'a Path,
    folders: Vec<PathBuf>,
}

impl<'a> Trash<'a> {
    fn new(layers: &'a Path) -> Self {
        Self {
            layers,
            folders: Vec::new(),
        }
    }

    fn add(&mut self, path: &Path) -> Result<(), String> {
        let wrong = |error: io::Error| format!("{} can't be removed: {error}", path.display());
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(wrong(error)),
            Ok(it) if !it.is_dir() => return fs::remove_file(path).map_err(wrong),
            // One without the right to write can't be moved.
            Ok(_) => fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(wrong)?,
        }
        let is_left_over = |name: OsString| name.to_str().is_some_and(|it| it.starts_with(REMOVED));
        if path.parent() == Some(self.layers)
            && path.file_name().map(OsString::from).is_some_and(is_left_over)
        {
            self.folders.push(path.to_owned());
            return Ok(());
        }
        let free = (self.folders.len()..)
            .map(|number| self.layers.join(format!("{REMOVED}{number}")))
            .find(|it| fs::symlink_metadata(it).is_err());
        let away = free.ok_or_else(|| wrong(io::Error::other("no name is free")))?;
        fs::rename(path, &away).map_err(wrong)?;
        self.folders.push(away);
        Ok(())
    }

    fn empty(self) -> Result<Removing, String> {
        let folders: BTreeSet<PathBuf> = self.folders.into_iter().collect();
        let remove = move || folders.iter().try_for_each(|it| files::remove_tree(it));
        let thread = thread::Builder::new()
            .name("removing".to_owned())
            .stack_size(STACK)
            .spawn(remove);
        thread
            .map(Removing)
            .map_err(|error| format!("no thread can be started: {error}"))
    }
}
