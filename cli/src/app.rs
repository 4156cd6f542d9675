//! Which app a command is about.
//!
//! `NAME` first on the command line is always accepted. Where it is left out, the app is taken from
//! `--app`/`-a`, `PVDIFY_APP`, or the git remote `pvdify` of the working directory, in that order. Commands
//! that take more after the name tell by the shape or the count of what follows whether a name is there
//! ([`Rest::split`]); all of it is decided before any request.

use crate::error::CliError;
use pvdify_types::{AppName, BindingName, ReleaseVersion};
use std::process::{Command, Stdio};

/// The git remote that `pvdify git:remote` sets.
pub(crate) const REMOTE: &str = "pvdify";

/// Where an app's name may come from, but for the name itself.
#[derive(Clone, Default)]
pub(crate) struct Sources {
    /// `--app` or `-a`.
    pub(crate) flag: Option<String>,
    /// `PVDIFY_APP`.
    pub(crate) env: Option<String>,
}

/// What may follow a name that may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// `KEY=VALUE` or `TYPE=COUNT`, any number, or `-`: what can be a name, and so has no `=`, is one. What
    /// can be neither is refused as a pair, which a mistyped secret is not shown by.
    Pairs,
    /// A release version or nothing: what reads as a version is one.
    Version,
    /// Release versions or numbers, two at most: a name is there when there are three, or when the first is none of
    /// both.
    Versions,
    /// Exactly one thing: a name is there when there are two.
    One,
    /// A process or nothing: one alone is a process when it has a dot, as `web.1`, which no name has, or when `--app`
    /// names the app.
    Process,
    /// Exactly two things: a name is there when there are three.
    Two,
    /// Buildpacks, any number: what can be a name, and so has no `/`, is one.
    Buildpacks,
    /// A binding's name and files: a name is there when three or more follow each other, and both of the first can be
    /// names, which a file's with a dot or a folder can't.
    Binding,
    /// A command's words, one or more: a name is there when two or more follow each other and the first can be a name.
    Command,
    /// An instance, `web.1`, and more: what has no dot before it is a name.
    Instance,
    /// Config keys, any number: a name is there when there are two or more and the first can be a name.
    Keys,
}

impl Rest {
    /// Splits arguments into the name, if one is there, and what follows it.
    pub(crate) fn split<'a>(self, args: &'a [String], flag: Option<&str>) -> (Option<&'a str>, &'a [String]) {
        let Some((first, rest)) = args.split_first() else {
            return (None, args);
        };
        let named = match self {
            Self::Pairs | Self::Buildpacks => looks_like_name(first),
            Self::Version => !rest.is_empty() || first.parse::<ReleaseVersion>().is_err(),
            Self::Versions => rest.len() >= 2 || first.parse::<ReleaseVersion>().is_err(),
            Self::One => !rest.is_empty(),
            Self::Process => !rest.is_empty() || (!first.contains('.') && flag.is_none()),
            Self::Two => rest.len() >= 2,
            Self::Binding => {
                rest.len() >= 2
                    && rest[0].parse::<BindingName>().is_ok()
                    && flag.is_none_or(|app| app == first.as_str())
            }
            Self::Instance => !first.contains('.'),
            // `-a demo foo bar` means two keys: who gave the flag did not mean a second name.
            Self::Keys | Self::Command => {
                !rest.is_empty() && looks_like_name(first) && flag.is_none_or(|app| app == first.as_str())
            }
        };
        if named {
            (Some(first.as_str()), rest)
        } else {
            (None, args)
        }
    }
}

/// Whether the text has a name's letters; config keys mostly have capitals or `_`.
fn looks_like_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-'))
}

