//! What extensions made for an app the last time, beside its layers and outside of what a build sees: an unchanged set
//! of Dockerfiles on an unchanged image is not run again.

use crate::export::Extended;
use pvdify_cnb::extension::Image;
use pvdify_types::Digest;
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// What was made, and of what.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Made {
    /// Of all that it was made of.
    pub(super) key: String,
    /// Its id in Podman's storage.
    pub(super) image: String,
    /// Of a run image, what an export has to know.
    pub(super) run: Option<MadeRun>,
}

/// A run image that was made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct MadeRun {
    pub(super) digest: Digest,
    pub(super) below: usize,
    pub(super) other: Option<String>,
    pub(super) rebasable: bool,
}

impl MadeRun {
    /// For an export; `base` is the server's own run image.
    pub(super) fn extended(&self, base: &str) -> Extended {
        Extended {
            digest: self.digest.clone(),
            below: self.below,
            reference: self.other.clone().unwrap_or_else(|| base.to_owned()),
            other: self.other.clone(),
            rebasable: self.rebasable,
        }
    }
}

/// What is kept of one app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
struct Content {
    build: Option<Made>,
    run: Option<Made>,
}

/// The file.
#[derive(Debug)]
pub(super) struct Kept {
    path: PathBuf,
    content: Content,
}

impl Kept {
    /// Reads it; one that is missing or damaged keeps nothing.
    pub(super) fn read(folder: &Path) -> Self {
        let path = folder.join("extended.json");
        let text = fs::read(&path).unwrap_or_default();
        let content = serde_json::from_slice(&text).unwrap_or_default();
        Self { path, content }
    }

    pub(super) fn of(&self, image: Image) -> Option<&Made> {
        match image {
            Image::Build => self.content.build.as_ref(),
            Image::Run => self.content.run.as_ref(),
        }
    }

    /// Replaces what is kept of one image.
    pub(super) fn set(&mut self, image: Image, made: Option<Made>) -> io::Result<()> {
        match image {
            Image::Build => self.content.build = made,
            Image::Run => self.content.run = made,
        }
        let new = self.path.with_extension("json.new");
        fs::write(&new, serde_json::to_vec(&self.content)?)?;
        fs::rename(new, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_found_again_and_damage_is_as_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut kept = Kept::read(dir.path());
        assert_eq!(kept.of(Image::Run), None);
        let made = Made {
            key: "k".to_owned(),
            image: "i".to_owned(),
            run: Some(MadeRun {
                digest: format!("sha256:{}", "0".repeat(64)).parse().unwrap(),
                below: 1,
                other: None,
                rebasable: true,
            }),
        };
        kept.set(Image::Run, Some(made.clone())).unwrap();
        let again = Kept::read(dir.path());
        assert_eq!(
            (again.of(Image::Run), again.of(Image::Build)),
            (Some(&made), None)
        );
        let run = made.run.unwrap();
        assert_eq!(run.extended("base@1").reference, "base@1");
        fs::write(dir.path().join("extended.json"), "{").unwrap();
        assert_eq!(Kept::read(dir.path()).of(Image::Run), None);
    }
}
