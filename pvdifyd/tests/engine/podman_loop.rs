//! The reconciler on a real Podman: switch, failure, crash, lost monitor, deletion, logs.

use crate::{
    fake_state::{FakeState, release},
    harness::{Faults, quick, until},
    sandbox::Sandbox,
};
use pvdify_api::control::RouterReport;
use pvdify_types::{AppId, InstanceId};
use pvdifyd::{
    engine::{EngineInstance, InstanceEngine, podman::PodmanEngine},
    logs::{LogFilter, LogStore},
    reconcile::{
        Reconciler,
        handle::{Handle, InstanceState},
    },
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};
use tokio_util::sync::CancellationToken;

/// Answers every request with its release.
const SERVE: &str = "mkdir -p /tmp/w; echo $PVDIFY_RELEASE > /tmp/w/index.html; echo serving; \
                     exec httpd -f -p $PORT -h /tmp/w";

struct Run {
    sandbox: Sandbox,
    engine: Arc<PodmanEngine>,
    state: Arc<FakeState>,
    logs: LogStore,
    handle: Handle,
    life: CancellationToken,
    done: tokio::task::JoinHandle<()>,
}

impl Run {
    async fn new() -> Self {
        let sandbox = Sandbox::new().await;
        let engine = sandbox.engine().await;
        let state = FakeState::new(sandbox.installation.as_str(), &Faults::new(None));
        let logs = LogStore::open(&sandbox.dir.path().join("logs")).unwrap();
        let (handle, life, done) = reconcile(&state, &engine, &logs);
        Self {
            sandbox,
            engine,
            state,
            logs,
            handle,
            life,
            done,
        }
    }

    /// Ends the reconciler and starts another over the same state, engine and files.
    async fn restart(&mut self) {
        self.life.cancel();
        (&mut self.done).await.unwrap();
        self.logs = LogStore::open(&self.sandbox.dir.path().join("logs")).unwrap();
        (self.handle, self.life, self.done) = reconcile(&self.state, &self.engine, &self.logs);
    }

    fn endpoints(&self) -> Vec<(InstanceId, SocketAddr)> {
        let table = self.handle.routes().borrow().clone();
        let route = table.resolve("demo.localhost").cloned();
        route
            .map(|route| {
                route
                    .endpoints
                    .into_iter()
                    .map(|to| (to.instance, to.address))
                    .collect()
            })
            .unwrap_or_default()
    }

    async fn serves(&self, version: &str) {
        until(version, || {
            let endpoints = self.endpoints();
            endpoints.len() == 1 && get(endpoints[0].1).is_ok_and(|body| body.trim() == version)
        })
        .await;
    }

    async fn list(&self) -> Vec<EngineInstance> {
        self.engine.list().await.unwrap()
    }

