//! What is used where the version that is asked for can't be had: one rule for all our buildpacks.
//!
//! | `PVDIFY_RUNTIME_FALLBACK` | is used, with a warning |
//! |---|---|
//! | `off` | nothing: the build fails and names the nearest |
//! | `series` (or not set) | one with the same first number: the newest of the same line (`3.12`), else of the next later line, else of the nearest earlier one |
//! | `nearest` | the same, and where there is none of that first number, whichever is nearest |
//!
//! Why so: an app pins a patch so that all its machines agree, not because it runs on no other; and within a first
//! number languages promise to run older code. Across first numbers they break it (Python 2, Node.js's native
//! modules): that is for a person to decide. A language that promises more says so in its own buildpack (Java).

use super::{Wanted, compare, is_prerelease, numbers};
use crate::{Failure, env};
use libcnb::Env;

/// The setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// Exactly what is asked for.
    Off,
    /// Another with the same first number.
    Series,
    /// Any.
    Nearest,
}

impl Fallback {
    /// As the build's environment has it.
    #[must_use]
    pub fn of(env: &Env) -> Self {
        if env::is_off(env, "PVDIFY_RUNTIME_FALLBACK") {
            Self::Off
        } else if env::value(env, "PVDIFY_RUNTIME_FALLBACK").is_some_and(|value| value == "nearest") {
            Self::Nearest
        } else {
            Self::Series
        }
    }

    /// What it takes of `available` instead of what `text` asks for, and what that is for people.
    #[must_use]
    pub fn instead_of<'a>(self, text: &str, available: &'a [String]) -> Option<(&'a str, &'static str)> {
        match self {
            Self::Off => None,
            Self::Series => of_series(text, available),
            Self::Nearest => {
                let any = || {
                    nearest(text, available, 1)
                        .first()
                        .map(|version| (*version, "the nearest"))
                };
                of_series(text, available).or_else(any)
            }
        }
    }

    /// The failure where it takes none.
    pub(super) fn refusal(self, wanted: Wanted<'_>, available: &[String]) -> Failure {
        let Wanted { name, text, from } = wanted;
        let mut near = nearest(text, available, 5);
        near.sort_by(|a, b| compare(a, b));
        let why = if near.is_empty() {
            format!("It is asked for by {from}. No version of {name} at all is available here.")
        } else {
            format!(
                "It is asked for by {from}.\nThe nearest that are: {}.",
                near.join(", ")
            )
        };
        let or = match self {
            Self::Off => "PVDIFY_RUNTIME_FALLBACK=series to build with another of the same first number",
            _ => "PVDIFY_RUNTIME_FALLBACK=nearest to build with the nearest",
        };
        Failure::new(
            format!("{name} {text} is not available"),
            why,
            format!("Change {from} to one of these and push again,\nor set {or}."),
        )
    }
}

/// The warning with which another one is used.
pub(super) fn warning(wanted: Wanted<'_>, version: &str, what: &str) -> String {
    let Wanted { name, text, from } = wanted;
    format!(
        "{name} {text} ({from}) is not available here: using {version}, {what}.\n\
         Ask for that one to be sure of it; PVDIFY_RUNTIME_FALLBACK=off would make this an error."
    )
}

fn of_series<'a>(text: &str, available: &'a [String]) -> Option<(&'a str, &'static str)> {
    let target = first_numbers(text)?;
    let first = *target.first()?;
    let line = target.get(1).copied().unwrap_or(0);
    let line_of = |version: &str| numbers(version).get(1).copied().unwrap_or(0);
    let series: Vec<&str> = available
        .iter()
        .map(String::as_str)
        .filter(|version| !is_prerelease(version) && numbers(version).first() == Some(&first))
        .collect();
    let newest_of = |line: u64| {
        series
            .iter()
            .copied()
            .filter(|version| line_of(version) == line)
            .max_by(|a, b| compare(a, b))
    };
    let lines = || series.iter().map(|version| line_of(version));
    let (line, what) = if let Some(same) = lines().find(|of| *of == line) {
        (same, "the newest of the same line")
    } else if let Some(later) = lines().filter(|of| *of > line).min() {
        (later, "the next later one of the same series")
    } else {
        (lines().max()?, "an earlier one of the same series")
    };
    newest_of(line).map(|version| (version, what))
}

/// Those nearest to the first version named in `text`, the nearest first; without one, the newest. Of the
/// releases that are equally far the newest stands for all: for `21`, the newest 22 and the newest 20.
#[must_use]
pub fn nearest<'a>(text: &str, available: &'a [String], number: usize) -> Vec<&'a str> {
    let target = first_numbers(text).unwrap_or_default();
    let mut found: Vec<(Vec<u64>, &str)> = available
        .iter()
        .filter(|version| !is_prerelease(version))
        .map(|version| (distance(&target, version), version.as_str()))
        .collect();
    found.sort_by(|(far_a, a), (far_b, b)| far_a.cmp(far_b).then(compare(b, a)));
    let mut lines: Vec<Vec<u64>> = Vec::new();
    found.retain(|(far, version)| {
        let line: Vec<u64> = numbers(version).into_iter().take(far.len()).collect();
        let is_new = target.is_empty() || !lines.contains(&line);
        lines.push(line);
        is_new
    });
    found
        .into_iter()
        .take(number)
        .map(|(_, version)| version)
        .collect()
}

