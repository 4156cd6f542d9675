//! Debian packages in a layer, without root: resolved by the image's own apt and sources, unpacked by
//! `dpkg-deb -x`, their paths given for the environment.
//!
//! apt gets state and cache folders of its own, which a cache layer keeps, and plans against the packages of
//! the *run* image when the layer is for launch: what only the build image has must be in the layer too.
//! Packages' scripts do not run, so what a script would set up (alternatives, caches, users) is not there;
//! absolute links into unpacked files are made relative, because the layer is not at `/`.

use crate::{
    Command, Failure, Result,
    command::{self, Cause, CommandError},
    download::{Digest, Downloads, verify},
    files, output, toolchain,
};
use libcnb::{
    Env,
    layer_env::{LayerEnv, ModificationBehavior, Scope},
};
use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::symlink,
    path::{Component, Path, PathBuf},
    time::{Duration, SystemTime},
};

// The list of the run image's packages (dpkg's status file), put into the build image when both are made.
pub(super) const RUN_STATUS: &str = "/usr/share/pvdify/run-image.dpkg-status";
pub(super) const BUILD_STATUS: &str = "/var/lib/dpkg/status";
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

/// A package as apt plans it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// `curl_8.14.1-2_amd64.deb`, escaped as apt does.
    pub file: String,
    /// Bytes of the file.
    pub size: u64,
    digest: Option<Digest>,
}

impl Planned {
    /// The package's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.file.split('_').next().unwrap_or(&self.file)
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> String {
        self.file
            .split('_')
            .nth(1)
            .unwrap_or_default()
            .replace("%3a", ":")
    }
}

impl Apt {
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
        let is_fresh = fs::metadata(&mark)
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|time| {
                SystemTime::now()
                    .duration_since(time)
                    .is_ok_and(|age| age < FRESH)
            });
        if is_fresh {
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

    // apt reads all its indexes for each question: an answer stays as long as they and the base do.
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
            .filter_map(planned)
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

impl Planned {
    // `libc6:amd64`: without its architecture, `apt-get download` takes the machine's.
    fn qualified(&self) -> String {
        let arch = self
            .file
            .rsplit('_')
            .next()
            .and_then(|rest| rest.strip_suffix(".deb"));
        match arch {
            Some(arch) if arch != "all" => format!("{}:{arch}", self.name()),
            _ => self.name().to_owned(),
        }
    }
}

/// Unpacks one package's files.
pub fn dpkg_deb(archive: &Path, into: &Path) -> Result<()> {
    Command::new("dpkg-deb")
        .arg("--extract")
        .arg(archive)
        .arg(into)
        .quiet()
        .run()
        .map_err(|error| {
            error.failure_with_tail(
                format!("Can't unpack {}", archive.display()),
                "Is it a Debian package for this machine? Push again, or tell the server's administrator.",
            )
        })
}

fn copy_sources(from: &Path, to: &Path) -> Result<()> {
    files::make_dir(to)?;
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        let target = to.join(entry.file_name());
        fs::copy(entry.path(), &target).map_err(|error| Failure::io("write", &target, &error))?;
    }
    Ok(())
}

// `'URL' FILE SIZE SHA256:HEX`.
fn planned(line: &str) -> Option<Planned> {
    let mut words = line.strip_prefix('\'')?.split_once('\'')?.1.split_whitespace();
    let file = words.next()?.to_owned();
    let size = words.next()?.parse().ok()?;
    let digest = words
        .next()
        .and_then(|word| word.split_once(':'))
        .and_then(|(algorithm, hex)| match algorithm {
            "SHA256" => Digest::sha256(hex),
            "SHA512" => Digest::sha512(hex),
            _ => None,
        });
    Some(Planned { file, size, digest })
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

/// Makes absolute links that point to an unpacked file relative: the layer is not at `/`.
pub(super) fn relocate(root: &Path) -> io::Result<()> {
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let metadata = fs::symlink_metadata(&path)?;
            if metadata.is_dir() {
                folders.push(path);
            } else if metadata.is_symlink() {
                let target = fs::read_link(&path)?;
                if let Some(new) = relative(root, &path, &target) {
                    fs::remove_file(&path)?;
                    symlink(new, &path)?;
                }
            }
        }
    }
    Ok(())
}

