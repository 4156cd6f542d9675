//! Installs Node.js with npm, and the app's package manager, each into a layer keyed by its version.
//!
//! Node.js comes from the npm registry, without headers and documentation: the headers, which only packages
//! with native code need, go into a layer that no image has.

mod headers;
mod manager;
mod node;

pub(crate) use headers::{headers, use_headers};
pub(crate) use manager::{manager, manager_version};
pub(crate) use node::{node, npm_version};

use buildpack_support::{
    Failure, Result, files,
    version::{self, Requirement, Wanted},
};
use libcnb::{Env, build::BuildContext};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

type Context = BuildContext<crate::NodejsBuildpack>;

/// Within `line` if it is allowed, else the highest that is.
fn choose_version(
    name: &str,
    asked: Option<&str>,
    line: Option<&str>,
    from: &str,
    available: &[String],
    env: &Env,
) -> Result<String> {
    let in_line: Vec<String> = match line.and_then(Requirement::prefix) {
        Some(line) => available
            .iter()
            .filter(|version| line.matches(version))
            .cloned()
            .collect(),
        None => Vec::new(),
    };
    let text = asked.or(line).unwrap_or("*");
    let wanted = Wanted { name, text, from };
    let Some(requirement) = Requirement::npm(text) else {
        return Err(version::unreadable(wanted, "`10.4.1` or `9.x`"));
    };
    if let Some(found) = requirement.highest(&in_line) {
        return Ok(found.to_owned());
    }
    version::choose(wanted, &requirement, available, env).map(|chosen| chosen.version)
}

fn put_link(place: &Path, target: &str) -> Result<()> {
    files::remove(place)?;
    symlink(target, place).map_err(|error| Failure::io("write", place, &error))
}

fn make_executable(path: &Path) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .map_err(|error| Failure::io("write", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_range_stays_in_the_line_and_an_exact_version_is_taken() {
        let available = ["8.19.4", "9.1.0", "10.9.8", "11.6.0", "12.2.0"].map(str::to_owned);
        let choose = |asked, line| choose_version("npm", asked, line, "x", &available, &Env::new()).unwrap();
        assert_eq!(choose(None, Some("10")), "10.9.8");
        assert_eq!(choose(Some(">=8"), Some("10")), "10.9.8");
        assert_eq!(choose(Some(">=11"), Some("10")), "12.2.0");
        assert_eq!(choose(Some("9.1.0"), Some("10")), "9.1.0");
        assert_eq!(choose(None, None), "12.2.0");
    }
}
