//! What go.mod, go.work and their neighbours say: the version asked for, packages to install, requirements.
//!
//! Only the few lines needed here are read; the go command judges the files as a whole.

use buildpack_support::{Result, files};
use std::path::Path;

/// An app's own words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct App {
    /// go.mod, if there is one.
    pub(crate) module: Option<Mod>,
    /// go.work, if there is one.
    pub(crate) work: Option<Mod>,
    /// `.go-version` or `.tool-versions`, with the file's name.
    pub(crate) version_file: Option<(String, &'static str)>,
    /// vendor/modules.txt is there: modules are part of the source.
    pub(crate) is_vendored: bool,
    /// go.sum is there.
    pub(crate) has_sums: bool,
}

/// One such file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mod {
    /// `module PATH`.
    pub(crate) path: Option<String>,
    /// `go VERSION`.
    pub(crate) go: Option<String>,
    /// `toolchain goVERSION`, without its `go`.
    pub(crate) toolchain: Option<String>,
    /// `// +heroku goVersion VERSION`.
    pub(crate) heroku_version: Option<String>,
    /// `// +heroku install PACKAGE...`.
    pub(crate) install: Vec<String>,
    /// There is a `require`.
    pub(crate) has_requirements: bool,
}

impl App {
    /// Reads the files of an app.
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let version_file = match files::read(dir, ".go-version")?.as_deref().and_then(first_line) {
            Some(text) => Some((text, ".go-version")),
            None => files::read(dir, ".tool-versions")?
                .as_deref()
                .and_then(tool_version)
                .map(|text| (text, ".tool-versions")),
        };
        Ok(Self {
            module: files::read(dir, "go.mod")?.as_deref().map(Mod::parse),
            work: files::read(dir, "go.work")?.as_deref().map(Mod::parse),
            version_file,
            is_vendored: files::exists(dir, "vendor/modules.txt"),
            has_sums: files::exists(dir, "go.sum") || files::exists(dir, "go.work.sum"),
        })
    }

    /// Packages that go.mod names for installation.
    pub(crate) fn install(&self) -> &[String] {
        self.module
            .as_ref()
            .map_or(&[][..], |module| module.install.as_slice())
    }
}

impl Mod {
    fn parse(text: &str) -> Self {
        let mut module = Self::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["//", "+heroku", "goVersion", version, ..] => {
                    module.heroku_version = Some((*version).to_owned());
                }
                ["//", "+heroku", "install", packages @ ..] => {
                    module.install = packages.iter().map(|name| (*name).to_owned()).collect();
                }
                ["module", path, ..] => module.path = Some(path.trim_matches('"').to_owned()),
                ["go", version, ..] => module.go = Some((*version).to_owned()),
                ["toolchain", name, ..] => {
                    module.toolchain = name.strip_prefix("go").map(str::to_owned);
                }
                ["require", ..] => module.has_requirements = true,
                _ => {}
            }
        }
        module
    }
}

fn first_line(text: &str) -> Option<String> {
    let line = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with('#'))?;
    Some(line.to_owned())
}

// asdf calls it `golang`, mise `go` too.
fn tool_version(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        matches!(words.next(), Some("golang" | "go"))
            .then(|| words.next().map(str::to_owned))
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_that_count_are_read() {
        let module = Mod::parse(
            "module github.com/a/shop // the shop\n\n// +heroku goVersion go1.25\n\
             // +heroku install ./cmd/web ./cmd/worker\ngo 1.24.0\n\ntoolchain go1.24.2\n\
             require (\n\tgithub.com/b/c v1.0.0\n)\n",
        );
        assert_eq!(module.path.as_deref(), Some("github.com/a/shop"));
        assert_eq!(module.go.as_deref(), Some("1.24.0"));
        assert_eq!(module.toolchain.as_deref(), Some("1.24.2"));
        assert_eq!(module.heroku_version.as_deref(), Some("go1.25"));
        assert_eq!(module.install, ["./cmd/web", "./cmd/worker"]);
        assert!(module.has_requirements);
        let bare = Mod::parse("module x\n\ngo 1.21 // minimum\n");
        assert_eq!(bare.go.as_deref(), Some("1.21"));
        assert!(!bare.has_requirements && bare.toolchain.is_none());
        assert_eq!(Mod::parse("go 1.22\ntoolchain default\n").toolchain, None);
    }

    #[test]
    fn version_files_are_those_of_asdf_and_goenv() {
        assert_eq!(
            tool_version("nodejs 20.1\ngolang 1.23.4\n").as_deref(),
            Some("1.23.4")
        );
        assert_eq!(first_line("# pinned\n\n1.22\n").as_deref(), Some("1.22"));
        assert_eq!(tool_version("nodejs 20\n"), None);
    }
}
