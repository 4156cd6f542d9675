//! Which buildpacks one build gets to see, and in which order they are tried.
//!
//! Detected builds see ours as they are laid out. A build that names buildpacks sees those alone: a folder of the
//! build's own, of hard links to what is laid out and of what the project itself brings.

mod chosen;
mod gather;
mod ours;

pub(crate) use gather::gather;

use super::{
    adopt::{self, Adopted},
    bundle::Bundle,
    extensions,
    failure::LooksFor,
};
use crate::{BuildError, choose::Wanted};
use chosen::Chosen;
use ours::{folder_of, found, link, looked_for};
use pvdify_cnb::{
    group::{Order, OrderElement, OrderGroup},
    project::{Project, ProjectBuildpack, ProjectSource},
};
use pvdify_types::BuildpackName;
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

/// What a build container gets.
#[derive(Debug)]
pub(crate) struct Selection {
    /// `/cnb/buildpacks`; nothing where the image has its own.
    pub(crate) folder: Option<PathBuf>,
    /// `/cnb/order.toml`
    pub(crate) order: Order,
    /// What each of them looks for, for when none finds it.
    pub(crate) looks_for: Vec<LooksFor>,
    /// What came from outside: a line for each, for the log.
    pub(crate) came: Vec<String>,
    /// Whether a classic buildpack is among them: those expect the app where Heroku has it.
    pub(crate) has_classic: bool,
}

/// What came from outside, by its name.
pub(crate) type Came = BTreeMap<String, Adopted>;

/// Selects; `own` is a folder that this may make. Blocking.
pub(crate) fn select(
    bundle: &Bundle,
    wanted: &Wanted,
    project: &Project,
    came: &Came,
    own: &Path,
) -> Result<Selection, BuildError> {
    let ours = found(&bundle.buildpacks).map_err(BuildError::disk)?;
    let ends: Vec<&ProjectBuildpack> = project.pre.iter().chain(&project.post).collect();
    if matches!(wanted, Wanted::Detected) && ends.is_empty() {
        let looks_for = bundle.order.order.iter().flat_map(|group| &group.group);
        return Ok(Selection {
            folder: Some(bundle.buildpacks.clone()),
            order: bundle.order.clone(),
            looks_for: looked_for(looks_for, &ours),
            came: Vec::new(),
            has_classic: false,
        });
    }
    let mut chosen = Chosen {
        ours: &ours,
        came,
        own,
        inline: 0,
    };
    let pre = chosen.all(&project.pre)?;
    let post = chosen.all(&project.post)?;
    let detected = || bundle.order.order.iter().map(|group| group.group.clone());
    let groups: Vec<Vec<OrderElement>> = match wanted {
        Wanted::Detected => detected().collect(),
        Wanted::Named(names) => {
            let named = names.iter().map(|name| chosen.named(name));
            let named = named.collect::<Result<Vec<_>, _>>()?;
            let mut group: Vec<OrderElement> = named.into_iter().flatten().collect();
            // A Procfile counts with whatever buildpacks; classic ones see to it themselves.
            if came.values().all(|one| one.classic.is_none()) {
                group.extend(chosen.procfile(&group));
            }
            vec![group]
        }
        Wanted::Project(buildpacks) => vec![chosen.all(buildpacks)?],
    };
    // Image extensions alone are for whatever buildpacks are detected.
    let is_of_extensions = !came.is_empty() && came.values().all(|one| one.element.is_none());
    let groups = match &groups[..] {
        [group] if is_of_extensions && group.iter().all(|one| one.optional) => detected().collect(),
        _ => groups,
    };
    let around = |group: Vec<OrderElement>| OrderGroup {
        group: [pre.clone(), group, post.clone()].concat(),
    };
    let order = Order {
        order: groups.into_iter().map(around).collect(),
        order_extensions: extensions::combined(named(wanted, project), came),
    };
    finish(came, &order).map_err(BuildError::disk)?;
    let mut looks_for = looked_for(order.order.iter().flat_map(|group| &group.group), &ours);
    let buildpacks = came.iter().filter(|(_, one)| one.element.is_some());
    looks_for.extend(buildpacks.map(|(name, _)| as_it_says(name.clone())));
    // All of ours are there besides: composites and projects may refer to them.
    for one in &ours {
        link(&one.folder, &own.join(folder_of(&one.descriptor))).map_err(BuildError::disk)?;
    }
    Ok(Selection {
        folder: Some(own.to_owned()),
        order,
        looks_for,
        came: came.values().map(|one| one.shown.clone()).collect(),
        has_classic: came.values().any(|one| one.classic.is_some()),
    })
}

