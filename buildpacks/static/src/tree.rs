//! The files of a site's folder that may be seen: no dot files but `.well-known`, no link that leads out of the
//! app, nothing that configures the build.

use buildpack_support::{Failure, Result};
use std::{
    fs,
    path::{Component, Path, PathBuf},
};

/// What configures a build and is no part of a site, when the site's folder is the app's.
const CONFIGURATION: [&str; 30] = [
    "static.json",
    "Staticfile",
    "Staticfile.auth",
    "netlify.toml",
    "vercel.json",
    "Procfile",
    "app.json",
    "project.toml",
    "Aptfile",
    "Dockerfile",
    "docker-compose.yml",
    "compose.yaml",
    "compose.yml",
    "Makefile",
    "node_modules",
    "package.json",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "yarn.lock",
    "pnpm-lock.yaml",
    "pnpm-workspace.yaml",
    "bun.lock",
    "bun.lockb",
    "tsconfig.json",
    "bower.json",
    "Gruntfile.js",
    "gulpfile.js",
    "webpack.config.js",
    "Caddyfile",
    "nginx.conf",
];

/// A file of the site.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// With `/`, from the site's folder.
    pub(crate) path: String,
    /// Where its content is.
    pub(crate) source: PathBuf,
}

/// The files, in the order of their paths, and what was left out though a person might expect it.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) files: Vec<Found>,
    pub(crate) left_out: Vec<String>,
}

/// All files in `root`, which is in `app`.
pub(crate) fn walk(app: &Path, root: &Path) -> Result<Tree> {
    let app = canonical(app)?;
    let root = canonical(root)?;
    let mut tree = Tree::default();
    folder(&[&root, &app], &root, "", &mut vec![root.clone()], &mut tree)?;
    tree.files.sort_by(|a, b| a.path.cmp(&b.path));
    tree.left_out.sort();
    Ok(tree)
}

fn canonical(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path).map_err(|error| Failure::io("read", path, &error))
}

fn folder(
    within: &[&Path; 2],
    at: &Path,
    prefix: &str,
    above: &mut Vec<PathBuf>,
    tree: &mut Tree,
) -> Result<()> {
    let failed = |error| Failure::io("read", at, &error);
    for entry in fs::read_dir(at).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else {
            tree.left_out.push(format!(
                "{prefix}{} (its name is no UTF-8)",
                entry.file_name().display()
            ));
            continue;
        };
        let path = format!("{prefix}{name}");
        if is_hidden(&name) || prefix.is_empty() && is_configuration(&name, at == within[1]) {
            continue;
        }
        let kind = entry.file_type().map_err(failed)?;
        let mut source = entry.path();
        if kind.is_symlink() {
            match inside(within, &source) {
                Some(target) => source = target,
                None => {
                    tree.left_out
                        .push(format!("{path} (a link that leads out of the app, or nowhere)"));
                    continue;
                }
            }
        }
        let metadata = fs::metadata(&source).map_err(|error| Failure::io("read", &source, &error))?;
        if metadata.is_file() {
            tree.files.push(Found { path, source });
        } else if metadata.is_dir() && !above.contains(&source) {
            above.push(source.clone());
            folder(within, &source, &format!("{path}/"), above, tree)?;
            above.pop();
        }
    }
    Ok(())
}

fn is_hidden(name: &str) -> bool {
    name.starts_with('.') && name != ".well-known"
}

fn is_configuration(name: &str, is_app: bool) -> bool {
    matches!(name, "_headers" | "_redirects") || is_app && CONFIGURATION.contains(&name)
}

// Where a link leads, if that is a visible part of the site or of the app.
fn inside(within: &[&Path; 2], link: &Path) -> Option<PathBuf> {
    let target = fs::canonicalize(link).ok()?;
    let is_visible = within
        .iter()
        .filter_map(|folder| target.strip_prefix(folder).ok())
        .any(|path| {
            path.components().all(|part| match part {
                Component::Normal(name) => name.to_str().is_some_and(|name| !name.starts_with('.')),
                _ => false,
            })
        });
    is_visible.then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use buildpack_support::files::write;
    use std::os::unix::fs::symlink;

    fn paths(app: &Path, root: &str) -> (Vec<String>, Vec<String>) {
        let tree = walk(app, &app.join(root)).unwrap();
        (
            tree.files.into_iter().map(|file| file.path).collect(),
            tree.left_out,
        )
    }

    #[test]
    fn what_is_hidden_or_configures_the_build_is_no_part_of_the_site() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "index.html",
            "a/b.html",
            ".env",
            ".git/config",
            "a/.htpasswd",
            ".well-known/security.txt",
            "Procfile",
            "static.json",
            "_headers",
            "a/_headers",
            "node_modules/x/index.js",
            "package.json",
        ] {
            write(&dir.path().join(name), "x").unwrap();
        }
        let (paths, left_out) = paths(dir.path(), "");
        assert_eq!(
            paths,
            [".well-known/security.txt", "a/_headers", "a/b.html", "index.html"]
        );
        assert!(left_out.is_empty());
    }

    #[test]
    fn in_a_folder_of_its_own_a_site_may_have_any_name() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["public/package.json", "public/_redirects", "public/Makefile"] {
            write(&dir.path().join(name), "x").unwrap();
        }
        assert_eq!(paths(dir.path(), "public").0, ["Makefile", "package.json"]);
    }

    #[test]
    fn links_stay_in_the_app_and_end() {
        let dir = tempfile::tempdir().unwrap();
        let app = dir.path().join("app");
        for name in ["public/index.html", "shared/logo.svg", ".env", "secret/.key"] {
            write(&app.join(name), "x").unwrap();
        }
        for (target, link) in [
            ("../shared", "public/shared"),
            ("index.html", "public/home.html"),
            ("../.env", "public/env"),
            ("../secret/.key", "public/key"),
            ("/etc/hostname", "public/host"),
            ("nothing", "public/broken"),
            (".", "public/loop"),
        ] {
            symlink(target, app.join(link)).unwrap();
        }
        let (paths, left_out) = paths(&app, "public");
        assert_eq!(paths, ["home.html", "index.html", "shared/logo.svg"]);
        assert_eq!(left_out.len(), 4, "{left_out:?}");
        assert_eq!(
            left_out[0],
            "broken (a link that leads out of the app, or nowhere)"
        );
    }
}
