//! The packages that the libraries of a program are from, as the build image's loader finds them.

use crate::{Command, command};
use libcnb::Env;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// The packages of the system's libraries that `files` (programs, shared objects) are linked with, but for those
/// that every image has.
#[must_use]
pub fn linked_packages(env: &Env, files: &[PathBuf]) -> Vec<String> {
    let (Some(ldd), Some(dpkg)) = (command::find(env, "ldd"), command::find(env, "dpkg-query")) else {
        return Vec::new();
    };
    let said = |program: &Path, word: Option<&str>, file: &Path| {
        // A static program is no error here, nor a file that no package owns.
        let command = Command::new(program).args(word).arg(file).envs(env);
        command.output().unwrap_or_default()
    };
    let mut paths = BTreeSet::new();
    for file in files {
        let text = said(&ldd, None, file);
        let found = text
            .lines()
            .filter_map(|line| line.split_once("=> ")?.1.split(" (").next());
        paths.extend(
            found
                .filter(|path| path.starts_with("/lib/") || path.starts_with("/usr/lib/"))
                .map(str::to_owned),
        );
    }
    let mut packages = BTreeSet::new();
    for path in paths {
        // Packages know their files by either name of the folder.
        let other = path
            .strip_prefix("/usr")
            .map_or_else(|| format!("/usr{path}"), str::to_owned);
        for path in [path, other] {
            let owners = said(&dpkg, Some("--search"), Path::new(&path));
            packages.extend(
                owners
                    .lines()
                    .filter(|line| !line.starts_with("diversion "))
                    .filter_map(|line| line.split(':').next().map(str::to_owned)),
            );
        }
    }
    packages
        .into_iter()
        .filter(|name| !["libc6", "libgcc-s1"].contains(&name.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packages_of_linked_libraries_are_found() {
        let mut env = Env::new();
        env.insert("PATH", "/usr/bin:/bin");
        let linked = linked_packages(&env, &["/usr/bin/apt-get".into()]);
        assert!(
            linked.iter().any(|name| name.starts_with("libapt-pkg")),
            "{linked:?}"
        );
        assert!(!linked.contains(&"libc6".to_owned()));
    }
}
