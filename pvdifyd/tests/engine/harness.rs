//! Faults, a router that follows the tables, and a reconciler that can be killed and started again.

use crate::{fake_engine::FakeEngine, fake_state::FakeState};
use pvdify_api::control::RouterReport;
use pvdify_types::{InstanceId, RouteTable};
use pvdifyd::{
    logs::LogStore,
    reconcile::{ReconcileOptions, Reconciler, desired, handle::Handle},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{sync::Notify, task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

/// What goes wrong, once.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// This call fails at its n-th time.
    Fails(&'static str, u32),
    /// This call fails from its n-th time on.
    FailsFrom(&'static str, u32),
    /// The reconciler dies before this call does anything.
    DiesBefore(&'static str, u32),
    /// The reconciler dies when this call has done all.
    DiesAfter(&'static str, u32),
    /// Each changing call is made twice.
    Twice,
}

/// Counts calls, makes them fail, and holds what must never happen.
#[derive(Default)]
pub(crate) struct Faults {
    fault: Option<Fault>,
    counts: Mutex<BTreeMap<&'static str, u32>>,
    died: Notify,
    broken: Mutex<Vec<String>>,
    /// The last table that the router took: it outlives every reconciler.
    pub(crate) served: Mutex<RouteTable>,
}

impl Faults {
    pub(crate) fn new(fault: Option<Fault>) -> Arc<Self> {
        Arc::new(Self {
            fault,
            ..Self::default()
        })
    }

    pub(crate) async fn pass(&self, call: &'static str) -> desired::Result<()> {
        let count = {
            let mut counts = self.counts.lock().unwrap();
            let count = counts.entry(call).or_default();
            *count += 1;
            *count
        };
        match self.fault {
            Some(Fault::Fails(name, at)) if name == call && at == count => {
                Err(format!("{call} fails at its time {at}").into())
            }
            Some(Fault::FailsFrom(name, from)) if name == call && count >= from => {
                Err(format!("{call} fails for good").into())
            }
            Some(Fault::DiesBefore(name, at)) if name == call && at == count => self.die().await,
            _ => Ok(()),
        }
    }

    pub(crate) async fn after(&self, call: &'static str) {
        if let Some(Fault::DiesAfter(name, at)) = self.fault
            && name == call
            && at == self.count(call)
        {
            self.die::<()>().await.ok();
        }
    }

    pub(crate) fn count(&self, call: &str) -> u32 {
        self.counts.lock().unwrap().get(call).copied().unwrap_or(0)
    }

    /// Asks to be killed and never comes back.
    async fn die<T>(&self) -> desired::Result<T> {
        self.died.notify_one();
        std::future::pending().await
    }

    pub(crate) fn twice(&self) -> bool {
        matches!(self.fault, Some(Fault::Twice))
    }

    /// Notes what must hold and does not: a panic in a spawned task would go unseen.
    pub(crate) fn check(&self, holds: bool, what: &str) {
        if !holds {
            self.broken.lock().unwrap().push(what.to_owned());
        }
    }

    pub(crate) fn is_routed(&self, instance: &InstanceId) -> bool {
        self.served.lock().unwrap().has_instance(instance)
    }

    pub(crate) fn assert_unbroken(&self) {
        assert_eq!(
            *self.broken.lock().unwrap(),
            Vec::<String>::new(),
            "{:?}",
            self.fault
        );
    }
}

/// One installation on the fake engine, kept running whatever dies.
pub(crate) struct Installation {
    pub(crate) state: Arc<FakeState>,
    pub(crate) engine: Arc<FakeEngine>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) handle: Arc<Mutex<Handle>>,
    keeper: JoinHandle<()>,
    _logs: tempfile::TempDir,
}

impl Drop for Installation {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

pub(crate) fn quick() -> ReconcileOptions {
    ReconcileOptions {
        tick: Duration::from_millis(200),
        ..ReconcileOptions::default()
    }
}

impl Installation {
    pub(crate) fn start(fault: Option<Fault>) -> Self {
        let faults = Faults::new(fault);
        let state = FakeState::new("i1", &faults);
        let engine = FakeEngine::new("i1", &faults);
        let logs = tempfile::tempdir().unwrap();
        let store = LogStore::open(logs.path()).unwrap();
        let (first, ends) = Handle::new();
        let handle = Arc::new(Mutex::new(first.clone()));
        let keeper = {
            let (faults, state, engine, shared) = (
                Arc::clone(&faults),
                Arc::clone(&state),
                Arc::clone(&engine),
                Arc::clone(&handle),
            );
            tokio::spawn(async move {
                let (mut handle, mut ends) = (first, ends);
                loop {
                    let reconciler =
                        Reconciler::new(state.clone(), engine.clone(), store.clone(), ends, quick()).unwrap();
                    let life = AbortOnDrop(tokio::spawn(reconciler.run(CancellationToken::new())));
                    let router = AbortOnDrop(tokio::spawn(route(handle, Arc::clone(&faults))));
                    faults.died.notified().await;
                    drop((life, router));
                    (handle, ends) = Handle::new();
                    *shared.lock().unwrap() = handle.clone();
                }
            })
        };
        Self {
            state,
            engine,
            faults,
            handle,
            keeper,
            _logs: logs,
        }
    }

    pub(crate) fn wake(&self) {
        self.handle.lock().unwrap().wake();
    }

    /// The addresses that the router has for the app's host; `None` while it knows no such host.
    pub(crate) fn endpoints(&self) -> Option<Vec<std::net::SocketAddr>> {
        let served = self.faults.served.lock().unwrap();
        let route = served.resolve("demo.localhost")?;
        Some(route.endpoints.iter().map(|endpoint| endpoint.address).collect())
    }
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How slow this router is: long enough to show what does not wait for it.
const ROUTER_DELAY: Duration = Duration::from_millis(150);

/// Takes each table a while later and reports it, with nothing open.
async fn route(handle: Handle, faults: Arc<Faults>) {
    let mut tables = handle.routes();
    loop {
        let table = tables.borrow_and_update().clone();
        // Generation 0 is the empty table of a process that has shown none yet.
        if table.generation.0 > 0 {
            sleep(ROUTER_DELAY).await;
            let before = {
                let mut served = faults.served.lock().unwrap();
                std::mem::replace(&mut *served, (*table).clone()).generation
            };
            faults.check(table.generation > before, "generations grow");
            handle.router_reports(RouterReport {
                generation: table.generation,
                draining: Vec::new(),
            });
        }
        if tables.changed().await.is_err() {
            return;
        }
    }
}

/// Waits until something holds. The limit is for a test that fails, and generous: a minute, and as many looks as a
/// machine that stands still for a while (a frozen VM, a stalled disk) does not make in it.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    let mut looks = 0;
    while !holds() {
        looks += 1;
        assert!(
            looks < 2000 || begun.elapsed() < Duration::from_secs(60),
            "not within a minute: {what}"
        );
        sleep(Duration::from_millis(10)).await;
    }
}
