//! Which folder the site is in, once it is built.

use crate::{
    detect::{FOLDERS, Kind, has_index},
    frontend,
    package_json::PackageJson,
    settings::Settings,
};
use buildpack_support::{Failure, Result, files};
use std::{fs, path::Path};

/// The folder, from the app's.
pub(crate) fn choose(app: &Path, kind: &Kind, settings: &Settings) -> Result<String> {
    if let Some(root) = settings.root.as_ref().filter(|root| app.join(root).is_dir()) {
        return Ok(root.clone());
    }
    match kind {
        Kind::Plain(folder) => Ok((*folder).to_owned()),
        Kind::Built(frontend) => {
            let folders = &frontend.folders;
            let built = folders.iter().find(|folder| has_page(&app.join(folder)));
            built
                .or_else(|| {
                    folders
                        .iter()
                        .find(|folder| app.join(folder).is_dir() && *folder != ".")
                })
                .cloned()
                .ok_or_else(|| nothing_built(frontend.name, folders))
        }
        Kind::Configured(file) => configured(app, file, settings),
    }
}

fn configured(app: &Path, file: &str, settings: &Settings) -> Result<String> {
    if let Some(root) = &settings.root {
        return Err(no_such_folder(app, file, root)?);
    }
    // Heroku's default is a folder of this name.
    if file == "static.json" && app.join("public_html").is_dir() {
        return Ok("public_html".to_owned());
    }
    let built = frontend::of(app)?
        .map(|frontend| frontend.folders)
        .unwrap_or_default();
    let folders = built
        .iter()
        .map(String::as_str)
        .chain(FOLDERS[1..].iter().copied())
        .chain(["."]);
    let found = folders.into_iter().find(|folder| has_index(&app.join(folder)));
    found.map(str::to_owned).ok_or_else(|| {
        Failure::new(
            "The site's pages were not found",
            format!("{file} names no folder, and there is no index.html in the app's folder or in one of the usual ones."),
            format!("Name the folder in {file} (`root`), commit and push again."),
        )
    })
}

// A page besides the index: a framework may make only an app's page.
fn has_page(folder: &Path) -> bool {
    has_index(folder) || files::first(folder, &["200.html", "404.html"]).is_some()
}

fn nothing_built(name: &str, folders: &[String]) -> Failure {
    let folders: Vec<String> = folders.iter().map(|folder| format!("{folder}/")).collect();
    Failure::new(
        "The build made no site",
        format!(
            "{name} is expected to build into {}, but after the build there is no such folder.",
            folders.join(" or ")
        ),
        "Did the `build` script run (see above)? If it builds into another folder, name it in a file `Staticfile`: \
         `root: FOLDER`. Commit and push again.",
    )
}

fn no_such_folder(app: &Path, file: &str, root: &str) -> Result<Failure> {
    let mut folders: Vec<String> = fs::read_dir(app)
        .map_err(|error| Failure::io("read", app, &error))?
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.') && name != "node_modules")
        .collect();
    folders.sort();
    let is_built = PackageJson::of(app)?.is_some_and(|json| json.build_script().is_some());
    let there = match folders.len() {
        0 => "There is no folder at all.".to_owned(),
        _ => format!("There are: {}.", folders.join(", ")),
    };
    let fix = if is_built {
        format!(
            "Does the `build` script of package.json make it (see above)? Else correct `root` in {file}. Commit and push again."
        )
    } else {
        format!("Correct `root` in {file}, or commit the folder (is it in .gitignore?), and push again.")
    };
    Ok(Failure::new(
        format!("There is no folder {root}"),
        format!("{file} says that the site is there. {there}"),
        fix,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use buildpack_support::files::write;

    fn chosen(tree: &[&str], kind: &Kind, root: Option<&str>) -> Result<String> {
        let dir = tempfile::tempdir().unwrap();
        for name in tree {
            let text = if name.ends_with("package.json") {
                r#"{"scripts":{"build":"x"}}"#
            } else {
                ""
            };
            write(&dir.path().join(name), text).unwrap();
        }
        choose(
            dir.path(),
            kind,
            &Settings {
                root: root.map(str::to_owned),
                ..Settings::default()
            },
        )
    }

    fn built(folders: &[&str]) -> Kind {
        Kind::Built(frontend::Frontend {
            name: "Vite",
            folders: folders.iter().map(|folder| (*folder).to_owned()).collect(),
            is_single_page: true,
            fallback: None,
        })
    }

    #[test]
    fn the_folder_with_the_page_is_taken() {
        let json = Kind::Configured("static.json");
        for (tree, kind, root, expected) in [
            (&["dist/index.html"][..], &json, Some("dist"), "dist"),
            (&["public_html/a.html", "index.html"], &json, None, "public_html"),
            (&["dist/index.html", "index.html"], &json, None, "dist"),
            (&["index.html"], &Kind::Configured("Staticfile"), None, "."),
            (
                &["out/index.html", "dist/index.html"],
                &built(&["out", "dist"]),
                None,
                "out",
            ),
            (
                &["out/x.js", "dist/200.html"],
                &built(&["out", "dist"]),
                None,
                "dist",
            ),
            (&["out/x.js"], &built(&["out", "dist"]), None, "out"),
            (
                &["site/a.html", "dist/index.html"],
                &built(&["dist"]),
                Some("site"),
                "site",
            ),
            (&["dist/index.html"], &built(&["dist"]), Some("missing"), "dist"),
        ] {
            assert_eq!(chosen(tree, kind, root).unwrap(), expected, "{tree:?}");
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_told_with_those_that_are() {
        let text =
            |tree: &[&str], kind: &Kind, root: Option<&str>| chosen(tree, kind, root).unwrap_err().text();
        let json = Kind::Configured("static.json");
        insta::assert_snapshot!(text(&["src/a", "public/b", ".git/c"], &json, Some("dist")), @r"
        There is no folder dist

        static.json says that the site is there. There are: public, src.

        Correct `root` in static.json, or commit the folder (is it in .gitignore?), and push again.
        ");
        insta::assert_snapshot!(text(&["package.json"], &json, Some("dist")), @r"
        There is no folder dist

        static.json says that the site is there. There is no folder at all.

        Does the `build` script of package.json make it (see above)? Else correct `root` in static.json. Commit and push again.
        ");
        insta::assert_snapshot!(text(&["a.txt"], &json, None), @r"
        The site's pages were not found

        static.json names no folder, and there is no index.html in the app's folder or in one of the usual ones.

        Name the folder in static.json (`root`), commit and push again.
        ");
        insta::assert_snapshot!(text(&["a.txt"], &built(&["site", "dist"]), None), @r"
        The build made no site

        Vite is expected to build into site/ or dist/, but after the build there is no such folder.

        Did the `build` script run (see above)? If it builds into another folder, name it in a file `Staticfile`: `root: FOLDER`. Commit and push again.
        ");
    }
}
