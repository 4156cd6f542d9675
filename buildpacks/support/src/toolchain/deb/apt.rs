//! apt, as an ordinary user: plans what a layer will have, and fetches it.
//!
//! It gets state and cache folders of its own, which a cache layer keeps, and plans against the packages of the *run*
//! image when the layer is for launch: what only the build image has must be in the layer too. It reads all its
//! indexes for each question, so its answers are kept beside them.

use super::{BUILD_STATUS, Planned, RUN_STATUS, dpkg_deb, relocate};
use crate::{
    Command, Failure, Result,
    command::{Cause, CommandError},
    download::{Downloads, verify},
    files, layer, output,
};
use libcnb::{Buildpack, Env, build::BuildContext, data::layer_name};
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

const FRESH: Duration = Duration::from_secs(12 * 60 * 60);

/// What the packages come on top of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// The build image: for tools that only the build uses.
    Build,
    /// The run image: for what is in the app's image.
    Run,
}

/// apt, without root.
#[derive(Debug)]
pub struct Apt {
    env: Env,
    folder: PathBuf,
    status: PathBuf,
}

impl Apt {
    /// With fresh indexes, in the cache layer `apt`.
    pub fn of_layer<B>(context: &BuildContext<B>, env: &Env, base: Base) -> Result<Self>
    where
        B: Buildpack<Error = Failure>,
    {
        let folder = layer::cache(context, layer_name!("apt"), 1_u32)?;
        let apt = Self::new(env, &folder, base)?;
        apt.update()?;
        Ok(apt)
    }

    /// `folder` is kept by a cache layer: indexes stay there for some hours.
    pub fn new(env: &Env, folder: &Path, base: Base) -> Result<Self> {
        let status = match base {
            Base::Run if Path::new(RUN_STATUS).is_file() => RUN_STATUS,
            _ => BUILD_STATUS,
        };
        for part in ["state/lists/partial", "cache/archives/partial", "etc"] {
            files::make_dir(&folder.join(part))?;
        }
        Ok(Self {
            env: env.clone(),
            folder: folder.to_owned(),
            status: status.into(),
        })
    }

