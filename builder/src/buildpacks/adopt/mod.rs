//! Buildpacks and image extensions in a folder that came from outside, moved to where the build finds them: Cloud
//! Native ones under their ID and version, classic ones in a wrapping of ours. Blocking.
//!
//! The folder is somebody else's: what is read of it is read beneath it, through no link, and what is written is
//! written beside it. A whole folder is moved by its name; nothing in it is opened for that.

mod classic;
mod look;

pub(crate) use classic::finish;

use super::extensions;
use crate::{BuildError, export::beneath::Beneath};
use classic::{own_id, short, wrap};
use look::{look, only_folder, outermost};
use pvdify_cnb::{
    descriptor::{Descriptor, Kind},
    group::{Order, OrderElement, OrderGroup},
    id::{BuildpackId, BuildpackVersion},
};
use pvdify_types::BuildpackName;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The most buildpacks in one place; the largest of the public ones have some dozens.
const MOST: usize = 200;
/// The IDs that only ours have: what they leave in their caches is trusted more.
pub(crate) const OURS: &str = "pvdify/";

/// A folder that came.
#[derive(Debug)]
pub(crate) struct Tree {
    /// As the person named it.
    pub(crate) name: BuildpackName,
    /// Where it is now, on the file system of the build's folder.
    pub(crate) folder: PathBuf,
    /// What came: a commit, a digest.
    pub(crate) what: String,
    /// Which of the buildpacks in it is meant, if whoever packed it said so.
    pub(crate) top: Option<(BuildpackId, BuildpackVersion)>,
}

/// What was in it.
#[derive(Clone, Debug)]
pub(crate) struct Adopted {
    /// The one that is meant; none where there are image extensions alone.
    pub(crate) element: Option<OrderElement>,
    /// The groups of image extensions, one of which comes before the buildpacks.
    pub(crate) extensions: Vec<OrderGroup>,
    /// The wrapping's folder, of a classic one.
    pub(crate) classic: Option<PathBuf>,
    /// How it is called in the log: the name, and what came.
    pub(crate) shown: String,
}

/// Moves all buildpacks of the tree below `own`.
pub(crate) fn adopt(tree: &Tree, own: &Path) -> Result<Adopted, BuildError> {
    let refused = |text: &str| BuildError::Refused(format!("the buildpack {}: {text}", tree.name));
    let unreadable = |error: io::Error| refused(&error.to_string());
    let root = only_folder(&tree.folder).map_err(unreadable)?;
    let beneath = Beneath::open(&root).map_err(unreadable)?;
    let mut found = Vec::new();
    let mut wrong = None;
    look(&beneath, Path::new(""), 0, &mut found, &mut wrong).map_err(unreadable)?;
    let order = extensions::order(&beneath).map_err(|error| refused(&error))?;
    let (found, extending): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|(_, one)| one.kind == Kind::Buildpack);
    let is_top = |one: &&(PathBuf, Descriptor)| one.0.as_os_str().is_empty();
    if !found.iter().any(|one| is_top(&one)) && beneath.file(Path::new("bin/compile")).is_ok() {
        return wrap(tree, &root, own).map_err(BuildError::disk);
    }
    let meant = match &tree.top {
        Some((id, version)) => found
            .iter()
            .find(|(_, one)| one.id == *id && one.version == *version),
        None => found.iter().find(is_top).or_else(|| outermost(&found)),
    };
    let is_set = order.as_ref().is_some_and(|order| !order.order.is_empty()) && tree.top.is_none();
    let meant = match (meant, found.len(), wrong) {
        _ if is_set => None,
        (Some((_, meant)), ..) => Some((meant.id.clone(), meant.version.clone())),
        (None, 0, Some(error)) => return Err(refused(&error)),
        (None, 0, None) if !extending.is_empty() => None,
        (None, 0, None) => {
            return Err(refused(
                "there is neither a buildpack.toml nor a bin/compile in it",
            ));
        }
        (None, ..) => {
            let ids: Vec<&str> = found.iter().map(|(_, one)| one.id.as_str()).collect();
            return Err(refused(&format!(
                "it holds several, none of which contains the others: {}",
                ids.join(", ")
            )));
        }
    };
    let mut all = [found, extending.clone()].concat();
    if let Some((_, one)) = all.iter().find(|(_, one)| one.id.as_str().starts_with(OURS)) {
        return Err(refused(&format!(
            "it calls itself {}; only this server's own are called {OURS}...",
            one.id
        )));
    }
    // The deepest first: the folder of one may be within that of another.
    all.sort_by_key(|(path, _)| std::cmp::Reverse(path.components().count()));
    for (path, one) in &all {
        let to = match one.kind {
            Kind::Buildpack => own.to_owned(),
            Kind::Extension => extensions::beside(own),
        };
        let target = to.join(one.id.folder()).join(one.version.as_str());
        let place = || {
            fs::create_dir_all(target.parent().unwrap_or(own))?;
            if target.exists() {
                return Ok(());
            }
            fs::rename(
                if path.as_os_str().is_empty() {
                    root.clone()
                } else {
                    root.join(path)
                },
                &target,
            )
        };
        place().map_err(BuildError::disk)?;
    }
    let groups = match &order {
        Some(order) if !order.order_extensions.is_empty() => order.order_extensions.clone(),
        _ => {
            let is_meant = |one: &&Descriptor| match &tree.top {
                Some((id, version)) => meant.is_some() || one.id == *id && one.version == *version,
                None => true,
            };
            extensions::one_group(extending.iter().map(|(_, one)| one).filter(is_meant))
        }
    };
    let element = match (meant, &order) {
        (Some((id, version)), _) => Some(OrderElement::new(id, Some(version))),
        (None, Some(order)) if is_set => {
            let bad = |error: pvdify_cnb::id::BadName| BuildError::unavailable(error);
            let id = own_id("set", &tree.name).parse().map_err(bad)?;
            let version = short(&tree.what).parse().map_err(bad)?;
            Some(extensions::composite(order, &id, &version, own).map_err(BuildError::disk)?)
        }
        (None, _) => None,
    };
    Ok(Adopted {
        shown: shown(
            tree,
            &described(order.filter(|_| is_set), element.as_ref(), &groups),
        ),
        element,
        extensions: groups,
        classic: None,
    })
}