fn relative(root: &Path, link: &Path, target: &Path) -> Option<PathBuf> {
    let inside = target.strip_prefix("/").ok()?;
    let stays = inside
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if !stays || fs::symlink_metadata(root.join(inside)).is_err() {
        return None;
    }
    let depth = link.parent()?.strip_prefix(root).ok()?.components().count();
    Some(std::iter::repeat_n("..", depth).collect::<PathBuf>().join(inside))
}

/// The packages of the system's libraries that `files` (programs, shared objects) are linked with, but for those
/// that every image has.
#[must_use]
pub fn linked_packages(env: &Env, files: &[PathBuf]) -> Vec<String> {
    let (Some(ldd), Some(dpkg)) = (command::find(env, "ldd"), command::find(env, "dpkg-query")) else {
        return Vec::new();
    };
    let said = |program: &Path, word: Option<&str>, file: &Path| {
        // A static program is no error here, nor a file that no package owns.
        let command = Command::new(program).args(word).arg(file).envs(env);
        command.output().unwrap_or_default()
    };
    let mut paths = BTreeSet::new();
    for file in files {
        let text = said(&ldd, None, file);
        let found = text
            .lines()
            .filter_map(|line| line.split_once("=> ")?.1.split(" (").next());
        paths.extend(
            found
                .filter(|path| path.starts_with("/lib/") || path.starts_with("/usr/lib/"))
                .map(str::to_owned),
        );
    }
    let mut packages = BTreeSet::new();
    for path in paths {
        // Packages know their files by either name of the folder.
        let other = path
            .strip_prefix("/usr")
            .map_or_else(|| format!("/usr{path}"), str::to_owned);
        for path in [path, other] {
            let owners = said(&dpkg, Some("--search"), Path::new(&path));
            packages.extend(
                owners
                    .lines()
                    .filter(|line| !line.starts_with("diversion "))
                    .filter_map(|line| line.split(':').next().map(str::to_owned)),
            );
        }
    }
    packages
        .into_iter()
        .filter(|name| !["libc6", "libgcc-s1"].contains(&name.as_str()))
        .collect()
}

/// The environment for what was unpacked into `root`: programs, libraries (also those in folders that
/// `ld.so.conf.d` names), headers, pkg-config, for build and launch.
#[must_use]
pub fn layer_env(root: &Path) -> LayerEnv {
    let arch = toolchain::multiarch();
    let mut libraries = vec![
        format!("usr/lib/{arch}"),
        "usr/lib".to_owned(),
        format!("lib/{arch}"),
        "lib".to_owned(),
    ];
    libraries.extend(configured_libraries(root));
    libraries.extend(nested_libraries(root, arch));
    let includes = [format!("usr/include/{arch}"), "usr/include".to_owned()];
    let pkgconfig = [
        format!("usr/lib/{arch}/pkgconfig"),
        "usr/lib/pkgconfig".to_owned(),
        "usr/share/pkgconfig".to_owned(),
    ];
    let programs = ["usr/bin", "bin", "usr/sbin", "sbin", "usr/games"].map(str::to_owned);
    let mut env = LayerEnv::new();
    let mut add = |scope: Scope, name: &str, folders: &[String]| {
        let found: Vec<String> = folders
            .iter()
            .map(|folder| root.join(folder))
            .filter(|folder| folder.is_dir())
            .map(|folder| folder.display().to_string())
            .collect();
        if !found.is_empty() {
            env.insert(
                scope.clone(),
                ModificationBehavior::Prepend,
                name,
                found.join(":"),
            );
            env.insert(scope, ModificationBehavior::Delimiter, name, ":");
        }
    };
    add(Scope::All, "PATH", &programs);
    add(Scope::All, "LD_LIBRARY_PATH", &libraries);
    add(Scope::Build, "LIBRARY_PATH", &libraries);
    add(Scope::Build, "CPATH", &includes);
    add(Scope::Build, "PKG_CONFIG_PATH", &pkgconfig);
    env
}