/// The selection of a whole builder, which has its buildpacks.
pub(crate) fn of_whole(order: &Order) -> Selection {
    let mut looks_for: Vec<LooksFor> = Vec::new();
    for element in order.order.iter().flat_map(|group| &group.group) {
        let name = element.id.to_string();
        if !looks_for.iter().any(|known| known.name == name) {
            looks_for.push(as_it_says(name));
        }
    }
    Selection {
        folder: None,
        order: order.clone(),
        looks_for,
        came: Vec::new(),
        has_classic: false,
    }
}

fn as_it_says(name: String) -> LooksFor {
    LooksFor {
        name,
        files: "as its own bin/detect says".to_owned(),
    }
}

/// All that was named, in order: of a source the name it came by.
fn named<'a>(wanted: &'a Wanted, project: &'a Project) -> impl Iterator<Item = &'a str> {
    let (names, of_project): (&[BuildpackName], &[ProjectBuildpack]) = match wanted {
        Wanted::Detected => (&[], &[]),
        Wanted::Named(names) => (names, &[]),
        Wanted::Project(buildpacks) => (&[], buildpacks),
    };
    let of_project = project.pre.iter().chain(of_project).chain(&project.post);
    let uris = of_project.filter_map(|one| match &one.source {
        ProjectSource::Uri(uri) => Some(uri.as_str()),
        _ => None,
    });
    names.iter().map(BuildpackName::as_str).chain(uris)
}

