//! Buildpacks from outside: a Git repository, a packed folder, an OCI image, a folder of the server. Each ends as a
//! folder of the build.
//!
//! Git and archives are fetched in a container like the build's own, as its user, with neither credentials nor the
//! build's variables but for proxies and the host's CA bundle; images by the builder's own client, and of their
//! layers only `/cnb/buildpacks` is taken.

use super::{
    adopt::Tree,
    container::{Ended, Job},
    owned,
    platform::{CA_FILE, CA_VARIABLES},
    take_out::TakeOut,
    turns::Held,
    watch::Excess,
};
use crate::{
    BuildError, Builder, Request,
    config::MIB,
    import::{self, Purpose},
};
use oci_spec::image::{ImageConfiguration, ImageManifest};
use pvdify_cnb::id::{BuildpackId, BuildpackVersion};
use pvdify_registry::{Reference, Repository};
use pvdify_types::{BuildpackKind, BuildpackName, Digest, ImageName};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
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
/// What a buildpack's image says of the buildpack that is meant.
const PACKAGE_LABEL: &str = "io.buildpacks.buildpackage.metadata";
const BUILDER_LABEL: &str = "io.buildpacks.builder.metadata";

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
                let copied = tokio::task::spawn_blocking(move || copy(Path::new(&path), &to)).await;
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
        owned::folder(folder).map_err(BuildError::disk)?;
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
            held: self.held,
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

    /// The buildpacks of an image, and which of them is meant.
    async fn image(
        &self,
        name: &BuildpackName,
        image: &str,
        to: &Path,
    ) -> Result<(String, Option<(BuildpackId, BuildpackVersion)>), BuildError> {
        let image: ImageName = image
            .parse()
            .map_err(|error| BuildError::Refused(format!("the buildpack {name}: {error}")))?;
        let (store, repository) = (&self.builder.store, Repository::from(self.request.app));
        let copying = import::copy(
            store,
            &repository,
            &image,
            Purpose::Buildpacks,
            &self.builder.resolver,
            MAX_BYTES,
        );
        let digest = tokio::time::timeout(TIME, copying)
            .await
            .unwrap_or_else(|_| Err(BuildError::unavailable(format!("fetching {image} took too long"))))?;
        let whole = || BuildError::unavailable(format!("{image} is not whole in the registry: push again"));
        let manifest = store
            .manifest(&repository, &Reference::Digest(digest.clone()))
            .await?
            .ok_or_else(whole)?;
        let manifest: ImageManifest = serde_json::from_slice(&manifest.bytes).map_err(BuildError::refused)?;
        let blob = |descriptor: &oci_spec::image::Descriptor| {
            let digest: Option<Digest> = descriptor.digest().to_string().parse().ok();
            let path = digest.and_then(|digest| store.blob_path(&digest));
            Ok::<_, BuildError>((descriptor.media_type().to_string(), path.ok_or_else(whole)?))
        };
        let layers = manifest
            .layers()
            .iter()
            .map(blob)
            .collect::<Result<Vec<_>, _>>()?;
        let (_, config) = blob(manifest.config())?;
        let (to, shown) = (to.to_owned(), name.clone());
        let taken = tokio::task::spawn_blocking(move || {
            let top = meant(&fs::read(config)?)?;
            let mut out = TakeOut::new(&to, MAX_BYTES)?;
            for (media_type, layer) in layers {
                out.archive(
                    unpacked(&media_type, File::open(layer)?)?,
                    Path::new("cnb/buildpacks"),
                )?;
            }
            Ok::<_, io::Error>(top)
        });
        let top = taken
            .await
            .map_err(BuildError::unavailable)?
            .map_err(|error| BuildError::Refused(format!("the buildpack {shown}: {error}")))?;
        Ok((digest.to_string(), top))
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

/// Which buildpack of an image is meant, by its label.
fn meant(config: &[u8]) -> io::Result<Option<(BuildpackId, BuildpackVersion)>> {
    #[derive(Deserialize)]
    struct Package {
        id: BuildpackId,
        version: BuildpackVersion,
    }
    let config: ImageConfiguration = serde_json::from_slice(config)?;
    let labels = config
        .config()
        .as_ref()
        .and_then(|config| config.labels().clone());
    let labels = labels.unwrap_or_default();
    if labels.contains_key(BUILDER_LABEL) {
        return Err(io::Error::other(
            "it is a whole builder, of which only the buildpacks can be used: name one of its buildpack images",
        ));
    }
    let package = labels
        .get(PACKAGE_LABEL)
        .map(|json| serde_json::from_str::<Package>(json));
    Ok(package.transpose()?.map(|package| (package.id, package.version)))
}

/// A layer's tar.
fn unpacked(media_type: &str, layer: File) -> io::Result<Box<dyn Read>> {
    Ok(if media_type.ends_with("gzip") {
        Box::new(flate2::read::MultiGzDecoder::new(layer))
    } else if media_type.ends_with("zstd") {
        Box::new(zstd::stream::read::Decoder::new(layer)?)
    } else {
        Box::new(layer)
    })
}

/// A copy of a folder of the server that the build may read; links stay links.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut left = MAX_BYTES;
    if !from.is_dir() {
        let text = format!("{} is no folder of the server", from.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }
    copy_tree(from, to, &mut left)?;
    copy_parts(from, to, &mut left)
}

/// The buildpacks that a composite's `package.toml` names by paths, copied into its own folder: there they are found.
fn copy_parts(from: &Path, to: &Path, left: &mut u64) -> io::Result<()> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Package {
        dependencies: Vec<Part>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Part {
        uri: String,
    }
    let text = fs::read_to_string(from.join("package.toml")).unwrap_or_default();
    let package: Package = toml::from_str(&text).unwrap_or_default();
    let parts = package.dependencies.iter().map(|part| from.join(&part.uri));
    // An address is none, and whatever is no buildpack's folder stays where it is.
    let parts = parts.filter(|part| part.join("buildpack.toml").is_file());
    for (number, part) in (1..).zip(parts) {
        copy_tree(&part, &to.join(format!("part-{number}")), left)?;
    }
    Ok(())
}

fn copy_tree(from: &Path, to: &Path, left: &mut u64) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            if entry.file_name() != ".git" {
                copy_tree(&entry.path(), &target, left)?;
            }
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, &target)?;
        } else if kind.is_file() {
            let metadata = entry.metadata()?;
            *left = left
                .checked_sub(metadata.len())
                .ok_or_else(|| io::Error::other(format!("it has more than {} MiB", MAX_BYTES / MIB)))?;
            fs::copy(entry.path(), &target)?;
            let mode = 0o644 | (metadata.permissions().mode() & 0o111);
            fs::set_permissions(&target, fs::Permissions::from_mode(mode))?;
        }
    }
    Ok(())
}

