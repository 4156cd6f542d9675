//! What image extensions wrote, as they left it in the build container: hostile, read beneath its folder, to a limit,
//! and held against the rules before anything is made of it. Blocking.

use crate::{BuildError, dockerfile::Dockerfile, export::beneath::Beneath};
use pvdify_cnb::{
    extension::{Begins, ExtendConfig, Extension, Image},
    group::Group,
};
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

/// Image extensions of one group.
const MOST: usize = 50;
/// The largest Dockerfile, group.toml or extend-config.toml.
const MAX_FILE: u64 = 1024 * 1024;
/// Names and values of one Dockerfile's arguments together: they go into the line of a request.
const MAX_ARGS: usize = 16 * 1024;

/// A Dockerfile of an extension.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) extension: Extension,
    pub(super) image: Image,
    pub(super) dockerfile: Dockerfile,
    pub(super) begins: Begins,
    /// Those of extend-config.toml that the Dockerfile declares.
    pub(super) args: BTreeMap<String, String>,
    /// The folder that it copies from, below the layers; the app's source without one.
    pub(super) context: Option<PathBuf>,
}

impl Written {
    /// An error of it, for the person.
    pub(super) fn refused(&self, error: impl std::fmt::Display) -> BuildError {
        refused(&self.extension, self.image, error)
    }
}

/// `error` begins as a Dockerfile's do, with "Dockerfile line".
fn refused(extension: &Extension, image: Image, error: impl std::fmt::Display) -> BuildError {
    let text = error.to_string();
    let place = match text.starts_with("Dockerfile line ") {
        true => format!("{}.", image.name()),
        false => format!("{}: ", image.dockerfile()),
    };
    BuildError::Refused(format!("the image extension {extension}: {place}{text}"))
}

/// Reads all that the group's extensions wrote, in their order, those for the build image first.
pub(super) fn read(layers: &Path) -> Result<Vec<Written>, BuildError> {
    let root = Beneath::open(layers).map_err(BuildError::disk)?;
    let unreadable = |what: &str, error: &dyn std::fmt::Display| {
        BuildError::Refused(format!("the image extensions can't be run: {what}: {error}"))
    };
    let text = root
        .text_if_there(Path::new("group.toml"), MAX_FILE)
        .map_err(|error| unreadable("group.toml", &error))?;
    let group: Group =
        toml::from_str(&text.unwrap_or_default()).map_err(|error| unreadable("group.toml", &error))?;
    if group.group_extensions.len() > MOST {
        let error = format!("there are more than {MOST} of them");
        return Err(unreadable("group.toml", &error));
    }
    let mut all = Vec::new();
    for element in group.group_extensions {
        let extension = Extension {
            id: element.id,
            version: element.version,
        };
        all.extend(of_one(&root, &extension)?);
    }
    all.sort_by_key(|one| one.image);
    Ok(all)
}

fn of_one(root: &Beneath, extension: &Extension) -> Result<Vec<Written>, BuildError> {
    let folder = Path::new("generated").join(extension.id.folder());
    let wrong = |name: &str, error: &dyn std::fmt::Display| {
        BuildError::Refused(format!("the image extension {extension}: {name}: {error}"))
    };
    let text = |name: &str| {
        root.text_if_there(&folder.join(name), MAX_FILE)
            .map_err(|error| wrong(name, &linked(error)))
    };
    let config = text("extend-config.toml")?.unwrap_or_default();
    let config: ExtendConfig =
        toml::from_str(&config).map_err(|error| wrong("extend-config.toml", &error))?;
    let mut found = Vec::new();
    for image in Image::BOTH {
        let Some(text) = text(image.dockerfile())? else {
            continue;
        };
        let dockerfile =
            Dockerfile::parse(text.as_bytes()).map_err(|error| refused(extension, image, error))?;
        let begins = dockerfile
            .begins(image)
            .map_err(|error| refused(extension, image, error))?;
        let args: BTreeMap<String, String> = config
            .args(image)
            .filter(|arg| dockerfile.declares(&arg.name))
            .map(|arg| (arg.name.clone(), arg.value.clone()))
            .collect();
        if args
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum::<usize>()
            > MAX_ARGS
        {
            let error = format!("its arguments are longer than {} KiB", MAX_ARGS / 1024);
            return Err(wrong("extend-config.toml", &error));
        }
        found.push(Written {
            context: context(root, &folder, image).map_err(|error| wrong("its folders", &error))?,
            extension: extension.clone(),
            image,
            dockerfile,
            begins,
            args,
        });
    }
    Ok(found)
}

/// The folder of files for one image.
fn context(root: &Beneath, folder: &Path, image: Image) -> Result<Option<PathBuf>, String> {
    let is_there = |name: &str| {
        let path = folder.join(name);
        root.folder_if_there(&path)
            .map(|found| found.is_some())
            .map_err(|error| format!("{name}: {}", linked(error)))
    };
    let [own, shared] = image.contexts();
    let found = match (is_there(own)?, is_there(shared)?) {
        (true, true) => return Err(format!("{own} and {shared} can't both be there")),
        (true, false) => own,
        (false, true) => shared,
        (false, false) => return Ok(None),
    };
    Ok(Some(folder.join(found)))
}

