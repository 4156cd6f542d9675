//! The few files of a builder's `/cnb` that the host goes by, out of the layers as they lie in our registry: what they
//! say, and its launcher, which goes into apps' images. Blocking.
//!
//! They stay with the app from build to build: its builder's layers are read through once. Whoever made them may be
//! hostile; they are laid out as any archive from outside is, and read through no link.

use super::facts::Files;
use crate::{
    buildpacks::{fetch::image::unpacked, take_out::TakeOut},
    config::MIB,
    export::beneath::Beneath,
};
use pvdify_types::Digest;
use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// All of them together.
const MAX_BYTES: u64 = 256 * MIB;
/// All layers, unpacked: more is no builder but a flood, which Podman is then spared too.
const MAX_LAYERS: u64 = 64 * 1024 * MIB;
/// One that is text.
const MAX_TEXT: u64 = MIB;
const LAUNCHER: &str = "lifecycle/launcher";

/// What was taken.
pub(super) struct Taken {
    pub(super) texts: Files,
    /// The launcher's program.
    pub(super) launcher: Option<PathBuf>,
}

/// Takes them out of an image's layers, each with its media type, into a folder of the image's own below `folder`,
/// unless they are there. Those of other images go.
pub(super) fn take(folder: &Path, image: &Digest, layers: &[(String, PathBuf)]) -> io::Result<Taken> {
    take_within(folder, image, layers, MAX_LAYERS)
}

fn take_within(folder: &Path, image: &Digest, layers: &[(String, PathBuf)], limit: u64) -> io::Result<Taken> {
    let own = folder.join(image.hex());
    if !own.is_dir() {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let new = folder.join("new");
        let mut out = TakeOut::new(&new, MAX_BYTES)?.only(is_wanted);
        let mut left = limit;
        for (media_type, layer) in layers {
            let mut archive = unpacked(media_type, File::open(layer)?)?.take(left);
            let done = out.archive(&mut archive, Path::new("cnb"));
            left = archive.limit();
            if left == 0 {
                let text = format!("its layers have more than {} MiB", limit / MIB);
                return Err(io::Error::other(text));
            }
            done?;
        }
        fs::rename(new, &own)?;
    }
    let beneath = Beneath::open(&own)?;
    let text = |path: &str| beneath.text_if_there(Path::new(path), MAX_TEXT);
    let launcher = beneath.file(Path::new(LAUNCHER)).is_ok();
    Ok(Taken {
        texts: Files {
            order: text("order.toml")?,
            run: text("run.toml")?,
            stack: text("stack.toml")?,
            lifecycle: text("lifecycle/lifecycle.toml")?,
        },
        launcher: launcher.then(|| own.join(LAUNCHER)),
    })
}

fn is_wanted(path: &Path) -> bool {
    let all = [
        "order.toml",
        "run.toml",
        "stack.toml",
        "lifecycle",
        "lifecycle/lifecycle.toml",
        LAUNCHER,
    ];
    all.iter().any(|wanted| path == Path::new(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAR: &str = "application/vnd.oci.image.layer.v1.tar";

    fn layer(path: &Path, files: &[(&str, &str)]) -> (String, PathBuf) {
        let mut tar = tar::Builder::new(File::create(path).unwrap());
        for (name, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o755);
            tar.append_data(&mut header, name, text.as_bytes()).unwrap();
        }
        tar.finish().unwrap();
        (TAR.to_owned(), path.to_owned())
    }

    #[test]
    fn a_builders_files_are_taken_once_and_those_of_the_one_before_go() {
        let dir = tempfile::tempdir().unwrap();
        let (path, folder) = (|name: &str| dir.path().join(name), dir.path().join("builder"));
        let digest = |digit: &str| format!("sha256:{}", digit.repeat(64)).parse::<Digest>().unwrap();
        let one = [
            layer(
                &path("1"),
                &[("cnb/order.toml", "old"), ("cnb/lifecycle/launcher", "l")],
            ),
            layer(&path("2"), &[("cnb/order.toml", "new"), ("etc/run.toml", "no")]),
        ];
        let taken = take(&folder, &digest("1"), &one).unwrap();
        assert_eq!(taken.texts.order.as_deref(), Some("new"));
        assert!(taken.texts.run.is_none() && taken.launcher.unwrap().is_file());
        for (_, layer) in &one {
            fs::remove_file(layer).unwrap();
        }
        let again = take(&folder, &digest("1"), &one).unwrap();
        assert_eq!(again.texts.order.as_deref(), Some("new"));
        let other = take(&folder, &digest("2"), &[layer(&path("3"), &[])]).unwrap();
        assert!(other.texts.order.is_none() && other.launcher.is_none());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }

    #[test]
    fn a_flood_of_layers_ends() {
        let dir = tempfile::tempdir().unwrap();
        let flood = layer(&dir.path().join("1"), &[("large", &"x".repeat(100_000))]);
        let image = format!("sha256:{}", "1".repeat(64)).parse().unwrap();
        let within = |limit| {
            take_within(
                &dir.path().join("builder"),
                &image,
                std::slice::from_ref(&flood),
                limit,
            )
        };
        let error = within(100_000).err().unwrap();
        assert_eq!(error.to_string(), "its layers have more than 0 MiB");
        assert!(within(200_000).is_ok());
    }
}
