//! Which Node.js: what the app asks for, in the files where people write it, against what the registry has.
//!
//! `engines.node` is the rule, the pins of version managers (`volta`, `.nvmrc`, `.node-version`,
//! `.tool-versions`) are the wish: a pin within the rule is taken; outside it the rule wins, with a warning. Of
//! a range the newest release line with long-term support is taken, not the newest of all: packages with native
//! code follow new lines late.

use crate::package_json::PackageJson;
use buildpack_support::{
    Result, files, output,
    version::{self, Chosen, Requirement, Wanted},
};
use libcnb::Env;
use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

/// One place that names a version.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    text: String,
    from: &'static str,
}

/// What the app asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    engines: Option<Source>,
    pin: Option<Source>,
}

/// Reads the files.
pub(crate) fn asked(app: &Path, package_json: &PackageJson) -> Result<Asked> {
    let source = |text: Option<&str>, from| {
        text.map(str::trim)
            .filter(|text| !text.is_empty())
            .map(|text| Source {
                text: text.to_owned(),
                from,
            })
    };
    let nvmrc = files::read(app, ".nvmrc")?;
    let node_version = files::read(app, ".node-version")?;
    let tool_versions = files::read(app, ".tool-versions")?;
    let pin = source(package_json.volta("node"), "volta.node in package.json")
        .or_else(|| source(nvmrc.as_deref().and_then(first_line), ".nvmrc"))
        .or_else(|| source(node_version.as_deref().and_then(first_line), ".node-version"))
        .or_else(|| source(tool_versions.as_deref().and_then(tool_version), ".tool-versions"));
    Ok(Asked {
        engines: source(package_json.engine("node"), "engines.node in package.json"),
        pin,
    })
}

fn first_line(text: &str) -> Option<&str> {
    text.lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .find(|line| !line.is_empty())
}

fn tool_version(text: &str) -> Option<&str> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        matches!(words.next()?, "nodejs" | "node")
            .then(|| words.next())
            .flatten()
    })
}

/// The version to install, with the place that decided it.
pub(crate) fn choose(asked: &Asked, available: &[String], env: &Env) -> Result<(Chosen, &'static str)> {
    let today = Month::of(SystemTime::now());
    let engines = asked
        .engines
        .as_ref()
        .map(|source| requirement(source, today, available))
        .transpose()?;
    if let Some(pin) = &asked.pin {
        let wish = requirement(pin, today, available)?;
        match &engines {
            None => return pick(pin, &wish, available, env, today),
            Some(rule) => {
                let both: Vec<String> = available
                    .iter()
                    .filter(|version| rule.matches(version))
                    .cloned()
                    .collect();
                if let Some(version) = best(&wish, &both, today) {
                    return Ok((
                        Chosen {
                            version: version.to_owned(),
                            is_fallback: false,
                        },
                        pin.from,
                    ));
                }
                let engines = asked.engines.as_ref().map_or("", |source| source.text.as_str());
                output::warning(format!(
                    "{} asks for Node.js {}, but engines.node in package.json allows {engines}:\n\
                     the latter counts. Make them agree.",
                    pin.from, pin.text
                ));
            }
        }
    }
    if let (Some(source), Some(rule)) = (&asked.engines, &engines) {
        return pick(source, rule, available, env, today);
    }
    let default = Source {
        text: default_line(today).to_string(),
        from: "the default: the newest with long-term support",
    };
    let wish = Requirement::Prefix(default.text.clone());
    pick(&default, &wish, available, env, today)
}

fn pick(
    source: &Source,
    requirement: &Requirement,
    available: &[String],
    env: &Env,
    today: Month,
) -> Result<(Chosen, &'static str)> {
    if let Some(version) = best(requirement, available, today) {
        return Ok((
            Chosen {
                version: version.to_owned(),
                is_fallback: false,
            },
            source.from,
        ));
    }
    let wanted = Wanted {
        name: "Node.js",
        text: &source.text,
        from: source.from,
    };
    version::choose(wanted, requirement, available, env).map(|chosen| (chosen, source.from))
}

// The highest of the settled long-term lines, else the highest of all.
fn best<'a>(requirement: &Requirement, available: &'a [String], today: Month) -> Option<&'a str> {
    let settled: Vec<String> = available
        .iter()
        .filter(|version| line(version) <= default_line(today))
        .cloned()
        .collect();
    let long_term: Vec<String> = settled
        .iter()
        .filter(|version| line(version).is_multiple_of(2))
        .cloned()
        .collect();
    let found = requirement
        .highest(&long_term)
        .or_else(|| requirement.highest(&settled))
        .or_else(|| requirement.highest(available))?;
    available
        .iter()
        .map(String::as_str)
        .find(|version| *version == found)
}

fn line(version: &str) -> u64 {
    version
        .split('.')
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

fn requirement(source: &Source, today: Month, available: &[String]) -> Result<Requirement> {
    let word = source.text.to_ascii_lowercase();
    let word = word
        .strip_prefix("lts/")
        .map_or(word.as_str(), |name| if name == "*" { "lts" } else { name });
    let newest = available.iter().map(|version| line(version)).max().unwrap_or(0);
    let number = match word {
        "lts" | "lts-latest" => Some(default_line(today)),
        "node" | "latest" | "current" | "stable" => Some(newest),
        name => NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, line)| *line),
    };
    number
        .map(|line| Requirement::Prefix(line.to_string()))
        .or_else(|| Requirement::npm(&source.text))
        .ok_or_else(|| {
            version::unreadable(
                Wanted {
                    name: "Node.js",
                    text: &source.text,
                    from: source.from,
                },
                "`22.x`, `>=20 <23`, `lts/*` or `20.19.2`",
            )
        })
}

