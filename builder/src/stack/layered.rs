//! The images from an image of somebody else: its packages' newest versions and ours as one layer on top, built by
//! Podman. The base is pinned by its id first, so that no name a person typed stands in a Dockerfile.

use super::{
    Options, StackError, packages,
    recipe::{self, Distribution, INSTALL, Image, REMEMBER, SETUP},
    say, sources, storage,
};
use crate::podman::{self, Libpod, Query};
use futures_util::TryStreamExt;
use http::{HeaderMap, HeaderValue, Method, header};
use serde::Deserialize;
use serde_json::json;
use std::{collections::VecDeque, io, time::Duration};
use tokio::sync::mpsc;

/// Of fetching and installing a few hundred packages on a slow line.
const LIMIT: Duration = Duration::from_secs(60 * 60);
/// Of an image from its registry.
const PULL_LIMIT: Duration = Duration::from_secs(15 * 60);
/// Lines shown of a build that failed.
const TAIL: usize = 25;
/// Where the scripts are inside the build, and nowhere in the image.
const SCRIPTS: &str = "/run/pvdify-stack";
/// Limits per process; every host allows them.
const ULIMITS: [&str; 2] = ["nofile=4096:4096", "nproc=8192:8192"];

/// The base: its id, and what it is.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) id: String,
    pub(super) distribution: Distribution,
}

/// Finds a base, in Podman's storage or else in its registry; the newest one when `options` say so.
pub(super) async fn find(
    podman: &Libpod,
    image: &str,
    options: &Options,
    output: &mpsc::Sender<String>,
) -> Result<Found, StackError> {
    let stored = podman.image_id(image).await?;
    let is_local = image.starts_with("localhost/");
    let id = match stored {
        Some(id) if is_local || !options.newest => id,
        stored => {
            say(output, format!("       fetching {image}")).await;
            let pull = tokio::time::timeout(PULL_LIMIT, podman.pull_image(image, None, !is_loopback(image)));
            match (pull.await, stored) {
                (Ok(Ok(id)), _) => id,
                (Ok(Err(error)), Some(id)) => {
                    say(output, format!(" !     {image} as it is here is taken: {error}")).await;
                    id
                }
                (Ok(Err(error)), None) => {
                    return Err(StackError::new(
                        format!("{image} can't be fetched: {error}"),
                        "name an image that this host reaches, or one that podman images lists",
                    ));
                }
                (Err(_), _) => {
                    return Err(StackError::new(
                        format!(
                            "fetching {image} took longer than {} minutes",
                            PULL_LIMIT.as_secs() / 60
                        ),
                        "see whether its registry is reached, and run the command again",
                    ));
                }
            }
        }
    };
    let mut release = None;
    for path in ["/usr/lib/os-release", packages::OS_RELEASE] {
        if release.is_none() {
            release = storage::read_file(podman, &id, path).await?;
        }
    }
    let distribution = packages::distribution(&release.unwrap_or_default()).ok_or_else(|| {
        StackError::new(
            format!("{image} is neither Debian nor of its family"),
            "name an image with apt: debian:13, ubuntu:24.04, or one made from them",
        )
    })?;
    Ok(Found { id, distribution })
}

/// Builds one image on another, by its id; it has the name `to` afterwards.
pub(super) async fn build(
    podman: &Libpod,
    which: Image,
    base: &str,
    to: &str,
    labels: &[(&'static str, String)],
    options: &Options,
    output: &mpsc::Sender<String>,
) -> Result<(), StackError> {
    let title = which.title();
    say(output, format!("       installing the {title}'s packages")).await;
    let context = context(which, base, options).await?;
    let labels: serde_json::Map<_, _> = labels
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone().into()))
        .collect();
    let query = Query::default()
        .with("t", to)
        .with("outputformat", "application/vnd.oci.image.manifest.v1+json")
        // One layer, whatever the number of steps.
        .with("layers", false)
        .with("rm", true)
        .with("forcerm", true)
        .with("pullpolicy", "never")
        .with("ulimits", json!(ULIMITS))
        .with("labels", serde_json::Value::from(labels))
        // The default is the host's own network, on which the loopback API and registry listen.
        .with("nsoptions", json!([{"Name": "network", "Host": false}]))
        .with("networkmode", "NetworkEnabled");
    let path = query.on("/libpod/build");
    let followed = follow(podman, &path, context, output);
    let tail = match tokio::time::timeout(LIMIT, followed).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(Ended::Podman(error))) => return Err(error.into()),
        Ok(Err(Ended::Failed(tail))) => tail,
        Err(_) => VecDeque::from([format!("it took longer than {} minutes", LIMIT.as_secs() / 60)]),
    };
    for line in tail {
        say(output, line).await;
    }
    Err(StackError::new(
        format!("the {title} could not be built"),
        "fix what it says above: does the image's apt reach its mirror?",
    ))
}

/// `FROM` the base, and what is put on it.
fn containerfile(which: Image, base: &str) -> String {
    let mut text = format!("FROM {base}\nUSER root\nWORKDIR /\nENTRYPOINT []\n");
    for instruction in recipe::instructions() {
        text.push_str(&instruction);
        text.push('\n');
    }
    let packages = format!("{SCRIPTS}/packages");
    // The build image stands on the run image, whose packages are those before any is installed.
    let remember = (which == Image::Build).then_some(("remember", "/"));
    for (script, argument) in remember
        .into_iter()
        .chain([("install", packages.as_str()), ("setup", "/")])
    {
        let command = json!(["/bin/sh", format!("{SCRIPTS}/{script}"), argument]);
        text.push_str(&format!(
            "RUN --mount=type=bind,source=scripts,target={SCRIPTS} {command}\n"
        ));
    }
    text
}

