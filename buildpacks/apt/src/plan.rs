//! Which packages will be in the layers, remembered as long as the indexes, the images and the app ask the same:
//! then a build asks apt nothing.

use crate::{
    download, nearest,
    wanted::{Package, Wanted},
};
use buildpack_support::{
    Failure, Result, files,
    toolchain::deb::{Apt, Planned},
};
use libcnb::Env;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// apt for each of both images.
#[derive(Debug)]
pub(crate) struct Both {
    pub(crate) run: Apt,
    pub(crate) build: Apt,
}

/// What the layers depend on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Names {
    /// In the image: the packages' files.
    pub(crate) run: Vec<String>,
    /// For the build.
    pub(crate) build: Vec<String>,
    /// The digests of what was downloaded by address.
    pub(crate) downloads: Vec<String>,
}

/// A plan in full.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) run: Vec<Planned>,
    pub(crate) build: Vec<Planned>,
    /// Downloaded `.deb` files.
    pub(crate) downloads: Vec<PathBuf>,
    pub(crate) names: Names,
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    asked: String,
    names: Names,
}

const FILE: &str = "plan.json";

/// What the plan depends on.
pub(crate) fn asked(both: &Both, wanted: &Wanted) -> String {
    files::fingerprint([format!("{wanted:?}"), both.run.state(), both.build.state()])
}

/// The names of an earlier plan, if nothing has changed.
pub(crate) fn remembered(folder: &Path, asked: &str) -> Option<Names> {
    let text = files::read(folder, FILE).ok().flatten()?;
    let saved: Remembered = serde_json::from_str(&text).ok()?;
    (saved.asked == asked).then_some(saved.names)
}

/// Keeps the names for the next build.
pub(crate) fn remember(folder: &Path, asked: &str, names: &Names) -> Result<()> {
    let saved = Remembered {
        asked: asked.to_owned(),
        names: names.clone(),
    };
    files::write(
        &folder.join(FILE),
        serde_json::to_string(&saved).unwrap_or_default(),
    )
}

/// Asks apt, and downloads what is given by address.
pub(crate) fn make(both: &Both, wanted: &Wanted, folder: &Path, env: &Env) -> Result<Plan> {
    let downloads = wanted
        .downloads
        .iter()
        .map(|address| download::deb(address, &folder.join("downloads"), env))
        .collect::<Result<Vec<_>>>()?;
    let run = planned(&both.run, wanted, &downloads)?;
    // With one base for both, apt is asked once.
    let build = if both.run.state() == both.build.state() {
        run.clone()
    } else {
        planned(&both.build, wanted, &downloads)?
    };
    // What is there to compile with only belongs to the build, unless a person names it.
    let is_named = |planned: &Planned| {
        wanted
            .packages
            .iter()
            .any(|package| package.name() == planned.name())
    };
    let run: Vec<Planned> = run
        .into_iter()
        .filter(|planned| is_named(planned) || !is_for_building(planned.name()))
        .collect();
    let names_of = |planned: &[Planned]| {
        let mut names: Vec<String> = planned.iter().map(|planned| planned.file.clone()).collect();
        names.sort();
        names
    };
    let names = Names {
        run: names_of(&run),
        build: names_of(&build),
        downloads: downloads
            .iter()
            .map(|path| download::digest(path))
            .collect::<Result<_>>()?,
    };
    Ok(Plan {
        run,
        build,
        downloads,
        names,
    })
}

fn is_for_building(name: &str) -> bool {
    ["-dev", "-doc", "-dbg", "-dbgsym"]
        .iter()
        .any(|ending| name.ends_with(ending))
}

fn planned(apt: &Apt, wanted: &Wanted, downloads: &[PathBuf]) -> Result<Vec<Planned>> {
    let (alone, whole): (Vec<&Package>, Vec<&Package>) =
        wanted.packages.iter().partition(|package| package.is_alone);
    let mut specs: Vec<String> = whole.iter().map(|package| package.spec.clone()).collect();
    specs.extend(downloads.iter().map(|path| path.display().to_string()));
    let mut all = if specs.is_empty() {
        Vec::new()
    } else {
        ask(apt, &specs)?
    };
    for package in alone {
        let one = ask(apt, std::slice::from_ref(&package.spec))?;
        let own = one.into_iter().filter(|planned| planned.name() == package.name());
        for planned in own {
            if !all.contains(&planned) {
                all.push(planned);
            }
        }
    }
    Ok(all)
}

fn ask(apt: &Apt, specs: &[String]) -> Result<Vec<Planned>> {
    apt.plan(specs, false).map_err(|failure| {
        let known = apt.names().unwrap_or_default();
        unknown(specs, &known).unwrap_or(failure)
    })
}

// The failure for names that no index has; none if all are known.
fn unknown(specs: &[String], known: &[String]) -> Option<Failure> {
    let names = specs.iter().map(|spec| crate::wanted::name(spec));
    let missing: Vec<&str> = names
        .filter(|name| !name.is_empty() && !name.contains(['*', '^']) && !known.iter().any(|of| of == name))
        .collect();
    if missing.is_empty() || known.is_empty() {
        return None;
    }
    let mut why = String::from("The package sources of the image (Debian 13, trixie) do not have it.");
    for name in &missing {
        let near = nearest::names(name, known);
        if !near.is_empty() {
            why.push_str(&format!("\nNames like {name}: {}.", near.join(", ")));
        }
    }
    Some(Failure::new(
        format!("There is no Debian package {}", missing.join(", ")),
        why,
        "Names can differ from Ubuntu's, and numbers in them change from release to release: search on \
         packages.debian.org. Correct it, commit and push again.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_index_has_is_told_with_those_like_it() {
        let known: Vec<String> = ["libicu76", "libicu-dev", "curl", "zip"]
            .map(str::to_owned)
            .into();
        let specs: Vec<String> = ["libicu66=1.0", "curl", "mysql-*", "qqqqqq"]
            .map(str::to_owned)
            .into();
        insta::assert_snapshot!(unknown(&specs, &known).unwrap().text(), @r"
        There is no Debian package libicu66, qqqqqq

        The package sources of the image (Debian 13, trixie) do not have it.
        Names like libicu66: libicu76.

        Names can differ from Ubuntu's, and numbers in them change from release to release: search on packages.debian.org. Correct it, commit and push again.
        ");
        assert!(unknown(&["curl".to_owned()], &known).is_none());
    }

    #[test]
    fn a_plan_is_remembered_while_nothing_changes() {
        let dir = tempfile::tempdir().unwrap();
        let names = Names {
            run: vec!["a_1_all.deb".into()],
            ..Names::default()
        };
        remember(dir.path(), "this", &names).unwrap();
        assert_eq!(remembered(dir.path(), "this").unwrap(), names);
        assert_eq!(remembered(dir.path(), "that"), None);
    }
}
