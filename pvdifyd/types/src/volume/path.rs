//! Where a volume may be in a container: nowhere that the system, the image's programs or Pvdify itself need.

use crate::newtype::string_newtype;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An absolute path in a container, without `.`, `..`, doubled or trailing slashes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MountPath(String);
string_newtype!(MountPath, MountPathError);

/// Of the kernel, of the image's programs, of buildpacks, of bindings: a volume there would hide them, or be hidden.
const TAKEN: [&str; 20] = [
    "/proc",
    "/sys",
    "/dev",
    "/run",
    "/etc",
    "/boot",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/lib64",
    "/cnb",
    "/layers",
    "/platform",
    "/bindings",
    "/.pvdify",
];
/// What else a volume may not be itself; in these it may be.
const WHOLE: [&str; 10] = [
    "/usr",
    "/usr/local",
    "/var",
    "/home",
    "/root",
    "/tmp",
    "/opt",
    "/srv",
    "/workspace",
    "/app",
];
/// An overlong path could not be opened (`PATH_MAX` is 4096).
const LONGEST: usize = 255;

/// Why a volume can't be there.
#[derive(Debug, Error, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum MountPathError {
    #[error("a volume's path starts with /: it is the whole path in the container")]
    Relative,
    #[error("a volume can't be the container's whole tree: give a folder, as /data")]
    Root,
    #[error("a volume's path has at most {LONGEST} characters, this one has {0}")]
    TooLong(usize),
    #[error("a volume's path holds only visible ASCII characters but : , \\ and quotes, not {0:?}")]
    Character(char),
    #[error("a volume's path has no part {0:?}: write it without")]
    Part(&'static str),
    #[error("a volume's path has no / at its end and no two in a row")]
    Slashes,
    #[error("a volume can't be at or in {0}: that is the system's")]
    Taken(&'static str),
    #[error("a volume can't be {0} itself: give a folder in it, as {0}/data")]
    Whole(&'static str),
}

impl MountPath {
    fn check(text: &str) -> Result<(), MountPathError> {
        if !text.starts_with('/') {
            return Err(MountPathError::Relative);
        }
        if text == "/" {
            return Err(MountPathError::Root);
        }
        if text.len() > LONGEST {
            return Err(MountPathError::TooLong(text.chars().count()));
        }
        // Podman and mount(8) give meaning to some of those that are left out.
        let bad = |c: &char| !c.is_ascii_graphic() || matches!(c, ':' | ',' | '\\' | '"' | '\'');
        if let Some(bad) = text.chars().find(bad) {
            return Err(MountPathError::Character(bad));
        }
        for part in text[1..].split('/') {
            match part {
                "" => return Err(MountPathError::Slashes),
                "." => return Err(MountPathError::Part(".")),
                ".." => return Err(MountPathError::Part("..")),
                _ => {}
            }
        }
        let at_or_in = |folder: &&&str| {
            let rest = text.strip_prefix(**folder);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if let Some(folder) = TAKEN.iter().find(at_or_in) {
            return Err(MountPathError::Taken(folder));
        }
        match WHOLE.iter().find(|folder| **folder == text) {
            Some(folder) => Err(MountPathError::Whole(folder)),
            None => Ok(()),
        }
    }

    /// Whether it lies in another one.
    #[must_use]
    pub fn is_in(&self, other: &Self) -> bool {
        let rest = self.0.strip_prefix(&other.0);
        rest.is_some_and(|rest| rest.starts_with('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_whole_plain_and_nobodys() {
        let good = [
            "/data",
            "/data/db",
            "/var/lib/app",
            "/workspace/storage",
            "/app/uploads",
            "/devices",
            "/usr/src/app/files",
            "/..a",
        ];
        for good in good {
            assert!(good.parse::<MountPath>().is_ok(), "{good}");
        }
        let long = format!("/{}", "x".repeat(255));
        let bad = [
            "",
            "data",
            "/",
            "//",
            "/data/",
            "/a//b",
            "/a/./b",
            "/a/../etc",
            "/..",
            "/a:ro",
            "/a b",
            "/a\nb",
            "/\u{e9}",
            &long,
            "/proc",
            "/proc/self",
            "/sys",
            "/dev/shm",
            "/etc/app",
            "/usr/lib/x",
            "/cnb",
            "/bindings/db",
            "/var",
            "/workspace",
        ];
        let told: Vec<_> = bad
            .iter()
            .map(|text| text.parse::<MountPath>().unwrap_err().to_string())
            .collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        a volume's path starts with /: it is the whole path in the container
        a volume's path starts with /: it is the whole path in the container
        a volume can't be the container's whole tree: give a folder, as /data
        a volume's path has no / at its end and no two in a row
        a volume's path has no / at its end and no two in a row
        a volume's path has no / at its end and no two in a row
        a volume's path has no part ".": write it without
        a volume's path has no part "..": write it without
        a volume's path has no part "..": write it without
        a volume's path holds only visible ASCII characters but : , \ and quotes, not ':'
        a volume's path holds only visible ASCII characters but : , \ and quotes, not ' '
        a volume's path holds only visible ASCII characters but : , \ and quotes, not '\n'
        a volume's path holds only visible ASCII characters but : , \ and quotes, not 'é'
        a volume's path has at most 255 characters, this one has 256
        a volume can't be at or in /proc: that is the system's
        a volume can't be at or in /proc: that is the system's
        a volume can't be at or in /sys: that is the system's
        a volume can't be at or in /dev: that is the system's
        a volume can't be at or in /etc: that is the system's
        a volume can't be at or in /usr/lib: that is the system's
        a volume can't be at or in /cnb: that is the system's
        a volume can't be at or in /bindings: that is the system's
        a volume can't be /var itself: give a folder in it, as /var/data
        a volume can't be /workspace itself: give a folder in it, as /workspace/data
        "#);
    }
}
