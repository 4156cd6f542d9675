//! `Gemfile` and `Gemfile.lock`, as far as a build needs them: by their lines, because a Gemfile is a program that
//! only Bundler runs.

use buildpack_support::{Result, files};
use std::{collections::BTreeSet, path::Path};

/// What the lockfile says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lock {
    /// Names of all gems.
    gems: BTreeSet<String>,
    /// The machines it was resolved for.
    pub(crate) platforms: Vec<String>,
}

impl Lock {
    /// The app's lockfile, if it has one.
    pub(crate) fn of(app: &Path) -> Result<Option<Self>> {
        Ok(files::read(app, "Gemfile.lock")?.map(|text| Self::parse(&text)))
    }

    fn parse(text: &str) -> Self {
        let mut lock = Self::default();
        let mut section = "";
        for line in text.lines() {
            if !line.starts_with(' ') {
                section = line.trim();
            } else if section == "PLATFORMS" {
                lock.platforms.push(line.trim().to_owned());
            } else if let Some(gem) = line.strip_prefix("    ").filter(|line| !line.starts_with(' ')) {
                // `    rails (8.1.2)`, below GEM, GIT or PATH; what it needs is indented further.
                if let Some((name, _)) = gem.split_once(" (") {
                    lock.gems.insert(name.to_owned());
                }
            }
        }
        lock
    }

    /// Whether a gem is among them.
    pub(crate) fn has(&self, gem: &str) -> bool {
        self.gems.contains(gem)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.gems.len()
    }
}

/// The line of the Gemfile that names a Ruby: `ruby "3.3.5"`, `ruby ">= 3.2", "< 4"`; its number and the
/// requirements, joined by commas.
pub(crate) fn ruby_line(app: &Path) -> Result<Option<(usize, String)>> {
    let text = files::read(app, "Gemfile")?.unwrap_or_default();
    Ok(text.lines().enumerate().find_map(|(number, line)| {
        let rest = line.trim().strip_prefix("ruby")?;
        if !rest.starts_with([' ', '(']) {
            return None;
        }
        let words = quoted(rest.split('#').next().unwrap_or_default());
        // `file: ".ruby-version"` is read as that file.
        let is_plain = !rest.contains("file:") && !rest.contains("engine") && !words.is_empty();
        is_plain.then(|| (number, words.join(", ")))
    }))
}

fn quoted(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['"', '\'']) {
        let quote = &rest[at..=at];
        let Some((word, after)) = rest[at + 1..].split_once(quote) else {
            break;
        };
        words.push(word.trim().to_owned());
        rest = after;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gems_and_platforms_of_a_lockfile() {
        let lock = Lock::parse(
            "GEM\n  remote: https://x/\n  specs:\n    rails (8.1.2)\n      railties (= 8.1.2)\n    railties (8.1.2)\n\nPLATFORMS\n  arm64-darwin-23\n  ruby\n\nDEPENDENCIES\n  rails (~> 8.1)\n\nBUNDLED WITH\n   2.5.6\n",
        );
        assert!(lock.has("rails") && lock.has("railties") && !lock.has("pg"));
        assert_eq!((lock.len(), lock.platforms.len()), (2, 2));
    }

    #[test]
    fn the_line_of_ruby() {
        let of = |text: &str| {
            let dir = tempfile::tempdir().unwrap();
            files::write(&dir.path().join("Gemfile"), text).unwrap();
            ruby_line(dir.path()).unwrap()
        };
        assert_eq!(of("source 'x'\nruby '3.3.5'").unwrap(), (1, "3.3.5".into()));
        assert_eq!(of("ruby \">= 3.2\", '< 4.0' # x").unwrap().1, ">= 3.2, < 4.0");
        assert_eq!(of("ruby file: \".ruby-version\""), None);
        assert_eq!(of("gem 'ruby-prof'"), None);
    }
}
