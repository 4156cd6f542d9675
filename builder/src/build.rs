//! One run of Podman's build: the request, its stream, its time limit and its end.
//!
//! Whatever way it ends, also when the caller stops waiting, nothing of it keeps running: Podman itself does
//! not stop a RUN step whose client is gone, so the build's control group is killed until it is empty.

use crate::{
    BuildError, Limits,
    cgroup::Cgroup,
    dockerfile::{Additions, Dockerfile},
    failure::{self, Place},
    output::Output,
    podman::{self, Libpod, PodmanError, Query},
    secrets::Secrets,
};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{HeaderMap, HeaderValue, Method, header};
use pvdify_types::InstallationId;
use serde::Deserialize;
use serde_json::json;
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::io::ReaderStream;

/// How long a killed build may take to clean up after itself.
const CLEAN_UP: Duration = Duration::from_secs(20);

/// All that a run needs.
pub(crate) struct Run<'a> {
    pub(crate) podman: &'a Libpod,
    pub(crate) additions: Additions<'a>,
    pub(crate) installation: &'a InstallationId,
    pub(crate) limits: &'a Limits,
    /// When it has to be over.
    pub(crate) deadline: Instant,
    pub(crate) dockerfile: &'a Dockerfile,
    /// The rewritten Dockerfile, outside the source so that `COPY .` finds the person's own.
    pub(crate) dockerfile_path: PathBuf,
    pub(crate) source: &'a Path,
    pub(crate) secrets: Secrets,
    pub(crate) tag: &'a str,
    /// Build arguments.
    pub(crate) args: &'a BTreeMap<String, String>,
    pub(crate) cgroup: Option<Cgroup>,
}

/// A build without an image.
pub(crate) struct Failed {
    /// For the person who pushed.
    pub(crate) error: BuildError,
    /// Whether the same build is likely to succeed now.
    pub(crate) again: bool,
}

impl From<BuildError> for Failed {
    fn from(error: BuildError) -> Self {
        Self { error, again: false }
    }
}

/// One value of the stream.
#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    stream: String,
    #[serde(default)]
    error: String,
}

