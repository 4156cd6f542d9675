//! The Python of the Debian release before the build image's, from the same mirrors.
//!
//! Packages that were pinned some years ago are compiled for it already, and not for the image's newer one. Its
//! programs run there: a newer Debian's libraries run what was built with the older ones.

use super::{Key, Python, debian::libraries, link, minor};
use crate::PythonBuildpack;
use buildpack_support::{
    Command, Failure, Result,
    download::Downloads,
    files, layer, output,
    toolchain::deb::{Apt, Base, Planned, file_names, version_of},
    version::compare,
};
use libcnb::{
    Env,
    build::BuildContext,
    data::layer_name,
    layer_env::{LayerEnv, Scope},
};
use std::{cmp::Ordering, fs, os::unix::fs::symlink, path::Path, time::Duration};

/// A release, the one before it, and the line of Python that one has.
const RELEASES: [(&str, &str, &str); 1] = [("trixie", "bookworm", "3.11")];

// How long mirrors without the former release are not asked again.
const UNREACHABLE: Duration = Duration::from_secs(6 * 60 * 60);

/// The former Python, not fetched yet.
#[derive(Debug)]
pub(crate) struct Former {
    pub(crate) version: String,
    planned: Vec<Planned>,
    headers: Vec<Planned>,
    apt: Apt,
}

/// Whether a release may have had a line of Python that is not older than the first one that `text` names: for
/// newer ones the image's own is nearer, and no mirror is asked.
pub(super) fn may_do_for(text: &str) -> bool {
    let named = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    RELEASES
        .iter()
        .any(|(_, _, line)| compare(&minor(named), line) != Ordering::Greater)
}

/// The one that there is, if its mirror answers.
pub(crate) fn find(context: &BuildContext<PythonBuildpack>, env: &Env) -> Option<Former> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let (release, former, line) = *RELEASES
        .iter()
        .find(|(name, _, _)| release.contains(&format!("VERSION_CODENAME={name}\n")))?;
    let sources = renamed(&sources(Path::new("/etc/apt")), release, former);
    let folder = layer::cache(context, layer_name!("apt-former"), 1_u32).ok()?;
    let mark = folder.join("unreachable");
    if sources.is_empty() || files::is_younger(&mark, UNREACHABLE) {
        return None;
    }
    let found = || -> Result<Former> {
        let apt = Apt::new(env, &folder, Base::Run)?;
        if files::read(&folder, "etc/sources.list.d/app.list")?.as_deref()
            != Some(&(sources.join("\n") + "\n"))
        {
            apt.add_sources(&sources)?;
        }
        apt.update()?;
        let name = format!("python{line}");
        let planned = apt.plan(&[name.clone(), format!("lib{name}-stdlib")], false)?;
        let headers = format!("lib{name}-dev");
        let mut of_build = apt.plan(std::slice::from_ref(&headers), false)?;
        // All else that compilers need is in the build image.
        of_build.retain(|package| package.name() == headers);
        let version = version_of(&planned, &name).unwrap_or_default();
        Ok(Former {
            version,
            planned,
            headers: of_build,
            apt,
        })
    };
    let found = found().ok().filter(|former| !former.version.is_empty());
    if found.is_none() {
        files::write(&mark, "").ok()?;
    }
    found
}

