//! The key of installed dependencies: all that an install's result depends on. Equal keys, equal trees.

use crate::{manager::yaml_value, package_json::PackageJson, project::Project, workspace::Member};
use buildpack_support::{Result, files};
use libcnb::Env;
use std::{
    fs,
    path::{Path, PathBuf},
};

// A monorepo has hundreds of packages; a folder that holds more is something else.
const PACKAGES: usize = 5000;

const SETTINGS: [&str; 11] = [
    ".npmrc",
    ".yarnrc",
    ".yarnrc.yml",
    ".pnpmfile.cjs",
    "pnpmfile.js",
    ".pnpmfile.mjs",
    "pnpm-workspace.yaml",
    "bunfig.toml",
    ".puppeteerrc.cjs",
    "puppeteer.config.js",
    "lerna.json",
];

/// Folders whose content an install applies.
const FOLDERS: [&str; 4] = ["patches", ".yarn/patches", ".yarn/plugins", ".yarn/releases"];

/// The fingerprint.
pub(crate) fn of(project: &Project) -> Result<String> {
    let app = &project.app;
    let mut parts: Vec<Vec<u8>> = [
        "1",
        &project.node_version,
        project.manager.kind.program(),
        &project.manager_version,
        std::env::consts::ARCH,
        &app.display().to_string(),
    ]
    .map(|part| part.as_bytes().to_vec())
    .to_vec();
    let names = project.manager.kind.lockfiles().iter().chain(&SETTINGS);
    for name in names {
        if let Ok(bytes) = fs::read(app.join(name)) {
            parts.push(name.as_bytes().to_vec());
            parts.push(bytes);
        }
    }
    parts.push(project.package_json.install_relevant().into_bytes());
    for package in members(project)? {
        parts.push(package.path.as_os_str().as_encoded_bytes().to_vec());
        parts.push(package.json.install_relevant().into_bytes());
    }
    for folder in FOLDERS {
        add_folder(&app.join(folder), &mut parts);
    }
    for path in project.package_json.local_paths() {
        add_folder(&app.join(path), &mut parts);
    }
    parts.extend(variables(&project.env).into_iter().map(String::into_bytes));
    Ok(files::fingerprint(parts))
}

/// The packages of a workspace, without the root. All package.json files of the tree: one that is no member
/// costs a needless install at most.
pub(crate) fn members(project: &Project) -> Result<Vec<Member>> {
    let mut found = Vec::new();
    if project.is_workspace() {
        search(&project.app, Path::new(""), 6, &mut found)?;
    }
    Ok(found)
}

fn search(app: &Path, at: &Path, depth: usize, found: &mut Vec<Member>) -> Result<()> {
    let mut names: Vec<_> = fs::read_dir(app.join(at))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.file_name())
        .filter(|name| name != "node_modules" && !name.as_encoded_bytes().starts_with(b"."))
        .collect();
    names.sort();
    for name in names {
        let path = at.join(name);
        if let Some(text) = files::read(&app.join(&path), "package.json")? {
            // One that is a test's broken fixture is the package manager's to judge.
            found.push(Member {
                path: path.clone(),
                json: PackageJson::parse(&text).unwrap_or_default(),
            });
        }
        if depth > 0 && found.len() < PACKAGES {
            search(app, &path, depth - 1, found)?;
        }
    }
    Ok(())
}

fn add_folder(path: &Path, parts: &mut Vec<Vec<u8>>) {
    if path.is_file() {
        parts.push(path.as_os_str().as_encoded_bytes().to_vec());
        parts.push(fs::read(path).unwrap_or_default());
        return;
    }
    let mut paths: Vec<PathBuf> = fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    for path in paths
        .iter()
        .filter(|path| !path.is_symlink() && !path.ends_with("node_modules"))
    {
        add_folder(path, parts);
    }
}