const NAMES: [(&str, u64); 11] = [
    ("argon", 4),
    ("boron", 6),
    ("carbon", 8),
    ("dubnium", 10),
    ("erbium", 12),
    ("fermium", 14),
    ("gallium", 16),
    ("hydrogen", 18),
    ("iron", 20),
    ("jod", 22),
    ("krypton", 24),
];

/// A month of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Month {
    year: u64,
    month: u64,
}

impl Month {
    fn of(time: SystemTime) -> Self {
        let days = time.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()) / 86_400;
        // A day at a boundary does not matter here: mean months will do.
        let months = days * 480 / 14_610;
        Self {
            year: 1970 + months / 12,
            month: months % 12 + 1,
        }
    }
}

/// The newest line that is settled: an even line comes each April, gets long-term support in October, and three
/// months later packages with native code have followed. (20 came in 2023.)
fn default_line(today: Month) -> u64 {
    let mut line = 20;
    while today
        >= (Month {
            year: 2023 + (line + 2 - 20) / 2 + 1,
            month: 2,
        })
    {
        line += 2;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> Vec<String> {
        [
            "16.20.2", "18.20.8", "20.9.0", "20.19.2", "21.7.3", "22.23.3", "24.1.0", "25.2.0", "26.10.0",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    const NOVEMBER_2026: Month = Month {
        year: 2026,
        month: 11,
    };

    #[test]
    fn the_default_follows_the_calendar() {
        let lines = [(2024, 12), (2025, 1), (2025, 2), (2026, 11), (2027, 2)]
            .map(|(year, month)| default_line(Month { year, month }));
        assert_eq!(lines, [20, 20, 22, 24, 26]);
        let time = UNIX_EPOCH + std::time::Duration::from_secs(1_795_000_000);
        assert_eq!(Month::of(time), NOVEMBER_2026);
    }

    #[test]
    fn of_a_range_the_newest_settled_line_is_taken() {
        for (text, expected) in [
            (">=18", Some("24.1.0")),
            ("*", Some("24.1.0")),
            ("20.x", Some("20.19.2")),
            ("^21", Some("21.7.3")),
            (">=25", Some("26.10.0")),
            ("25", Some("25.2.0")),
            ("lts/*", Some("24.1.0")),
            ("lts/Iron", Some("20.19.2")),
            ("node", Some("26.10.0")),
            ("v20.9.0", Some("20.9.0")),
            ("17", None),
        ] {
            let source = Source {
                text: text.to_owned(),
                from: ".nvmrc",
            };
            let requirement = requirement(&source, NOVEMBER_2026, &list()).unwrap();
            assert_eq!(best(&requirement, &list(), NOVEMBER_2026), expected, "{text}");
        }
    }

    fn chosen(package_json: &str, tree: &[(&str, &str)]) -> (String, &'static str) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in tree {
            files::write(&dir.path().join(name), text).unwrap();
        }
        let asked = asked(dir.path(), &PackageJson::parse(package_json).unwrap()).unwrap();
        let (chosen, from) = choose(&asked, &list(), &Env::new()).unwrap();
        (chosen.version, from)
    }

    #[test]
    fn a_pin_within_the_rule_is_taken_and_outside_it_the_rule() {
        let engines = r#"{"engines":{"node":">=18 <21"}}"#;
        assert_eq!(
            chosen(engines, &[]),
            ("20.19.2".into(), "engines.node in package.json")
        );
        assert_eq!(
            chosen(engines, &[(".nvmrc", "# why\nv18\n")]),
            ("18.20.8".into(), ".nvmrc")
        );
        assert_eq!(
            chosen(engines, &[(".nvmrc", "22")]),
            ("20.19.2".into(), "engines.node in package.json")
        );
        assert_eq!(
            chosen("{}", &[(".node-version", "20.9.0")]),
            ("20.9.0".into(), ".node-version")
        );
        assert_eq!(
            chosen("{}", &[(".tool-versions", "ruby 3.3\nnodejs 22.23.3")]),
            ("22.23.3".into(), ".tool-versions")
        );
        assert_eq!(
            chosen(r#"{"volta":{"node":"16.20.2"}}"#, &[(".nvmrc", "18")]),
            ("16.20.2".into(), "volta.node in package.json")
        );
        assert_eq!(
            chosen("{}", &[]).1,
            "the default: the newest with long-term support"
        );
    }

    #[test]
    fn what_is_no_version_is_told_with_an_example() {
        let dir = tempfile::tempdir().unwrap();
        files::write(&dir.path().join(".nvmrc"), "newest please").unwrap();
        let asked = asked(dir.path(), &PackageJson::default()).unwrap();
        let failure = choose(&asked, &list(), &Env::new()).unwrap_err();
        insta::assert_snapshot!(failure.text(), @r#"
        Can't read the version of Node.js that is asked for

        .nvmrc is "newest please".

        Write a version as in `22.x`, `>=20 <23`, `lts/*` or `20.19.2`, commit and push again.
        "#);
    }

    #[test]
    fn what_is_not_there_is_told_with_the_nearest() {
        let asked = Asked {
            engines: Some(Source {
                text: "17.x".into(),
                from: "engines.node in package.json",
            }),
            pin: None,
        };
        let failure = choose(&asked, &list(), &Env::new()).unwrap_err();
        insta::assert_snapshot!(failure.text(), @r"
        Node.js 17.x is not available

        It is asked for by engines.node in package.json.
        The nearest that are: 16.20.2, 18.20.8, 20.19.2, 21.7.3, 22.23.3.

        Change engines.node in package.json to one of these and push again,
        or set PVDIFY_RUNTIME_FALLBACK=nearest to build with the nearest.
        ");
    }
}
