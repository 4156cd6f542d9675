//! Which Ruby: Bundler insists on what the Gemfile says to the last number; a version file names a line.

use crate::gemfile;
use buildpack_support::{
    Result, files, output,
    version::{self, Requirement, Wanted},
};
use libcnb::Env;
use std::path::Path;

/// A Ruby to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ruby {
    /// `3.3.14`.
    pub(crate) version: String,
}

impl Ruby {
    /// `3.3`, as Debian's packages are named.
    pub(crate) fn line(&self) -> String {
        self.version.split('.').take(2).collect::<Vec<_>>().join(".")
    }
}

/// The Ruby to use, of those that can be had.
pub(crate) fn choose(app: &Path, available: &[String], env: &Env) -> Result<Ruby> {
    let line = gemfile::ruby_line(app)?;
    let file = version_file(app)?;
    let (text, from) = match (&line, &file) {
        (Some((_, text)), _) => (text.as_str(), "Gemfile"),
        (None, Some((text, from))) => (text.as_str(), *from),
        (None, None) => (">= 0", ""),
    };
    let wanted = Wanted {
        name: "Ruby",
        text,
        from,
    };
    let requirement = to_npm(text)
        .and_then(|npm| Requirement::npm(&npm))
        .ok_or_else(|| version::unreadable(wanted, "`3.3.14` or `~> 3.3`"))?;
    let chosen = version::choose(wanted, &requirement, available, env)?;
    if let (true, Some((number, _))) = (chosen.is_fallback, &line) {
        relax(app, *number)?;
    }
    let why = if from.is_empty() {
        "the newest".to_owned()
    } else {
        format!("{from} asks for {text}")
    };
    output::detail(format!("Ruby {} ({why})", chosen.version));
    Ok(Ruby {
        version: chosen.version,
    })
}

// With the nearest instead of the one asked for, Bundler would refuse the Gemfile.
fn relax(app: &Path, number: usize) -> Result<()> {
    let text = files::read(app, "Gemfile")?.unwrap_or_default();
    let lines: Vec<String> = text
        .lines()
        .enumerate()
        .map(|(at, line)| {
            if at == number {
                format!("# {line}")
            } else {
                line.to_owned()
            }
        })
        .collect();
    files::write(&app.join("Gemfile"), lines.join("\n") + "\n")?;
    if let Some(lock) = files::read(app, "Gemfile.lock")? {
        files::write(&app.join("Gemfile.lock"), without_ruby(&lock))?;
    }
    Ok(())
}

// Without the section that names a Ruby: frozen, Bundler would find that it is not the Gemfile's.
fn without_ruby(lock: &str) -> String {
    let mut is_of_ruby = false;
    let lines: Vec<&str> = lock
        .lines()
        .filter(|line| {
            if !line.starts_with(' ') && !line.is_empty() {
                is_of_ruby = *line == "RUBY VERSION";
            }
            !is_of_ruby
        })
        .collect();
    lines.join("\n") + "\n"
}

// Only the line of it counts: its newest patch is what there is.
fn version_file(app: &Path) -> Result<Option<(String, &'static str)>> {
    for name in [".ruby-version", ".tool-versions"] {
        let text = files::read(app, name)?.unwrap_or_default();
        let version = if name == ".tool-versions" {
            text.lines()
                .find_map(|line| line.trim().strip_prefix("ruby ").map(str::to_owned))
        } else {
            text.lines().next().map(str::to_owned)
        };
        let version = version.map(|version| version.trim().trim_start_matches("ruby-").to_owned());
        if let Some(version) = version.filter(|version| !version.is_empty()) {
            let line: Vec<&str> = version.split('.').take(2).collect();
            return Ok(Some((line.join("."), name)));
        }
    }
    Ok(None)
}

// RubyGems' `~> 3.2` is `>=3.2.0 <4.0.0` for npm; its plain `3.3.5` is exact, and `3.3` is read as a line.
fn to_npm(text: &str) -> Option<String> {
    let parts: Option<Vec<String>> = text.split(',').map(|part| one(part.trim())).collect();
    Some(parts?.join(" "))
}

