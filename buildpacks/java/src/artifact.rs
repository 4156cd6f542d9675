//! Finds what the build made, and which of it can be started.

use crate::project::{Project, Tool};
use buildpack_support::{Command, Result, files};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// How something is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A jar of Spring Boot with its dependencies in it.
    SpringBoot,
    /// `quarkus-run.jar` with its folders beside.
    Quarkus,
    /// Any other jar with a `Main-Class`.
    Jar,
    /// A script of Gradle's `installDist`.
    Script,
    /// A class, with the folder of classes and that of dependencies.
    Class(String),
    /// A web archive that can be started.
    ExecutableWar,
    /// One that needs a server.
    War,
}

/// Something that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) kind: Kind,
    /// Relative to the app's folder.
    pub(crate) path: PathBuf,
    /// The main attributes of a jar's manifest.
    pub(crate) manifest: BTreeMap<String, String>,
}

/// All that can be started (and web archives), that of the root first.
pub(crate) fn find(project: &Project) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for folder in outputs(project) {
        let before = found.len();
        let quarkus = folder.join("quarkus-app/quarkus-run.jar");
        if quarkus.is_file() {
            found.push(of(project, &quarkus, Kind::Quarkus));
        }
        let archives = match project.tool {
            Tool::Maven => folder.clone(),
            Tool::Gradle => folder.join("libs"),
        };
        for path in files::list(&archives) {
            found.extend(archive(project, &path)?);
        }
        for install in files::list(&folder.join("install")) {
            let name = install.file_name().unwrap_or_default().to_owned();
            let script = install.join("bin").join(name);
            if script.is_file() {
                found.push(of(project, &script, Kind::Script));
            }
        }
        if found.len() == before && project.tool == Tool::Maven {
            found.extend(main_class(project, &folder)?);
        }
    }
    Ok(found)
}

fn of(project: &Project, path: &Path, kind: Kind) -> Found {
    Found {
        kind,
        path: path.strip_prefix(&project.app).unwrap_or(path).to_owned(),
        manifest: BTreeMap::new(),
    }
}

// `target` or `build`, of the root and of modules in it (two deep).
fn outputs(project: &Project) -> Vec<PathBuf> {
    let name = match project.tool {
        Tool::Maven => "target",
        Tool::Gradle => "build",
    };
    let mut found = Vec::new();
    let mut folders = vec![project.app.clone()];
    for _ in 0..3 {
        let mut next = Vec::new();
        for folder in folders {
            if folder.join(name).is_dir() {
                found.push(folder.join(name));
            }
            next.extend(files::list(&folder).into_iter().filter(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                path.is_dir()
                    && !path.is_symlink()
                    && !name.starts_with('.')
                    && !["node_modules", "src", "target", "build", "gradle", "buildSrc"].contains(&&*name)
            }));
        }
        folders = next;
    }
    found
}

fn archive(project: &Project, path: &Path) -> Result<Option<Found>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Some((stem, extension)) = name.rsplit_once('.') else {
        return Ok(None);
    };
    let is_aside = [
        "-sources",
        "-javadoc",
        "-tests",
        "-test",
        "-plain",
        "-test-fixtures",
        "-stubs",
    ]
    .iter()
    .any(|end| stem.ends_with(end));
    if !["jar", "war"].contains(&extension) || is_aside || stem.starts_with("original-") || !path.is_file() {
        return Ok(None);
    }
    let manifest = manifest(project, path)?;
    let kind = match (extension, manifest.get("Main-Class")) {
        ("war", Some(_)) => Kind::ExecutableWar,
        ("war", None) => Kind::War,
        (_, None) => return Ok(None),
        (_, Some(_)) if manifest.contains_key("Start-Class") => Kind::SpringBoot,
        (_, Some(_)) => Kind::Jar,
    };
    Ok(Some(Found {
        manifest,
        ..of(project, path, kind)
    }))
}

