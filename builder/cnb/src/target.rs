//! What a buildpack runs on (`[[targets]]`), and what the images of this build are (buildpack.md, "Targets").
//!
//! What one side does not say matches; only a distribution that a buildpack names must be known of the image.

use serde::{Deserialize, Serialize};

/// One `[[targets]]` of a buildpack.toml.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Target {
    /// As the OCI image specification names it: `linux`.
    pub os: String,
    /// As the OCI image specification names it: `amd64`.
    pub arch: String,
    /// Of the architecture: `v8`.
    #[serde(alias = "variant")]
    pub arch_variant: String,
    /// Any of them will do.
    pub distros: Vec<Distro>,
}

/// A distribution, by `ID` and `VERSION_ID` of its `/etc/os-release`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Distro {
    /// `debian`
    pub name: String,
    /// `13`
    pub version: String,
}

/// What the images of this build are; `[run-image.target]` of analyzed.toml.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct ImageTarget {
    /// `linux`
    pub os: String,
    /// `amd64`
    pub arch: String,
    /// Of the architecture.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub arch_variant: String,
    /// If it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distro: Option<Distro>,
}

impl ImageTarget {
    /// This one, with what it does not say taken from where the build runs: an `/etc/os-release` and
    /// [`std::env::consts::ARCH`].
    #[must_use]
    pub fn or_here(mut self, os_release: &str, arch: &str) -> Self {
        if self.os.is_empty() {
            "linux".clone_into(&mut self.os);
        }
        if self.arch.is_empty() {
            go_arch(arch).clone_into(&mut self.arch);
        }
        self.distro = self.distro.or_else(|| Distro::of_os_release(os_release));
        self
    }

    /// Whether a buildpack for `target` runs on it.
    #[must_use]
    pub fn satisfies(&self, target: &Target) -> bool {
        let same = same_or_unsaid(&self.os, &target.os)
            && same_or_unsaid(&self.arch, &target.arch)
            && same_or_unsaid(&self.arch_variant, &target.arch_variant);
        let distro = || {
            self.distro.as_ref().is_some_and(|own| {
                target.distros.iter().any(|it| {
                    same_or_unsaid(&own.name, &it.name) && same_or_unsaid(&own.version, &it.version)
                })
            })
        };
        same && (target.distros.is_empty() || distro())
    }

    /// The `CNB_TARGET_*` variables.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, &str)> {
        let distro = self.distro.as_ref();
        let optional = [
            ("CNB_TARGET_ARCH_VARIANT", self.arch_variant.as_str()),
            ("CNB_TARGET_DISTRO_NAME", distro.map_or("", |it| it.name.as_str())),
            (
                "CNB_TARGET_DISTRO_VERSION",
                distro.map_or("", |it| it.version.as_str()),
            ),
        ];
        let mut all = vec![
            ("CNB_TARGET_OS", self.os.as_str()),
            ("CNB_TARGET_ARCH", self.arch.as_str()),
        ];
        all.extend(optional.into_iter().filter(|(_, value)| !value.is_empty()));
        all
    }
}

impl Distro {
    /// The distribution that an `/etc/os-release` tells of.
    #[must_use]
    pub fn of_os_release(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let value = text
                .lines()
                .find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='))?;
            Some(value.trim().trim_matches(['"', '\'']).to_owned())
        };
        let distro = Self {
            name: field("ID").unwrap_or_default(),
            version: field("VERSION_ID").unwrap_or_default(),
        };
        (distro != Self::default()).then_some(distro)
    }
}

fn same_or_unsaid(one: &str, other: &str) -> bool {
    one.is_empty() || other.is_empty() || one == other
}

/// An architecture as images name it.
fn go_arch(arch: &str) -> &str {
    match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}
