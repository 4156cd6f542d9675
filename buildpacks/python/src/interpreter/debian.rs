//! Debian's Python, copied from the build image.

use super::{Key, Python, link, minor};
use crate::{PythonBuildpack, bytecode};
use buildpack_support::{
    Failure, Result, files, layer,
    toolchain::{installed, multiarch},
};
use libcnb::{
    build::BuildContext,
    data::layer_name,
    layer_env::{LayerEnv, ModificationBehavior, Scope},
};
use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

pub(super) fn debian(context: &BuildContext<PythonBuildpack>, version: &str) -> Result<Python> {
    let minor = minor(version);
    let names = [
        format!("python{minor}"),
        format!("python{minor}-minimal"),
        format!("libpython{minor}-stdlib"),
        format!("libpython{minor}-minimal"),
    ];
    let packages = installed::missing_at_launch(&names)?;
    let is_copied = packages.iter().any(|package| package.name == names[1]);
    let key = Key::Debian {
        version: version.to_owned(),
        packages: packages
            .iter()
            .map(|package| format!("{}={}", package.name, package.version))
            .collect(),
    };
    let spec = layer::Spec {
        name: layer_name!("python"),
        title: &format!("Python {version}"),
        build: true,
        launch: true,
        key,
    };
    let layer = layer::keyed(context, &spec, |path| {
        installed::copy(&packages, path, &is_unused)?;
        if is_copied {
            bytecode::adopt(path, &format!("usr/lib/python{minor}"))?;
            link(path, &format!("usr/bin/python{minor}"), &minor)?;
            // Packages in C are compiled here only, with the build image's headers.
            let headers = format!("usr/include/python{minor}");
            files::make_dir(&path.join("usr/include"))?;
            symlink(Path::new("/").join(&headers), path.join(&headers))
                .map_err(|error| Failure::io("write", path, &error))?;
        }
        Ok(libraries(path))
    })?;
    let program = if is_copied {
        layer.path.join(format!("usr/bin/python{minor}"))
    } else {
        PathBuf::from(format!("/usr/bin/python{minor}"))
    };
    Ok(Python {
        layer,
        program,
        is_newer: false,
        is_refused: false,
        version: version.to_owned(),
        packages: packages.into_iter().map(|package| package.name).collect(),
        key: format!("debian {version}"),
    })
}

// Only the libraries: programs are in `bin`, which comes after the virtual environment's on the PATH.
pub(super) fn libraries(layer: &Path) -> LayerEnv {
    let arch = multiarch();
    let folders: Vec<String> = [format!("usr/lib/{arch}"), format!("lib/{arch}")]
        .iter()
        .map(|folder| layer.join(folder))
        .filter(|folder| folder.is_dir())
        .map(|folder| folder.display().to_string())
        .collect();
    let mut env = LayerEnv::new();
    if !folders.is_empty() {
        env.insert(
            Scope::All,
            ModificationBehavior::Prepend,
            "LD_LIBRARY_PATH",
            folders.join(":"),
        );
        env.insert(
            Scope::All,
            ModificationBehavior::Delimiter,
            "LD_LIBRARY_PATH",
            ":",
        );
    }
    env
}

// Tests, an editor, what links programs to Python, bytecode (made anew).
fn is_unused(path: &str) -> bool {
    [
        "/__pycache__",
        "/test/",
        "/idlelib/",
        "/turtledemo/",
        "/ensurepip/",
        "/config-3",
        "/binfmts/",
    ]
    .iter()
    .any(|part| path.contains(part))
}
