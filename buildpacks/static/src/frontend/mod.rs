//! Whether a `package.json` builds a site, by which framework, and into which folder.
//!
//! In parts: the frameworks (`framework`, and `angular`, whose configuration is data), and what is found in a
//! configuration that is a program (`configuration`). What always holds: an app with a server of its own is no site.

mod angular;
mod configuration;
mod framework;

use crate::package_json::PackageJson;
use buildpack_support::{Result, files, procfile::Procfile};
use std::path::Path;

/// A front end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frontend {
    /// The framework's name.
    pub(crate) name: &'static str,
    /// Where the site may be after the build, the likeliest first.
    pub(crate) folders: Vec<String>,
    /// Paths that are no file are the app's.
    pub(crate) is_single_page: bool,
    /// The page for them, where it is not `index.html`.
    pub(crate) fallback: Option<String>,
}

/// The front end of an app, if it has one and nothing that would serve it.
pub(crate) fn of(app: &Path) -> Result<Option<Frontend>> {
    let Some(package_json) = PackageJson::of(app)? else {
        return Ok(None);
    };
    if package_json.build_script().is_none() || package_json.server_script().is_some() {
        return Ok(None);
    }
    // What `npm start` runs when there is no such script.
    if package_json.script("start").is_none() && files::exists(app, "server.js") {
        return Ok(None);
    }
    Ok(framework::find(app, &package_json))
}

/// Whether the app's Procfile starts a server of its own. `bin/boot` is Heroku's name for ours.
pub(crate) fn has_own_web(app: &Path) -> bool {
    // What is wrong with the file is told in the build.
    let procfile = Procfile::of(app).unwrap_or_default().unwrap_or_default();
    procfile.command("web").is_some_and(|command| !is_ours(command))
}

/// Whether a command of the Procfile means our server.
pub(crate) fn is_ours(command: &str) -> bool {
    matches!(command.trim(), "bin/boot" | "./bin/boot" | "static-server")
}

// What is said the same of all frameworks: folders as paths from the app's, each once.
fn made(name: &'static str, folders: &[&str], is_single_page: bool) -> Frontend {
    let mut all: Vec<String> = Vec::new();
    for folder in folders {
        let folder = folder.trim_start_matches("./").trim_matches('/').to_owned();
        // One that leads out of the app is a monorepo's: the usual names are tried then.
        if !folder.is_empty() && !folder.split('/').any(|part| part == "..") && !all.contains(&folder) {
            all.push(folder);
        }
    }
    Frontend {
        name,
        folders: all,
        is_single_page,
        fallback: None,
    }
}

#[cfg(test)]
mod sample {
    use super::{Frontend, of};
    use buildpack_support::files;

    pub(super) fn found(package_json: &str, tree: &[(&str, &str)]) -> Option<Frontend> {
        let dir = tempfile::tempdir().unwrap();
        files::write(&dir.path().join("package.json"), package_json).unwrap();
        for (name, text) in tree {
            files::write(&dir.path().join(name), text).unwrap();
        }
        of(dir.path()).unwrap()
    }

    pub(super) fn folders(
        build: &str,
        packages: &[&str],
        tree: &[(&str, &str)],
    ) -> Option<(&'static str, String)> {
        let packages: Vec<String> = packages
            .iter()
            .map(|package| format!("\"{package}\":\"1\""))
            .collect();
        let json = format!(
            r#"{{"scripts":{{"build":"{build}"}},"devDependencies":{{{}}}}}"#,
            packages.join(",")
        );
        found(&json, tree).map(|frontend| (frontend.name, frontend.folders.join(" ")))
    }
}

#[cfg(test)]
mod tests {
    use super::{sample::found, *};

    #[test]
    fn an_app_with_a_server_of_its_own_is_no_site() {
        let with = |scripts: &str, tree: &[(&str, &str)]| {
            found(
                &format!(r#"{{"scripts":{scripts},"dependencies":{{"vite":"7"}}}}"#),
                tree,
            )
            .is_some()
        };
        assert!(with(r#"{"build":"vite build"}"#, &[]));
        assert!(with(r#"{"heroku-postbuild":"vite build"}"#, &[]));
        assert!(with(r#"{"build":"vite build","start":"vite preview"}"#, &[]));
        assert!(!with(r#"{"build":"vite build","start":"node server.js"}"#, &[]));
        assert!(!with(r#"{"build":"vite build"}"#, &[("server.js", "")]));
        assert!(!with(r#"{"dev":"vite"}"#, &[]));
        assert!(found("{broken", &[]).is_none());
    }

    #[test]
    fn heroku_names_our_server_too() {
        let dir = tempfile::tempdir().unwrap();
        for (procfile, expected) in [
            ("web: bin/boot", false),
            ("worker: node w.js", false),
            ("web: node a.js", true),
            ("broken", false),
        ] {
            files::write(&dir.path().join("Procfile"), procfile).unwrap();
            assert_eq!(has_own_web(dir.path()), expected, "{procfile}");
        }
    }
}