// Settings of package managers by environment; where they keep their caches does not matter.
fn variables(env: &Env) -> Vec<String> {
    let mut found: Vec<String> = env
        .iter()
        .map(|(name, value)| (name.to_string_lossy(), value.to_string_lossy()))
        .filter(|(name, _)| {
            let name = name.to_ascii_lowercase();
            let is_setting = ["npm_config_", "pnpm_config_", "yarn_", "bun_"]
                .iter()
                .any(|prefix| name.starts_with(prefix));
            let is_place = [
                "cache", "store", "folder", "_auth", "token", "cafile", "nodedir", "proxy",
            ]
            .iter()
            .any(|part| name.contains(part));
            (is_setting && !is_place) || name == "node_env"
        })
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    found.sort();
    found
}

/// Whether something in the app's lockfile or package.json compiles native code when it is installed.
pub(crate) fn may_compile(project: &Project) -> Result<bool> {
    let lockfile = match project.manager.lockfile {
        Some(name) => files::read(&project.app, name)?.unwrap_or_default(),
        // Without a lockfile nothing tells.
        None => {
            return Ok(project.package_json.has_any(&[
                "dependencies",
                "devDependencies",
                "optionalDependencies",
            ]));
        }
    };
    let hints = [
        "hasInstallScript",
        "requiresBuild",
        "node-gyp",
        "node-addon-api",
        "prebuild-install",
        "node-pre-gyp",
        "\"nan\"",
        "nan@",
        "bindings@",
        "bindings\"",
    ];
    Ok(hints.iter().any(|hint| lockfile.contains(hint)) || files::exists(&project.app, "binding.gyp"))
}

/// Whether the app's Yarn keeps packages in archives (Plug'n'Play) instead of `node_modules`.
pub(crate) fn is_plug_and_play(project: &Project) -> Result<bool> {
    if project.manager.kind != crate::manager::Kind::Yarn {
        return Ok(false);
    }
    let setting = match buildpack_support::env::value(&project.env, "YARN_NODE_LINKER") {
        Some(linker) => Some(linker),
        None => files::read(&project.app, ".yarnrc.yml")?.and_then(|text| yaml_value(&text, "nodeLinker")),
    };
    Ok(setting.is_none_or(|linker| linker == "pnp"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manager::Kind;

    fn project(tree: &[(&str, &str)]) -> (tempfile::TempDir, Project) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in tree {
            files::write(&dir.path().join(name), text).unwrap();
        }
        let project = Project::of(dir.path(), Kind::Npm);
        (dir, project)
    }

    #[test]
    fn the_key_changes_with_what_an_install_depends_on_and_only_then() {
        let (dir, mut base) = project(&[
            ("package.json", r#"{"workspaces":["a"]}"#),
            ("package-lock.json", "1"),
            ("a/package.json", "{}"),
        ]);
        let first = of(&base).unwrap();
        let after = |name: &str, text: &str| {
            let before = std::fs::read(dir.path().join(name)).ok();
            files::write(&dir.path().join(name), text).unwrap();
            let key = of(&base).unwrap();
            match before {
                Some(bytes) => files::write(&dir.path().join(name), bytes).unwrap(),
                None => files::remove(&dir.path().join(name)).unwrap(),
            }
            key
        };
        for (name, text) in [
            ("package-lock.json", "2"),
            ("a/package.json", r#"{"dependencies":{"x":"1"}}"#),
            (".npmrc", "legacy-peer-deps=true"),
            ("patches/x.patch", "+"),
        ] {
            assert_ne!(after(name, text), first, "{name}");
        }
        for (name, text) in [
            ("server.js", "x"),
            ("a/index.js", "x"),
            ("a/package.json", r#"{"description":"x"}"#),
        ] {
            assert_eq!(after(name, text), first, "{name}");
        }
        base.env
            .insert("npm_config_cache", "/elsewhere")
            .insert("HOME", "/x");
        assert_eq!(of(&base).unwrap(), first);
        base.env.insert("npm_config_legacy_peer_deps", "true");
        assert_ne!(of(&base).unwrap(), first);
    }

    #[test]
    fn native_code_shows_in_the_lockfile() {
        let (_dir, plain) = project(&[("package-lock.json", r#"{"packages":{}}"#)]);
        assert!(!may_compile(&plain).unwrap());
        let (_dir, native) = project(&[("package-lock.json", r#"{"hasInstallScript": true}"#)]);
        assert!(may_compile(&native).unwrap());
    }
}
