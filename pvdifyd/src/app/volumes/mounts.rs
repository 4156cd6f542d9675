//! Where an app's volumes are: a change is a release.

use super::{VolumeError, known_volume, rows};
use crate::{
    app::{
        Acting, Action,
        authorise::living_app,
        error::{Error, Result},
        releases::settings_release,
    },
    store::{self, Reader, Tx, apps, formation, releases},
};
use pvdify_api::volumes as wire;
use pvdify_types::{
    AppId, AppName, Formation, MountPath, ProcessType, ReleaseVersion, VolumeMount,
    formation::{MAX_QUANTITY, quantities},
    volume::{self, is_exclusive},
};

/// What a change gave.
pub struct VolumeChanged {
    /// After it.
    pub volume: wire::Volume,
    /// `None`: nothing changed, or nothing was deployed yet.
    pub release: Option<ReleaseVersion>,
}

impl Acting {
    /// Mounts a volume, in place of where it was in these process types.
    ///
    /// # Errors
    /// When refused or unknown, a path or type breaks a rule, or more run of a type than may have it.
    pub async fn mount_volume(
        &self,
        name: &AppName,
        typed: &str,
        body: wire::MountVolume,
    ) -> Result<VolumeChanged> {
        let path: MountPath = body.path.parse().map_err(Error::invalid)?;
        let processes = body
            .processes
            .iter()
            .map(|text| text.parse().map_err(Error::invalid));
        let processes: Vec<ProcessType> = processes.collect::<Result<_>>()?;
        if processes.iter().any(ProcessType::is_release_phase) {
            return Err(VolumeError::ReleasePhase.into());
        }
        let shape = (path, body.read_only, body.shared);
        self.change_mounts(name, typed, move |tx, app, row, before| {
            known_types(tx, app, &processes)?;
            let mut all: Vec<_> = processes.into_iter().map(Some).collect();
            let description = format!("Mount {} at {}{}", row.name, shape.0, listed(&all));
            if all.is_empty() {
                all.push(None);
            }
            let mut mounts = before;
            for process in all {
                let new = VolumeMount {
                    id: row.id.clone(),
                    volume: row.name.clone(),
                    process,
                    path: shape.0.clone(),
                    read_only: shape.1,
                    shared: shape.2,
                };
                mounts = volume::add_mount(mounts, new).map_err(Error::invalid)?;
            }
            check_counts(tx, &app.id, &mounts)?;
            Ok((mounts, description))
        })
        .await
    }

    /// Unmounts a volume, of every type or of one.
    ///
    /// # Errors
    /// When refused, unknown, or it is not mounted there.
    pub async fn unmount_volume(
        &self,
        name: &AppName,
        typed: &str,
        query: wire::UnmountQuery,
    ) -> Result<VolumeChanged> {
        let process = query.process.map(|text| text.parse().map_err(Error::invalid));
        let process: Option<ProcessType> = process.transpose()?;
        self.change_mounts(name, typed, move |_, _, row, before| {
            let mut after = before.clone();
            after.retain(|mount| mount.id != row.id || (process.is_some() && mount.process != process));
            if after == before {
                return Err(VolumeError::NotMounted {
                    volume: row.name.clone(),
                    process,
                }
                .into());
            }
            let of_type = Vec::from_iter(process.map(Some));
            Ok((after, format!("Unmount {}{}", row.name, listed(&of_type))))
        })
        .await
    }

    async fn change_mounts<F>(&self, name: &AppName, typed: &str, change: F) -> Result<VolumeChanged>
    where
        F: FnOnce(&Tx<'_>, &apps::App, &rows::Volume, Vec<VolumeMount>) -> Result<(Vec<VolumeMount>, String)>
            + Send
            + 'static,
    {
        self.may(Action::ChangeVolumes)?;
        let (wanted, volume, user) = (name.clone(), typed.to_owned(), self.user().to_owned());
        let (id, release) = self
            .app
            .store()
            .write(move |tx| {
                let app = living_app(tx, &wanted)?;
                let row = known_volume(tx, &app, &volume)?;
                let before = rows::mounts::of_app(tx, &app.id)?;
                let (after, description) = change(tx, &app, &row, before.clone())?;
                rows::mounts::replace(tx, &app.id, &after)?;
                // Read again: as it is ordered there.
                if rows::mounts::of_app(tx, &app.id)? == before {
                    return Ok((app.id, None));
                }
                let now = store::now();
                apps::touch(tx, &app.id, now)?;
                let release = settings_release(tx, &app, description, user, now)?;
                Ok::<_, Error>((app.id, release))
            })
            .await?;
        if let Some(release) = &release {
            self.app.announce(&id, release);
            self.app.inner.handle.wake();
        }
        Ok(VolumeChanged {
            volume: self.app.volume_face(name.clone(), typed.to_owned()).await?,
            release: release.map(|release| release.version),
        })
    }
}

fn listed(processes: &[Option<ProcessType>]) -> String {
    let names: Vec<&str> = processes.iter().flatten().map(ProcessType::as_str).collect();
    if names.is_empty() {
        String::new()
    } else {
        format!(" in {}", names.join(", "))
    }
}

/// A mistyped type would have no data where it looks for some.
fn known_types(reader: &Reader, app: &apps::App, processes: &[ProcessType]) -> Result<()> {
    let code = releases::newest_live(reader, &app.id)?.and_then(|release| release.code);
    let Some(types) = code.map(|code| code.processes) else {
        return Ok(());
    };
    match processes.iter().find(|process| !types.contains_key(*process)) {
        None => Ok(()),
        Some(process) => Err(Error::NoProcessType {
            app: app.name.clone(),
            process: process.to_string(),
            known: types
                .keys()
                .map(ProcessType::as_str)
                .collect::<Vec<_>>()
                .join(", "),
        }),
    }
}

/// What runs may not be more than may have its volumes.
fn check_counts(reader: &Reader, app: &AppId, mounts: &[VolumeMount]) -> Result<()> {
    let code = releases::newest_live(reader, app)?.and_then(|release| release.code);
    let scaled = formation::scaled(reader, app)?;
    let types = code.map(|code| code.processes.into_keys().collect::<Vec<_>>());
    let counts: Formation = match types {
        Some(types) => quantities(types, &scaled),
        None => scaled,
    };
    counts
        .iter()
        .try_for_each(|(process, count)| check_count(mounts, process, *count))
}

pub(in crate::app) fn check_count(mounts: &[VolumeMount], process: &ProcessType, count: u32) -> Result<()> {
    let mut own = mounts
        .iter()
        .filter(|mount| mount.is_for(process) && mount.is_exclusive());
    match own.next() {
        Some(mount) if count > 1 => Err(VolumeError::OneOnly {
            process: process.clone(),
            volume: mount.volume.clone(),
            count,
        }
        .into()),
        _ => Ok(()),
    }
}

/// How many may run of a type with the volumes that the app's next release has.
pub(in crate::app) fn most(reader: &Reader, app: &AppId, process: &ProcessType) -> Result<u32> {
    let mounts = rows::mounts::of_app(reader, app)?;
    Ok(if is_exclusive(&mounts, process) {
        1
    } else {
        MAX_QUANTITY
    })
}
