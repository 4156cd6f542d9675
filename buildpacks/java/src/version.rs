//! Which Java: what the app's files ask for, against the JDKs there are.
//!
//! A version file names the Java to run on; a build file mostly says the least that the code needs. Only the
//! first number counts: the newest update of it is taken. Code runs on every later Java by Java's own promise,
//! so where the asked one is not there, the next later is used, with a warning if a version file named it.

use buildpack_support::{
    Failure, Result, files, output,
    version::{self, Fallback, Requirement, Wanted},
};
use libcnb::Env;
use std::path::Path;

/// Used when the app asks for none and it is there: the oldest that all current frameworks support.
const DEFAULT: u32 = 21;

/// What the app asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The first number.
    pub(crate) major: u32,
    /// As it was written.
    text: String,
    from: String,
    /// A version file, not only what the code needs at least.
    is_exact: bool,
}

/// What is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) major: u32,
    /// Why.
    pub(crate) from: String,
    /// What the code was written for, if that is known.
    pub(crate) written_for: Option<u32>,
}

/// What the app's files ask for; the first that says something counts.
pub(crate) fn asked(app: &Path) -> Result<Option<Asked>> {
    for (name, read) in VERSION_FILES {
        let Some(text) = files::read(app, name)? else {
            continue;
        };
        if let Some(version) = read(&text) {
            let Some(major) = major(&version) else {
                let wanted = Wanted {
                    name: "Java",
                    text: &version,
                    from: name,
                };
                return Err(version::unreadable(wanted, "`21`"));
            };
            return Ok(Some(Asked {
                major,
                text: version,
                from: name.to_owned(),
                is_exact: true,
            }));
        }
    }
    for (name, read) in BUILD_FILES {
        let version = files::read(app, name)?.and_then(|text| read(&text));
        if let Some((major, text)) = version.and_then(|text| Some((major(&text)?, text))) {
            return Ok(Some(Asked {
                major,
                text,
                from: name.to_owned(),
                is_exact: false,
            }));
        }
    }
    Ok(None)
}

type Reader = fn(&str) -> Option<String>;

const VERSION_FILES: [(&str, Reader); 4] = [
    ("system.properties", |text| property(text, "java.runtime.version")),
    (".java-version", first_line),
    (".sdkmanrc", |text| property(text, "java")),
    (".tool-versions", |text| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix("java "))?;
        line.split_whitespace().next().map(str::to_owned)
    }),
];

const BUILD_FILES: [(&str, Reader); 5] = [
    ("pom.xml", pom),
    ("build.gradle", gradle),
    ("build.gradle.kts", gradle),
    ("app/build.gradle", gradle),
    ("app/build.gradle.kts", gradle),
];

fn first_line(text: &str) -> Option<String> {
    let mut lines = text.lines().map(str::trim);
    lines
        .find(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
}

fn property(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let rest = line.trim().strip_prefix(name)?.trim_start();
        let value = rest.strip_prefix(['=', ':'])?.trim();
        (!value.is_empty()).then(|| value.to_owned())
    })
}

// The elements and properties by which the compiler is told, the more exact first. No XML parser: a property
// that refers to another is skipped, and Maven itself reads the file properly later.
fn pom(text: &str) -> Option<String> {
    [
        "maven.compiler.release",
        "release",
        "java.version",
        "maven.compiler.source",
        "maven.compiler.target",
        "source",
        "target",
        "jdk.version",
    ]
    .iter()
    .find_map(|name| {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        text.split(open.as_str()).skip(1).find_map(|rest| {
            let value = rest.split_once(close.as_str())?.0.trim();
            major(value).map(|_| value.to_owned())
        })
    })
}

fn gradle(text: &str) -> Option<String> {
    [
        "JavaLanguageVersion.of(",
        "jvmToolchain(",
        "options.release",
        "sourceCompatibility",
        "jvmTarget",
        "targetCompatibility",
    ]
    .iter()
    .find_map(|name| {
        text.split(name).skip(1).find_map(|rest| {
            let line = rest.lines().next()?;
            let number: String = line
                .replace("VERSION_1_", "")
                .chars()
                .skip_while(|c| !c.is_ascii_digit())
                .take_while(|c| c.is_ascii_digit() || *c == '.')
                .collect();
            major(&number).map(|_| number)
        })
    })
}

// `21`, `1.8`, `21.0.2-tem`, `temurin-21.0.2+13`, `openjdk64-17.0.2`, `zulu-1.8.0_282`.
fn major(text: &str) -> Option<u32> {
    let number = |part: &str| {
        let mut numbers = part.split(|c: char| !c.is_ascii_digit());
        match (numbers.next()?.parse().ok()?, numbers.next()) {
            (1, Some(second)) => second.parse().ok(),
            (first, _) => Some(first),
        }
    };
    text.split('-')
        .filter(|part| part.starts_with(|c: char| c.is_ascii_digit()))
        .find_map(number)
        .filter(|major| (1..100).contains(major))
}