impl Run<'_> {
    /// Builds; the image has the tag afterwards.
    pub(crate) async fn build(&self, output: &mpsc::Sender<String>) -> Result<(), Failed> {
        let guard = Guard(self.cgroup.clone());
        let mut shown = Output::new(self.dockerfile, self.additions, self.limits.log_bytes);
        let ended = {
            let mut build = std::pin::pin!(self.follow(&mut shown, output));
            match tokio::time::timeout_at(self.deadline, &mut build).await {
                Ok(ended) => Some(ended),
                Err(_) => {
                    self.stop(build).await;
                    None
                }
            }
        };
        let ended_whole = guard.end();
        let Some(ended) = ended else {
            let limit = self.limits.timeout.as_secs();
            let place = shown.current().map_or(String::new(), |(line, text)| {
                format!(" It was at Dockerfile line {line}: {text}")
            });
            return Err(BuildError::Refused(format!(
                "the build took longer than {} and was stopped.{place}",
                duration(limit)
            ))
            .into());
        };
        let message = match ended {
            Ok(()) => return Ok(self.confirm().await?),
            Err(Ended::Failed(message)) => message,
            Err(Ended::Podman(PodmanError::Refused { message, .. })) => message,
            Err(Ended::Podman(error)) => return Err(BuildError::from(error).into()),
            Err(Ended::Source(error)) => {
                return Err(BuildError::unavailable(format!("the source can't be read: {error}")).into());
            }
        };
        let place = shown.current().map(|(line, text)| Place {
            line,
            text,
            tail: shown.tail(),
        });
        Err(Failed {
            error: failure::explain(&message, place.as_ref(), self.limits.memory_bytes),
            // What is still being killed would take a second build of the same group with it.
            again: ended_whole && failure::storage_changed(&message),
        })
    }

    /// A stream that ends without an error may also be that of a Podman that went away.
    async fn confirm(&self) -> Result<(), BuildError> {
        if self.podman.image_exists(self.tag).await? {
            Ok(())
        } else {
            Err(BuildError::unavailable(
                "the build was interrupted: Podman ended it without an image. Push again",
            ))
        }
    }

    async fn follow(&self, shown: &mut Output<'_>, output: &mpsc::Sender<String>) -> Result<(), Ended> {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/x-tar"),
        );
        let path = self.query().on("/libpod/build");
        let body = self.body().await.map_err(Ended::Source)?;
        let response = self.podman.request(Method::POST, &path, headers, body).await?;
        let mut events = std::pin::pin!(podman::json_lines::<Event>(response));
        while let Some(event) = events.try_next().await? {
            if !event.error.is_empty() {
                return Err(Ended::Failed(event.error));
            }
            for line in shown.take(&event.stream) {
                // Nobody may be listening any more; the build goes on all the same.
                output.send(line).await.ok();
            }
        }
        if let Some(line) = shown.flush() {
            output.send(line).await.ok();
        }
        Ok(())
    }

    /// Kills what runs, and lets Podman remove its build container.
    async fn stop(&self, build: impl Future<Output = Result<(), Ended>>) {
        let Some(cgroup) = &self.cgroup else { return };
        let kill = async {
            loop {
                cgroup.kill();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let cleaned = async {
            tokio::select! {
                _ = build => {}
                () = kill => {}
            }
        };
        // Over the time, the connection is dropped, which stops a pull or a copy.
        tokio::time::timeout(CLEAN_UP, cleaned).await.ok();
    }

    fn query(&self) -> Query {
        let limits = self.limits;
        let ulimits = [
            format!("nofile={0}:{0}", limits.nofile),
            format!("nproc={0}:{0}", limits.nproc),
        ];
        let labels = [
            ("pvdify.installation", self.installation.as_str()),
            ("pvdify.app", self.additions.app.as_str()),
        ];
        let mut query = Query::default()
            .with("t", self.tag)
            .with("dockerfile", outside_source(&self.dockerfile_path).display())
            // Without a format no layer is ever found in the cache.
            .with("outputformat", "application/vnd.oci.image.manifest.v1+json")
            .with("layers", true)
            .with("rm", true)
            .with("forcerm", true)
            .with("pullpolicy", "missing")
            .with("memory", limits.memory_bytes)
            .with("memswap", limits.memory_bytes)
            .with("cpuperiod", limits.cpu_period)
            .with("cpuquota", limits.cpu_quota)
            .with("ulimits", json!(ulimits))
            .with("labels", json!(BTreeMap::from(labels)));
        // Podman 5 labels only the finished image; Podman 4 does not know the parameter.
        for (name, value) in labels {
            query = query.with("layerLabel", format!("{name}={value}"));
        }
        // The default is the host's own network, on which the loopback API and registry listen.
        query = query
            .with("nsoptions", json!([{"Name": "network", "Host": false}]))
            .with("networkmode", "NetworkEnabled");
        if !self.args.is_empty() {
            query = query.with("buildargs", json!(self.args));
        }
        if let Some(cgroup) = &self.cgroup {
            query = query.with("cgroupparent", cgroup.of_containers());
        }
        if !self.secrets.is_empty() {
            query = query.with("secrets", json!(self.secrets.options()));
        }
        query
    }

    async fn body(&self) -> io::Result<podman::Body> {
        let source = tokio::fs::File::open(self.source).await?;
        let first = stream::iter([Ok(Bytes::from(self.secrets.tar()?))]);
        Ok(podman::stream_body(
            first.chain(ReaderStream::with_capacity(source, 256 * 1024)),
        ))
    }
}

/// Why a stream ended without an image.
enum Ended {
    Failed(String),
    Podman(PodmanError),
    Source(io::Error),
}

impl From<PodmanError> for Ended {
    fn from(error: PodmanError) -> Self {
        Self::Podman(error)
    }
}

/// Ends what is left of the build when the run ends, in whatever way.
struct Guard(Option<Cgroup>);

impl Guard {
    /// Ends it now; says whether nothing was left.
    fn end(mut self) -> bool {
        self.0.take().is_none_or(end)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.take().map(end);
    }
}

fn end(cgroup: Cgroup) -> bool {
    let left = cgroup.kill();
    if left {
        // A next step may begin before Podman notices that nobody listens.
        tokio::spawn(async move {
            let end = Instant::now() + CLEAN_UP;
            while Instant::now() < end {
                tokio::time::sleep(Duration::from_millis(200)).await;
                cgroup.kill();
            }
            cgroup.remove();
        });
    } else {
        cgroup.remove();
    }
    !left
}

/// A path that Podman, which puts the folder of the source before it, takes outside of that folder: above the
/// root there is only the root. Absolute paths in a list, as Podman 4 takes them, are inside to Podman 5.
fn outside_source(path: &Path) -> PathBuf {
    const DEEPER_THAN_ANY: usize = 64;
    let up = std::iter::repeat_n("..", DEEPER_THAN_ANY);
    up.collect::<PathBuf>()
        .join(path.strip_prefix("/").unwrap_or(path))
}

fn duration(seconds: u64) -> String {
    if seconds >= 120 && seconds.is_multiple_of(60) {
        format!("{} minutes", seconds / 60)
    } else {
        format!("{seconds} seconds")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Component;

    /// What Podman does with the path: Go's `filepath.Join`, which knows no links.
    fn joined(source: &str, path: &Path) -> PathBuf {
        let mut whole = PathBuf::new();
        for part in Path::new(source).join(path).components() {
            match part {
                Component::ParentDir => drop(whole.pop()),
                part => whole.push(part),
            }
        }
        whole
    }

    #[test]
    fn podman_takes_the_dockerfile_from_outside_the_source() {
        let file = Path::new("/var/lib/pvdify/work/b1/Dockerfile");
        for source in [
            "/var/tmp/libpod_builder1/build",
            "/a/state/folder/run/tmp/libpod_builder1/build",
        ] {
            assert_eq!(joined(source, &outside_source(file)), file);
        }
    }
}
