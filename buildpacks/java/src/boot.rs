//! Takes a jar of Spring Boot apart: dependencies beside it, the app's own classes alone in it.
//!
//! The jar keeps its name and is still started by `java -jar`: its manifest names the dependencies in their
//! order, as Spring Boot's own `jarmode=tools extract` does. So a change of the app's code is a small layer, and
//! the app starts quicker. Jars that are started by another loader than the usual one stay whole.

use crate::{
    artifact::{Found, Kind},
    problems,
    project::Project,
};
use buildpack_support::{Command, Failure, Result, files, output};
use libcnb::data::launch::Slice;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Takes all jars of Spring Boot apart that can be; gives the slices of the app's folder, what changes least
/// first.
pub(crate) fn take_apart(project: &Project, found: &[Found]) -> Result<Vec<Slice>> {
    let mut slices = Vec::new();
    for found in found {
        let path = found.path.display();
        match found.kind {
            Kind::SpringBoot if is_usual(found) => {
                let step = output::step(format!("Taking {path} apart"));
                let number = split(project, found)?;
                step.done_as(&format!(
                    "{} beside it, in {}",
                    output::count(number, "jar"),
                    libraries(found).display()
                ));
                let folder = libraries(found).display().to_string();
                slices.push(globs(&[&format!("{folder}/release")]));
                slices.push(globs(&[&format!("{folder}/snapshot")]));
            }
            Kind::Quarkus => {
                if let Some(folder) = found.path.parent() {
                    slices.push(globs(&[&folder.join("lib").display().to_string()]));
                    slices.push(globs(&[&folder.join("quarkus").display().to_string()]));
                }
            }
            Kind::Class(_) => {
                if let Some(folder) = found.path.parent() {
                    slices.push(globs(&[&folder.join("dependency").display().to_string()]));
                }
            }
            _ => {}
        }
    }
    Ok(slices)
}

fn globs(paths: &[&str]) -> Slice {
    Slice {
        path_globs: paths.iter().map(|path| (*path).to_owned()).collect(),
    }
}

fn is_usual(found: &Found) -> bool {
    let value = |name: &str| found.manifest.get(name).map(String::as_str).unwrap_or_default();
    value("Main-Class").ends_with(".JarLauncher")
        && value("Spring-Boot-Classes") == "BOOT-INF/classes/"
        && value("Spring-Boot-Lib") == "BOOT-INF/lib/"
}

/// `target/app.jar` has its dependencies in `target/app.lib`.
fn libraries(found: &Found) -> PathBuf {
    found.path.with_extension("lib")
}

fn split(project: &Project, found: &Found) -> Result<usize> {
    let jar = project.app.join(&found.path);
    let parent = jar.parent().unwrap_or(&project.app);
    // Beside the jar, so that files can be renamed.
    let folder =
        tempfile::tempdir_in(parent).map_err(|error| Failure::io("make a folder in", parent, &error))?;
    Command::new(project.program("jar"))
        .args(["--extract", "--file"])
        .arg(&jar)
        .dir(folder.path())
        .quiet()
        .run()
        .map_err(|error| problems::no_jar(error, &found.path))?;
    let inside = folder.path().join("BOOT-INF");
    let index = files::read(&inside, "classpath.idx")?.unwrap_or_default();
    let names = in_order(&index, &names(&inside.join("lib")));
    let into = project.app.join(libraries(found));
    files::remove(&into)?;
    let relative = libraries(found);
    let base = relative
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let mut class_path = Vec::new();
    for name in &names {
        let part = if name.contains("SNAPSHOT") {
            "snapshot"
        } else {
            "release"
        };
        files::make_dir(&into.join(part))?;
        rename(&inside.join("lib").join(name), &into.join(part).join(name))?;
        class_path.push(format!("{}/{part}/{}", url(&base), url(name)));
    }
    let classes = inside.join("classes");
    files::make_dir(&classes)?;
    merge(&folder.path().join("META-INF"), &classes.join("META-INF"))?;
    files::remove(&classes.join("META-INF/MANIFEST.MF"))?;
    let manifest = folder.path().join("MANIFEST.MF");
    files::write(&manifest, thin_manifest(&found.manifest, &class_path))?;
    pack(project, &classes, &manifest, &folder.path().join("thin.jar"))?;
    rename(&folder.path().join("thin.jar"), &jar)?;
    Ok(names.len())
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|error| Failure::io("write", to, &error))
}