/// The kernel's words for a link where none is followed tell nobody what is the matter.
fn linked(error: io::Error) -> io::Error {
    if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
        return io::Error::other("it is a symbolic link, or behind one: write the file itself");
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    const BASE: &str = "ARG base_image\nFROM ${base_image}\n";

    fn layers(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let element = |id: &str| format!("[[group-extensions]]\nid = '{id}'\nversion = '1'\napi = '0.10'\n");
        fs::write(dir.path().join("group.toml"), element("x/b") + &element("a")).unwrap();
        for (path, text) in files {
            let path = dir.path().join("generated").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    fn error(dir: &tempfile::TempDir) -> String {
        read(dir.path()).unwrap_err().to_string()
    }

    #[test]
    fn all_that_was_written_is_read_in_the_order_it_is_done() {
        let declaring = format!("{BASE}ARG one=1\nARG base_image\nRUN x");
        let config = "[[build.args]]\nname = 'one'\nvalue = '2'\n[[build.args]]\nname = 'undeclared'\nvalue = '3'\n\
                      [[build.args]]\nname = 'base_image'\nvalue = '4'\n";
        let dir = layers(&[
            ("x_b/build.Dockerfile", &declaring),
            ("x_b/extend-config.toml", config),
            ("x_b/run.Dockerfile", "FROM debian:13"),
            ("x_b/context.run/file", ""),
            ("a/build.Dockerfile", BASE),
            ("a/context/file", ""),
            ("stranger/build.Dockerfile", "FROM evil"),
        ]);
        let read = read(dir.path()).unwrap();
        let shown: Vec<String> = read
            .iter()
            .map(|one| {
                let (name, context) = (one.image.name(), &one.context);
                format!("{} {name} {:?} {context:?}", one.extension, one.args)
            })
            .collect();
        insta::assert_snapshot!(shown.join("\n"), @r#"
        x/b 1 build {"one": "2"} None
        a 1 build {} Some("generated/a/context")
        x/b 1 run {} Some("generated/x_b/context.run")
        "#);
        assert_eq!(read[0].begins, Begins::Given);
    }

    #[test]
    fn what_is_wrong_is_said_with_whose_it_is_and_where() {
        let bad = layers(&[(
            "a/build.Dockerfile",
            "ARG base_image\nFROM ${base_image}\n\nONBUILD RUN x",
        )]);
        insta::assert_snapshot!(error(&bad), @"the image extension a 1: build.Dockerfile line 4: ONBUILD is not allowed in an image extension, only ADD, ARG, COPY, ENV, LABEL, RUN, SHELL, USER, WORKDIR are");
        let huge = "#".repeat(2 << 20);
        insta::assert_snapshot!(error(&layers(&[("x_b/run.Dockerfile", &huge)])), @"the image extension x/b 1: run.Dockerfile: is larger than 1024 KiB");
        let odd = layers(&[("a/extend-config.toml", "build = 3")]);
        assert!(error(&odd).starts_with("the image extension a 1: extend-config.toml: TOML parse error"));
        let both = layers(&[
            ("a/run.Dockerfile", BASE),
            ("a/context/x", ""),
            ("a/context.run/x", ""),
        ]);
        insta::assert_snapshot!(error(&both), @"the image extension a 1: its folders: context.run and context can't both be there");
        let long = format!("[[run.args]]\nname = 'x'\nvalue = '{}'\n", "x".repeat(20_000));
        let long = layers(&[
            ("a/run.Dockerfile", &format!("{BASE}ARG x")),
            ("a/extend-config.toml", &long),
        ]);
        insta::assert_snapshot!(error(&long), @"the image extension a 1: extend-config.toml: its arguments are longer than 16 KiB");
    }

    #[test]
    fn nothing_is_followed_out_of_the_folder() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("run.Dockerfile"), "FROM secret").unwrap();
        let dir = layers(&[("a/notes", "")]);
        symlink(
            outside.path().join("run.Dockerfile"),
            dir.path().join("generated/a/run.Dockerfile"),
        )
        .unwrap();
        insta::assert_snapshot!(error(&dir), @"the image extension a 1: run.Dockerfile: it is a symbolic link, or behind one: write the file itself");
        let dir = layers(&[("notes", "")]);
        symlink(outside.path(), dir.path().join("generated/a")).unwrap();
        assert!(error(&dir).contains("it is a symbolic link, or behind one"));
        let dir = layers(&[("a/run.Dockerfile", BASE)]);
        symlink(outside.path(), dir.path().join("generated/a/context")).unwrap();
        insta::assert_snapshot!(error(&dir), @"the image extension a 1: its folders: context: it is a symbolic link, or behind one: write the file itself");
        let dir = layers(&[("notes", "")]);
        let pipe = dir.path().join("generated/a/build.Dockerfile");
        fs::create_dir(dir.path().join("generated/a")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
        insta::assert_snapshot!(error(&dir), @"the image extension a 1: build.Dockerfile: is no regular file");
    }
}
