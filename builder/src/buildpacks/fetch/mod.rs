//! Buildpacks from outside: a Git repository, a packed folder, an OCI image, a folder of the server. Each ends as a
//! folder of the build.
//!
//! Git and archives are fetched in a container like the build's own, as its user, with neither credentials nor the
//! build's variables but for proxies and the host's CA bundle; images by the builder's own client.

mod folder;
pub(crate) mod image;

pub(crate) use folder::from_source;

use super::{
    adopt::Tree,
    container::{Ended, Job},
    owned,
    platform::{CA_FILE, CA_VARIABLES},
    turns::Held,
    watch::Excess,
};
use crate::{BuildError, Builder, Request, config::MIB};
use pvdify_types::{BuildpackKind, BuildpackName};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::sync::mpsc;

/// How long one may take to come.
const TIME: Duration = Duration::from_secs(5 * 60);
/// How large one may be, unpacked.
const MAX_BYTES: u64 = 2048 * MIB;
/// Before what came, on the last line of the program that fetches.
const CAME: &str = "pvdify-fetched: ";
/// Variables of the server's owner that whoever fetches needs too.
const PROXIES: [&str; 6] = [
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
];
/// Fetches for one build.
pub(crate) struct Fetcher<'a> {
    pub(crate) builder: &'a Builder,
    pub(crate) request: &'a Request<'a>,
    /// The folder with `lifecycle` in it.
    pub(crate) programs: &'a Path,
    /// A folder of the build's own.
    pub(crate) folder: PathBuf,
    pub(crate) held: &'a Held,
}

impl Fetcher<'_> {
    /// Fetches one; `number` is its own within the build.
    pub(crate) async fn fetch(&self, name: &BuildpackName, number: usize) -> Result<Tree, BuildError> {
        let folder = self.folder.join(number.to_string());
        fs::create_dir_all(&self.folder).map_err(BuildError::disk)?;
        let (what, top) = match name.kind() {
            BuildpackKind::Git { url, reference } => {
                let reference = reference.unwrap_or_default();
                (
                    self.run(name, &folder, &["fetch-git", &url, &reference]).await?,
                    None,
                )
            }
            BuildpackKind::Archive { url } => {
                (self.run(name, &folder, &["fetch-archive", &url]).await?, None)
            }
            BuildpackKind::Image { image } => self.image(name, &image, &folder.join("tree")).await?,
            BuildpackKind::Folder { path } => {
                let to = folder.join("tree");
                let copied = tokio::task::spawn_blocking(move || folder::copy(Path::new(&path), &to)).await;
                copied
                    .map_err(BuildError::unavailable)?
                    .map_err(|error| BuildError::Refused(format!("the buildpack {name}: {error}")))?;
                (String::new(), None)
            }
            BuildpackKind::Id { .. } => {
                return Err(BuildError::Refused(format!(
                    "the buildpack {name} has no address"
                )));
            }
        };
        Ok(Tree {
            name: name.clone(),
            folder: folder.join("tree"),
            what,
            top,
        })
    }

    /// Runs the program that fetches, in a container; gives what it says came.
    async fn run(&self, name: &BuildpackName, folder: &Path, command: &[&str]) -> Result<String, BuildError> {
        use crate::podman::{ContainerSpec, Mount};
        let config = &self.builder.config;
        owned::folder(folder, owned::CNB).map_err(BuildError::disk)?;
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let bind = |from: &Path, to: &str, read_only| {
            Mount::bind(absolute(from).display().to_string(), to, read_only)
        };
        let mut mounts = vec![
            bind(self.programs, "/cnb/lifecycle", true),
            bind(folder, "/fetch", false),
        ];
        let mut env = BTreeMap::from([("HOME".to_owned(), "/fetch".to_owned())]);
        for proxy in PROXIES {
            if let Some(value) = config.build_env.get(proxy) {
                env.insert(proxy.to_owned(), value.clone());
            }
        }
        if let Some(ca) = &config.build_ca {
            let given = self.folder.join("ca.crt");
            let write = || owned::write_new(&given, &fs::read(ca)?, 0o644);
            write().map_err(BuildError::disk)?;
            mounts.push(bind(&given, CA_FILE, true));
            env.extend(CA_VARIABLES.map(|variable| (variable.to_owned(), CA_FILE.to_owned())));
        }
        let job = Job {
            podman: &self.builder.podman,
            config,
            app: self.request.app,
            build: self.request.build,
            time: TIME,
            writable: vec![folder.to_owned()],
            disk_bytes: MAX_BYTES,
            sandboxes: &self.builder.sandboxes,
            held: self.held,
            image: &config.build_image,
            owner: owned::CNB,
        };
        let what = |spec: ContainerSpec| ContainerSpec {
            env,
            mounts,
            work_dir: Some("/fetch".to_owned()),
            entrypoint: Some(vec!["/cnb/lifecycle/lifecycle".to_owned()]),
            command: Some(command.iter().map(|word| (*word).to_owned()).collect()),
            ..spec
        };
        let (sender, mut lines) = mpsc::channel::<String>(16);
        let listen = async {
            let mut came = None;
            while let Some(line) = lines.recv().await {
                came = line.strip_prefix(CAME).map(str::to_owned).or(came);
            }
            came
        };
        let run = async {
            let ended = job.run(what, &sender).await;
            drop(sender);
            ended
        };
        let (ended, came) = tokio::join!(run, listen);
        explain(name, &ended?, came)
    }
}