// Number by number up to the first that differs: what comes after it says nothing about nearness.
fn distance(target: &[u64], version: &str) -> Vec<u64> {
    let numbers = numbers(version);
    let mut distance = Vec::new();
    for (at, wanted) in target.iter().enumerate() {
        distance.push(wanted.abs_diff(numbers.get(at).copied().unwrap_or(0)));
        if distance[at] != 0 {
            break;
        }
    }
    distance
}

fn first_numbers(text: &str) -> Option<Vec<u64>> {
    let from = &text[text.find(|c: char| c.is_ascii_digit())?..];
    let end = from
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(from.len());
    Some(numbers(&from[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::{Requirement, choose};

    fn list(versions: &[&str]) -> Vec<String> {
        versions.iter().map(|version| (*version).to_owned()).collect()
    }

    fn node() -> Vec<String> {
        list(&[
            "0.12.18",
            "18.20.8",
            "20.9.0",
            "20.19.2",
            "22.1.0",
            "22.23.3",
            "24.1.0",
            "24.2.0-rc.1",
        ])
    }

    #[test]
    fn the_nearest_are_by_distance() {
        assert_eq!(nearest("^21.3", &node(), 3), ["22.23.3", "20.19.2", "24.1.0"]);
        assert_eq!(nearest("20.18.0", &node(), 3), ["20.19.2", "20.9.0", "22.23.3"]);
        assert_eq!(nearest("lts/zzz", &node(), 2), ["24.1.0", "22.23.3"]);
    }

    #[test]
    fn what_is_taken_instead_has_the_same_first_number() {
        let python = list(&["3.9.2", "3.11.4", "3.11.9", "3.13.5", "3.13.1", "3.15.0a1"]);
        for (text, expected) in [
            ("3.11.18", Some(("3.11.9", "the newest of the same line"))),
            ("3.11.2", Some(("3.11.9", "the newest of the same line"))),
            ("3.12", Some(("3.13.5", "the next later one of the same series"))),
            (
                "==3.10.*",
                Some(("3.11.9", "the next later one of the same series")),
            ),
            ("3.14.0", Some(("3.13.5", "an earlier one of the same series"))),
            ("2.7.18", None),
            ("4", None),
            ("any", None),
        ] {
            assert_eq!(Fallback::Series.instead_of(text, &python), expected, "{text}");
            assert_eq!(Fallback::Off.instead_of(text, &python), None);
        }
        assert_eq!(
            Fallback::Nearest.instead_of("2.7.18", &python),
            Some(("3.13.5", "the nearest"))
        );
        assert_eq!(Fallback::Nearest.instead_of("3.12", &python).unwrap().0, "3.13.5");
        assert_eq!(Fallback::Nearest.instead_of("3.12", &[]), None);
    }

    #[test]
    fn the_setting_forces_either() {
        for (value, expected) in [
            ("", Fallback::Series),
            ("series", Fallback::Series),
            ("off", Fallback::Off),
            ("0", Fallback::Off),
            ("nearest", Fallback::Nearest),
        ] {
            let mut env = Env::new();
            env.insert("PVDIFY_RUNTIME_FALLBACK", value);
            assert_eq!(Fallback::of(&env), expected, "{value}");
        }
    }

    fn chosen(text: &str, setting: &str) -> crate::Result<crate::version::Chosen> {
        let wanted = Wanted {
            name: "Node.js",
            text,
            from: "engines.node in package.json",
        };
        let mut env = Env::new();
        env.insert("PVDIFY_RUNTIME_FALLBACK", setting);
        choose(wanted, &Requirement::npm(text).unwrap(), &node(), &env)
    }

    #[test]
    fn what_is_missing_is_told_with_the_nearest() {
        insta::assert_snapshot!(chosen("21.x", "").unwrap_err().text(), @r"
        Node.js 21.x is not available

        It is asked for by engines.node in package.json.
        The nearest that are: 0.12.18, 18.20.8, 20.19.2, 22.23.3, 24.1.0.

        Change engines.node in package.json to one of these and push again,
        or set PVDIFY_RUNTIME_FALLBACK=nearest to build with the nearest.
        ");
        let nearest = chosen("21.x", "nearest").unwrap();
        assert!(nearest.is_fallback);
        assert_eq!(nearest.version, "22.23.3");
        let series = chosen("24.99.0", "").unwrap();
        assert!(series.is_fallback);
        assert_eq!(series.version, "24.1.0");
        insta::assert_snapshot!(chosen("24.99.0", "off").unwrap_err().text(), @r"
        Node.js 24.99.0 is not available

        It is asked for by engines.node in package.json.
        The nearest that are: 0.12.18, 18.20.8, 20.19.2, 22.23.3, 24.1.0.

        Change engines.node in package.json to one of these and push again,
        or set PVDIFY_RUNTIME_FALLBACK=series to build with another of the same first number.
        ");
    }

    #[test]
    fn what_is_used_instead_is_said() {
        let wanted = Wanted {
            name: "Python",
            text: "3.12",
            from: ".python-version",
        };
        let available = list(&["3.13.5"]);
        let (version, what) = Fallback::Series.instead_of("3.12", &available).unwrap();
        insta::assert_snapshot!(warning(wanted, version, what), @r"
        Python 3.12 (.python-version) is not available here: using 3.13.5, the next later one of the same series.
        Ask for that one to be sure of it; PVDIFY_RUNTIME_FALLBACK=off would make this an error.
        ");
    }
}
