//! Finds out when a `web` instance is ready: by a TCP connection or an HTTP answer, never by asking the engine.
//!
//! One task an instance, quick at first and then slower. It ends when the instance is ready or gone. A
//! finding is about one start of an instance: after a restart it is looked for anew. Readiness is not
//! health: who was ready stays so while it runs, and the router avoids an endpoint that fails.

use super::desired::{DesiredApp, Readiness};
use crate::engine::{EngineInstance, EngineState};
use http::{Request, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use pvdify_types::{AppId, InstanceId, ReleaseVersion};
use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    net::TcpStream,
    sync::{Notify, watch},
    task::AbortHandle,
    time::{sleep, timeout},
};

const TCP_TIMEOUT: Duration = Duration::from_secs(2);
const HTTP_TIMEOUT: Duration = Duration::from_secs(10);

/// What is known of one start of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    /// Not tried yet.
    Unknown,
    /// Tried; not ready.
    NotYet,
    Ready,
}

#[derive(Debug)]
struct Probe {
    started_at: Option<SystemTime>,
    finding: watch::Receiver<Finding>,
    task: AbortHandle,
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Probes every `web` instance of a release that should run.
#[derive(Debug)]
pub(super) struct Prober {
    probes: BTreeMap<InstanceId, Probe>,
    wake: Arc<Notify>,
}

impl Prober {
    /// `wake` is notified when an instance is found ready.
    pub(super) fn new(wake: Arc<Notify>) -> Self {
        Self {
            probes: BTreeMap::new(),
            wake,
        }
    }

    /// Starts probes of what is new, ends those of what is gone or was restarted.
    pub(super) fn follow(&mut self, instances: &[EngineInstance], desired: &[DesiredApp]) {
        self.probes.retain(|id, probe| {
            let instance = instances.iter().find(|instance| instance.id == *id);
            instance.is_some_and(|instance| {
                instance.state == EngineState::Running && instance.started_at == probe.started_at
            })
        });
        for instance in instances {
            if instance.state != EngineState::Running || self.probes.contains_key(&instance.id) {
                continue;
            }
            let target = readiness(desired, &instance.key.app, instance.key.release);
            if let (true, Some(address), Some((readiness, host))) =
                (instance.key.process.is_web(), instance.endpoint, target)
            {
                let probe = self.start(instance.started_at, address, readiness.clone(), host.to_owned());
                self.probes.insert(instance.id.clone(), probe);
            }
        }
    }

    fn start(
        &self,
        started_at: Option<SystemTime>,
        address: SocketAddr,
        readiness: Readiness,
        host: String,
    ) -> Probe {
        let (sender, finding) = watch::channel(Finding::Unknown);
        let wake = Arc::clone(&self.wake);
        let task = tokio::spawn(async move {
            for attempt in 0_u32.. {
                if is_ready(address, &readiness, &host).await {
                    sender.send_replace(Finding::Ready);
                    wake.notify_one();
                    // Kept, so that the finding stands.
                    sender.closed().await;
                    return;
                }
                sender.send_replace(Finding::NotYet);
                sleep(pause(attempt)).await;
            }
        });
        Probe {
            started_at,
            finding,
            task: task.abort_handle(),
        }
    }

    /// Whether this start of an instance was found ready.
    pub(super) fn found_ready(&self, instance: &EngineInstance) -> bool {
        self.probes.get(&instance.id).is_some_and(|probe| {
            probe.started_at == instance.started_at && *probe.finding.borrow() == Finding::Ready
        })
    }

    /// Waits until everything followed was tried once, at most `limit`.
    pub(super) async fn first_round(&self, limit: Duration) {
        let all = async {
            for probe in self.probes.values() {
                let mut finding = probe.finding.clone();
                // Fails when the task ended, and then there is nothing to wait for.
                finding
                    .wait_for(|finding| *finding != Finding::Unknown)
                    .await
                    .ok();
            }
        };
        // The limit itself is no failure: what is still unknown is not ready yet.
        timeout(limit, all).await.ok();
    }
}

fn readiness<'a>(
    desired: &'a [DesiredApp],
    app: &AppId,
    release: ReleaseVersion,
) -> Option<(&'a Readiness, &'a str)> {
    let app = desired.iter().find(|desired| desired.id == *app)?;
    let specs = [
        app.current.as_ref(),
        app.candidate.as_ref().map(|candidate| &candidate.spec),
    ];
    let spec = specs.into_iter().flatten().find(|spec| spec.version == release)?;
    Some((
        &spec.readiness,
        app.hosts.first().map_or("localhost", String::as_str),
    ))
}

/// Most apps listen within two seconds; the others are not worth a busy loop.
fn pause(attempt: u32) -> Duration {
    Duration::from_millis(match attempt {
        0..40 => 50,
        40..80 => 250,
        _ => 1000,
    })
}

async fn is_ready(address: SocketAddr, readiness: &Readiness, host: &str) -> bool {
    let connected = timeout(TCP_TIMEOUT, TcpStream::connect(address)).await;
    let Ok(Ok(stream)) = connected else {
        return false;
    };
    match readiness {
        Readiness::Tcp => true,
        Readiness::Http(path) => {
            let status = timeout(HTTP_TIMEOUT, get_status(stream, path, host)).await;
            matches!(status, Ok(Ok(200..=399)))
        }
    }
}

/// The status alone: a body may never end.
async fn get_status(stream: TcpStream, path: &str, host: &str) -> io::Result<u16> {
    let request = Request::get(path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, "pvdify-probe")
        .body(Empty::<bytes::Bytes>::new())
        .map_err(io::Error::other)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    let driver = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(io::Error::other);
    driver.abort();
    Ok(answer?.status().as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    async fn server(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let read = stream.read(&mut request).await.unwrap_or(0);
                if request[..read].starts_with(b"GET /up HTTP/1.1\r\nhost: demo.localhost\r\n") {
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            }
        });
        address
    }

    #[tokio::test]
    async fn a_tcp_probe_wants_a_connection_and_an_http_probe_an_answer() {
        let table = [
            ("204 No Content", true),
            ("302 Found", true),
            ("404 Not Found", false),
            ("500 No", false),
        ];
        let http = Readiness::Http("/up".into());
        for (status, ready) in table {
            let answer: &str = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").leak();
            let address = server(answer).await;
            assert_eq!(
                is_ready(address, &http, "demo.localhost").await,
                ready,
                "{status}"
            );
            assert!(is_ready(address, &Readiness::Tcp, "").await);
        }
        let closed = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        assert!(!is_ready(closed, &Readiness::Tcp, "").await);
    }
}