/// Fetches it.
pub(super) fn provide(context: &BuildContext<PythonBuildpack>, env: &Env, former: &Former) -> Result<Python> {
    let version = &former.version;
    let line = minor(version);
    let downloads = Downloads::of(env);
    output::detail(format!("Python {version}, of the Debian release before this one"));
    let spec = layer::Spec {
        name: layer_name!("python-headers"),
        title: &format!("Headers of Python {version}"),
        build: true,
        launch: false,
        key: file_names(&former.headers).join(" "),
    };
    let headers = layer::keyed(context, &spec, |path| {
        former.apt.unpack(&downloads, &former.headers, path)?;
        Ok(LayerEnv::new())
    })?;
    let spec = layer::Spec {
        name: layer_name!("python"),
        title: &format!("Python {version}"),
        build: true,
        launch: true,
        key: Key::Debian {
            version: version.clone(),
            packages: file_names(&former.planned),
        },
    };
    let layer = layer::keyed(context, &spec, |path| {
        former.apt.unpack(&downloads, &former.planned, path)?;
        let library = path.join(format!("usr/lib/python{line}"));
        for unused in [
            "usr/share/doc",
            "usr/share/man",
            "usr/share/lintian",
            "usr/share/applications",
            "usr/share/pixmaps",
            "usr/share/binfmts",
        ] {
            files::remove(&path.join(unused))?;
        }
        for unused in ["test", "idlelib", "turtledemo", "ensurepip"] {
            files::remove(&library.join(unused))?;
        }
        // The image's own is compiled by a script of its package, which does not run here.
        Command::new(path.join(format!("usr/bin/python{line}")))
            .envs(env)
            .env("PYTHONHASHSEED", "0")
            .args([
                "-I",
                "-m",
                "compileall",
                "-qq",
                "--invalidation-mode",
                "unchecked-hash",
            ])
            .hidden_arg(&library)
            .quiet()
            .run()
            .map_err(|error| error.failure_with_tail("Python's library can't be compiled", "Push again."))?;
        link(path, &format!("usr/bin/python{line}"), &line)?;
        let include = path.join(format!("usr/include/python{line}"));
        files::make_dir(&path.join("usr/include"))?;
        files::remove(&include)?;
        symlink(headers.path.join(format!("usr/include/python{line}")), &include)
            .map_err(|error| Failure::io("write", &include, &error))?;
        let mut env = libraries(path);
        // Python.h includes a file of the machine's by a path that begins there.
        layer::prepend(&mut env, Scope::Build, "CPATH", headers.path.join("usr/include"));
        Ok(env)
    })?;
    Ok(Python {
        program: layer.path.join(format!("usr/bin/python{line}")),
        layer,
        version: version.clone(),
        packages: former
            .planned
            .iter()
            .map(|package| package.name().to_owned())
            .collect(),
        is_newer: false,
        is_refused: false,
        key: format!("debian {version}"),
    })
}

// All lines of the image's sources, those of the newer form too.
fn sources(folder: &Path) -> Vec<String> {
    let mut texts = vec![
        files::read(folder, "sources.list")
            .ok()
            .flatten()
            .unwrap_or_default(),
    ];
    let mut parts: Vec<_> = fs::read_dir(folder.join("sources.list.d"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    parts.sort();
    for path in parts {
        let text = fs::read_to_string(&path).unwrap_or_default();
        if path.extension().is_some_and(|end| end == "sources") {
            texts.extend(text.split("\n\n").map(one_line_each));
        } else {
            texts.push(text);
        }
    }
    texts
        .iter()
        .flat_map(|text| text.lines())
        .map(str::trim)
        .filter(|line| line.starts_with("deb "))
        .map(str::to_owned)
        .collect()
}

fn one_line_each(stanza: &str) -> String {
    let field = |name: &str| {
        stanza
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .unwrap_or_default()
            .trim()
    };
    let option = match field("Signed-By") {
        "" => String::new(),
        key => format!("[signed-by={key}] "),
    };
    let mut lines = String::new();
    for address in field("URIs").split_whitespace() {
        for suite in field("Suites").split_whitespace() {
            lines += &format!("deb {option}{address} {suite} {}\n", field("Components"));
        }
    }
    lines
}

// The same mirrors' folders of the former release.
fn renamed(lines: &[String], release: &str, former: &str) -> Vec<String> {
    let rename = |line: &String| -> Option<String> {
        let mut is_of_it = false;
        let words: Vec<String> = line
            .split_whitespace()
            .map(|word| {
                let rest = word.strip_prefix(release);
                match rest.filter(|rest| rest.is_empty() || rest.starts_with('-')) {
                    Some(rest) => {
                        is_of_it = true;
                        format!("{former}{rest}")
                    }
                    None => word.to_owned(),
                }
            })
            .collect();
        (is_of_it && !line.contains("-backports")).then(|| words.join(" "))
    };
    lines.iter().filter_map(rename).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_line_is_not_looked_for() {
        for (text, expected) in [
            ("3.11.9", true),
            (">=3.9,<3.13", true),
            ("^3.10", true),
            ("2.7.18", true),
            ("3.12", false),
            ("~=3.14.0", false),
        ] {
            assert_eq!(may_do_for(text), expected, "{text}");
        }
    }

    #[test]
    fn the_former_releases_sources_are_the_images_own_mirrors() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            (
                "sources.list",
                "# x\ndeb http://mirror.example/debian trixie main\ndeb http://mirror.example/debian trixie-backports main\n",
            ),
            (
                "sources.list.d/debian.sources",
                "Types: deb\nURIs: http://mirror.example/security\nSuites: trixie-security\nComponents: main\n\
                 Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\nTypes: deb\nURIs: http://own.example\n\
                 Suites: stable\nComponents: main\n",
            ),
        ] {
            files::write(&dir.path().join(name), text).unwrap();
        }
        assert_eq!(
            renamed(&sources(dir.path()), "trixie", "bookworm"),
            [
                "deb http://mirror.example/debian bookworm main",
                "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror.example/security \
                 bookworm-security main",
            ]
        );
    }
}