fn configured_libraries(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join("etc/ld.so.conf.d"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        found.extend(
            text.lines()
                .filter_map(|line| Some(line.trim().strip_prefix('/')?.to_owned())),
        );
    }
    found.sort();
    found
}

// BLAS, LAPACK, PulseAudio and the like keep their libraries one folder below, and a package's script (which
// does not run here) or a program's RPATH names it.
fn nested_libraries(root: &Path, arch: &str) -> Vec<String> {
    let base = format!("usr/lib/{arch}");
    [
        "blas",
        "lapack",
        "atlas",
        "openblas-pthread",
        "pulseaudio",
        "mesa",
    ]
    .iter()
    .map(|name| format!("{base}/{name}"))
    .filter(|folder| root.join(folder).is_dir())
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apts_plan_is_read() {
        let hex = "cd".repeat(32);
        let line = format!(
            "'http://deb.example/pool/a_1%253a2.deb' libfoo_1%3a2.0-1+b1_amd64.deb 12345 SHA256:{hex}"
        );
        let package = planned(&line).unwrap();
        assert_eq!(
            (package.name(), package.version().as_str(), package.size),
            ("libfoo", "1:2.0-1+b1", 12345)
        );
        assert_eq!(package.qualified(), "libfoo:amd64");
        assert!(package.digest.is_some());
        assert_eq!(planned("Reading package lists..."), None);
    }

    #[test]
    fn the_packages_of_linked_libraries_are_found() {
        let mut env = Env::new();
        env.insert("PATH", "/usr/bin:/bin");
        let linked = linked_packages(&env, &["/usr/bin/apt-get".into()]);
        assert!(
            linked.iter().any(|name| name.starts_with("libapt-pkg")),
            "{linked:?}"
        );
        assert!(!linked.contains(&"libc6".to_owned()));
    }

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

    #[test]
    fn absolute_links_into_the_layer_become_relative_and_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        files::write(&root.join("usr/lib/jvm/java/bin/java"), "x").unwrap();
        files::make_dir(&root.join("usr/bin")).unwrap();
        symlink("/usr/lib/jvm/java/bin/java", root.join("usr/bin/java")).unwrap();
        symlink("/etc/passwd", root.join("usr/bin/outside")).unwrap();
        symlink("/../../etc/passwd", root.join("usr/bin/escape")).unwrap();
        relocate(root).unwrap();
        let link = |name: &str| fs::read_link(root.join("usr/bin").join(name)).unwrap();
        assert_eq!(link("java"), Path::new("../../usr/lib/jvm/java/bin/java"));
        assert_eq!(fs::read_to_string(root.join("usr/bin/java")).unwrap(), "x");
        assert_eq!(link("outside"), Path::new("/etc/passwd"));
        assert_eq!(link("escape"), Path::new("/../../etc/passwd"));
    }

    #[test]
    fn the_environment_has_the_folders_that_are_there() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        files::write(&root.join("usr/bin/x"), "").unwrap();
        files::write(&root.join("opt/x/lib/libx.so"), "").unwrap();
        files::write(
            &root.join("etc/ld.so.conf.d/x.conf"),
            "# x\n/opt/x/lib\n/nowhere\n",
        )
        .unwrap();
        let mut env = Env::new();
        env.insert("PATH", "/bin");
        let env = layer_env(root).apply(Scope::Build, &env);
        let root = root.display();
        assert_eq!(
            env.get_string_lossy("PATH").unwrap(),
            format!("{root}/usr/bin:/bin")
        );
        assert_eq!(
            env.get_string_lossy("LD_LIBRARY_PATH").unwrap(),
            format!("{root}/opt/x/lib")
        );
        assert!(!env.contains_key("CPATH"));
    }
}
