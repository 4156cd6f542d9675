//! Shared libraries that the app's packages are linked to, where they were compiled here. Packages that came compiled
//! bring theirs with them.

use crate::PythonBuildpack;
use buildpack_support::{Result, files, toolchain::libraries};
use libcnb::build::BuildContext;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

// What was found, kept with the environment: looking again takes longer than all else of a build without changes.
const NOTE: &str = ".libraries";

/// Notes which libraries the environment's modules want and do not bring.
pub(crate) fn note(venv: &Path) -> Result<()> {
    let mut modules = Vec::new();
    collect(&venv.join("lib"), &is_library, &mut modules);
    collect(&venv.join("bin"), &|_| true, &mut modules);
    let wanted: Vec<String> = libraries::needed(&modules).into_iter().collect();
    files::write(&venv.join(NOTE), wanted.join("\n"))
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
    libraries::provide(context, &names, present)
}

fn collect(folder: &Path, is_candidate: &dyn Fn(&str) -> bool, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => collect(&path, is_candidate, into),
            Ok(kind) if kind.is_file() && is_candidate(&entry.file_name().to_string_lossy()) => {
                into.push(path);
            }
            _ => {}
        }
    }
}

// `x.so`, `libx.so.5.1`.
fn is_library(name: &str) -> bool {
    name.ends_with(".so") || name.contains(".so.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_known_by_their_names() {
        assert!(is_library("x.cpython-313.so") && is_library("libz.so.1.2") && !is_library("x.py"));
    }
}
