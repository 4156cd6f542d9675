//! What the base images are made of, and how one tells whether they are made of that. Pure.
//!
//! The run image holds the shared libraries that programs of the usual languages are linked to, and no compiler;
//! the build image holds their development files on top, the common tools, and the clients of the language
//! registries. Languages themselves are in neither but for what Debian's own tools need: buildpacks bring them, in
//! the version that an app asks for.

use sha2::{Digest, Sha256};
use std::fmt;

/// The run image in Podman's storage: `FROM pvdify/run:trixie` in any Dockerfile.
pub const RUN_IMAGE: &str = "localhost/pvdify/run:trixie";
/// The build image in Podman's storage.
pub const BUILD_IMAGE: &str = "localhost/pvdify/build:trixie";
/// The label that bears [`Recipe::stamp`].
pub(super) const STAMP: &str = "pvdify.base";
/// The label that says what [`Base`] they stand on.
pub(super) const FROM: &str = "pvdify.base.from";
/// The user and group that builds and apps run as; the script `setup` makes them.
pub(super) const CNB_ID: &str = "10001";

/// What puts a system into its final state: run by mmdebstrap, and inside a container.
pub(super) const SETUP: &str = include_str!("scripts/setup");
/// Packs the run image in the middle of a bootstrap.
pub(super) const PACK: &str = include_str!("scripts/pack");
/// Keeps the list of the run image's packages for the build image.
pub(super) const REMEMBER: &str = include_str!("scripts/remember");
/// Goes on to the build image after that.
pub(super) const GROW: &str = include_str!("scripts/grow");
/// Installs packages on somebody else's image.
pub(super) const INSTALL: &str = include_str!("scripts/install");

/// Each line a package, or names that it has in other releases than Debian 13; the first that there is is taken.
const RUN_PACKAGES: &[&str] = &[
    "ca-certificates",
    "curl",
    "media-types",
    "netbase",
    "tzdata",
    // What compilers take for granted.
    "libatomic1",
    "libgomp1",
    "libstdc++6",
    // What Debian's and standalone CPython, Ruby and their extensions are linked to.
    "libbz2-1.0",
    "libexpat1",
    "libffi8",
    "libgmp10",
    "libjemalloc2",
    "liblzma5",
    "libmpdec4 libmpdec3",
    "libncursesw6",
    "libreadline8t64 libreadline8",
    "libsqlite3-0",
    "libssl3t64 libssl3",
    "libuuid1",
    "libyaml-0-2",
    "libzstd1",
    "zlib1g",
    // PHP's usual extensions.
    "libargon2-1",
    "libonig5",
    "libsodium23",
    "libxml2 libxml2-16",
    "libzip5 libzip4t64 libzip4",
    // Clients of databases.
    "libmariadb3",
    "libpq5",
    // Pictures; Java draws text with the last two.
    "libjpeg62-turbo libjpeg-turbo8",
    "libpng16-16t64 libpng16-16",
    "libwebp7",
    "libfontconfig1",
    "libfreetype6",
];

const BUILD_PACKAGES: &[&str] = &[
    "build-essential",
    "pkg-config",
    "git",
    "jq",
    "rsync",
    "unzip",
    "xz-utils",
    "zip",
    "zstd",
    "python3",
    "python3-dev",
    "python3-pip",
    "python3-venv",
    "nodejs",
    "npm",
    "libargon2-dev",
    "libbz2-dev",
    "libcurl4-openssl-dev",
    "libexpat1-dev",
    "libffi-dev",
    "libfreetype-dev",
    "libgmp-dev",
    "libjpeg-dev",
    "liblzma-dev",
    "libmariadb-dev",
    "libncurses-dev",
    "libonig-dev",
    "libpng-dev",
    "libpq-dev",
    "libreadline-dev",
    "libsodium-dev",
    "libsqlite3-dev",
    "libssl-dev",
    "libwebp-dev",
    "libxml2-dev",
    "libyaml-dev",
    "libzip-dev",
    "libzstd-dev",
    "uuid-dev",
    "zlib1g-dev",
];

/// Documentation is of no use in a container; licences stay. Packages installed later follow the same rule.
pub(super) const DPKG_OPTIONS: [&str; 7] = [
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-include=/usr/share/locale/locale.alias",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "force-unsafe-io",
];

const ENVIRONMENT: [(&str, &str); 4] = [
    (
        "PATH",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ),
    ("LANG", "C.UTF-8"),
    ("CNB_USER_ID", CNB_ID),
    ("CNB_GROUP_ID", CNB_ID),
];

/// One of the two images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Image {
    Run,
    Build,
}

impl Image {
    pub(super) const BOTH: [Self; 2] = [Self::Run, Self::Build];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Run => RUN_IMAGE,
            Self::Build => BUILD_IMAGE,
        }
    }

    /// As people speak of it.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Run => "run image",
            Self::Build => "build image",
        }
    }

    /// Each line the names that one package may have.
    pub(super) fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Run => RUN_PACKAGES,
            Self::Build => BUILD_PACKAGES,
        }
    }

    /// The packages as Debian 13 calls them.
    pub(super) fn debian_packages(self) -> impl Iterator<Item = &'static str> {
        let first = |line: &&'static str| line.split(' ').next().unwrap_or(line);
        self.packages().iter().map(first)
    }

    fn purpose(self) -> &'static str {
        match self {
            Self::Run => "apps run on it",
            Self::Build => "apps are built in it",
        }
    }
}

/// What the images stand on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// Debian 13's packages and nothing else.
    Packages,
    /// An image of a registry, or one in Podman's storage.
    Image(String),
}

/// What stands for [`Base::Packages`] where an image could be named.
const PACKAGES: &str = "packages";

