//! Shared libraries that packages compiled here are linked to: what the run image lacks of them goes along.
//!
//! A package compiled against a library of the build image starts only where that library is. Packages that came
//! compiled bring theirs with them.

use crate::PythonBuildpack;
use buildpack_support::{
    Command, Result, files, layer,
    toolchain::{installed, multiarch},
};
use libcnb::{
    build::BuildContext,
    data::layer_name,
    layer_env::{LayerEnv, ModificationBehavior, Scope},
};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

// What was found, kept with the environment: looking again takes longer than all else of a build without changes.
const NOTE: &str = ".libraries";

/// Notes which libraries the environment's modules want and do not bring.
pub(crate) fn note(venv: &Path) -> Result<()> {
    let mut modules = Vec::new();
    collect(&venv.join("lib"), &is_library, &mut modules);
    collect(&venv.join("bin"), &|_| true, &mut modules);
    let own: BTreeSet<String> = modules
        .iter()
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect();
    let mut wanted = BTreeSet::new();
    for some in modules.chunks(200) {
        let text = Command::new("readelf")
            .arg("-d")
            .args(some)
            .output()
            .unwrap_or_default();
        wanted.extend(needed(&text).filter(|name| !own.contains(name)));
    }
    let text: Vec<String> = wanted.into_iter().collect();
    files::write(&venv.join(NOTE), text.join("\n"))
}

/// Makes the layer of those that the run image lacks, if there are any; `present` are packages that another layer
/// has.
pub(crate) fn provide(
    context: &BuildContext<PythonBuildpack>,
    venv: &Path,
    present: &[String],
) -> Result<()> {
    let names: BTreeSet<String> = files::read(venv, NOTE)?
        .unwrap_or_default()
        .lines()
        .map(str::to_owned)
        .collect();
    let mut packages = installed::libraries_missing_at_launch(&names)?;
    packages.retain(|package| !present.contains(&package.name));
    if packages.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = packages.iter().map(|package| package.name.clone()).collect();
    let spec = layer::Spec {
        name: layer_name!("libraries"),
        title: &format!("Libraries that the run image lacks ({})", list.join(", ")),
        build: false,
        launch: true,
        key: packages
            .iter()
            .map(|package| format!("{}={}", package.name, package.version))
            .collect::<Vec<_>>(),
    };
    layer::keyed(context, &spec, |path| {
        installed::copy(&packages, path, &|path| !path.contains("/lib/"))?;
        let folders = ["usr/lib", "lib"].map(|folder| path.join(folder).join(multiarch()));
        let folders: Vec<String> = folders
            .iter()
            .filter(|folder| folder.is_dir())
            .map(|folder| folder.display().to_string())
            .collect();
        let mut env = LayerEnv::new();
        env.insert(
            Scope::Launch,
            ModificationBehavior::Prepend,
            "LD_LIBRARY_PATH",
            folders.join(":"),
        );
        env.insert(
            Scope::Launch,
            ModificationBehavior::Delimiter,
            "LD_LIBRARY_PATH",
            ":",
        );
        Ok(env)
    })?;
    Ok(())
}

fn collect(folder: &Path, is_candidate: &dyn Fn(&str) -> bool, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => collect(&path, is_candidate, into),
            Ok(kind)
                if kind.is_file() && is_candidate(&entry.file_name().to_string_lossy()) && is_elf(&path) =>
            {
                into.push(path);
            }
            _ => {}
        }
    }
}

fn is_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut magic))
        .is_ok()
        && magic == *b"\x7fELF"
}

// `x.so`, `libx.so.5.1`.
fn is_library(name: &str) -> bool {
    name.ends_with(".so") || name.contains(".so.")
}

// ` 0x0000000000000001 (NEEDED)  Shared library: [libpq.so.5]`.
fn needed(text: &str) -> impl Iterator<Item = String> {
    text.lines()
        .filter(|line| line.contains("(NEEDED)"))
        .filter_map(|line| Some(line.split_once('[')?.1.split_once(']')?.0.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_module_needs_is_read() {
        let text = "File: a.so\n 0x0000000000000001 (NEEDED)             Shared library: [libpq.so.5]\n \
                    0x000000000000000e (SONAME)             Library soname: [liba.so]\n";
        assert_eq!(needed(text).collect::<Vec<_>>(), ["libpq.so.5"]);
        assert!(is_library("x.cpython-313.so") && is_library("libz.so.1.2") && !is_library("x.py"));
    }
}
