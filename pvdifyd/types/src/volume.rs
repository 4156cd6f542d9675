//! Volumes: folders of an app that outlive its releases, and where its processes find them.
//!
//! A volume that is neither shared nor read-only somewhere is there for one instance alone: two that write the same files
//! without knowing of each other destroy them. [`VolumeMount::is_exclusive`] says so; what follows from it is decided by
//! the reconciler and by whoever scales.

mod path;

pub use path::{MountPath, MountPathError};

use crate::{id::VolumeId, name::ProcessType, newtype::string_newtype};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The most volumes of one app.
pub const MAX_VOLUMES: usize = 20;
/// The most snapshots of one volume, those that a restore made counted.
pub const MAX_SNAPSHOTS: usize = 100;
/// As an app's.
const MAX_NAME: usize = 30;
/// `before-restore-20260101t000000z` is what a restore calls what was there.
const MAX_SNAPSHOT_NAME: usize = 40;

/// A volume's name: an app's rules, but that none is reserved.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VolumeName(String);
string_newtype!(VolumeName, VolumeNameError);

/// A snapshot's name, unique to its volume.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SnapshotName(String);
string_newtype!(SnapshotName, VolumeNameError);

/// Why a text is no name of a volume or snapshot.
#[derive(Debug, Error, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum VolumeNameError {
    #[error("the name of a {0} can't be empty")]
    Empty(&'static str),
    #[error("the name of a {what} has at most {limit} characters, this one has {length}")]
    TooLong {
        what: &'static str,
        limit: usize,
        length: usize,
    },
    #[error("the name of a {0} starts with a letter a-z, not with {1:?}")]
    Start(&'static str, char),
    #[error("the name of a {0} can't end with a hyphen")]
    End(&'static str),
    #[error("the name of a {0} holds only a-z, 0-9 and hyphens, not {1:?}")]
    Character(&'static str, char),
}

impl VolumeName {
    fn check(text: &str) -> Result<(), VolumeNameError> {
        check_name(text, "volume", MAX_NAME)
    }
}

impl SnapshotName {
    fn check(text: &str) -> Result<(), VolumeNameError> {
        check_name(text, "snapshot", MAX_SNAPSHOT_NAME)
    }
}

fn check_name(text: &str, what: &'static str, limit: usize) -> Result<(), VolumeNameError> {
    let Some(first) = text.chars().next() else {
        return Err(VolumeNameError::Empty(what));
    };
    let length = text.chars().count();
    if length > limit {
        return Err(VolumeNameError::TooLong { what, limit, length });
    }
    if let Some(bad) = text.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
        return Err(VolumeNameError::Character(what, bad));
    }
    if !first.is_ascii_lowercase() {
        return Err(VolumeNameError::Start(what, first));
    }
    if text.ends_with('-') {
        return Err(VolumeNameError::End(what));
    }
    Ok(())
}

/// A volume in the processes of a type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeMount {
    /// Which one: a name may be given again, an id never is.
    pub id: VolumeId,
    /// For people.
    pub volume: VolumeName,
    /// In whose processes; `None`: in those of every type.
    pub process: Option<ProcessType>,
    /// Where they find it.
    pub path: MountPath,
    /// They can't change it.
    pub read_only: bool,
    /// Any number of them, also of two releases, may have it at one time.
    pub shared: bool,
}

impl VolumeMount {
    /// Whether processes of this type have it.
    #[must_use]
    pub fn is_for(&self, process: &ProcessType) -> bool {
        self.process.as_ref().is_none_or(|own| own == process)
    }

    /// Whether one instance at a time may have it.
    #[must_use]
    pub fn is_exclusive(&self) -> bool {
        !self.read_only && !self.shared
    }

    fn meets(&self, other: &Self) -> bool {
        match (&self.process, &other.process) {
            (Some(one), Some(another)) => one == another,
            _ => true,
        }
    }
}

/// Whether one instance at a time may run of a type, because of a volume that it has.
#[must_use]
pub fn is_exclusive(mounts: &[VolumeMount], process: &ProcessType) -> bool {
    mounts
        .iter()
        .any(|mount| mount.is_for(process) && mount.is_exclusive())
}

/// Why the mounts of an app do not go together.
#[derive(Debug, Error, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum MountsError {
    #[error("the volume {0} is mounted in every process type already: unmount it there first")]
    InAll(VolumeName),
    #[error("{path} is taken by the volume {volume}: choose another path")]
    Taken { path: MountPath, volume: VolumeName },
    #[error("{inner} lies in {outer}, where the volume {volume} is: choose a path outside")]
    Nested {
        inner: MountPath,
        outer: MountPath,
        volume: VolumeName,
    },
}

