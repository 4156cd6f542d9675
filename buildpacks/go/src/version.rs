//! Which Go: what the app asks for against the releases there are. Pure.
//!
//! A `go` or `toolchain` line is a minimum (that is Go's own rule, and a newer Go compiles by the older rules of
//! the module): the newest patch of its line, else of the next newer line there is. What a person pins by name
//! (`// +heroku goVersion`, `GOVERSION`, a version file) is that and nothing else, where it can be had.

use crate::manifest::App;
use buildpack_support::{
    Failure, Result, env,
    version::{Requirement, Wanted, compare, unreadable},
};
use libcnb::Env;
use std::cmp::Ordering;

/// What is asked for, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    /// `1.24` or `1.24.3`; empty asks for nothing.
    pub(crate) version: String,
    /// `go 1.24 in go.mod`.
    pub(crate) from: String,
    /// That or newer, or exactly that.
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Minimum,
    Pin,
    Any,
}

/// What the app and the build's settings ask for.
pub(crate) fn wish(app: &App, settings: &Env) -> Result<Wish> {
    let module = app.module.clone().unwrap_or_default();
    let work = app.work.clone().unwrap_or_default();
    let pin = |text: String, from: &str| Some((text, from.to_owned(), Kind::Pin));
    let minimum = |text: String, from: &str| Some((text, from.to_owned(), Kind::Minimum));
    let found = None
        .or_else(|| env::value(settings, "GOVERSION").and_then(|text| pin(text, "GOVERSION")))
        .or_else(|| {
            module
                .heroku_version
                .and_then(|text| pin(text, "`// +heroku goVersion` in go.mod"))
        })
        .or_else(|| {
            work.toolchain
                .and_then(|text| minimum(text, "`toolchain` in go.work"))
        })
        .or_else(|| work.go.and_then(|text| minimum(text, "`go` in go.work")))
        .or_else(|| {
            module
                .toolchain
                .and_then(|text| minimum(text, "`toolchain` in go.mod"))
        })
        .or_else(|| module.go.and_then(|text| minimum(text, "`go` in go.mod")))
        .or_else(|| app.version_file.clone().and_then(|(text, from)| pin(text, from)));
    let Some((text, from, kind)) = found else {
        return Ok(Wish {
            version: String::new(),
            from: "nothing asks for another".to_owned(),
            kind: Kind::Any,
        });
    };
    let version = text
        .trim()
        .trim_start_matches("go")
        .trim_end_matches(".x")
        .to_owned();
    if version != "latest" && Requirement::prefix(&version).is_none() {
        let wanted = Wanted {
            name: "Go",
            text: &text,
            from: &from,
        };
        return Err(unreadable(wanted, "`go 1.24` or `// +heroku goVersion go1.24.3`"));
    }
    let kind = if version == "latest" { Kind::Any } else { kind };
    Ok(Wish { version, from, kind })
}

impl Wish {
    /// The best of `available`, if one will do.
    pub(crate) fn choose<'a>(&self, available: &'a [String]) -> Option<&'a str> {
        let newest = |matches: &dyn Fn(&str) -> bool| {
            available
                .iter()
                .map(String::as_str)
                .filter(|version| is_release(version) && matches(version))
                .max_by(|a, b| compare(a, b))
        };
        match self.kind {
            Kind::Any => newest(&|_| true),
            Kind::Pin => Requirement::prefix(&self.version)?.highest(available),
            Kind::Minimum => {
                let is_enough = |version: &str| compare(version, &self.version) != Ordering::Less;
                let next = available
                    .iter()
                    .map(String::as_str)
                    .filter(|version| is_release(version) && is_enough(version))
                    .min_by(|a, b| compare(a, b))?;
                newest(&|version| line(version) == line(next))
            }
        }
    }

    /// The wish, as messages name it.
    pub(crate) fn wanted(&self) -> Wanted<'_> {
        Wanted {
            name: "Go",
            text: &self.version,
            from: &self.from,
        }
    }
}

/// The failure for an app that asks for a Go that is newer than all there are.
pub(crate) fn too_new(wish: &Wish, newest: &str) -> Failure {
    Failure::new(
        format!("Go {} is not available", wish.version),
        format!(
            "It is the least that {} asks for. The newest that is available here is {newest}.",
            wish.from
        ),
        format!(
            "Lower it (`go get go@{newest}` does so, with what depends on it), commit and push again; or tell the \
             server's administrator that a newer Go is wanted."
        ),
    )
}