fn names(folder: &Path) -> Vec<String> {
    files::list(folder)
        .iter()
        .filter_map(|path| path.file_name()?.to_str())
        .filter(|name| name.ends_with(".jar"))
        .map(str::to_owned)
        .collect()
}

// `classpath.idx` has a line for each: `- "BOOT-INF/lib/x.jar"`. Old versions have none: by name then.
fn in_order(index: &str, names: &[String]) -> Vec<String> {
    let mut ordered: Vec<String> = index
        .lines()
        .filter_map(|line| {
            let path = line.trim().strip_prefix("- ")?.trim_matches('"');
            Some(path.rsplit('/').next()?.to_owned())
        })
        .filter(|name| names.contains(name))
        .collect();
    for name in names {
        if !ordered.contains(name) {
            ordered.push(name.clone());
        }
    }
    ordered
}

// What the app has in META-INF of its classes wins.
fn merge(from: &Path, into: &Path) -> Result<()> {
    if !from.is_dir() {
        return Ok(());
    }
    files::make_dir(into)?;
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        let target = into.join(entry.file_name());
        if entry.path().is_dir() {
            merge(&entry.path(), &target)?;
        } else if !target.exists() {
            rename(&entry.path(), &target)?;
        }
    }
    Ok(())
}

// A class path is a list of URLs.
fn url(name: &str) -> String {
    name.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~+".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
        text
    })
}

fn thin_manifest(attributes: &BTreeMap<String, String>, class_path: &[String]) -> String {
    let mut text = wrapped("Manifest-Version", "1.0");
    for (name, value) in attributes {
        let is_replaced = ["Manifest-Version", "Main-Class", "Start-Class", "Class-Path"]
            .contains(&name.as_str())
            || name.starts_with("Spring-Boot-") && name != "Spring-Boot-Version";
        if !is_replaced {
            text.push_str(&wrapped(name, value));
        }
    }
    text.push_str(&wrapped(
        "Main-Class",
        attributes.get("Start-Class").map_or("", String::as_str),
    ));
    text.push_str(&wrapped("Class-Path", &class_path.join(" ")));
    text + "\r\n"
}

// A manifest's line has at most 72 bytes; what goes on begins with a blank.
fn wrapped(name: &str, value: &str) -> String {
    let mut text = String::new();
    let mut room = 70;
    for c in format!("{name}: {value}").chars() {
        if c.len_utf8() > room {
            text.push_str("\r\n ");
            room = 69;
        }
        room -= c.len_utf8();
        text.push(c);
    }
    text + "\r\n"
}

// `jar` takes a folder's names in order; with one time for all, the same files give the same jar. Folders have entries
// of their own: Spring looks for components by the folder of a package, and finds none without it.
fn pack(project: &Project, classes: &Path, manifest: &Path, jar: &Path) -> Result<()> {
    Command::new(project.program("jar"))
        .args(["--create", "--date=1980-01-01T00:00:02Z", "--file"])
        .arg(jar)
        .arg("--manifest")
        .arg(manifest)
        .arg("-C")
        .arg(classes)
        .arg(".")
        .quiet()
        .run()
        .map_err(|error| problems::no_jar(error, jar))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_in_the_order_of_the_index() {
        let names = ["a.jar", "b.jar", "c.jar"].map(str::to_owned);
        let index = "- \"BOOT-INF/lib/c.jar\"\n- \"BOOT-INF/lib/gone.jar\"\n- \"BOOT-INF/lib/a.jar\"\n";
        assert_eq!(in_order(index, &names), ["c.jar", "a.jar", "b.jar"]);
    }

    #[test]
    fn the_thin_manifest_starts_the_app_itself() {
        let attributes = [
            ("Main-Class", "org.springframework.boot.loader.launch.JarLauncher"),
            ("Start-Class", "com.example.App"),
            ("Spring-Boot-Lib", "BOOT-INF/lib/"),
            ("Implementation-Version", "1.0"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let class_path = [
            "app.lib/release/a-1.0.jar".to_owned(),
            url("b c.jar"),
            "x".repeat(90),
        ];
        let text = thin_manifest(&attributes.into(), &class_path);
        assert!(text.lines().all(|line| line.len() <= 71), "{text}");
        let read = crate::artifact::attributes(&text);
        assert_eq!(read["Main-Class"], "com.example.App");
        assert_eq!(
            read["Class-Path"],
            format!("app.lib/release/a-1.0.jar b%20c.jar {}", "x".repeat(90))
        );
        assert!(read.contains_key("Implementation-Version") && !read.contains_key("Spring-Boot-Lib"));
    }
}