fn explain(name: &BuildpackName, ended: &Ended, came: Option<String>) -> Result<String, BuildError> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Said {
        message: String,
    }
    let refused = |text: String| {
        Err(BuildError::Refused(format!(
            "the buildpack {name} can't be fetched: {text}"
        )))
    };
    match ended {
        Ended::Exited { code: 0, .. } => came.map_or_else(|| refused("nothing came".to_owned()), Ok),
        Ended::Exited { code, failure, .. } => {
            let said = failure
                .as_deref()
                .and_then(|json| serde_json::from_str(json).ok());
            let said: Said = said.unwrap_or_default();
            if said.message.is_empty() {
                return refused(format!("fetching ended with code {code}"));
            }
            refused(said.message)
        }
        Ended::TimedOut => refused(format!("it took longer than {} minutes", TIME.as_secs() / 60)),
        Ended::Disk(Excess::Build(_)) => refused(format!("it has more than {} MiB", MAX_BYTES / MIB)),
        Ended::Disk(Excess::Files(files)) => refused(format!("it has more than {files} files")),
        Ended::Disk(Excess::Path) => refused("it has folders in folders without end".to_owned()),
        Ended::Disk(Excess::HostFiles(free)) => Err(BuildError::Unavailable(format!(
            "the build was stopped: the server's disk has room for {free} files more. Remove some from it and push again"
        ))),
        Ended::Disk(Excess::Host(free)) => Err(BuildError::Unavailable(format!(
            "the build was stopped: the server's disk has {} MiB left. Free space on it and push again",
            free / MIB
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_nothing_came_is_said() {
        let name = "https://h/x.git".parse().unwrap();
        let exited = |code, failure: Option<&str>| Ended::Exited {
            code,
            failure: failure.map(str::to_owned),
            tail: Vec::new(),
        };
        let told = |ended: &Ended| explain(&name, ended, None).unwrap_err().to_string();
        let failure = r#"{"phase":"fetch","code":1,"message":"git: fatal: repository not found"}"#;
        insta::assert_snapshot!(told(&exited(1, Some(failure))), @"the buildpack https://h/x.git can't be fetched: git: fatal: repository not found");
        insta::assert_snapshot!(told(&exited(137, None)), @"the buildpack https://h/x.git can't be fetched: fetching ended with code 137");
        insta::assert_snapshot!(told(&exited(0, None)), @"the buildpack https://h/x.git can't be fetched: nothing came");
        insta::assert_snapshot!(told(&Ended::TimedOut), @"the buildpack https://h/x.git can't be fetched: it took longer than 5 minutes");
        insta::assert_snapshot!(told(&Ended::Disk(Excess::Build(1))), @"the buildpack https://h/x.git can't be fetched: it has more than 2048 MiB");
        assert_eq!(
            explain(&name, &exited(0, None), Some("c".into())),
            Ok("c".to_owned())
        );
    }
}