    /// Adds sources: lines as in `sources.list`, signed by keys that the image trusts.
    pub fn add_sources(&self, lines: &[String]) -> Result<()> {
        let parts = self.folder.join("etc/sources.list.d");
        files::remove(&parts)?;
        copy_sources(Path::new("/etc/apt/sources.list.d"), &parts)?;
        files::write(&parts.join("app.list"), lines.join("\n") + "\n")?;
        files::remove(&self.folder.join("updated"))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program)
            .envs(&self.env)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .hidden_arg("-o")
            .hidden_arg(format!("Dir::State={}", self.folder.join("state").display()))
            .hidden_arg("-o")
            .hidden_arg(format!("Dir::State::status={}", self.status.display()))
            .hidden_arg("-o")
            .hidden_arg(format!("Dir::Cache={}", self.folder.join("cache").display()));
        for option in [
            "Debug::NoLocking=1",
            "APT::Sandbox::User=root",
            "Acquire::Languages=none",
            // What plans print: the digests by which downloads are shared.
            "Acquire::ForceHash=SHA256",
        ] {
            command = command.hidden_arg("-o").hidden_arg(option);
        }
        let parts = self.folder.join("etc/sources.list.d");
        if parts.is_dir() {
            command = command
                .hidden_arg("-o")
                .hidden_arg(format!("Dir::Etc::sourceparts={}", parts.display()));
        }
        command
    }

    /// Fetches the indexes, unless they are fresh.
    pub fn update(&self) -> Result<()> {
        let mark = self.folder.join("updated");
        if files::is_younger(&mark, FRESH) {
            return Ok(());
        }
        let step = output::step("Updating package indexes");
        self.command("apt-get").args(["update", "-qq"]).hidden_arg("-oAPT::Update::Error-Mode=any").run().map_err(
            |error| {
                if matches!(error.cause, Cause::NotFound) {
                    return error.failure(
                        "Can't fetch the indexes of Debian packages",
                        "The build image has no apt: Debian packages need a Debian or Ubuntu build image.",
                    );
                }
                error.failure(
                    "Can't fetch the indexes of Debian packages",
                    "Push again. If it stays, the server can't reach the mirror named above: its administrator sets \
                     another, or a proxy for builds.",
                )
            },
        )?;
        step.done();
        files::remove(&self.folder.join("answers"))?;
        files::write(&mark, "")
    }

    // An answer stays as long as the indexes and the base do.
    fn remembered(&self, question: &[&str], ask: impl FnOnce() -> Result<String>) -> Result<String> {
        let state = self.state();
        let key = files::fingerprint([state.as_str()].iter().chain(question));
        let folder = self.folder.join("answers");
        if let Some(answer) = files::read(&folder, &key)? {
            return Ok(answer);
        }
        let answer = ask()?;
        files::write(&folder.join(key), &answer)?;
        Ok(answer)
    }

    /// The packages with all they need that the base does not have. `recommends`: also what they recommend. One
    /// that is an absolute path of a `.deb` file is not in the plan itself, only what it needs.
    pub fn plan(&self, packages: &[String], recommends: bool) -> Result<Vec<Planned>> {
        let recommends = if recommends {
            "--install-recommends"
        } else {
            "--no-install-recommends"
        };
        let ask = || {
            self.command("apt-get")
                .args(["install", "--print-uris", "-qq", "-y"])
                .hidden_arg(recommends)
                .hidden_arg("--")
                .args(packages)
                .output()
                .map_err(|error| unresolved(error, packages))
        };
        // A file may be another the next time.
        let text = if packages.iter().any(|package| package.starts_with('/')) {
            ask()?
        } else {
            let words = packages.iter().map(String::as_str);
            let question: Vec<&str> = ["plan", recommends].into_iter().chain(words).collect();
            self.remembered(&question, ask)?
        };
        let is_here = |line: &&str| {
            packages
                .iter()
                .any(|package| line.starts_with(&format!("'file:{package}'")))
        };
        Ok(text
            .lines()
            .filter(|line| !is_here(line))
            .filter_map(Planned::read)
            .collect())
    }

    /// A short name for what plans depend on beside the packages asked for: the indexes as they were fetched last,
    /// and the base.
    #[must_use]
    pub fn state(&self) -> String {
        let of = |path: &Path| {
            let metadata = fs::metadata(path).ok()?;
            let modified = metadata
                .modified()
                .ok()?
                .duration_since(SystemTime::UNIX_EPOCH)
                .ok()?;
            Some(format!("{} {}", modified.as_nanos(), metadata.len()))
        };
        let parts = [of(&self.folder.join("updated")), of(&self.status)];
        files::fingerprint(parts.map(Option::unwrap_or_default))
    }

    /// The names of all packages that the indexes have, in no order.
    pub fn names(&self) -> Result<Vec<String>> {
        let text = self.remembered(&["names"], || {
            self.command("apt-cache")
                .arg("pkgnames")
                .output()
                .map_err(|error| {
                    error.failure_with_tail(
                        "Can't list Debian packages",
                        "Push again, or tell the server's administrator.",
                    )
                })
        })?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Fetches what is planned and unpacks it into `into`.
    pub fn unpack(&self, downloads: &Downloads, planned: &[Planned], into: &Path) -> Result<()> {
        files::make_dir(into)?;
        let archives = self.folder.join("cache/archives");
        let missing = self.fetch(downloads, planned, &archives)?;
        for package in planned {
            let archive = archives.join(&package.file);
            dpkg_deb(&archive, into)?;
            files::remove(&archive)?;
        }
        output::detail(format!(
            "{} ({} downloaded, {} in all)",
            output::count(planned.len(), "package"),
            missing,
            output::size(planned.iter().map(|package| package.size).sum())
        ));
        relocate(into).map_err(|error| Failure::io("correct the links in", into, &error))
    }

    // All of `planned` in `archives`; gives the number that had to be fetched, in one run of apt.
    fn fetch(&self, downloads: &Downloads, planned: &[Planned], archives: &Path) -> Result<usize> {
        let mut missing = Vec::new();
        for package in planned {
            let archive = archives.join(&package.file);
            files::remove(&archive)?;
            match package
                .digest
                .as_ref()
                .and_then(|digest| downloads.cached(digest))
            {
                Some(cached) => fs::copy(&cached, &archive)
                    .map(drop)
                    .map_err(|error| Failure::io("write", &archive, &error))?,
                None => missing.push(package),
            }
        }
        if missing.is_empty() {
            return Ok(0);
        }
        let exact: Vec<String> = missing
            .iter()
            .map(|package| format!("{}={}", package.qualified(), package.version()))
            .collect();
        self.command("apt-get").args(["download", "-qq"]).args(&exact).dir(archives).quiet().run().map_err(
            |error| {
                error.failure_with_tail(
                    "Can't download Debian packages",
                    "Push again. If it stays, the server can't reach its mirror: tell the server's administrator.",
                )
            },
        )?;
        for package in &missing {
            let archive = archives.join(&package.file);
            if let Some(digest) = &package.digest {
                verify(package.name(), digest, &archive)?;
                downloads.keep(digest, &archive)?;
            }
        }
        Ok(missing.len())
    }
}

fn copy_sources(from: &Path, to: &Path) -> Result<()> {
    files::make_dir(to)?;
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        let target = to.join(entry.file_name());
        fs::copy(entry.path(), &target).map_err(|error| Failure::io("write", &target, &error))?;
    }
    Ok(())
}

fn unresolved(error: CommandError, packages: &[String]) -> Failure {
    let unknown: Vec<&str> = error
        .tail
        .iter()
        .filter_map(|line| line.strip_prefix("E: Unable to locate package "))
        .collect();
    if unknown.is_empty() {
        return error.failure_with_tail(
            format!(
                "Debian packages can't be installed together: {}",
                packages.join(", ")
            ),
            "Read what apt says above: remove or replace the package that it names.",
        );
    }
    Failure::new(
        format!("There is no Debian package {}", unknown.join(", ")),
        "The package sources of the build image do not have it.",
        "Is it spelled as in Debian 13 (trixie)? Search on packages.debian.org, correct it and push again.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_package_is_named() {
        let error = CommandError {
            command: "apt-get install".into(),
            cause: Cause::Status(100),
            tail: vec!["E: Unable to locate package libfoo".into()],
        };
        let failure = unresolved(error, &["libfoo".into()]);
        insta::assert_snapshot!(failure.text(), @r"
        There is no Debian package libfoo

        The package sources of the build image do not have it.

        Is it spelled as in Debian 13 (trixie)? Search on packages.debian.org, correct it and push again.
        ");
    }
}
