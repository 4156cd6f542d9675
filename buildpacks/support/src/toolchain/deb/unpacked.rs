//! What was unpacked, made to work where it lies: not at `/`.
//!
//! Absolute links into unpacked files are made relative; programs, libraries and headers are found by the variables
//! of [`layer_env`].

use crate::{Command, Result, layer, toolchain};
use libcnb::layer_env::{LayerEnv, Scope};
use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Component, Path, PathBuf},
};

/// Unpacks one package's files.
pub fn dpkg_deb(archive: &Path, into: &Path) -> Result<()> {
    Command::new("dpkg-deb")
        .arg("--extract")
        .arg(archive)
        .arg(into)
        .quiet()
        .run()
        .map_err(|error| {
            error.failure_with_tail(
                format!("Can't unpack {}", archive.display()),
                "Is it a Debian package for this machine? Push again, or tell the server's administrator.",
            )
        })
}

/// Makes absolute links that point to an unpacked file relative.
pub(in crate::toolchain) fn relocate(root: &Path) -> io::Result<()> {
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let metadata = fs::symlink_metadata(&path)?;
            if metadata.is_dir() {
                folders.push(path);
            } else if metadata.is_symlink() {
                let target = fs::read_link(&path)?;
                if let Some(new) = relative(root, &path, &target) {
                    fs::remove_file(&path)?;
                    symlink(new, &path)?;
                }
            }
        }
    }
    Ok(())
}

fn relative(root: &Path, link: &Path, target: &Path) -> Option<PathBuf> {
    let inside = target.strip_prefix("/").ok()?;
    let stays = inside
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if !stays || fs::symlink_metadata(root.join(inside)).is_err() {
        return None;
    }
    let depth = link.parent()?.strip_prefix(root).ok()?.components().count();
    Some(std::iter::repeat_n("..", depth).collect::<PathBuf>().join(inside))
}

/// The environment for what was unpacked into `root`: programs, libraries (also those in folders that
/// `ld.so.conf.d` names), headers, pkg-config, for build and launch.
#[must_use]
pub fn layer_env(root: &Path) -> LayerEnv {
    let arch = toolchain::multiarch();
    let mut libraries = vec![
        format!("usr/lib/{arch}"),
        "usr/lib".to_owned(),
        format!("lib/{arch}"),
        "lib".to_owned(),
    ];
    libraries.extend(configured_libraries(root));
    libraries.extend(nested_libraries(root, arch));
    let includes = [format!("usr/include/{arch}"), "usr/include".to_owned()];
    let pkgconfig = [
        format!("usr/lib/{arch}/pkgconfig"),
        "usr/lib/pkgconfig".to_owned(),
        "usr/share/pkgconfig".to_owned(),
    ];
    let programs = ["usr/bin", "bin", "usr/sbin", "sbin", "usr/games"].map(str::to_owned);
    let mut env = LayerEnv::new();
    let mut add = |scope: Scope, name: &str, folders: &[String]| {
        let found: Vec<String> = folders
            .iter()
            .map(|folder| root.join(folder))
            .filter(|folder| folder.is_dir())
            .map(|folder| folder.display().to_string())
            .collect();
        if !found.is_empty() {
            layer::prepend(&mut env, scope, name, found.join(":"));
        }
    };
    add(Scope::All, "PATH", &programs);
    add(Scope::All, "LD_LIBRARY_PATH", &libraries);
    add(Scope::Build, "LIBRARY_PATH", &libraries);
    add(Scope::Build, "CPATH", &includes);
    add(Scope::Build, "PKG_CONFIG_PATH", &pkgconfig);
    env
}

fn configured_libraries(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join("etc/ld.so.conf.d"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        found.extend(
            text.lines()
                .filter_map(|line| Some(line.trim().strip_prefix('/')?.to_owned())),
        );
    }
    found.sort();
    found
}

// BLAS, LAPACK, PulseAudio and the like keep their libraries one folder below, and a package's script (which
// does not run here) or a program's RPATH names it.
fn nested_libraries(root: &Path, arch: &str) -> Vec<String> {
    let base = format!("usr/lib/{arch}");
    [
        "blas",
        "lapack",
        "atlas",
        "openblas-pthread",
        "pulseaudio",
        "mesa",
    ]
    .iter()
    .map(|name| format!("{base}/{name}"))
    .filter(|folder| root.join(folder).is_dir())
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;
    use libcnb::Env;

    #[test]
    fn absolute_links_into_the_layer_become_relative_and_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        files::write(&root.join("usr/lib/jvm/java/bin/java"), "x").unwrap();
        files::make_dir(&root.join("usr/bin")).unwrap();
        symlink("/usr/lib/jvm/java/bin/java", root.join("usr/bin/java")).unwrap();
        symlink("/etc/passwd", root.join("usr/bin/outside")).unwrap();
        symlink("/../../etc/passwd", root.join("usr/bin/escape")).unwrap();
        relocate(root).unwrap();
        let link = |name: &str| fs::read_link(root.join("usr/bin").join(name)).unwrap();
        assert_eq!(link("java"), Path::new("../../usr/lib/jvm/java/bin/java"));
        assert_eq!(fs::read_to_string(root.join("usr/bin/java")).unwrap(), "x");
        assert_eq!(link("outside"), Path::new("/etc/passwd"));
        assert_eq!(link("escape"), Path::new("/../../etc/passwd"));
    }

    #[test]
    fn the_environment_has_the_folders_that_are_there() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        files::write(&root.join("usr/bin/x"), "").unwrap();
        files::write(&root.join("opt/x/lib/libx.so"), "").unwrap();
        files::write(
            &root.join("etc/ld.so.conf.d/x.conf"),
            "# x\n/opt/x/lib\n/nowhere\n",
        )
        .unwrap();
        let mut env = Env::new();
        env.insert("PATH", "/bin");
        let env = layer_env(root).apply(Scope::Build, &env);
        let root = root.display();
        assert_eq!(
            env.get_string_lossy("PATH").unwrap(),
            format!("{root}/usr/bin:/bin")
        );
        assert_eq!(
            env.get_string_lossy("LD_LIBRARY_PATH").unwrap(),
            format!("{root}/opt/x/lib")
        );
        assert!(!env.contains_key("CPATH"));
    }
}