// By the JDK's own program, which also reads a jar with a script before it.
fn manifest(project: &Project, jar: &Path) -> Result<BTreeMap<String, String>> {
    let folder = files::temporary()?;
    let unpacked = Command::new(project.program("jar"))
        .args(["--extract", "--file"])
        .arg(jar)
        .arg("META-INF/MANIFEST.MF")
        .dir(folder.path())
        .output();
    if unpacked.is_err() {
        // No archive at all: nothing to start.
        return Ok(BTreeMap::new());
    }
    let text = files::read(folder.path(), "META-INF/MANIFEST.MF")?.unwrap_or_default();
    Ok(attributes(&text))
}

/// The main attributes of a manifest: up to the first empty line, a line that begins with a blank goes on.
pub(crate) fn attributes(text: &str) -> BTreeMap<String, String> {
    let mut attributes: BTreeMap<String, String> = BTreeMap::new();
    let mut last = String::new();
    for line in text.lines() {
        if line.is_empty() {
            break;
        }
        if let Some(more) = line.strip_prefix(' ') {
            if let Some(value) = attributes.get_mut(&last) {
                value.push_str(more);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            name.clone_into(&mut last);
            attributes.insert(name.to_owned(), value.trim_start().to_owned());
        }
    }
    attributes
}

// The class that pom.xml names, else the only one that has a `main`.
fn main_class(project: &Project, target: &Path) -> Result<Option<Found>> {
    let classes = target.join("classes");
    if !classes.is_dir() {
        return Ok(None);
    }
    let module = target.parent().unwrap_or(&project.app);
    let pom = files::read(module, "pom.xml")?.unwrap_or_default();
    let named = ["exec.mainClass", "mainClass", "main.class", "start-class"]
        .iter()
        .find_map(|name| {
            let rest = pom.split_once(&format!("<{name}>"))?.1;
            let value = rest.split_once('<')?.0.trim();
            (!value.contains('$')).then(|| value.to_owned())
        });
    let class = match named {
        Some(class) => Some(class),
        None => {
            let mut mains = Vec::new();
            classes_with_main(&classes, &classes, &mut mains);
            <[String; 1]>::try_from(mains).ok().map(|[class]| class)
        }
    };
    Ok(class.map(|class| of(project, &classes, Kind::Class(class))))
}

// A class with `main` has its name and its type among its constants.
fn classes_with_main(root: &Path, folder: &Path, found: &mut Vec<String>) {
    for path in files::list(folder) {
        if path.is_dir() {
            classes_with_main(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "class") {
            let bytes = fs::read(&path).unwrap_or_default();
            let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
            if has(b"\x01\x00\x04main") && has(b"\x01\x00\x16([Ljava/lang/String;)V") {
                let name = path.strip_prefix(root).unwrap_or(&path).with_extension("");
                found.push(name.display().to_string().replace('/', "."));
            }
        }
    }
}

/// Removes what only the build uses.
pub(crate) fn clean(project: &Project) -> Result<()> {
    for folder in outputs(project) {
        if project.tool == Tool::Maven {
            for path in crate::maven::leftovers(&folder) {
                files::remove(&path)?;
            }
            for path in files::list(&folder) {
                if path.to_string_lossy().ends_with(".jar.original") {
                    files::remove(&path)?;
                }
            }
        } else {
            for name in ["tmp", "kotlin", "reports", "test-results"] {
                files::remove(&folder.join(name))?;
            }
        }
    }
    if project.tool == Tool::Gradle {
        files::remove(&project.app.join(".gradle"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifests_long_lines_are_joined() {
        let text = "Manifest-Version: 1.0\r\nStart-Class: com.example.VeryLong\r\n Name\r\nMain-Class: M\r\n\r\nName: x\r\nMain-Class: no\r\n";
        let attributes = attributes(text);
        assert_eq!(attributes["Start-Class"], "com.example.VeryLongName");
        assert_eq!(attributes["Main-Class"], "M");
    }
}
