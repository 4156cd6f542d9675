//! Reads the command of an SSH `exec` request: only `git-receive-pack '/app.git'` is one. Pure.
//!
//! git quotes the path for a shell; there is none here, so the quotes are undone by git's own rule
//! (`sq_quote`) and what remains must be an app's name. Everything else is refused with one line.

use pvdify_types::{AppName, name::AppNameError};
use thiserror::Error;

/// No command of git's is longer; app names have 30 characters.
const MAX_COMMAND_BYTES: usize = 512;

/// Why a command is refused: the text goes to the person as it stands.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum CommandError {
    #[error("Pvdify takes pushes only: fetching and cloning are not supported.")]
    Fetch,
    #[error("Pvdify takes git pushes only.")]
    Other,
    #[error("{path:?} is no app's repository ({cause}): use ssh://git@HOST:PORT/NAME.git")]
    Name { path: String, cause: AppNameError },
}

/// The app whose repository a `git-receive-pack` command names.
pub(crate) fn parse(command: &[u8]) -> Result<AppName, CommandError> {
    let command = std::str::from_utf8(command).map_err(|_| CommandError::Other)?;
    if command.len() > MAX_COMMAND_BYTES {
        return Err(CommandError::Other);
    }
    let rest = command
        .strip_prefix("git-")
        .or_else(|| command.strip_prefix("git "));
    let (service, argument) = rest.and_then(|r| r.split_once(' ')).ok_or(CommandError::Other)?;
    match service {
        "receive-pack" => app(&unquote(argument).ok_or(CommandError::Other)?),
        "upload-pack" | "upload-archive" => Err(CommandError::Fetch),
        _ => Err(CommandError::Other),
    }
}

fn app(path: &str) -> Result<AppName, CommandError> {
    let name = path.strip_prefix('/').unwrap_or(path);
    let name = name.strip_suffix('/').unwrap_or(name);
    let name = name.strip_suffix(".git").unwrap_or(name);
    name.parse().map_err(|cause| CommandError::Name {
        path: path.to_owned(),
        cause,
    })
}

/// Undoes git's `sq_quote`: one `'...'`, in which `'\''` and `'\!'` stand for `'` and `!`. A bare word is
/// taken too, as people type it.
fn unquote(argument: &str) -> Option<String> {
    let Some(inner) = argument.strip_prefix('\'') else {
        return (!argument.contains(['\'', '"', '\\', ' '])).then(|| argument.to_owned());
    };
    let mut text = String::new();
    let mut rest = inner;
    loop {
        let (literal, after) = rest.split_once('\'')?;
        text.push_str(literal);
        if after.is_empty() {
            return Some(text);
        }
        let escaped = after.strip_prefix('\\')?;
        let quoted = escaped.chars().next().filter(|c| matches!(c, '\'' | '!'))?;
        text.push(quoted);
        rest = escaped[1..].strip_prefix('\'')?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_and_people_name_an_app_in_these_ways() {
        for command in [
            "git-receive-pack '/demo.git'",
            "git-receive-pack 'demo.git'",
            "git-receive-pack '/demo'",
            "git-receive-pack '/demo.git/'",
            "git receive-pack '/demo.git'",
            "git-receive-pack demo.git",
            "git-receive-pack /demo",
        ] {
            assert_eq!(parse(command.as_bytes()).unwrap().as_str(), "demo", "{command}");
        }
    }

    #[test]
    fn fetching_is_refused_in_its_own_words() {
        for command in [
            "git-upload-pack '/demo.git'",
            "git upload-pack '/demo.git'",
            "git-upload-archive 'x'",
        ] {
            assert_eq!(parse(command.as_bytes()), Err(CommandError::Fetch), "{command}");
        }
    }

    #[test]
    fn nothing_becomes_a_path_an_option_or_a_shell_line() {
        for path in [
            "../../etc",
            "/../../etc/passwd",
            "a b",
            "$(id)",
            "`id`",
            "/a/b.git",
            "-rf",
            "--exec=sh",
            "",
            "/",
            ".git",
            "a.git.git",
            "Demo",
            "a\nb",
            "a\0b",
            "d\u{e9}mo",
            "/demo.git/..",
            "//demo.git",
            "~/demo.git",
        ] {
            let command = format!("git-receive-pack '{path}'");
            assert!(
                matches!(parse(command.as_bytes()), Err(CommandError::Name { .. })),
                "{path:?}"
            );
        }
        for command in [
            "",
            "bash",
            "git",
            "git-receive-pack",
            "git-receive-pack '/demo.git",
            "git-receive-pack '/demo.git' --x",
            "git-receive-pack '/demo.git'; id",
            "git-receive-pack '/de'mo.git'",
            "git-receive-pack \"/demo.git\"",
            "git-shell '/demo.git'",
            "scp -t /tmp",
            " git-receive-pack '/demo.git'",
        ] {
            assert_eq!(parse(command.as_bytes()), Err(CommandError::Other), "{command:?}");
        }
        assert_eq!(parse(b"git-receive-pack '\xff'"), Err(CommandError::Other));
        assert_eq!(parse(&[b'a'; 100_000]), Err(CommandError::Other));
    }

    #[test]
    fn git_quotes_are_undone_by_git_rules() {
        assert_eq!(unquote("'a'\\''b'\\!'c'"), Some("a'b!c".to_owned()));
        assert_eq!(unquote("'a'\\\\'b'"), None);
        assert_eq!(unquote("'a"), None);
    }
}