/// What of a source takes part.
fn described(set: Option<Order>, element: Option<&OrderElement>, extensions: &[OrderGroup]) -> String {
    let text = |one: &OrderElement| match &one.version {
        Some(version) => format!("{} {version}", one.id),
        None => one.id.to_string(),
    };
    let first = match set.map(|set| set.order.len()) {
        Some(1) => Some("1 group in its order.toml".to_owned()),
        Some(groups) => Some(format!("{groups} groups in its order.toml")),
        None => element.map(text),
    };
    let mut names: Vec<String> = first.into_iter().collect();
    for one in extensions.iter().flat_map(|group| &group.group) {
        let name = format!("image extension {}", text(one));
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(", ")
}

fn shown(tree: &Tree, as_what: &str) -> String {
    let what = if tree.what.is_empty() {
        String::new()
    } else {
        format!(" at {}", tree.what)
    };
    format!("{}{what}: {as_what}", tree.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(id: &str, more: &str) -> String {
        format!("api = '0.10'\n[buildpack]\nid = '{id}'\nversion = '1'\n{more}")
    }

    fn adopted(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<Adopted, String>) {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree {
            name: "https://h/heroku-buildpack-x.git#v1".parse().unwrap(),
            folder: dir.path().join("tree"),
            what: "0123456789abcdef".to_owned(),
            top: None,
        };
        fs::create_dir(&tree.folder).unwrap();
        for (path, text) in files {
            let path = tree.folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let done = adopt(&tree, &dir.path().join("own")).map_err(|error| error.to_string());
        (dir, done)
    }

    fn meant(done: &Adopted) -> Option<&str> {
        done.element.as_ref().map(|one| one.id.as_str())
    }

    fn extension(id: &str) -> String {
        descriptor(id, "").replace("[buildpack]", "[extension]")
    }

    #[test]
    fn image_extensions_are_put_beside_the_buildpacks() {
        let (dir, done) = adopted(&[("extension.toml", &extension("a/b")), ("bin/generate", "")]);
        let done = done.unwrap();
        assert_eq!((meant(&done), done.extensions.len()), (None, 1));
        insta::assert_snapshot!(done.shown, @"https://h/heroku-buildpack-x.git#v1 at 0123456789abcdef: image extension a/b 1");
        assert!(dir.path().join("extensions/a_b/1/bin/generate").is_file());
        let (dir, done) = adopted(&[
            ("buildpacks/one/buildpack.toml", &descriptor("a/one", "")),
            ("extensions/two/extension.toml", &extension("a/two")),
            ("extensions/one/extension.toml", &extension("a/one")),
        ]);
        let done = done.unwrap();
        insta::assert_snapshot!(done.shown, @"https://h/heroku-buildpack-x.git#v1 at 0123456789abcdef: a/one 1, image extension a/one 1, image extension a/two 1");
        assert!(dir.path().join("own/a_one/1/buildpack.toml").is_file());
        assert!(dir.path().join("extensions/a_one/1/extension.toml").is_file());
    }

    #[test]
    fn a_set_with_an_order_is_a_composite_and_its_extensions_come_before_it() {
        let order = "[[order]]\n[[order.group]]\nid = 'a/one'\n[[order]]\n[[order.group]]\nid = 'a/two'\noptional = true\n\
                     [[order-extensions]]\n[[order-extensions.group]]\nid = 'a/x'\nversion = '1'\n";
        let (dir, done) = adopted(&[
            ("order.toml", order),
            ("buildpacks/one/buildpack.toml", &descriptor("a/one", "")),
            ("buildpacks/two/buildpack.toml", &descriptor("a/two", "")),
            ("extensions/x/extension.toml", &extension("a/x")),
            ("extensions/unused/extension.toml", &extension("a/unused")),
        ]);
        let done = done.unwrap();
        insta::assert_snapshot!(done.shown, @"https://h/heroku-buildpack-x.git#v1 at 0123456789abcdef: 2 groups in its order.toml, image extension a/x 1");
        let text =
            fs::read_to_string(dir.path().join("own/set_x-3f6f55b6/0123456789ab/buildpack.toml")).unwrap();
        let composite = Descriptor::parse(&text).unwrap();
        assert_eq!(composite.order.len(), 2);
        assert!(composite.order[1].group[0].optional);
        assert_eq!(done.extensions[0].group[0].id.as_str(), "a/x");
        let (_, wrong) = adopted(&[("order.toml", "order = 3")]);
        assert!(wrong.unwrap_err().contains("order.toml: TOML parse error"));
    }

    #[test]
    fn one_is_found_at_the_top_or_in_the_only_folder() {
        for path in ["buildpack.toml", "x-1.0/buildpack.toml"] {
            let (dir, done) = adopted(&[(path, &descriptor("a/b", ""))]);
            let done = done.unwrap();
            assert_eq!((meant(&done), &done.classic), (Some("a/b"), &None));
            assert!(dir.path().join("own/a_b/1/buildpack.toml").is_file());
        }
    }

    #[test]
    fn a_composite_comes_with_its_parts() {
        let order = "[[order]]\n[[order.group]]\nid = 'a/part'\nversion = '1'\n";
        let parts = descriptor("a/part", "");
        for path in ["all/buildpack.toml", "buildpack.toml"] {
            let (dir, done) = adopted(&[
                (path, &descriptor("a/all", order)),
                ("parts/one/buildpack.toml", &parts),
                ("README.md", ""),
            ]);
            assert_eq!(meant(&done.unwrap()), Some("a/all"));
            for folder in ["own/a_all/1", "own/a_part/1"] {
                assert!(
                    dir.path().join(folder).join("buildpack.toml").is_file(),
                    "{folder}"
                );
            }
        }
    }

    #[test]
    fn a_classic_one_is_wrapped() {
        // Heroku's registry has a buildpack.toml of its own kind.
        let (dir, done) = adopted(&[
            ("bin/compile", "x"),
            ("buildpack.toml", "name = 'X'\n[publish]\n"),
        ]);
        let done = done.unwrap();
        insta::assert_snapshot!(done.shown, @"https://h/heroku-buildpack-x.git#v1 at 0123456789abcdef: classic, as classic/x-3f6f55b6");
        let folder = done.classic.clone().unwrap();
        assert!(folder.starts_with(dir.path().join("own")) && folder.ends_with("0123456789ab"));
        assert!(folder.join("classic/bin/compile").is_file() && folder.join("bin/build").is_file());
        let text = fs::read_to_string(folder.join("buildpack.toml")).unwrap();
        assert!(Descriptor::parse(&text).is_ok(), "{text}");
        finish(&done, "https://h/x", true, false).unwrap();
        let says = fs::read_to_string(folder.join("classic.toml")).unwrap();
        insta::assert_snapshot!(says, @r#"
        alone = true
        last = false
        name = "https://h/x"
        "#);
    }

    #[test]
    fn what_is_no_buildpack_is_said_why() {
        let error = |files: &[(&str, &str)]| adopted(files).1.unwrap_err();
        insta::assert_snapshot!(error(&[("README.md", "")]), @"the buildpack https://h/heroku-buildpack-x.git#v1: there is neither a buildpack.toml nor a bin/compile in it");
        let (a, b) = (descriptor("a/a", ""), descriptor("b/b", ""));
        insta::assert_snapshot!(error(&[("x/buildpack.toml", &a), ("y/buildpack.toml", &b)]), @"the buildpack https://h/heroku-buildpack-x.git#v1: it holds several, none of which contains the others: a/a, b/b");
        insta::assert_snapshot!(error(&[("buildpack.toml", &descriptor("pvdify/go", ""))]), @"the buildpack https://h/heroku-buildpack-x.git#v1: it calls itself pvdify/go; only this server's own are called pvdify/...");
        assert!(error(&[("buildpack.toml", "api = 1\n")]).contains("buildpack.toml: TOML parse error"));
    }

    #[test]
    fn a_link_in_it_leads_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let (outside, folder) = (dir.path().join("outside"), dir.path().join("tree"));
        fs::create_dir_all(&folder).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("buildpack.toml"), descriptor("a/b", "")).unwrap();
        std::os::unix::fs::symlink(&outside, folder.join("x")).unwrap();
        let tree = Tree {
            name: "https://h/x".parse().unwrap(),
            folder,
            what: String::new(),
            top: None,
        };
        assert!(adopt(&tree, &dir.path().join("own")).is_err());
        assert!(outside.join("buildpack.toml").exists());
    }
}