fn one(part: &str) -> Option<String> {
    let from = part.find(|c: char| c.is_ascii_digit())?;
    let (operator, version) = part.split_at(from);
    let numbers: Option<Vec<u64>> = version
        .trim()
        .split('.')
        .map(|number| number.parse().ok())
        .collect();
    let numbers = numbers?;
    match (operator.trim(), &numbers[..]) {
        ("~>", [major]) => Some(format!(">={major}.0.0")),
        ("~>", [major, minor]) => Some(format!(">={major}.{minor}.0 <{}.0.0", major + 1)),
        ("~>", [major, minor, ..]) => Some(format!(">={} <{major}.{}.0", version.trim(), minor + 1)),
        ("" | "=", _) => Some(version.trim().to_owned()),
        (operator @ (">" | ">=" | "<" | "<="), _) => Some(format!("{operator}{}", version.trim())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(tree: &[(&str, &str)], setting: &str) -> Result<(String, String)> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in tree {
            files::write(&dir.path().join(name), text).unwrap();
        }
        let mut env = Env::new();
        env.insert("PVDIFY_RUNTIME_FALLBACK", setting);
        let ruby = choose(dir.path(), &["3.3.14".to_owned()], &env)?;
        Ok((
            ruby.version,
            files::read(dir.path(), "Gemfile").unwrap().unwrap_or_default(),
        ))
    }

    #[test]
    fn debian_names_its_packages_by_the_line() {
        let ruby = Ruby {
            version: "3.3.14".to_owned(),
        };
        assert_eq!(ruby.line(), "3.3");
    }

    #[test]
    fn with_another_ruby_the_lockfile_names_none_either() {
        let lock = "GEM\n  specs:\n\nDEPENDENCIES\n  puma\n\nRUBY VERSION\n   ruby 3.4.7p58\n\nBUNDLED WITH\n   2.6.9\n";
        let dir = tempfile::tempdir().unwrap();
        files::write(&dir.path().join("Gemfile"), "ruby '~> 3.4.0'\n").unwrap();
        files::write(&dir.path().join("Gemfile.lock"), lock).unwrap();
        choose(dir.path(), &["3.3.14".to_owned()], &Env::new()).unwrap();
        assert_eq!(
            files::read(dir.path(), "Gemfile.lock").unwrap().unwrap(),
            "GEM\n  specs:\n\nDEPENDENCIES\n  puma\n\nBUNDLED WITH\n   2.6.9\n"
        );
    }

    #[test]
    fn requirements_match_as_rubygems_does() {
        for line in [
            "ruby '~> 3.3'",
            "ruby '~> 3.2'",
            "ruby '>= 3.2', '< 4.0'",
            "ruby '3.3.14'",
            "",
            "ruby '~> 3.3.0'",
        ] {
            assert_eq!(chosen(&[("Gemfile", line)], "off").unwrap().0, "3.3.14", "{line}");
        }
        assert!(chosen(&[("Gemfile", ""), (".ruby-version", "ruby-3.3.5\n")], "off").is_ok());
        assert!(chosen(&[("Gemfile", ""), (".tool-versions", "ruby 3.2.1")], "off").is_err());
        assert!(chosen(&[("Gemfile", "ruby '~> 3.2.0'")], "off").is_err());
    }

    #[test]
    fn another_than_asked_for_unless_the_setting_forbids_it() {
        insta::assert_snapshot!(chosen(&[("Gemfile", "ruby '3.1.2'")], "off").unwrap_err().text(), @r"
        Ruby 3.1.2 is not available

        It is asked for by Gemfile.
        The nearest that are: 3.3.14.

        Change Gemfile to one of these and push again,
        or set PVDIFY_RUNTIME_FALLBACK=series to build with another of the same first number.
        ");
        let (version, gemfile) = chosen(&[("Gemfile", "source 'x'\nruby '3.1.2'\n")], "").unwrap();
        assert_eq!(
            (version.as_str(), gemfile.as_str()),
            ("3.3.14", "source 'x'\n# ruby '3.1.2'\n")
        );
        insta::assert_snapshot!(chosen(&[("Gemfile", "ruby 'newest'")], "off").unwrap_err().text(), @r#"
        Can't read the version of Ruby that is asked for

        Gemfile is "newest".

        Write a version as in `3.3.14` or `~> 3.3`, commit and push again.
        "#);
    }
}