/// Adds a mount to an app's others. One of every type takes the place of the same volume's in single ones.
///
/// # Errors
/// When a process would have the volume twice, or one volume at or in another's path.
pub fn add_mount(mut mounts: Vec<VolumeMount>, new: VolumeMount) -> Result<Vec<VolumeMount>, MountsError> {
    let of_all = |mount: &VolumeMount| mount.id == new.id && mount.process.is_none();
    if new.process.is_some() && mounts.iter().any(of_all) {
        return Err(MountsError::InAll(new.volume));
    }
    mounts.retain(|mount| mount.id != new.id || (new.process.is_some() && mount.process != new.process));
    for other in mounts.iter().filter(|other| other.meets(&new)) {
        let volume = || other.volume.clone();
        if other.path == new.path {
            return Err(MountsError::Taken {
                path: new.path,
                volume: volume(),
            });
        }
        let nested = |inner: &MountPath, outer: &MountPath| MountsError::Nested {
            inner: inner.clone(),
            outer: outer.clone(),
            volume: volume(),
        };
        if new.path.is_in(&other.path) {
            return Err(nested(&new.path, &other.path));
        }
        if other.path.is_in(&new.path) {
            return Err(nested(&other.path, &new.path));
        }
    }
    mounts.push(new);
    Ok(mounts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(volume: &str, process: Option<&str>, path: &str) -> VolumeMount {
        VolumeMount {
            id: volume.parse().unwrap(),
            volume: volume.parse().unwrap(),
            process: process.map(|process| process.parse().unwrap()),
            path: path.parse().unwrap(),
            read_only: false,
            shared: false,
        }
    }

    #[test]
    fn names_break_one_rule_at_a_time() {
        for good in ["data", "d", "data-2", &"a".repeat(30)] {
            assert!(good.parse::<VolumeName>().is_ok(), "{good}");
        }
        let bad = [
            "",
            &"a".repeat(31),
            "2data",
            "-x",
            "data-",
            "Data",
            "a/b",
            "..",
            "a b",
        ];
        let told: Vec<_> = bad
            .iter()
            .map(|text| text.parse::<VolumeName>().unwrap_err().to_string())
            .collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        the name of a volume can't be empty
        the name of a volume has at most 30 characters, this one has 31
        the name of a volume starts with a letter a-z, not with '2'
        the name of a volume starts with a letter a-z, not with '-'
        the name of a volume can't end with a hyphen
        the name of a volume holds only a-z, 0-9 and hyphens, not 'D'
        the name of a volume holds only a-z, 0-9 and hyphens, not '/'
        the name of a volume holds only a-z, 0-9 and hyphens, not '.'
        the name of a volume holds only a-z, 0-9 and hyphens, not ' '
        "#);
        assert!("before-restore-20260101t000000z".parse::<SnapshotName>().is_ok());
        assert!("a".repeat(41).parse::<SnapshotName>().is_err());
    }

    #[test]
    fn a_process_has_a_volume_once_and_no_volume_in_another() {
        let before = vec![
            mount("data", Some("web"), "/data"),
            mount("logs", None, "/var/log/app"),
        ];
        let add = |new: VolumeMount| add_mount(before.clone(), new);
        let refused = [
            mount("more", Some("web"), "/data"),
            mount("more", None, "/data/x"),
            mount("more", Some("worker"), "/var/log"),
            mount("logs", Some("web"), "/logs"),
        ];
        let told: Vec<_> = refused.map(|new| add(new).unwrap_err().to_string()).into();
        insta::assert_snapshot!(told.join("\n"), @"
        /data is taken by the volume data: choose another path
        /data/x lies in /data, where the volume data is: choose a path outside
        /var/log/app lies in /var/log, where the volume logs is: choose a path outside
        the volume logs is mounted in every process type already: unmount it there first
        ");
        let count = |new: VolumeMount| add(new).unwrap().len();
        assert_eq!(
            count(mount("more", Some("worker"), "/data")),
            3,
            "another type's path"
        );
        assert_eq!(
            count(mount("data", Some("web"), "/other")),
            2,
            "in place of its own"
        );
        assert_eq!(
            count(mount("data", Some("worker"), "/data")),
            3,
            "in a second type"
        );
        assert_eq!(
            count(mount("data", None, "/data")),
            2,
            "in all, in place of the one"
        );
        assert_eq!(
            count(mount("more", None, "/database")),
            3,
            "a longer name is no folder in it"
        );
    }

    #[test]
    fn a_volume_is_an_instances_own_unless_it_is_shared_or_only_read() {
        let web: ProcessType = "web".parse().unwrap();
        let with = |read_only, shared| VolumeMount {
            read_only,
            shared,
            ..mount("data", Some("web"), "/data")
        };
        assert!(is_exclusive(&[with(false, false)], &web));
        assert!(!is_exclusive(&[with(true, false), with(false, true)], &web));
        assert!(!is_exclusive(&[with(false, false)], &"worker".parse().unwrap()));
    }
}