/// A folder of the pushed source, as project.toml names it. Blocking.
pub(crate) fn from_source(source: &Path, path: &str, to: &Path) -> io::Result<()> {
    let path = path.trim_start_matches("./").trim_end_matches('/');
    let mut out = TakeOut::new(to, MAX_BYTES)?;
    out.archive(File::open(source)?, Path::new(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(labels: &serde_json::Value) -> Vec<u8> {
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux", "config": {"Labels": labels},
            "rootfs": {"type": "layers", "diff_ids": []}, "history": []
        });
        serde_json::to_vec(&config).unwrap()
    }

    #[test]
    fn an_image_says_which_buildpack_is_meant() {
        let label = serde_json::json!({PACKAGE_LABEL: r#"{"id":"a/b","version":"1.2","stacks":[]}"#});
        let (id, version) = meant(&config(&label)).unwrap().unwrap();
        assert_eq!((id.as_str(), version.as_str()), ("a/b", "1.2"));
        assert_eq!(meant(&config(&serde_json::json!({}))).unwrap(), None);
        let builder = meant(&config(&serde_json::json!({BUILDER_LABEL: "{}"}))).unwrap_err();
        assert!(builder.to_string().contains("whole builder"), "{builder}");
    }

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

    #[test]
    fn a_folder_of_the_server_is_copied_and_its_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("bin")).unwrap();
        fs::write(from.join("bin/build"), "x").unwrap();
        fs::write(dir.path().join("secret"), "s").unwrap();
        let package = "[[dependencies]]\nuri = '../part'\n[[dependencies]]\nuri = 'docker://x'\n[[dependencies]]\nuri = '..'\n";
        fs::write(from.join("package.toml"), package).unwrap();
        fs::create_dir(dir.path().join("part")).unwrap();
        fs::write(dir.path().join("part/buildpack.toml"), "p").unwrap();
        std::os::unix::fs::symlink(dir.path().join("secret"), from.join("link")).unwrap();
        copy(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("bin/build")).unwrap(), "x");
        assert!(fs::symlink_metadata(to.join("link")).unwrap().is_symlink());
        assert!(to.join("part-1/buildpack.toml").is_file() && !to.join("part-2").exists());
        assert!(
            copy(&dir.path().join("none"), &to)
                .unwrap_err()
                .to_string()
                .contains("is no folder")
        );
    }
}
