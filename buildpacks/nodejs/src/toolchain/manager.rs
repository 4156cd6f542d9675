//! The package manager's programs.

use super::{Context, choose_version, make_executable, put_link};
use crate::{
    manager::{Kind, Manager},
    project::major,
};
use buildpack_support::{
    Failure, Result,
    download::Downloads,
    files,
    layer::{self, Layer, Spec},
    toolchain::{npm::Registry, npm_arch},
};
use libcnb::{Env, data::layer_name, layer_env::LayerEnv};
use serde::{Deserialize, Serialize};
use std::{fs, path::Path};

#[derive(Serialize, Deserialize, PartialEq)]
struct ManagerKey {
    name: String,
    version: String,
    arch: String,
    vendored: String,
}

/// The version of the package manager, of those the registry has.
pub(crate) fn manager_version(registry: &Registry, manager: &Manager, env: &Env) -> Result<String> {
    let available = registry.versions(&package_of(manager.kind))?;
    let name = manager.kind.to_string();
    choose_version(
        &name,
        manager.version.as_deref(),
        manager.line,
        &manager.from,
        &available,
        env,
    )
}

fn package_of(kind: Kind) -> String {
    match kind {
        Kind::Npm => "npm".to_owned(),
        Kind::Pnpm => "pnpm".to_owned(),
        Kind::YarnClassic => "yarn".to_owned(),
        Kind::Yarn => "@yarnpkg/cli-dist".to_owned(),
        Kind::Bun => {
            let cpu = files::read(Path::new("/proc"), "cpuinfo")
                .ok()
                .flatten()
                .unwrap_or_default();
            // Bun's usual build stops with an illegal instruction on a processor without AVX2.
            let is_old = npm_arch() == "x64" && !cpu.contains(" avx2");
            let arch = if npm_arch() == "arm64" { "aarch64" } else { "x64" };
            format!("@oven/bun-linux-{arch}{}", if is_old { "-baseline" } else { "" })
        }
    }
}

/// The package manager's programs.
pub(crate) fn manager(
    context: &Context,
    registry: &Registry,
    downloads: &Downloads,
    (manager, version): (&Manager, &str),
    launch: bool,
) -> Result<Layer> {
    let spec = Spec {
        name: layer_name!("manager"),
        title: &format!("{} {version}", manager.kind),
        build: true,
        launch,
        key: ManagerKey {
            name: package_of(manager.kind),
            version: version.to_owned(),
            arch: npm_arch().to_owned(),
            vendored: manager.vendored.clone().unwrap_or_default(),
        },
    };
    layer::keyed(context, &spec, |path| {
        let bin = path.join("bin");
        if let Some(vendored) = &manager.vendored {
            let script = context.app_dir.join(vendored);
            let text = format!(
                "#!/bin/sh\nexec node '{}' \"$@\"\n",
                script.display().to_string().replace('\'', r"'\''")
            );
            files::write(&bin.join("yarn"), text)?;
            make_executable(&bin.join("yarn"))?;
            return Ok(LayerEnv::new());
        }
        let package = path.join("package");
        registry.unpack(
            downloads,
            (&package_of(manager.kind), version),
            &package,
            &["package/docs", "package/man"],
        )?;
        if manager.kind == Kind::Pnpm && major(version) >= 12 {
            // pnpm is a native program now, which its install script would put in place.
            let native = format!("@pnpm/exe.linux-{}", npm_arch());
            registry.unpack(downloads, (&native, version), &path.join("native"), &[])?;
            fs::rename(path.join("native/pnpm"), package.join("pnpm"))
                .map_err(|error| Failure::io("write", &package.join("pnpm"), &error))?;
            files::remove(&path.join("native"))?;
        }
        link_programs(&package, &bin)?;
        Ok(LayerEnv::new())
    })
}

// As npm would: a link for each entry of `bin`; without any, for each file in the package's own `bin`.
fn link_programs(package: &Path, bin: &Path) -> Result<()> {
    files::make_dir(bin)?;
    let json = files::read(package, "package.json")?.unwrap_or_default();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap_or_default();
    let mut programs: Vec<(String, String)> = json["bin"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, path)| Some((name.clone(), path.as_str()?.trim_start_matches("./").to_owned())))
        .collect();
    if programs.is_empty() {
        programs = fs::read_dir(package.join("bin"))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .map(|name| (name.clone(), format!("bin/{name}")))
            .collect();
    }
    for (name, path) in programs {
        make_executable(&package.join(&path))?;
        put_link(&bin.join(&name), &format!("../package/{path}"))?;
        if name == "bun" {
            put_link(&bin.join("bunx"), &format!("../package/{path}"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packages_programs_are_linked() {
        let dir = tempfile::tempdir().unwrap();
        let package = dir.path().join("package");
        files::write(
            &package.join("package.json"),
            r#"{"bin":{"pnpm":"./bin/pnpm.cjs"}}"#,
        )
        .unwrap();
        files::write(&package.join("bin/pnpm.cjs"), "").unwrap();
        link_programs(&package, &dir.path().join("bin")).unwrap();
        assert_eq!(
            fs::read_link(dir.path().join("bin/pnpm")).unwrap(),
            Path::new("../package/bin/pnpm.cjs")
        );
        assert!(
            buildpack_support::command::find(Env::new().insert("PATH", dir.path().join("bin")), "pnpm")
                .is_some()
        );
    }
}
