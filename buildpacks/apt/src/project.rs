//! `[com.heroku.buildpacks.deb-packages]` in `project.toml`.

use crate::{
    aptfile,
    wanted::{Source, Wanted},
};
use buildpack_support::{Failure, Result, files};
use serde::Deserialize;
use std::path::Path;

#[derive(Deserialize)]
struct Table {
    #[serde(default)]
    install: Vec<Install>,
    #[serde(default)]
    download: Vec<String>,
    #[serde(default)]
    sources: Vec<Repository>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Install {
    Name(String),
    Options {
        name: String,
        #[serde(default)]
        skip_dependencies: bool,
        #[serde(default)]
        force: bool,
    },
}

#[derive(Deserialize)]
struct Repository {
    uri: String,
    suites: Vec<String>,
    components: Vec<String>,
    #[serde(default)]
    arch: Vec<String>,
    signed_by: String,
}

const TABLE: &str = "[com.heroku.buildpacks.deb-packages]";

/// Whether the app's `project.toml` has the table. One that can't be read has not: others tell what is wrong.
pub(crate) fn is_there(app: &Path) -> bool {
    files::read(app, "project.toml")
        .ok()
        .flatten()
        .and_then(|text| table(&text))
        .is_some()
}

fn table(text: &str) -> Option<toml::Value> {
    let document: toml::Table = text.parse().ok()?;
    let table = document
        .get("com")?
        .get("heroku")?
        .get("buildpacks")?
        .get("deb-packages")?;
    Some(table.clone())
}

/// Reads it into `wanted`.
pub(crate) fn read(text: &str, wanted: &mut Wanted) -> Result<()> {
    let Some(table) = table(text) else {
        return Ok(());
    };
    let table: Table = table.try_into().map_err(|error: toml::de::Error| {
        Failure::new(
            format!("{TABLE} in project.toml can't be read"),
            format!("{}.", error.message()),
            "Write it as in `install = [\"libpq5\", { name = \"ffmpeg\" }]`, commit and push again.",
        )
    })?;
    for install in table.install {
        let (name, is_alone, force) = match install {
            Install::Name(name) => (name, false, false),
            Install::Options {
                name,
                skip_dependencies,
                force,
            } => (name, skip_dependencies, force),
        };
        wanted.add(&name, is_alone, "project.toml")?;
        if force {
            wanted.warnings.push(format!(
                "project.toml: `force` of {name} is passed over: a package that the image has is not installed again."
            ));
        }
    }
    for address in table.download {
        aptfile::check_address(&address, "project.toml")?;
        wanted.add_download(&address);
    }
    for repository in table.sources {
        let lines = lines(&repository)?;
        wanted.sources.extend(lines.into_iter().map(|line| Source {
            line,
            key: Some(repository.signed_by.clone()),
        }));
    }
    Ok(())
}

// A line for each suite; `{key}` stands for where the key will be.
fn lines(repository: &Repository) -> Result<Vec<String>> {
    let Repository {
        uri,
        suites,
        components,
        arch,
        ..
    } = repository;
    let is_word =
        |word: &String| !word.is_empty() && word.chars().all(|c| c.is_ascii_graphic() && !"[]".contains(c));
    let is_web = uri.starts_with("https://") || uri.starts_with("http://");
    if !is_web
        || ![uri]
            .into_iter()
            .chain(suites)
            .chain(components)
            .chain(arch)
            .all(is_word)
    {
        return Err(Failure::new(
            "A source of packages in project.toml can't be used",
            format!("Its uri is {uri:?}, suites are {suites:?}, components {components:?}."),
            "The uri begins with https:// or http://; suites and components are single words. Commit and push again.",
        ));
    }
    let arch = if arch.is_empty() {
        String::new()
    } else {
        format!("arch={} ", arch.join(","))
    };
    let components = components.join(" ");
    Ok(suites
        .iter()
        .map(|suite| {
            format!("deb [{arch}signed-by={{key}}] {uri} {suite} {components}")
                .trim_end()
                .to_owned()
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(text: &str) -> Result<Wanted> {
        let mut wanted = Wanted::default();
        read(text, &mut wanted).map(|()| wanted)
    }

    #[test]
    fn all_of_the_table_is_taken() {
        let wanted = wanted(
            r#"
            [_]
            schema-version = "0.2"
            [com.heroku.buildpacks.deb-packages]
            install = ["libpq5", { name = "ffmpeg", skip_dependencies = true, force = true }]
            download = ["https://x.example/a.deb"]
            [[com.heroku.buildpacks.deb-packages.sources]]
            uri = "https://apt.example"
            suites = ["stable", "testing"]
            components = ["main", "extra"]
            arch = ["amd64", "arm64"]
            signed_by = "KEY"
            "#,
        )
        .unwrap();
        let packages: Vec<_> = wanted
            .packages
            .iter()
            .map(|package| (package.spec.as_str(), package.is_alone))
            .collect();
        assert_eq!(packages, [("libpq5", false), ("ffmpeg", true)]);
        assert_eq!(wanted.downloads, ["https://x.example/a.deb"]);
        assert_eq!(wanted.sources.len(), 2);
        assert_eq!(
            wanted.sources[1].line,
            "deb [arch=amd64,arm64 signed-by={key}] https://apt.example testing main extra"
        );
        assert_eq!(wanted.warnings.len(), 1);
    }

    #[test]
    fn another_projects_file_asks_for_nothing() {
        assert_eq!(
            wanted("[_]\nschema-version = \"0.2\"").unwrap(),
            Wanted::default()
        );
        assert_eq!(wanted("no toml").unwrap(), Wanted::default());
    }

    #[test]
    fn what_can_not_be_is_told() {
        let text = |inside: &str| {
            wanted(&format!("[com.heroku.buildpacks.deb-packages]\n{inside}"))
                .unwrap_err()
                .text()
        };
        insta::assert_snapshot!(text("install = \"libpq5\""), @r#"
        [com.heroku.buildpacks.deb-packages] in project.toml can't be read

        invalid type: string "libpq5", expected a sequence.

        Write it as in `install = ["libpq5", { name = "ffmpeg" }]`, commit and push again.
        "#);
        let source = "[[com.heroku.buildpacks.deb-packages.sources]]\nuri = \"file:///x\"\nsuites = [\"a b\"]\ncomponents = []\nsigned_by = \"\"";
        insta::assert_snapshot!(text(source), @r#"
        A source of packages in project.toml can't be used

        Its uri is "file:///x", suites are ["a b"], components [].

        The uri begins with https:// or http://; suites and components are single words. Commit and push again.
        "#);
    }
}