/// Tells each classic buildpack what it has to know of the others.
fn finish(came: &Came, order: &Order) -> io::Result<()> {
    let elements = || order.order.iter().flat_map(|group| &group.group);
    let count = order
        .order
        .iter()
        .map(|group| group.group.len())
        .max()
        .unwrap_or(0);
    let is_classic = |element: &&OrderElement| {
        let mut classic = came.values().filter(|one| one.classic.is_some());
        classic.any(|one| one.element.as_ref().is_some_and(|own| own.id == element.id))
    };
    let last = elements().rfind(is_classic);
    for (name, one) in came {
        let own = one.element.as_ref().map(|own| &own.id);
        let is_last = last.is_some_and(|last| Some(&last.id) == own);
        adopt::finish(one, name, count == 1, is_last)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buildpacks::adopt::Tree;
    use std::fs;

    fn bundle(dir: &Path) -> Bundle {
        let buildpacks = dir.join("ours");
        for (id, name, files) in [
            ("pvdify/nodejs", "Node.js", "package.json"),
            ("pvdify/go", "Go", "go.mod"),
        ] {
            let folder = buildpacks.join(id.replace('/', "_")).join("0.1.0");
            fs::create_dir_all(folder.join("bin")).unwrap();
            let text = format!(
                "api = '0.10'\n[buildpack]\nid = '{id}'\nversion = '0.1.0'\nname = '{name}'\n[metadata]\nlooks-for = '{files}'\n"
            );
            fs::write(folder.join("buildpack.toml"), text).unwrap();
            fs::write(folder.join("bin/build"), "").unwrap();
        }
        let order = "[[order]]\n[[order.group]]\nid = 'pvdify/nodejs'\n[[order]]\n[[order.group]]\nid = 'pvdify/go'\n";
        Bundle {
            lifecycle: dir.join("lifecycle"),
            buildpacks,
            order: toml::from_str(order).unwrap(),
        }
    }

    fn ids(selection: &Selection) -> Vec<Vec<&str>> {
        let groups = selection.order.order.iter();
        groups
            .map(|group| group.group.iter().map(|one| one.id.as_str()).collect())
            .collect()
    }

    #[test]
    fn without_a_word_ours_are_tried_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let selection = select(
            &bundle(dir.path()),
            &Wanted::Detected,
            &Project::default(),
            &Came::new(),
            &dir.path().join("own"),
        )
        .unwrap();
        assert_eq!(selection.folder, Some(dir.path().join("ours")));
        assert_eq!(ids(&selection), [["pvdify/nodejs"], ["pvdify/go"]]);
        assert_eq!(selection.looks_for[1].files, "go.mod");
    }

    #[test]
    fn a_project_chooses_adds_and_brings_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("own");
        let project = Project::parse(
            "[_]\nschema-version = '0.2'\n[[io.buildpacks.group]]\nid = 'pvdify/go'\n[[io.buildpacks.group]]\nid = 'me/x'\n[io.buildpacks.group.script]\napi = '0.10'\ninline = 'echo hi'\n[[io.buildpacks.pre.group]]\nid = 'heroku/nodejs'\n",
        )
        .unwrap();
        let wanted = Wanted::Project(project.group.clone());
        let selection = select(&bundle(dir.path()), &wanted, &project, &Came::new(), &own).unwrap();
        assert_eq!(ids(&selection), [["pvdify/nodejs", "pvdify/go", "me/x"]]);
        assert!(
            own.join("me_x/0.0.0/bin/build").is_file() && own.join("pvdify_go/0.1.0/bin/build").is_file()
        );
        let error = |name: &str| {
            let wanted = Wanted::Named(vec![name.parse().unwrap()]);
            select(
                &bundle(dir.path()),
                &wanted,
                &Project::default(),
                &Came::new(),
                &own,
            )
            .unwrap_err()
            .to_string()
        };
        insta::assert_snapshot!(error("pvdify/cobol"), @"the buildpack pvdify/cobol is not on this server; there are: pvdify/go, pvdify/nodejs");
        insta::assert_snapshot!(error("pvdify/go@9"), @"the buildpack pvdify/go@9 is not on this server; there are: pvdify/go, pvdify/nodejs");
    }

    #[test]
    fn image_extensions_stand_before_what_is_named_or_else_before_what_is_detected() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("own");
        let folder = dir.path().join("tree");
        fs::create_dir(&folder).unwrap();
        let text = "api = '0.10'\n[extension]\nid = 'a/x'\nversion = '1'\n";
        fs::write(folder.join("extension.toml"), text).unwrap();
        let tree = Tree {
            name: "https://h/x.git".parse().unwrap(),
            folder,
            what: "abc".to_owned(),
            top: None,
        };
        let came = Came::from([("https://h/x.git".to_owned(), adopt::adopt(&tree, &own).unwrap())]);
        for (names, expected) in [
            (
                &["https://h/x.git"][..],
                vec![vec!["pvdify/nodejs"], vec!["pvdify/go"]],
            ),
            (&["pvdify/go", "https://h/x.git"], vec![vec!["pvdify/go"]]),
        ] {
            let wanted = Wanted::Named(names.iter().map(|name| name.parse().unwrap()).collect());
            let selection = select(&bundle(dir.path()), &wanted, &Project::default(), &came, &own).unwrap();
            assert_eq!(ids(&selection), expected);
            let extensions = &selection.order.order_extensions;
            assert_eq!(extensions[0].group[0].id.as_str(), "a/x");
            assert!(
                selection
                    .looks_for
                    .iter()
                    .all(|one| one.name != "https://h/x.git")
            );
        }
    }

    #[test]
    fn what_came_takes_its_place_and_classic_ones_learn_of_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("own");
        let come = |name: &str| {
            let folder = dir.path().join(name.replace('/', "_"));
            fs::create_dir_all(folder.join("bin")).unwrap();
            fs::write(folder.join("bin/compile"), "").unwrap();
            let tree = Tree {
                name: name.parse().unwrap(),
                folder,
                what: "abc".to_owned(),
                top: None,
            };
            (name.to_owned(), adopt::adopt(&tree, &own).unwrap())
        };
        let names = ["https://h/two.git", "pvdify/go", "https://h/one.git"];
        let came = Came::from([come(names[0]), come(names[2])]);
        let wanted = Wanted::Named(names.map(|name| name.parse().unwrap()).to_vec());
        let selection = select(&bundle(dir.path()), &wanted, &Project::default(), &came, &own).unwrap();
        assert!(selection.has_classic);
        assert_eq!(selection.came.len(), 2);
        let group: Vec<&str> = ids(&selection).remove(0);
        assert!(
            group[0].starts_with("classic/two-") && group[1] == "pvdify/go",
            "{group:?}"
        );
        assert!(group[2].starts_with("classic/one-"), "{group:?}");
        for (name, last) in [(names[0], false), (names[2], true)] {
            let folder = came[name].classic.clone().unwrap();
            let says: toml::Table = fs::read_to_string(folder.join("classic.toml"))
                .unwrap()
                .parse()
                .unwrap();
            assert_eq!(
                (says["alone"].as_bool(), says["last"].as_bool()),
                (Some(false), Some(last))
            );
        }
    }
}
