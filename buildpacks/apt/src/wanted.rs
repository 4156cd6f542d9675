//! What an app asks for: packages, `.deb` files by address, further sources.

use buildpack_support::{Failure, Result};

/// All that is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Packages.
    pub(crate) packages: Vec<Package>,
    /// Addresses of `.deb` files.
    pub(crate) downloads: Vec<String>,
    /// Further sources.
    pub(crate) sources: Vec<Source>,
    /// What is passed over, for the log.
    pub(crate) warnings: Vec<String>,
}

/// A package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    /// As apt takes it: `name`, `name=version`, `name:arch`, `name/suite`.
    pub(crate) spec: String,
    /// Without what it depends on.
    pub(crate) is_alone: bool,
}

impl Package {
    /// The name alone.
    pub(crate) fn name(&self) -> &str {
        name(&self.spec)
    }
}

/// A source of packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// As in `sources.list`, without a key of its own.
    pub(crate) line: String,
    /// The key that signs it, armored; the line then has a place `{key}`.
    pub(crate) key: Option<String>,
}

/// The name in what apt takes.
pub(crate) fn name(spec: &str) -> &str {
    spec.split(['=', ':', '/']).next().unwrap_or(spec)
}

impl Wanted {
    /// Whether nothing is asked for.
    pub(crate) fn is_empty(&self) -> bool {
        self.packages.is_empty() && self.downloads.is_empty()
    }

    /// Adds a package, if its name can be one.
    pub(crate) fn add(&mut self, spec: &str, is_alone: bool, place: &str) -> Result<()> {
        // Wildcards and versions too, but nothing that apt would take for an option.
        let is_spec = spec.starts_with(|c: char| c.is_ascii_alphanumeric())
            && spec
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.=:/~*^_".contains(c));
        if !is_spec {
            return Err(Failure::new(
                format!("{spec:?} is no name of a package"),
                format!("It stands in {place}. A name has small letters, digits, `+`, `-` and `.`."),
                "Correct it, commit and push again.",
            ));
        }
        let package = Package {
            spec: spec.to_owned(),
            is_alone,
        };
        if !self.packages.contains(&package) {
            self.packages.push(package);
        }
        Ok(())
    }

    /// Adds the address of a `.deb` file.
    pub(crate) fn add_download(&mut self, address: &str) {
        if !self.downloads.iter().any(|known| known == address) {
            self.downloads.push(address.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_has_a_name_and_is_no_option() {
        let mut wanted = Wanted::default();
        for spec in [
            "libpq5",
            "g++",
            "libfoo=1:2.0-1~deb13u1",
            "libc6:amd64",
            "curl/trixie-backports",
            "mysql-*",
            "libpq5",
        ] {
            wanted.add(spec, false, "Aptfile, line 1").unwrap();
        }
        let names: Vec<&str> = wanted.packages.iter().map(Package::name).collect();
        assert_eq!(names, ["libpq5", "g++", "libfoo", "libc6", "curl", "mysql-*"]);
        for spec in [
            "-oAPT::Update::Pre-Invoke::=id",
            "--reinstall",
            "a;b",
            "$(id)",
            "a b",
            "/etc/passwd",
            "",
        ] {
            assert!(wanted.add(spec, false, "Aptfile, line 1").is_err(), "{spec}");
        }
        let failure = wanted.add("-y", false, "Aptfile, line 3").unwrap_err();
        insta::assert_snapshot!(failure.text(), @r#"
        "-y" is no name of a package

        It stands in Aptfile, line 3. A name has small letters, digits, `+`, `-` and `.`.

        Correct it, commit and push again.
        "#);
    }
}
