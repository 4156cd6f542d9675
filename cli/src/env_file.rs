//! Config vars as a file: what `config --reveal` prints, and `config:set --env-file` reads back the same.
//!
//! One `KEY=VALUE` a line, `export ` before it allowed; empty lines and lines that start with `#` are
//! skipped. A value in single quotes is taken as it stands, one in double quotes with `\n`, `\r`, `\t`,
//! `\"`, `\\`, `\$`, `` \` `` and `\u001b` resolved; both may go over several lines. A bare value goes to the line's
//! end without the blanks around it; a `#` within it belongs to it, because passwords have them.
//! Errors name the line and never show its text: it may be a secret.

use pvdify_types::{ConfigKey, ConfigValue, ConfigVars};
use std::fmt::Write;

/// The most that is read: the server takes 256 KiB of config, quoting may double it, comments come on top.
pub(crate) const MAX_BYTES: u64 = 1024 * 1024;

/// Reads a file's text.
pub(crate) fn parse(text: &str) -> Result<ConfigVars, String> {
    let mut vars = ConfigVars::new();
    let mut line = 1;
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    loop {
        let entry = rest.trim_start();
        line += lines_between(rest, entry);
        if entry.is_empty() {
            return Ok(vars);
        }
        if entry.starts_with('#') {
            rest = split_line(entry).1;
            continue;
        }
        let (key, value, after) = pair(entry).map_err(|what| format!("line {line}: {what}"))?;
        if vars.contains_key(&key) {
            return Err(format!("line {line}: {key} is given twice"));
        }
        vars.insert(key, value);
        line += lines_between(entry, after);
        rest = after;
    }
}

/// How many line ends lie between a text and its own tail.
fn lines_between(text: &str, tail: &str) -> usize {
    text[..text.len() - tail.len()].matches('\n').count()
}

/// A text's first line, and the rest with the line end.
fn split_line(text: &str) -> (&str, &str) {
    text.split_at(text.find('\n').unwrap_or(text.len()))
}

/// The pair at the text's start, and what follows it.
fn pair(text: &str) -> Result<(ConfigKey, ConfigValue, &str), String> {
    let (key, _) = split_line(text)
        .0
        .split_once('=')
        .ok_or("no \"=\"; a line reads KEY=VALUE")?;
    let value = text[key.len() + 1..].trim_start_matches([' ', '\t']);
    let key = key.strip_prefix("export ").unwrap_or(key).trim();
    let key: ConfigKey = key.parse().map_err(|rule| format!("{rule}"))?;
    let (value, after) = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => quoted(&value[1..], quote)?,
        _ => {
            let (bare, after) = split_line(value);
            (bare.trim().to_owned(), after)
        }
    };
    Ok((key, ConfigValue::new(value)?, after))
}

/// The value up to the closing quote, and what follows its line.
fn quoted(text: &str, quote: char) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut chars = text.chars();
    loop {
        match chars
            .next()
            .ok_or("the quote that opens the value is never closed")?
        {
            c if c == quote => break,
            '\\' if quote == '"' => match chars.next() {
                Some('n') => value.push('\n'),
                Some('r') => value.push('\r'),
                Some('t') => value.push('\t'),
                Some('u') => {
                    let c = code_point(&mut chars).ok_or("\\u needs four hex digits of a character")?;
                    value.push(c);
                }
                Some(c @ ('"' | '\\' | '$' | '`')) => value.push(c),
                other => {
                    value.push('\\');
                    value.extend(other);
                }
            },
            c => value.push(c),
        }
    }
    let (tail, after) = split_line(chars.as_str());
    let tail = tail.trim();
    if tail.is_empty() || tail.starts_with('#') {
        Ok((value, after))
    } else {
        Err("there is text after the closing quote".to_owned())
    }
}

fn code_point(chars: &mut std::str::Chars<'_>) -> Option<char> {
    let digits: String = chars.by_ref().take(4).collect();
    let hex = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if hex {
        char::from_u32(u32::from_str_radix(&digits, 16).ok()?)
    } else {
        None
    }
}

/// The line of one pair, that [`parse`] reads back to the same.
pub(crate) fn render(key: &str, value: &str) -> String {
    let bare = value.trim() == value && !value.starts_with(['"', '\'']) && !value.contains(char::is_control);
    if bare {
        return format!("{key}={value}");
    }
    let mut line = format!("{key}=\"");
    for c in value.chars() {
        match c {
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            '"' | '\\' => line.extend(['\\', c]),
            // Writing to a String does not fail.
            c if c.is_control() => drop(write!(line, "\\u{:04x}", u32::from(c))),
            c => line.push(c),
        }
    }
    line.push('"');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<Vec<(String, String)>, String> {
        let vars = parse(text)?;
        Ok(vars
            .iter()
            .map(|(k, v)| (k.to_string(), v.reveal().to_owned()))
            .collect())
    }

    #[test]
    fn a_file_of_every_form_is_read() {
        let file = "\u{feff}# comment = none\r\n\r\nA=1\r\nexport B= two words # kept \nC=\nD='a\\n\"b\n# c' # comment\n\
                    E=\"x\\n\\\"y\\\" \\$z \\\\ \\q \\u001b\nlast\"\nF=a=b\n  G = g";
        let expected = [
            ("A", "1"),
            ("B", "two words # kept"),
            ("C", ""),
            ("D", "a\\n\"b\n# c"),
            ("E", "x\n\"y\" $z \\ \\q \u{1b}\nlast"),
            ("F", "a=b"),
            ("G", "g"),
        ];
        let expected = expected.map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(shown(file).unwrap(), expected);
        assert_eq!(shown("").unwrap(), []);
    }

    #[test]
    fn a_mistake_names_its_line_and_not_the_secret() {
        let table = [
            ("A=1\n\ns3cret", "line 3: no \"=\"; a line reads KEY=VALUE"),
            (
                "A='1\n2'\nB=\"s3cret",
                "line 3: the quote that opens the value is never closed",
            ),
            (
                "A='s3cret' s3cret",
                "line 1: there is text after the closing quote",
            ),
            ("A=s3cret\nA=s3cret", "line 2: A is given twice"),
            ("A=\"\\u12\"", "line 1: \\u needs four hex digits of a character"),
            (
                "A=\"\\ud800\"",
                "line 1: \\u needs four hex digits of a character",
            ),
            (
                "PORT=1",
                "line 1: PORT is set by Pvdify itself and can't be a config var",
            ),
            ("=s3cret", "line 1: a config key can't be empty"),
            ("A=s3cret\0", "line 1: a config value can't hold a NUL byte"),
        ];
        for (text, message) in table {
            assert_eq!(shown(text).unwrap_err(), message);
        }
    }

    #[test]
    fn what_is_written_is_read_back_the_same() {
        for value in [
            "",
            "plain",
            "a b",
            " edges ",
            "#x",
            "a # b",
            "'",
            "\"",
            "a\"b\\n",
            "\\",
            "-----BEGIN\nx\r\n-----END\n",
            "\t",
            "\u{1b}[0m\u{7f}\u{9b}",
            "\u{a0}",
            "$HOME `x` $(y)",
            "\u{e9}\u{1f600}",
            "a=b",
        ] {
            let line = render("KEY", value);
            assert!(!line.contains(char::is_control), "{line:?}");
            assert_eq!(
                shown(&format!("A=1\n{line}\nZ=2\n")).unwrap()[1].1,
                value,
                "{line:?}"
            );
        }
    }
}
