//! Why something was not done with a volume.

use crate::app::error::Kind;
use pvdify_types::{AppName, ProcessType, SnapshotName, VolumeName};
use thiserror::Error;

/// Why not.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum VolumeError {
    #[error("{app} has no volume {volume:?}")]
    None { app: AppName, volume: String },
    #[error("the volume {volume} has no snapshot {snapshot:?}")]
    NoSnapshot {
        app: AppName,
        volume: VolumeName,
        snapshot: String,
    },
    #[error("{app} has a volume {volume} already")]
    Taken { app: AppName, volume: VolumeName },
    #[error("the volume {volume} has a snapshot {snapshot} already")]
    SnapshotTaken {
        volume: VolumeName,
        snapshot: SnapshotName,
    },
    #[error("an app has at most {0} volumes")]
    TooMany(usize),
    #[error("a volume has at most {0} snapshots")]
    TooManySnapshots(usize),
    #[error("a {operation} of the volume {volume} is under way")]
    Busy {
        volume: VolumeName,
        operation: &'static str,
    },
    #[error("the volume {volume} is mounted")]
    Mounted { app: AppName, volume: VolumeName },
    #[error("the volume {volume} is not mounted{}", in_type(process.as_ref()))]
    NotMounted {
        volume: VolumeName,
        process: Option<ProcessType>,
    },
    #[error("an instance of {app} {version} still has the volume {volume}")]
    InUse {
        app: AppName,
        volume: VolumeName,
        version: pvdify_types::ReleaseVersion,
    },
    #[error("{app} has volumes, which are not deleted with it: {}", names(volumes))]
    Left { app: AppName, volumes: Vec<VolumeName> },
    #[error("to destroy {0} can't be undone: it was not confirmed")]
    Unconfirmed(String),
    #[error("{process} has the volume {volume} to itself, so one of it can run, not {count}")]
    OneOnly {
        process: ProcessType,
        volume: VolumeName,
        count: u32,
    },
    #[error("the release phase has no volumes")]
    ReleasePhase,
    #[error("the snapshot {snapshot} can't be restored: it is {status}")]
    NotReady {
        snapshot: SnapshotName,
        status: &'static str,
    },
    #[error("the folders did not change places")]
    NotSwapped,
    #[error("what has the volume did not stop within {0} s")]
    NotStopped(u64),
}

fn names(volumes: &[VolumeName]) -> String {
    let names: Vec<&str> = volumes.iter().map(VolumeName::as_str).collect();
    names.join(", ")
}

fn in_type(process: Option<&ProcessType>) -> String {
    process
        .map(|process| format!(" in {process}"))
        .unwrap_or_default()
}

impl VolumeError {
    pub(in crate::app) fn kind(&self) -> Kind {
        match self {
            Self::None { .. } | Self::NoSnapshot { .. } => Kind::NotFound,
            Self::Unconfirmed(_) | Self::OneOnly { .. } | Self::ReleasePhase => Kind::Invalid,
            Self::Taken { .. }
            | Self::SnapshotTaken { .. }
            | Self::TooMany(_)
            | Self::TooManySnapshots(_)
            | Self::Busy { .. }
            | Self::Mounted { .. }
            | Self::NotMounted { .. }
            | Self::InUse { .. }
            | Self::Left { .. }
            | Self::NotReady { .. }
            | Self::NotSwapped
            | Self::NotStopped(_) => Kind::Conflict,
        }
    }

    pub(in crate::app) fn code(&self) -> Option<&'static str> {
        match self {
            Self::Taken { .. } | Self::SnapshotTaken { .. } => Some("taken"),
            Self::TooMany(_) | Self::TooManySnapshots(_) => Some("quota"),
            Self::Busy { .. } | Self::InUse { .. } => Some("busy"),
            Self::Mounted { .. } => Some("mounted"),
            Self::Left { .. } => Some("has_volumes"),
            Self::Unconfirmed(_) => Some("not_confirmed"),
            _ => None,
        }
    }

    pub(in crate::app) fn hint(&self) -> String {
        match self {
            Self::None { app, .. } => format!("list them with pvdify storage:list {app}"),
            Self::NoSnapshot { app, volume, .. } => {
                format!("list them with pvdify storage:snapshots {app} {volume}")
            }
            Self::Taken { .. } | Self::SnapshotTaken { .. } => "choose another name".into(),
            Self::TooManySnapshots(_) => {
                "destroy one that is not needed with pvdify storage:snapshot:destroy".into()
            }
            Self::Busy { .. } => "try again when it is done".into(),
            Self::Mounted { app, volume } => {
                format!("unmount it first, and wait for that release: pvdify storage:unmount {app} {volume}")
            }
            Self::NotMounted { .. } => "see where it is with pvdify storage:list".into(),
            Self::InUse { .. } => "try again in a moment".into(),
            Self::Left { app, volumes } => {
                let first = volumes.first().map_or("VOLUME", VolumeName::as_str);
                format!(
                    "destroy each first: pvdify storage:unmount {app} {first}, then pvdify storage:destroy {app} {first} --confirm {first}"
                )
            }
            Self::Unconfirmed(name) => format!("give its name once more: ?confirm={name}"),
            Self::OneOnly { .. } => {
                "scale it to 1, or mount the volume with --shared if several may write to it at one time"
                    .into()
            }
            Self::NotStopped(_) => "the server's log says what it waited for; try again".into(),
            _ => String::new(),
        }
    }
}
