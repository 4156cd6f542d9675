//! The packages of an image, and what changed from one image to the next. Pure.

use super::recipe::Distribution;
use std::collections::BTreeMap;

/// Where an image of Debian packages lists them.
pub(super) const STATUS: &str = "/var/lib/dpkg/status";
/// Where an image says which distribution it is.
pub(super) const OS_RELEASE: &str = "/etc/os-release";

/// Package -> version, of those that are installed.
pub(super) type Packages = BTreeMap<String, String>;

/// Reads dpkg's status file.
pub(super) fn installed(status: &str) -> Packages {
    let of_paragraph = |paragraph: &str| {
        let field = |name: &str| {
            let mut lines = paragraph.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        let is_installed = field("Status")?.ends_with(" installed");
        is_installed.then_some((field("Package")?.to_owned(), field("Version")?.to_owned()))
    };
    status.split("\n\n").filter_map(of_paragraph).collect()
}

/// What is different: a line for each package.
pub(super) fn changes(before: &Packages, after: &Packages) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let line = |name: &String| match (before.get(name), after.get(name)) {
        (Some(old), Some(new)) if old == new => None,
        (Some(old), Some(new)) => Some(format!("{name} {old} -> {new}")),
        (None, Some(new)) => Some(format!("{name} {new} is new")),
        (_, None) => Some(format!("{name} is gone")),
    };
    names.into_iter().filter_map(line).collect()
}

/// Reads `os-release`; `None` for a distribution that is not of Debian's family.
pub(super) fn distribution(os_release: &str) -> Option<Distribution> {
    let value = |name: &str| {
        let mut lines = os_release.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        Some(value.trim().trim_matches(['"', '\'']).to_owned())
    };
    let name = value("ID")?;
    let like = value("ID_LIKE").unwrap_or_default();
    let mut family = std::iter::once(name.as_str()).chain(like.split(' '));
    if !family.any(|one| one == "debian") {
        return None;
    }
    Some(Distribution {
        version: value("VERSION_ID").unwrap_or_default(),
        name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_installed_packages_count() {
        let status = "\
Package: bash
Status: install ok installed
Version: 5.2-1
Description: a shell
 Version: not this

Package: left
Status: deinstall ok config-files
Version: 1

Package: zlib1g
Status: install ok installed
Architecture: amd64
Version: 1:1.3
";
        let packages = installed(status);
        assert_eq!(packages["bash"], "5.2-1");
        assert_eq!(packages["zlib1g"], "1:1.3");
        assert_eq!(packages.len(), 2);
        assert!(installed("").is_empty());
    }

    #[test]
    fn changes_name_what_came_went_and_moved() {
        let packages = |list: &[(&str, &str)]| -> Packages {
            list.iter()
                .map(|(name, version)| ((*name).to_owned(), (*version).to_owned()))
                .collect()
        };
        let before = packages(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let after = packages(&[("a", "1"), ("b", "2"), ("d", "1")]);
        assert_eq!(changes(&before, &after), ["b 1 -> 2", "c is gone", "d 1 is new"]);
        assert!(changes(&before, &before).is_empty());
    }

    #[test]
    fn debian_and_what_is_like_it_is_known() {
        let debian = distribution("PRETTY_NAME=\"Debian\"\nVERSION_ID=\"13\"\nID=debian\n").unwrap();
        assert_eq!(debian, Distribution::debian_13());
        let ubuntu = distribution("ID=ubuntu\nID_LIKE=debian\nVERSION_ID='24.04'\n").unwrap();
        assert_eq!(
            (ubuntu.name.as_str(), ubuntu.version.as_str()),
            ("ubuntu", "24.04")
        );
        assert_eq!(distribution("ID=alpine\nVERSION_ID=3\n"), None);
        assert_eq!(distribution("ID=\"almalinux\"\nID_LIKE=\"rhel centos\"\n"), None);
        assert_eq!(distribution(""), None);
    }
}
