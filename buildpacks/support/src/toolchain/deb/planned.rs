//! What apt plans, as `--print-uris` says it: a line for each package, with the digest by which it is shared.

use crate::download::Digest;

/// A package as apt plans it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// `curl_8.14.1-2_amd64.deb`, escaped as apt does.
    pub file: String,
    /// Bytes of the file.
    pub size: u64,
    pub(super) digest: Option<Digest>,
}

impl Planned {
    /// The package's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.file.split('_').next().unwrap_or(&self.file)
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> String {
        self.file
            .split('_')
            .nth(1)
            .unwrap_or_default()
            .replace("%3a", ":")
    }

    /// The version of what is packaged: `3.3.14` of `1:3.3.14-0+deb13u1`.
    #[must_use]
    pub fn upstream_version(&self) -> String {
        let version = self.version();
        let version = version.rsplit(':').next().unwrap_or_default();
        let end = version.find(['-', '+', '~']).unwrap_or(version.len());
        version[..end].to_owned()
    }

    // `'URL' FILE SIZE SHA256:HEX`.
    pub(super) fn read(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix('\'')?.split_once('\'')?.1.split_whitespace();
        let file = words.next()?.to_owned();
        let size = words.next()?.parse().ok()?;
        let digest = words
            .next()
            .and_then(|word| word.split_once(':'))
            .and_then(|(algorithm, hex)| match algorithm {
                "SHA256" => Digest::sha256(hex),
                "SHA512" => Digest::sha512(hex),
                _ => None,
            });
        Some(Self { file, size, digest })
    }

    // `libc6:amd64`: without its architecture, `apt-get download` takes the machine's.
    pub(super) fn qualified(&self) -> String {
        let arch = self
            .file
            .rsplit('_')
            .next()
            .and_then(|rest| rest.strip_suffix(".deb"));
        match arch {
            Some(arch) if arch != "all" => format!("{}:{arch}", self.name()),
            _ => self.name().to_owned(),
        }
    }
}

/// The upstream version of the package `name`, if it is planned.
#[must_use]
pub fn version_of(planned: &[Planned], name: &str) -> Option<String> {
    planned
        .iter()
        .find(|package| package.name() == name)
        .map(Planned::upstream_version)
}

/// The files' names, by which a layer's key knows exactly what is in it.
#[must_use]
pub fn file_names(planned: &[Planned]) -> Vec<String> {
    planned.iter().map(|package| package.file.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apts_plan_is_read() {
        let hex = "cd".repeat(32);
        let line = format!(
            "'http://deb.example/pool/a_1%253a2.deb' libfoo_1%3a2.0-1+b1_amd64.deb 12345 SHA256:{hex}"
        );
        let package = Planned::read(&line).unwrap();
        assert_eq!(
            (package.name(), package.version().as_str(), package.size),
            ("libfoo", "1:2.0-1+b1", 12345)
        );
        assert_eq!(package.qualified(), "libfoo:amd64");
        assert!(package.digest.is_some());
        assert_eq!(package.upstream_version(), "2.0");
        assert_eq!(Planned::read("Reading package lists..."), None);
    }

    #[test]
    fn what_debian_adds_to_a_version_is_known() {
        for (file, expected) in [
            ("ruby3.3_3.3.14-0+deb13u1_amd64.deb", "3.3.14"),
            ("ruby3.3_1%3a3.3+b1_amd64.deb", "3.3"),
            ("rustc_1.96.0+dfsg1-1~deb13u1+b1_amd64.deb", "1.96.0"),
            (
                "openjdk-21-jdk-headless_21.0.13.1+2-1~deb13u1_amd64.deb",
                "21.0.13.1",
            ),
            ("openjdk-25-jdk-headless_25~36ea-1_amd64.deb", "25"),
        ] {
            let planned = Planned {
                file: file.to_owned(),
                size: 0,
                digest: None,
            };
            assert_eq!(planned.upstream_version(), expected, "{file}");
            let name = planned.name().to_owned();
            assert_eq!(version_of(&[planned], &name).as_deref(), Some(expected));
        }
        assert_eq!(version_of(&[], "ruby3.3"), None);
    }
}
