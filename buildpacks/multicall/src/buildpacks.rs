//! The list of our buildpacks, and how one of them becomes this process.

use std::{env, fs, path::Path};

/// One buildpack.
pub(crate) struct Entry {
    /// Its `buildpack.toml`.
    pub(crate) descriptor: &'static str,
    /// Runs the phase that the program's name says, and ends the process.
    run: fn(),
}

macro_rules! entries {
    ($($module:ident :: $buildpack:ident),* $(,)?) => {
        &[$(Entry {
            descriptor: $module::DESCRIPTOR,
            run: || libcnb::libcnb_runtime(&$module::$buildpack),
        }),*]
    };
}

/// All of them.
pub(crate) const ALL: &[Entry] = entries![
    buildpack_apt::AptBuildpack,
    buildpack_nodejs::NodejsBuildpack,
    buildpack_ruby::RubyBuildpack,
    buildpack_php::PhpBuildpack,
    buildpack_java::JavaBuildpack,
    buildpack_go::GoBuildpack,
    buildpack_rust::RustBuildpack,
    buildpack_python::PythonBuildpack,
    buildpack_deno::DenoBuildpack,
    buildpack_static::StaticBuildpack,
    buildpack_procfile::ProcfileBuildpack,
];

/// `[buildpack] id` and `version` of a `buildpack.toml`.
pub(crate) fn id_and_version(descriptor: &str) -> Option<(String, String)> {
    let table: toml::Table = descriptor.parse().ok()?;
    let buildpack = table.get("buildpack")?;
    let word = |key: &str| Some(buildpack.get(key)?.as_str()?.to_owned());
    Some((word("id")?, word("version")?))
}

/// Becomes the buildpack of `$CNB_BUILDPACK_DIR`.
pub(crate) fn run() -> Result<(), String> {
    let folder =
        env::var_os("CNB_BUILDPACK_DIR").ok_or("CNB_BUILDPACK_DIR is not set: only a lifecycle runs this")?;
    let file = Path::new(&folder).join("buildpack.toml");
    let text =
        fs::read_to_string(&file).map_err(|error| format!("can't read {}: {error}", file.display()))?;
    let (id, _) = id_and_version(&text).ok_or_else(|| format!("{} names no buildpack", file.display()))?;
    let entry = ALL
        .iter()
        .find(|entry| id_and_version(entry.descriptor).is_some_and(|(known, _)| known == id))
        .ok_or_else(|| format!("{id} is none of this program's buildpacks"))?;
    (entry.run)();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_buildpack_has_an_id_of_ours_and_the_workspaces_version() {
        let mut ids: Vec<String> = ALL
            .iter()
            .map(|entry| {
                let (id, version) = id_and_version(entry.descriptor).unwrap();
                assert_eq!(version, env!("CARGO_PKG_VERSION"), "{id}");
                assert!(id.starts_with("pvdify/"), "{id}");
                id
            })
            .collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), ALL.len());
    }
}
