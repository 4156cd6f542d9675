//! A script as a command whose first process is the app: it gets the signals. Pure but for a look at a file.

use crate::project::Project;
use buildpack_support::{files, process::plain_words};
use std::path::Path;

// A script without a package manager before it; none if it must be read by a full shell in npm's manner.
pub(super) fn script_command(script: &str) -> Option<Vec<String>> {
    if let Some(words) = plain_words(script) {
        return Some(words);
    }
    shell_command(script).map(|text| vec!["bash".to_owned(), "-c".to_owned(), text])
}

// `a && b && c` becomes `a && b && exec c`: c gets the signals. Only of what is surely simple.
fn shell_command(script: &str) -> Option<String> {
    let without_and = script.replace("&&", "\u{0}");
    if script.contains(['\n', ';', '|', '(', ')', '`', '#', '<', '>', '!'])
        || without_and.contains('&')
        || script.contains("$(")
    {
        return None;
    }
    // An operator within quotes is none.
    let quotes = |text: &str| text.matches(['"', '\'']).count();
    let (before, last) = script
        .rsplit_once("&&")
        .map_or(("", script), |(before, last)| (before, last));
    if quotes(before) % 2 != 0 {
        return None;
    }
    let last = last.trim();
    let first = last.split_whitespace().next()?;
    let builtins = [
        "cd", "exec", "export", "set", "source", ".", "if", "for", "while", "[", "[[", "{", "eval",
    ];
    if builtins.contains(&first) {
        return None;
    }
    let assigns = first
        .split_once('=')
        .is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
    // `exec` takes no assignment before the command, `env` does.
    let exec = if assigns { "exec env" } else { "exec" };
    let before = before.trim();
    Some(if before.is_empty() {
        format!("{exec} {last}")
    } else {
        format!("{before} && {exec} {last}")
    })
}

/// A command for a workspace's package, whose programs may lie in its own `node_modules` only.
pub(super) fn in_folder(mut command: Vec<String>, folder: &Path) -> Vec<String> {
    let programs = folder.join("node_modules/.bin");
    if let ["bash", "-c", text] = command.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        let text = format!("PATH={}:$PATH && {text}", quoted(&programs));
        return vec!["bash".to_owned(), "-c".to_owned(), text];
    }
    if let Some(program) = command.first_mut() {
        let own = programs.join(&*program);
        if own.exists() {
            *program = own.display().to_string();
        }
    }
    command
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

// Node.js learns of Plug'n'Play by its own options, so that Yarn need not run beside the app.
pub(super) fn pnp_command(project: &Project, script: &str) -> Option<Vec<String>> {
    let words = plain_words(script)?;
    let (first, rest) = words.split_first()?;
    if first != "node" {
        return None;
    }
    // Yarn 2 calls it `.pnp.js`.
    let loader = files::first(&project.app, &[".pnp.cjs", ".pnp.js"]).unwrap_or(".pnp.cjs");
    let mut command = vec!["node".to_owned(), "--require".to_owned(), format!("./{loader}")];
    if files::exists(&project.app, ".pnp.loader.mjs") {
        command.extend(["--experimental-loader".to_owned(), "./.pnp.loader.mjs".to_owned()]);
    }
    command.extend(rest.iter().cloned());
    Some(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_becomes_a_command_that_gets_the_signals() {
        for (script, expected) in [
            ("node server.js", Some("node|server.js")),
            ("next start", Some("next|start")),
            ("next start -p $PORT", Some("bash|-c|exec next start -p $PORT")),
            (
                "NODE_ENV=production node .",
                Some("bash|-c|exec env NODE_ENV=production node ."),
            ),
            (
                "prisma migrate deploy && node dist/main",
                Some("bash|-c|prisma migrate deploy && exec node dist/main"),
            ),
            (
                "cd server && npm start",
                Some("bash|-c|cd server && exec npm start"),
            ),
            ("npm run a & npm run b", None),
            ("a || b", None),
            ("node a; node b", None),
            ("echo 'a && b'", None),
            ("a && cd b", None),
        ] {
            let command = script_command(script).map(|words| words.join("|"));
            assert_eq!(command.as_deref(), expected, "{script}");
        }
    }
}
