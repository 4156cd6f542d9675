//! `/apps/{name}/volumes` and what is below.

use pvdify_types::{MountPath, ProcessType, SnapshotName, VolumeName};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

/// A volume of an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Volume {
    #[schema(value_type = String)]
    /// Its name.
    pub name: VolumeName,
    /// Where the app's next release has it; none: nowhere.
    pub mounts: Vec<VolumeMount>,
    /// What its data takes of the disk; `null` when counting it takes too long, or it is not there.
    pub bytes: Option<u64>,
    /// Whose its data is, as `UID:GID`: the first image's user, unless the app changed it. `null`: it is not there.
    pub owner: Option<String>,
    /// `snapshot`, `restore` or `destroy` while that is under way.
    pub operation: Option<String>,
    /// How many snapshots it has.
    pub snapshots: u64,
    #[serde(with = "time::serde::rfc3339")]
    /// When it was made.
    pub created_at: OffsetDateTime,
}

/// A volume in the processes of a type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VolumeMount {
    #[schema(value_type = Option<String>)]
    /// In whose processes; `null`: of every type.
    pub process: Option<ProcessType>,
    #[schema(value_type = String)]
    /// Where they find it.
    pub path: MountPath,
    /// They can't change it.
    pub read_only: bool,
    /// Any number of them, also of two releases, may have it at one time.
    pub shared: bool,
}

/// `POST /apps/{name}/volumes`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateVolume {
    /// Parsed as a volume's name.
    pub name: String,
}

/// `PUT /apps/{name}/volumes/{volume}/mounts`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MountVolume {
    /// Parsed as a path in the container.
    pub path: String,
    /// Process types; none: all.
    #[serde(default)]
    pub processes: Vec<String>,
    /// Whether they can't change it.
    #[serde(default)]
    pub read_only: bool,
    /// Whether any number of them may have it at one time.
    #[serde(default)]
    pub shared: bool,
}

/// `DELETE /apps/{name}/volumes/{volume}/mounts`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
pub struct UnmountQuery {
    /// Only in the processes of this type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
}

/// `DELETE` of a volume or snapshot, which can't be undone.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
pub struct ConfirmQuery {
    /// Its name once more.
    #[serde(default)]
    pub confirm: String,
}

/// A snapshot of a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Snapshot {
    #[schema(value_type = String)]
    /// Its name.
    pub name: SnapshotName,
    /// `making`, `ready` or `failed`.
    pub status: String,
    /// Nothing that had the volume ran while it was made. Otherwise each file is as after a crash at some moment.
    pub stopped: bool,
    /// What it takes of the disk; `null` unless it is ready.
    pub bytes: Option<u64>,
    /// Why it failed.
    pub failure: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    /// When it was begun.
    pub created_at: OffsetDateTime,
}

/// `POST /apps/{name}/volumes/{volume}/snapshots`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSnapshot {
    /// Parsed as a snapshot's name; one of the present time when it is left out.
    #[serde(default)]
    pub name: Option<String>,
    /// Whether what has the volume stops meanwhile.
    #[serde(default)]
    pub stop: bool,
}

/// `POST /apps/{name}/volumes/{volume}/restore`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreVolume {
    /// The snapshot's name.
    pub snapshot: String,
}

/// One event of a snapshot or a restore. The last is `done` or `failed`. It goes on whether anybody listens or not, so a
/// stream that ends without either tells nothing of its end: the list of snapshots does, and the app's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum VolumeEvent {
    /// A line for a person.
    Line {
        /// The line.
        text: String,
    },
    /// How far a copy is.
    Copied {
        /// So much is copied.
        bytes: u64,
    },
    /// It is done: the snapshot that was made; of a restore, what was there before.
    Done {
        /// That one.
        snapshot: Snapshot,
    },
    /// It is not done.
    Failed {
        /// Why.
        message: String,
    },
}