fn is_release(version: &str) -> bool {
    version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

// `1.24` of `1.24.3`.
fn line(version: &str) -> Vec<&str> {
    version.split('.').take(2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Mod;
    use buildpack_support::version::Fallback;

    fn available() -> Vec<String> {
        [
            "1.21.13", "1.23.2", "1.23.9", "1.24.3", "1.24.11", "1.25rc1", "1.26.0",
        ]
        .map(str::to_owned)
        .into()
    }

    fn chosen(kind: Kind, version: &str) -> Option<String> {
        let wish = Wish {
            version: version.to_owned(),
            from: String::new(),
            kind,
        };
        wish.choose(&available()).map(str::to_owned)
    }

    #[test]
    fn a_minimum_takes_its_line_or_the_next() {
        for (asked, expected) in [
            ("1.24", Some("1.24.11")),
            ("1.24.0", Some("1.24.11")),
            ("1.24.11", Some("1.24.11")),
            ("1.24.12", Some("1.26.0")),
            ("1.22", Some("1.23.9")),
            ("1.11", Some("1.21.13")),
            ("1.25", Some("1.26.0")),
            ("1.27", None),
        ] {
            assert_eq!(chosen(Kind::Minimum, asked).as_deref(), expected, "{asked}");
        }
    }

    #[test]
    fn a_pin_takes_itself_only() {
        for (asked, expected) in [
            ("1.23", Some("1.23.9")),
            ("1.23.2", Some("1.23.2")),
            ("1.22", None),
            ("1.25rc1", Some("1.25rc1")),
            ("1", Some("1.26.0")),
        ] {
            assert_eq!(chosen(Kind::Pin, asked).as_deref(), expected, "{asked}");
        }
        assert_eq!(chosen(Kind::Any, "").as_deref(), Some("1.26.0"));
    }

    #[test]
    fn a_pin_that_is_not_there_takes_the_newest_of_its_line_or_the_next_later() {
        for (asked, expected) in [
            ("1.14", Some("1.21.13")),
            ("1.20.5", Some("1.21.13")),
            ("1.21.3", Some("1.21.13")),
            ("1.22", Some("1.23.9")),
            ("2.0", None),
        ] {
            assert_eq!(chosen(Kind::Pin, asked), None, "{asked}");
            let available = available();
            let found = Fallback::Series.instead_of(asked, &available);
            assert_eq!(found.map(|(version, _)| version), expected, "{asked}");
        }
    }

    #[test]
    fn what_is_said_most_plainly_counts() {
        let mut app = App {
            module: Some(Mod {
                go: Some("1.24.0".into()),
                toolchain: Some("1.24.3".into()),
                ..Mod::default()
            }),
            version_file: Some(("1.20".into(), ".go-version")),
            ..App::default()
        };
        let none = Env::new();
        let of = |app: &App, env: &Env| {
            let wish = wish(app, env).unwrap();
            (wish.version, wish.from, wish.kind)
        };
        assert_eq!(
            of(&app, &none),
            ("1.24.3".into(), "`toolchain` in go.mod".into(), Kind::Minimum)
        );
        app.module.as_mut().unwrap().heroku_version = Some("go1.25".into());
        assert_eq!(of(&app, &none).2, Kind::Pin);
        let mut env = Env::new();
        env.insert("GOVERSION", "go1.26.0");
        assert_eq!(of(&app, &env), ("1.26.0".into(), "GOVERSION".into(), Kind::Pin));
        assert_eq!(of(&App::default(), &none).2, Kind::Any);
        app.module.as_mut().unwrap().heroku_version = Some("^1.2".into());
        insta::assert_snapshot!(wish(&app, &none).unwrap_err().text(), @r#"
        Can't read the version of Go that is asked for

        `// +heroku goVersion` in go.mod is "^1.2".

        Write a version as in `go 1.24` or `// +heroku goVersion go1.24.3`, commit and push again.
        "#);
    }

    #[test]
    fn a_go_newer_than_all_is_told() {
        let wish = Wish {
            version: "1.99".into(),
            from: "`go` in go.mod".into(),
            kind: Kind::Minimum,
        };
        insta::assert_snapshot!(too_new(&wish, "1.26.0").text(), @r"
        Go 1.99 is not available

        It is the least that `go` in go.mod asks for. The newest that is available here is 1.26.0.

        Lower it (`go get go@1.26.0` does so, with what depends on it), commit and push again; or tell the server's administrator that a newer Go is wanted.
        ");
    }
}