impl Sources {
    /// Finds the app; `remote_url` is asked last, and only when needed.
    pub(crate) fn find(
        &self,
        name: Option<&str>,
        remote_url: impl FnOnce() -> Option<String>,
    ) -> Result<AppName, CliError> {
        if let (Some(name), Some(flag)) = (name, &self.flag)
            && name != flag
        {
            return Err(
                // NAME is not shown: it may be a secret that was meant as a value.
                CliError::usage(format!(
                    "two apps are named: one by NAME, another by --app {flag}"
                ))
                .hint("leave one of them out"),
            );
        }
        if let Some(text) = name.or(self.flag.as_deref()).or(self.env.as_deref()) {
            return parse(text);
        }
        let Some(url) = remote_url() else {
            return Err(CliError::usage("no app is named").hint(
                "write its name after the command, or set --app, PVDIFY_APP, or (in a repository) `pvdify git:remote NAME`",
            ));
        };
        app_of_url(&url).ok_or_else(|| {
            CliError::usage(format!("the git remote {REMOTE} names no app of Pvdify"))
                .hint("set it with `pvdify git:remote NAME`, or write the app's name after the command")
        })
    }
}

/// Parses a name that a person gave.
pub(crate) fn parse(text: &str) -> Result<AppName, CliError> {
    text.parse().map_err(|rule| CliError::usage(format!("{rule}")))
}

/// The app of `ssh://git@HOST:PORT/NAME.git`, `git@HOST:NAME.git` or the same over HTTP.
fn app_of_url(url: &str) -> Option<AppName> {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?.1,
        None => url.split_once(':')?.1,
    };
    let path = path.trim_matches('/');
    path.strip_suffix(".git").unwrap_or(path).parse().ok()
}

