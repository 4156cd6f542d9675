//! `Procfile`: process types and their commands, a line each.
//!
//! As Heroku reads it: `name: command`; empty lines and lines that begin with `#` are skipped; what is wrong is
//! told with the number of its line.

use crate::{Failure, Result, files};
use libcnb::data::launch::ProcessType;
use std::path::Path;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The process type.
    pub name: ProcessType,
    /// Its command, for a shell.
    pub command: String,
}

/// The entries in the file's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Procfile {
    /// The entries; no type is there twice.
    pub entries: Vec<Entry>,
}

impl Procfile {
    /// The app's Procfile, if it has one.
    pub fn of(app_dir: &Path) -> Result<Option<Self>> {
        files::read(app_dir, "Procfile")?
            .map(|text| Self::parse(&text))
            .transpose()
    }

    /// Reads the text of one.
    pub fn parse(text: &str) -> Result<Self> {
        let mut entries: Vec<Entry> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let number = index + 1;
            let Some((name, command)) = line.split_once(':') else {
                return Err(wrong(number, &format!("{line:?} has no colon.")));
            };
            let (name, command) = (name.trim_end(), command.trim());
            if command.is_empty() {
                return Err(wrong(number, &format!("Process type `{name}` has no command.")));
            }
            let Ok(name) = name.parse::<ProcessType>() else {
                return Err(wrong(
                    number,
                    &format!("`{name}` is no process type: letters, digits, `-`, `_` and `.` are allowed."),
                ));
            };
            if entries.iter().any(|entry| entry.name == name) {
                return Err(wrong(number, &format!("Process type `{name}` is there twice.")));
            }
            entries.push(Entry {
                name,
                command: command.to_owned(),
            });
        }
        Ok(Self { entries })
    }

    /// The command of a type.
    #[must_use]
    pub fn command(&self, name: &str) -> Option<&str> {
        self.entries
            .iter()
            .find(|entry| entry.name.as_str() == name)
            .map(|entry| entry.command.as_str())
    }
}

/// Whether the app's Procfile gives `web`: then a language's default is not needed.
pub fn has_web(app_dir: &Path) -> Result<bool> {
    Ok(Procfile::of(app_dir)?.is_some_and(|procfile| procfile.command("web").is_some()))
}

fn wrong(number: usize, why: &str) -> Failure {
    Failure::new(
        format!("Procfile, line {number}, can't be read"),
        why,
        "A line is a process type, a colon and a command, as in `web: npm start`. Correct it, commit and push again.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_commands_in_their_order() {
        let procfile =
            Procfile::parse("# processes\r\nweb: bundle exec puma -p $PORT\r\n\nworker  : a: b \n").unwrap();
        let entries: Vec<_> = procfile
            .entries
            .iter()
            .map(|entry| (entry.name.as_str(), entry.command.as_str()))
            .collect();
        assert_eq!(
            entries,
            [("web", "bundle exec puma -p $PORT"), ("worker", "a: b")]
        );
        assert_eq!(procfile.command("worker"), Some("a: b"));
        assert_eq!(procfile.command("release"), None);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let wrong = |text: &str| {
            let failure = Procfile::parse(text).unwrap_err();
            format!("{}: {}", failure.what(), failure.why())
        };
        insta::assert_snapshot!(wrong("web: a\nnpm start"), @r#"Procfile, line 2, can't be read: "npm start" has no colon."#);
        insta::assert_snapshot!(wrong("\nweb:"), @"Procfile, line 2, can't be read: Process type `web` has no command.");
        insta::assert_snapshot!(wrong("we b: x"), @"Procfile, line 1, can't be read: `we b` is no process type: letters, digits, `-`, `_` and `.` are allowed.");
        insta::assert_snapshot!(wrong("web: a\nweb: b"), @"Procfile, line 2, can't be read: Process type `web` is there twice.");
    }
}