impl Base {
    /// Reads what a person or a label says.
    #[must_use]
    pub fn named(text: &str) -> Self {
        match text {
            PACKAGES => Self::Packages,
            image => Self::Image(image.to_owned()),
        }
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packages => f.write_str(PACKAGES),
            Self::Image(image) => f.write_str(image),
        }
    }
}

/// A distribution, as `os-release` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Distribution {
    pub(super) name: String,
    pub(super) version: String,
}

impl Distribution {
    pub(super) fn debian_13() -> Self {
        Self {
            name: "debian".to_owned(),
            version: "13".to_owned(),
        }
    }
}

/// The images carry this: a changed recipe is a changed stamp, and they are made anew.
pub(super) fn stamp(base: &Base) -> String {
    let mut hasher = Sha256::new();
    let mut add = |text: &str| {
        hasher.update(text);
        hasher.update([0]);
    };
    add(&base.to_string());
    match base {
        Base::Packages => {
            [SETUP, PACK, REMEMBER, GROW].into_iter().for_each(&mut add);
            DPKG_OPTIONS.into_iter().for_each(&mut add);
        }
        Base::Image(_) => {
            [SETUP, REMEMBER, INSTALL].into_iter().for_each(&mut add);
        }
    }
    for image in Image::BOTH {
        image.packages().iter().copied().for_each(&mut add);
        // With an empty distribution and date: these are found, not decided.
        let nowhere = Distribution {
            name: String::new(),
            version: String::new(),
        };
        for (name, value) in labels(image, base, &nowhere, "", "") {
            add(name);
            add(&value);
        }
    }
    for (name, value) in ENVIRONMENT {
        add(name);
        add(value);
    }
    hex::encode(&hasher.finalize()[..8])
}

/// What an image says of itself (buildpacks.io, Platform specification, "Target Data").
pub(super) fn labels(
    image: Image,
    base: &Base,
    distribution: &Distribution,
    stamp: &str,
    released: &str,
) -> [(&'static str, String); 8] {
    let Distribution { name, version } = distribution;
    [
        (STAMP, stamp.to_owned()),
        (FROM, base.to_string()),
        ("io.buildpacks.base.id", format!("pvdify/{name}-{version}")),
        ("io.buildpacks.base.distro.name", name.clone()),
        ("io.buildpacks.base.distro.version", version.clone()),
        ("io.buildpacks.base.maintainer", "Pvdify".to_owned()),
        (
            "io.buildpacks.base.description",
            format!("{name} {version}: {}", image.purpose()),
        ),
        ("io.buildpacks.base.released", released.to_owned()),
    ]
}

/// Instructions of a Dockerfile that give an image's environment and command.
pub(super) fn instructions() -> Vec<String> {
    let environment = ENVIRONMENT
        .iter()
        .map(|(name, value)| format!("ENV {name}={value}"));
    environment.chain(["CMD [\"/bin/bash\"]".to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_recipe_has_one_stamp_and_another_base_another() {
        let stamp_of = |base: &str| stamp(&Base::named(base));
        assert_eq!(stamp_of("packages"), stamp(&Base::Packages));
        assert_eq!(stamp_of("packages").len(), 16);
        let all: BTreeSet<_> = ["packages", "debian:13", "ubuntu:24.04"].map(stamp_of).into();
        assert_eq!(all.len(), 3);
    }

    #[test]
    fn the_run_image_has_no_compiler_and_each_package_is_named_once() {
        let run: Vec<&str> = Image::Run.debian_packages().collect();
        let build: Vec<&str> = Image::Build.debian_packages().collect();
        for package in &run {
            assert!(!package.ends_with("-dev"), "{package}");
            assert!(!["build-essential", "gcc", "git", "nodejs", "python3"].contains(package));
        }
        let all: BTreeSet<_> = run.iter().chain(&build).collect();
        assert_eq!(all.len(), run.len() + build.len());
        assert!(run.contains(&"libssl3t64") && !run.contains(&"libssl3"));
    }

    #[test]
    fn each_library_of_the_run_image_that_has_headers_brings_them_to_the_build_image() {
        let build: Vec<&str> = Image::Build.debian_packages().collect();
        for (library, headers) in [
            ("libssl3t64", "libssl-dev"),
            ("libpq5", "libpq-dev"),
            ("libffi8", "libffi-dev"),
            ("libyaml-0-2", "libyaml-dev"),
            ("zlib1g", "zlib1g-dev"),
            ("libxml2", "libxml2-dev"),
            ("libjpeg62-turbo", "libjpeg-dev"),
            ("libsqlite3-0", "libsqlite3-dev"),
            ("libmariadb3", "libmariadb-dev"),
        ] {
            assert!(
                Image::Run.debian_packages().any(|package| package == library),
                "{library}"
            );
            assert!(build.contains(&headers), "{headers}");
        }
    }

    #[test]
    fn an_image_names_its_target_as_the_specification_wants_it() {
        let base = Base::Image("debian:13".to_owned());
        let labels = labels(
            Image::Run,
            &base,
            &Distribution::debian_13(),
            "abc",
            "2026-01-01T00:00:00Z",
        );
        let text: String = labels
            .iter()
            .map(|(name, value)| format!("{name}={value}\n"))
            .collect();
        insta::assert_snapshot!(text, @r"
        pvdify.base=abc
        pvdify.base.from=debian:13
        io.buildpacks.base.id=pvdify/debian-13
        io.buildpacks.base.distro.name=debian
        io.buildpacks.base.distro.version=13
        io.buildpacks.base.maintainer=Pvdify
        io.buildpacks.base.description=debian 13: apps run on it
        io.buildpacks.base.released=2026-01-01T00:00:00Z
        ");
    }
}
