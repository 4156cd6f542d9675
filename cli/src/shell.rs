//! Words as a POSIX shell reads them: config vars, which `config:set --env-file` reads too, and command lines.
//!
//! A word is bare where every letter of it is plain; else it stands in single quotes, within which a shell takes all as
//! it is; one that holds a single quote stands in double quotes.

use std::fmt::Write;

/// The assignment of one var.
pub(crate) fn assign(key: &str, value: &str) -> String {
    format!("{key}={}", word(value))
}

/// Several arguments as a command line that a shell splits into these again; one alone is a command line already.
pub(crate) fn command_line(args: &[String]) -> String {
    match args {
        [line] => line.clone(),
        _ => args.iter().map(|arg| word(arg)).collect::<Vec<_>>().join(" "),
    }
}

fn word(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./:@%+,-".contains(c);
    if !value.is_empty() && value.chars().all(is_plain) {
        return value.to_owned();
    }
    if !value.contains('\'') {
        return format!("'{value}'");
    }
    let mut text = "\"".to_owned();
    for c in value.chars() {
        // Writing to a String does not fail.
        match c {
            '"' | '\\' | '$' | '`' => drop(write!(text, "\\{c}")),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env_file;
    use std::{
        io::Write as _,
        process::{Command, Stdio},
    };

    const VALUES: [&str; 16] = [
        "",
        "plain-1./:@%+,",
        "two words",
        " edges ",
        "it's",
        "''",
        "\"quoted\" it's",
        "$HOME `id` $(id) it's",
        "$HOME `id` $(id)",
        "back\\slash it's \\n \\\\",
        "-----BEGIN\nKEY'S\r\nEND-----\n",
        "\n",
        "~ * ? [a] {b} #c ; & | < > ! = ^",
        "~'*?[a]{b}#c;&|<>!",
        "\u{1b}[0m\t\u{7f}'",
        "\u{e9}\u{1f600}'",
    ];

    /// What `sh` has in `KEY` afterwards.
    fn of_a_shell(shell: &str, text: &str) -> Vec<u8> {
        let script = "unset KEY; set -eu; eval \"$(cat)\"; printf %s \"$KEY\"";
        let mut child = Command::new(shell)
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{text}");
        output.stdout
    }

    #[test]
    fn a_shell_reads_each_value_back_the_same() {
        for value in VALUES {
            let text = format!("A=1\n{}\nZ='2'\n", assign("KEY", value));
            for shell in ["sh", "bash"] {
                assert_eq!(of_a_shell(shell, &text), value.as_bytes(), "{shell}: {text}");
            }
        }
    }

    #[test]
    fn and_so_does_an_environment_file() {
        for value in VALUES {
            let text = format!("A=1\n{}\nZ='2'\n", assign("KEY", value));
            let read = env_file::parse(&text).unwrap();
            assert_eq!(read[&"KEY".parse().unwrap()].reveal(), value, "{text}");
        }
    }

    #[test]
    fn arguments_come_out_of_the_shell_as_they_went_in() {
        let args = ["printf", "%s|", "a b", "it's", "", "$HOME", "plain-1.x"];
        let line = command_line(&args.map(str::to_owned));
        assert_eq!(line, r#"printf '%s|' 'a b' "it's" '' '$HOME' plain-1.x"#);
        for shell in ["sh", "bash"] {
            let output = Command::new(shell).args(["-c", &line]).output().unwrap();
            assert_eq!(output.stdout, b"a b|it's||$HOME|plain-1.x|", "{shell}");
        }
        assert_eq!(command_line(&["a && b".to_owned()]), "a && b");
    }
}
