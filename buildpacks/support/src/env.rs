//! The environment of a build: the process's own (what the lifecycle and earlier buildpacks set) with what
//! the platform gives on top.

use crate::Failure;
use libcnb::{Buildpack, Env, Platform, build::BuildContext, detect::DetectContext};

/// The environment in `build`.
pub fn of_build<B: Buildpack<Error = Failure>>(context: &BuildContext<B>) -> Env {
    merged(&Env::from_current(), context.platform.env())
}

/// The environment in `detect`.
pub fn of_detect<B: Buildpack<Error = Failure>>(context: &DetectContext<B>) -> Env {
    merged(&Env::from_current(), context.platform.env())
}

// Search paths of the platform are already in the process's environment, put before its own by the lifecycle:
// set again from the file, they would hide what earlier buildpacks brought.
fn merged(current: &Env, platform: &Env) -> Env {
    let mut env = current.clone();
    for (name, value) in platform {
        let is_path = [
            "PATH",
            "LD_LIBRARY_PATH",
            "LIBRARY_PATH",
            "CPATH",
            "PKG_CONFIG_PATH",
        ]
        .iter()
        .any(|path| name == path);
        if !is_path || !current.contains_key(name) {
            env.insert(name, value);
        }
    }
    env
}

/// The value of a variable, if it is set and not empty.
#[must_use]
pub fn value(env: &Env, name: &str) -> Option<String> {
    env.get_string_lossy(name)
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
}

/// Whether a switch is on: `1`, `true`, `yes`, `on`.
#[must_use]
pub fn is_on(env: &Env, name: &str) -> bool {
    value(env, name)
        .is_some_and(|text| matches!(text.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on"))
}

/// Whether a switch is off by a word: `0`, `false`, `no`, `off`.
#[must_use]
pub fn is_off(env: &Env, name: &str) -> bool {
    value(env, name)
        .is_some_and(|text| matches!(text.to_ascii_lowercase().as_str(), "0" | "false" | "no" | "off"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platform_wins_but_for_search_paths() {
        let mut current = Env::new();
        current
            .insert("PATH", "/layers/node/bin:/usr/bin")
            .insert("A", "old");
        let mut platform = Env::new();
        platform
            .insert("PATH", "/usr/bin")
            .insert("A", "new")
            .insert("CPATH", "/inc");
        let env = merged(&current, &platform);
        assert_eq!(env.get_string_lossy("PATH").unwrap(), "/layers/node/bin:/usr/bin");
        assert_eq!(env.get_string_lossy("A").unwrap(), "new");
        assert_eq!(env.get_string_lossy("CPATH").unwrap(), "/inc");
    }

    #[test]
    fn a_switch_is_on_or_off_or_neither() {
        let mut env = Env::new();
        env.insert("A", "true").insert("B", "0").insert("C", " ");
        assert!(is_on(&env, "A") && !is_off(&env, "A"));
        assert!(!is_on(&env, "B") && is_off(&env, "B"));
        assert_eq!(value(&env, "C"), None);
    }
}