/// The JDK to use.
pub(crate) fn choose(asked: &Option<Asked>, available: &[u32], env: &Env) -> Result<Chosen> {
    let Some(asked) = asked else {
        let major = if available.contains(&DEFAULT) {
            Some(DEFAULT)
        } else {
            available.iter().max().copied()
        };
        return major
            .map(|major| Chosen {
                major,
                from: "the default; a system.properties with `java.runtime.version=21` sets another"
                    .to_owned(),
                written_for: None,
            })
            .ok_or_else(none_at_all);
    };
    let next = available
        .iter()
        .copied()
        .filter(|major| *major >= asked.major)
        .min();
    let may_differ = !asked.is_exact || Fallback::of(env) != Fallback::Off;
    if let Some(major) = next.filter(|major| may_differ || *major == asked.major) {
        let from = if asked.is_exact {
            format!("{} asks for {}", asked.from, asked.text)
        } else {
            format!("{} is for {}", asked.from, asked.text)
        };
        if asked.is_exact && major != asked.major {
            output::warning(format!(
                "Java {} ({}) is not available here: using {major}, the next later, which runs its code.",
                asked.major, asked.from
            ));
        }
        return Ok(Chosen {
            major,
            from,
            written_for: Some(asked.major),
        });
    }
    let text = asked.major.to_string();
    let wanted = Wanted {
        name: "Java",
        text: &text,
        from: &asked.from,
    };
    let available: Vec<String> = available.iter().map(u32::to_string).collect();
    let requirement = Requirement::Prefix(text.clone());
    let chosen = version::choose(wanted, &requirement, &available, env)?;
    Ok(Chosen {
        major: chosen.version.parse().map_err(|_| none_at_all())?,
        from: asked.from.clone(),
        written_for: Some(asked.major),
    })
}

fn none_at_all() -> Failure {
    Failure::new(
        "No Java can be installed",
        "The package sources of the build image have no openjdk-NN-jdk-headless.",
        "The server's administrator updates the build image (`pvdifyd stack update`), or sets sources that have it.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tree: &[(&str, &str)]) -> Option<(u32, bool)> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in tree {
            files::write(&dir.path().join(name), text).unwrap();
        }
        asked(dir.path())
            .unwrap()
            .map(|asked| (asked.major, asked.is_exact))
    }

    #[test]
    fn the_version_is_read_from_each_file() {
        for (name, text, expected) in [
            ("system.properties", "# x\njava.runtime.version=17\n", (17, true)),
            (
                "system.properties",
                "java.runtime.version = zulu-1.8.0_282",
                (8, true),
            ),
            (".java-version", "openjdk64-17.0.2\n", (17, true)),
            (".sdkmanrc", "java=21.0.2-tem", (21, true)),
            (".tool-versions", "nodejs 20\njava temurin-21.0.2+13", (21, true)),
            ("pom.xml", "<java.version>1.8</java.version>", (8, false)),
            (
                "pom.xml",
                "<release>${java.version}</release><maven.compiler.source>17</maven.compiler.source>",
                (17, false),
            ),
            (
                "build.gradle",
                "java { toolchain { languageVersion = JavaLanguageVersion.of(25) } }",
                (25, false),
            ),
            (
                "build.gradle",
                "sourceCompatibility = JavaVersion.VERSION_1_8",
                (8, false),
            ),
            (
                "build.gradle.kts",
                "kotlinOptions { jvmTarget = \"17\" }",
                (17, false),
            ),
        ] {
            assert_eq!(of(&[(name, text)]), Some(expected), "{name}: {text}");
        }
        assert_eq!(of(&[("system.properties", "maven.version=3.9")]), None);
        let both = [
            ("pom.xml", "<java.version>17</java.version>"),
            (".java-version", "25"),
        ];
        assert_eq!(of(&both), Some((25, true)));
    }

    fn chosen(major: u32, is_exact: bool, env: &[(&str, &str)]) -> Result<u32> {
        let asked = Asked {
            major,
            text: major.to_string(),
            from: "system.properties".to_owned(),
            is_exact,
        };
        let mut map = Env::new();
        for (name, value) in env {
            map.insert(name, value);
        }
        choose(&Some(asked), &[21, 25], &map).map(|chosen| chosen.major)
    }

    #[test]
    fn a_later_java_runs_the_code_of_an_earlier() {
        assert_eq!(chosen(21, true, &[]).unwrap(), 21);
        assert_eq!(chosen(17, true, &[]).unwrap(), 21);
        assert_eq!(chosen(8, false, &[]).unwrap(), 21);
        assert_eq!(chosen(22, false, &[]).unwrap(), 25);
        assert_eq!(choose(&None, &[21, 25], &Env::new()).unwrap().major, 21);
        assert_eq!(choose(&None, &[25], &Env::new()).unwrap().major, 25);
        assert_eq!(
            chosen(26, true, &[("PVDIFY_RUNTIME_FALLBACK", "nearest")]).unwrap(),
            25
        );
    }

    #[test]
    fn what_is_not_there_is_told_with_the_nearest() {
        insta::assert_snapshot!(chosen(26, true, &[]).unwrap_err().text(), @r"
        Java 26 is not available

        It is asked for by system.properties.
        The nearest that are: 21, 25.

        Change system.properties to one of these and push again,
        or set PVDIFY_RUNTIME_FALLBACK=nearest to build with the nearest.
        ");
        let failure = chosen(17, true, &[("PVDIFY_RUNTIME_FALLBACK", "off")]).unwrap_err();
        assert_eq!(failure.what(), "Java 17 is not available");
    }

    #[test]
    fn no_java_at_all() {
        insta::assert_snapshot!(choose(&None, &[], &Env::new()).unwrap_err().text(), @r"
        No Java can be installed

        The package sources of the build image have no openjdk-NN-jdk-headless.

        The server's administrator updates the build image (`pvdifyd stack update`), or sets sources that have it.
        ");
    }

    #[test]
    fn a_version_that_is_none() {
        let dir = tempfile::tempdir().unwrap();
        files::write(&dir.path().join(".java-version"), "latest").unwrap();
        insta::assert_snapshot!(asked(dir.path()).unwrap_err().text(), @r#"
        Can't read the version of Java that is asked for

        .java-version is "latest".

        Write a version as in `21`, commit and push again.
        "#);
    }
}
