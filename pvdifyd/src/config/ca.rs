//! Which CA bundle builds trust: a host that was given additional CAs (a company's, a proxy's) needs them
//! there too, or no package manager in a build can fetch anything.

use super::{ConfigError, problem};
use std::path::{Path, PathBuf};

/// Where distributions keep what an administrator added, and the bundle made of all.
const PLACES: [(&str, &str); 2] = [
    (
        "/usr/local/share/ca-certificates",
        "/etc/ssl/certs/ca-certificates.crt",
    ),
    (
        "/etc/pki/ca-trust/source/anchors",
        "/etc/pki/tls/certs/ca-bundle.crt",
    ),
];

/// `auto`: the host's bundle when the host carries additional CAs; `off`: none; else a file.
pub(super) fn choose(setting: &str) -> Result<Option<PathBuf>, ConfigError> {
    match setting {
        "off" => Ok(None),
        "auto" => Ok(PLACES
            .into_iter()
            .find(|(added, bundle)| has_files(Path::new(added)) && Path::new(bundle).is_file())
            .map(|(_, bundle)| PathBuf::from(bundle))),
        path if Path::new(path).is_file() => Ok(Some(PathBuf::from(path))),
        path => Err(problem(
            "PVDIFY_BUILD_CA",
            format!("{path} is no file; give a PEM bundle's path, auto or off"),
        )),
    }
}

fn has_files(dir: &Path) -> bool {
    std::fs::read_dir(dir).is_ok_and(|mut entries| entries.any(|entry| entry.is_ok()))
}