/// The Dockerfile and the scripts that it mounts.
async fn context(which: Image, base: &str, options: &Options) -> Result<Vec<u8>, StackError> {
    let bundle = match &options.ca {
        None => None,
        Some(path) => Some(tokio::fs::read(path).await.map_err(|error| {
            StackError::new(
                format!("the build CA {} can't be read: {error}", path.display()),
                "set PVDIFY_BUILD_CA to a PEM file, auto or off",
            )
        })?),
    };
    // A host without apt has no options of it.
    let host = sources::options().await.unwrap_or_default();
    let packages: String = which.packages().iter().map(|line| format!("{line}\n")).collect();
    let files = [
        ("Containerfile", containerfile(which, base).into_bytes()),
        ("scripts/install", INSTALL.into()),
        ("scripts/setup", SETUP.into()),
        ("scripts/remember", REMEMBER.into()),
        ("scripts/packages", packages.into_bytes()),
        (
            "scripts/apt.conf",
            apt_options(&host, bundle.is_some()).into_bytes(),
        ),
        ("scripts/ca.crt", bundle.unwrap_or_default()),
    ];
    archive(&files).map_err(|error| StackError::disk(&error))
}

/// The host's options without its files, and the CA bundle where the build sees it.
fn apt_options(host: &str, with_ca: bool) -> String {
    let is_file = |line: &&str| {
        ["CAInfo", "CaPath", "SslCert", "SslKey"]
            .iter()
            .any(|name| line.contains(name))
    };
    let mut text: String = host
        .lines()
        .filter(|line| !is_file(line))
        .map(|line| format!("{line}\n"))
        .collect();
    if with_ca {
        text.push_str(&format!("Acquire::https::CAInfo \"{SCRIPTS}/ca.crt\";\n"));
    }
    text
}

fn archive(files: &[(&str, Vec<u8>)]) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content.as_slice())?;
    }
    tar.into_inner()
}

/// Why there is no image.
enum Ended {
    /// The last lines.
    Failed(VecDeque<String>),
    Podman(podman::PodmanError),
}

impl From<podman::PodmanError> for Ended {
    fn from(error: podman::PodmanError) -> Self {
        Self::Podman(error)
    }
}

/// One value of Podman's stream.
#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    stream: String,
    #[serde(default)]
    error: String,
}

async fn follow(
    podman: &Libpod,
    path: &str,
    context: Vec<u8>,
    output: &mpsc::Sender<String>,
) -> Result<(), Ended> {
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-tar"),
    );
    let response = podman
        .request(Method::POST, path, headers, podman::full_body(context))
        .await?;
    let mut events = std::pin::pin!(podman::json_lines::<Event>(response));
    let mut tail = VecDeque::new();
    while let Some(event) = events.try_next().await? {
        if let Some(text) = event.stream.trim_end().strip_prefix("pvdify: ") {
            say(output, format!(" !     {text}")).await;
        }
        keep_last(&mut tail, &event.stream);
        if !event.error.is_empty() {
            keep_last(&mut tail, &event.error);
            return Err(Ended::Failed(tail));
        }
    }
    Ok(())
}

fn keep_last(tail: &mut VecDeque<String>, text: &str) {
    // Its own words of what comes next and what came are no cause.
    let is_narration = |line: &str| {
        ["STEP ", "COMMIT ", "--> "]
            .iter()
            .any(|start| line.starts_with(start))
    };
    for line in text
        .lines()
        .filter(|line| !line.trim().is_empty() && !is_narration(line))
    {
        if tail.len() == TAIL {
            tail.pop_front();
        }
        tail.push_back(line.to_owned());
    }
}

/// A registry on this host speaks plain HTTP.
fn is_loopback(image: &str) -> bool {
    let host = image.split('/').next().unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost"
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dockerfile_names_the_base_by_its_id_and_leaves_no_script_behind() {
        insta::assert_snapshot!(containerfile(Image::Build, "0123abc"), @r#"
        FROM 0123abc
        USER root
        WORKDIR /
        ENTRYPOINT []
        ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
        ENV LANG=C.UTF-8
        ENV CNB_USER_ID=10001
        ENV CNB_GROUP_ID=10001
        CMD ["/bin/bash"]
        RUN --mount=type=bind,source=scripts,target=/run/pvdify-stack ["/bin/sh","/run/pvdify-stack/remember","/"]
        RUN --mount=type=bind,source=scripts,target=/run/pvdify-stack ["/bin/sh","/run/pvdify-stack/install","/run/pvdify-stack/packages"]
        RUN --mount=type=bind,source=scripts,target=/run/pvdify-stack ["/bin/sh","/run/pvdify-stack/setup","/"]
        "#);
        assert!(!containerfile(Image::Run, "0123abc").contains("remember"));
    }

    #[test]
    fn no_file_of_the_host_is_named_inside_a_build() {
        let host = "Acquire::https::CAInfo \"/etc/own.pem\";\nAcquire::Check-Date \"false\";\n";
        assert_eq!(
            apt_options(host, true),
            "Acquire::Check-Date \"false\";\nAcquire::https::CAInfo \"/run/pvdify-stack/ca.crt\";\n"
        );
        assert_eq!(apt_options(host, false), "Acquire::Check-Date \"false\";\n");
    }

    #[test]
    fn plain_http_is_for_registries_on_this_host() {
        assert!(is_loopback("127.0.0.1:5000/base:1") && is_loopback("localhost:5000/base"));
        assert!(!is_loopback("debian:13") && !is_loopback("registry.example/base"));
    }
}