    /// Waits until exactly these run.
    async fn runs(&self, names: &[&str]) {
        let begun = Instant::now();
        loop {
            let mut now: Vec<String> = self
                .list()
                .await
                .iter()
                .map(|instance| format!("{} {}", instance.key.dyno(), instance.key.release))
                .collect();
            now.sort();
            if now == names {
                return;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(180),
                "{now:?} instead of {names:?}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn messages(&self, source: &str) -> Vec<String> {
        let filter = LogFilter {
            source: Some(source.into()),
            ..LogFilter::default()
        };
        let lines = self.logs.tail(&app(), &filter, 10_000).unwrap();
        lines
            .into_iter()
            .map(|line| format!("{}: {}", line.process, line.message))
            .collect()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.done.abort();
    }
}

fn app() -> AppId {
    "a1".parse().unwrap()
}

/// A reconciler and a router that reports each table as soon as it is there.
fn reconcile(
    state: &Arc<FakeState>,
    engine: &Arc<PodmanEngine>,
    logs: &LogStore,
) -> (Handle, CancellationToken, tokio::task::JoinHandle<()>) {
    let (handle, ends) = Handle::new();
    let life = CancellationToken::new();
    let reconciler = Reconciler::new(state.clone(), engine.clone(), logs.clone(), ends, quick()).unwrap();
    let done = tokio::spawn(reconciler.run(life.clone()));
    let router = handle.clone();
    tokio::spawn(async move {
        let mut tables = router.routes();
        while tables.changed().await.is_ok() {
            let generation = tables.borrow_and_update().generation;
            router.router_reports(RouterReport {
                generation,
                draining: vec![],
            });
        }
    });
    (handle, life, done)
}

fn get(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") => Ok(body.to_owned()),
        _ => Err(std::io::Error::other(answer)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_loses_no_request_and_a_deleted_app_leaves_nothing() {
    let run = Run::new().await;
    let processes = [("web", SERVE), ("worker", "echo working; exec sleep 1000")];
    run.state
        .create(release(1, &run.sandbox.image, &processes), "web=1 worker=1");
    run.handle.wake();
    run.serves("v1").await;

    let (going, answered) = (Going::new(), Arc::new(AtomicU32::new(0)));
    let client = {
        let (going, answered, tables) = (Arc::clone(&going.0), Arc::clone(&answered), run.handle.routes());
        tokio::task::spawn_blocking(move || {
            let mut failures = Vec::new();
            while going.load(Ordering::Relaxed) {
                // The table is held while the request is open, as a router that reports what is in flight.
                let table = tables.borrow();
                let address = table.resolve("demo.localhost").unwrap().endpoints[0].address;
                match get(address) {
                    Ok(_) => _ = answered.fetch_add(1, Ordering::Relaxed),
                    Err(error) => failures.push(error.to_string()),
                }
            }
            failures
        })
    };
    run.state
        .deploy(release(2, &run.sandbox.image, &processes), "web=1 worker=1");
    run.handle.wake();
    run.serves("v2").await;
    run.runs(&["web.1 v2", "worker.1 v2"]).await;
    drop(going);
    assert_eq!(client.await.unwrap(), Vec::<String>::new());
    assert!(answered.load(Ordering::Relaxed) > 0);

    let said = run.messages("pvdify");
    for line in [
        format!("web.1: Starting process with command `{SERVE}`"),
        "web.1: State changed from starting to up".into(),
        "web.1: Stopping all processes with SIGTERM".into(),
        "web.1: Process exited with status 143".into(),
    ] {
        assert!(said.contains(&line), "{line} in {said:#?}");
    }
    assert!(run.messages("app").contains(&"worker.1: working".to_owned()));

    run.state.change(|app| app.deleting = true);
    run.handle.wake();
    until("the app is forgotten", || run.state.rows().apps.is_empty()).await;
    assert!(run.list().await.is_empty());
    assert!(run.engine.networks().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_that_never_listens_or_exits_fails_with_its_last_words() {
    let run = Run::new().await;
    run.state
        .create(release(1, &run.sandbox.image, &[("web", SERVE)]), "web=1");
    run.handle.wake();
    run.serves("v1").await;
    let before = run.endpoints();

    let deaf = [("web", "echo I do not listen; exec sleep 1000")];
    run.state.deploy(release(2, &run.sandbox.image, &deaf), "web=1");
    run.state.change(|app| {
        if let Some(candidate) = &mut app.candidate {
            candidate.deadline = SystemTime::now() + Duration::from_secs(4);
        }
    });
    run.handle.wake();
    until("v2 failed", || run.state.rows().failed.len() == 1).await;
    let exits = [("web", "echo no database >&2; exit 3")];
    run.state.deploy(release(3, &run.sandbox.image, &exits), "web=1");
    run.handle.wake();
    until("v3 failed", || run.state.rows().failed.len() == 2).await;

    let elsewhere = [("web", "exec httpd -f -p 127.0.0.1:$PORT")];
    run.state
        .deploy(release(4, &run.sandbox.image, &elsewhere), "web=1");
    run.state.change(|app| {
        if let Some(candidate) = &mut app.candidate {
            candidate.deadline = SystemTime::now() + Duration::from_secs(4);
        }
    });
    run.handle.wake();
    until("v4 failed", || run.state.rows().failed.len() == 3).await;

    let failed = run.state.rows().failed.clone();
    let (_, reason, _) = &failed[2];
    assert!(
        reason.contains(" seconds: it listens at 127.0.0.1:8080 only"),
        "{reason}"
    );
    let (version, reason, tail) = &failed[0];
    assert_eq!((*version, &tail[..]), (2, &["I do not listen".to_owned()][..]));
    assert!(
        reason.starts_with("web.1 did not listen on port 8080 within "),
        "{reason}"
    );
    let (version, reason, tail) = &failed[1];
    assert_eq!((*version, reason.as_str()), (3, "web.1 exited with status 3"));
    assert!(tail.contains(&"no database".to_owned()), "{tail:?}");

    run.runs(&["web.1 v1"]).await;
    assert_eq!(run.endpoints(), before, "v1 was not touched");
    assert!(
        run.messages("pvdify")
            .iter()
            .any(|line| line.contains("Error R10 (Boot timeout)"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_comes_back_and_a_lost_container_is_made_anew() {
    let run = Run::new().await;
    run.state
        .create(release(1, &run.sandbox.image, &[("web", SERVE)]), "web=1");
    run.handle.wake();
    run.serves("v1").await;

    let first = run.list().await.remove(0);
    kill(first.pid.unwrap());
    until("it was seen to restart and is up again", || {
        let observation = run.handle.observation();
        let up = |instance: &&pvdifyd::reconcile::handle::ObservedInstance| {
            instance.id == first.id && instance.restarts == 1 && instance.state == InstanceState::Up
        };
        observation.instances.iter().any(|instance| up(&instance))
    })
    .await;
    run.serves("v1").await;
    assert!(
        run.messages("pvdify")
            .contains(&"web.1: Process exited with status 137".to_owned())
    );

    let second = run.list().await.remove(0);
    assert_eq!(second.id, first.id);
    kill(second.conmon_pid.unwrap());
    until("another container serves", || {
        let endpoints = run.endpoints();
        endpoints.len() == 1 && endpoints[0].0 != first.id
    })
    .await;
    run.serves("v1").await;
    run.runs(&["web.1 v1"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_loop_is_ended_and_shown_as_crashed() {
    let run = Run::new().await;
    // It runs long enough to take over, and never again.
    let crashes = [("web", SERVE), ("worker", "echo up; sleep 3; exit 1")];
    run.state
        .create(release(1, &run.sandbox.image, &crashes), "web=1 worker=1");
    run.handle.wake();
    until("v1 took over", || run.state.rows().activated == [1]).await;
    run.runs(&["web.1 v1"]).await;
    until("the worker is shown as crashed", || {
        let observation = run.handle.observation();
        observation
            .instances
            .iter()
            .any(|instance| instance.process.as_str() == "worker" && instance.state == InstanceState::Crashed)
    })
    .await;
    run.serves("v1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_the_reconciler_adopts_and_neither_loses_nor_repeats_a_line() {
    let mut run = Run::new().await;
    let counts = "for n in $(seq 1 3000); do echo line $n; if [ $((n % 20)) = 0 ]; then sleep 0.05; fi; done; \
                  echo end; exec sleep 1000";
    let processes = [("web", SERVE), ("worker", counts)];
    run.state
        .create(release(1, &run.sandbox.image, &processes), "web=1 worker=1");
    run.handle.wake();
    run.serves("v1").await;
    let (before, generation) = (run.list().await, run.state.rows().generation);
    for lines in [300, 900, 1500] {
        until("lines were read", || run.messages("app").len() > lines).await;
        run.restart().await;
    }
    run.serves("v1").await;
    until("all lines were read", || {
        run.messages("app").contains(&"worker.1: end".to_owned())
    })
    .await;
    let ids = |list: &[EngineInstance]| {
        list.iter()
            .map(|instance| instance.id.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&run.list().await), ids(&before), "the same containers");
    assert!(
        run.state.rows().generation > generation,
        "each start shows a table of its own"
    );

    let numbers: Vec<u32> = run
        .messages("app")
        .iter()
        .filter_map(|line| line.strip_prefix("worker.1: line ")?.parse().ok())
        .collect();
    assert_eq!(numbers, (1..=3000).collect::<Vec<_>>());
}

/// Ends the client also when the test fails: the runtime waits for it.
struct Going(Arc<AtomicBool>);

impl Going {
    fn new() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}