/// The URL of the git remote in the working directory; `None` also where there is no git.
pub(crate) fn remote_url() -> Option<String> {
    let key = format!("remote.{REMOTE}.url");
    let output = Command::new("git")
        .args(["config", "--get", &key])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let url = String::from_utf8(output.stdout).ok()?;
    let url = url.trim();
    (output.status.success() && !url.is_empty()).then(|| url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_told_from_what_follows_it() {
        use Rest::{Binding, Command, Instance, Keys, One, Pairs, Two, Version, Versions};
        // What may follow, the arguments, --app; the name found, how many follow it.
        type Row = (
            Rest,
            &'static [&'static str],
            Option<&'static str>,
            Option<&'static str>,
            usize,
        );
        let table: [Row; 49] = [
            (Pairs, &[], None, None, 0),
            (Pairs, &["A=1"], None, None, 1),
            (Pairs, &["demo", "A=1", "B=2"], None, Some("demo"), 2),
            (Pairs, &["demo"], None, Some("demo"), 0),
            (Pairs, &["-"], None, None, 1),
            (Pairs, &["demo", "-"], None, Some("demo"), 1),
            (Pairs, &["a=demo", "demo"], None, None, 2),
            (Pairs, &["web=2", "worker=0"], Some("demo"), None, 2),
            (Pairs, &["Demo", "A=1"], None, None, 2),
            (Version, &[], None, None, 0),
            (Version, &["v3"], None, None, 1),
            (Version, &["3"], None, None, 1),
            (Version, &["demo"], None, Some("demo"), 0),
            (Version, &["demo", "v3"], None, Some("demo"), 1),
            (Version, &["v3", "v2"], None, Some("v3"), 1),
            (Version, &["v3x"], None, Some("v3x"), 0),
            (Versions, &[], None, None, 0),
            (Versions, &["3"], None, None, 1),
            (Versions, &["v3", "4"], None, None, 2),
            (Versions, &["demo"], None, Some("demo"), 0),
            (Versions, &["demo", "v3"], None, Some("demo"), 1),
            (Versions, &["v1", "v3", "v4"], None, Some("v1"), 2),
            (Versions, &["3x", "4"], None, Some("3x"), 1),
            (One, &[], None, None, 0),
            (One, &["www.example.com"], None, None, 1),
            (One, &["demo", "www.example.com"], None, Some("demo"), 1),
            (One, &["demo", "www.example.com", "x"], None, Some("demo"), 2),
            (Two, &["data", "/data"], None, None, 2),
            (Two, &["demo", "data", "/data"], None, Some("demo"), 2),
            (Binding, &["demo", "db", "pw"], None, Some("demo"), 2),
            (Binding, &["db", "pw"], None, None, 2),
            (Binding, &["ca", "one.pem", "two.pem"], None, None, 3),
            (Binding, &["db", "host", "pw"], Some("demo"), None, 3),
            (Binding, &["Demo", "db", "a=pw", "b=x"], None, Some("Demo"), 3),
            (Keys, &["A"], None, None, 1),
            (Keys, &["demo"], None, None, 1),
            (Keys, &["demo", "A"], None, Some("demo"), 1),
            (Keys, &["A", "B"], None, None, 2),
            (Keys, &["a_b", "c"], None, None, 2),
            (Keys, &["api", "A"], None, Some("api"), 1),
            (Keys, &["foo", "bar"], Some("demo"), None, 2),
            (Keys, &["demo", "bar"], Some("demo"), Some("demo"), 1),
            (Command, &["bash"], None, None, 1),
            (Command, &["demo", "bash"], None, Some("demo"), 1),
            (Command, &["rake", "db:migrate"], Some("demo"), None, 2),
            (Command, &["./manage.py", "shell"], None, None, 2),
            (Instance, &["web.1", "ls"], None, None, 2),
            (Instance, &["demo", "web.1"], None, Some("demo"), 1),
            (Instance, &["demo"], None, Some("demo"), 0),
        ];
        for (rest, args, flag, name, following) in table {
            let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
            let (found, follow) = rest.split(&args, flag);
            assert_eq!((found, follow.len()), (name, following), "{rest:?} {args:?}");
        }
    }

    #[test]
    fn the_app_is_taken_from_name_flag_environment_and_remote_in_this_order() {
        let some = |text: &str| Some(text.to_owned());
        let remote = "ssh://git@127.0.0.1:2222/remote.git";
        let table = [
            // name, flag, environment, remote, found
            (some("name"), None, some("env"), some(remote), "name"),
            (None, some("flag"), some("env"), some(remote), "flag"),
            (None, None, some("env"), some(remote), "env"),
            (None, None, None, some(remote), "remote"),
            (some("same"), some("same"), some("env"), None, "same"),
        ];
        for (name, flag, env, remote, found) in table {
            let sources = Sources { flag, env };
            let app = sources.find(name.as_deref(), || remote).unwrap();
            assert_eq!(app.as_str(), found);
        }
    }

    #[test]
    fn two_different_names_no_name_and_a_foreign_remote_are_refused() {
        let flag = Sources {
            flag: Some("other".into()),
            env: None,
        };
        assert!(matches!(
            flag.find(Some("demo"), || None),
            Err(CliError::Usage(_))
        ));
        let none = Sources::default();
        assert!(matches!(none.find(None, || None), Err(CliError::Usage(_))));
        assert!(matches!(
            none.find(None, || Some("https://github.com/a/b".into())),
            Err(CliError::Usage(_))
        ));
        assert!(matches!(
            none.find(Some("Demo"), || None),
            Err(CliError::Usage(_))
        ));
    }

    #[test]
    fn a_remote_names_its_app_in_each_form_of_a_git_url() {
        let table = [
            ("ssh://git@127.0.0.1:2222/demo.git", Some("demo")),
            ("ssh://git@[::1]:2222/demo.git", Some("demo")),
            ("ssh://git@host/demo", Some("demo")),
            ("git@host:demo.git", Some("demo")),
            ("https://host/demo.git/", Some("demo")),
            ("https://github.com/someone/demo.git", None),
            ("ssh://git@host", None),
            ("/srv/git/demo.git", None),
            ("git@host:-x.git", None),
            ("", None),
        ];
        for (url, app) in table {
            assert_eq!(app_of_url(url).as_ref().map(AppName::as_str), app, "{url}");
        }
    }
}
