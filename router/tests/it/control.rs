//! A control plane of our own: it speaks the two calls that the router makes, over a real Unix socket.

use axum::{
    Json, Router,
    body::Body,
    extract::State,
    routing::{get, post},
};
use futures_util::stream;
use pvdify_client::{Client, RouterReport};
use pvdify_types::RouteTable;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use tokio::{
    net::UnixListener,
    runtime::Runtime,
    sync::{mpsc, watch},
};

/// One life of a control plane. Dropped, it is gone at once with all its connections, as if killed.
pub(crate) struct Control {
    socket: PathBuf,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

struct Shared {
    present: Mutex<Option<RouteTable>>,
    streams: Mutex<Vec<mpsc::UnboundedSender<RouteTable>>>,
    reports: watch::Sender<Vec<RouterReport>>,
}

impl Control {
    pub(crate) fn start(folder: &Path, present: Option<RouteTable>) -> Self {
        let socket = folder.join("control.sock");
        let shared = Arc::new(Shared {
            present: Mutex::new(present),
            streams: Mutex::default(),
            reports: watch::Sender::default(),
        });
        let app = Router::new()
            .route("/control/v1/routes", get(routes))
            .route("/control/v1/routes/report", post(report))
            .with_state(Arc::clone(&shared));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = {
            let _inside = runtime.enter();
            UnixListener::bind(&socket).unwrap()
        };
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self {
            socket,
            shared,
            runtime: Some(runtime),
        }
    }

    pub(crate) fn client(folder: &Path) -> Client {
        Client::over_control_socket(&folder.join("control.sock")).unwrap()
    }

    /// Sends a table to whoever listens, and to who comes later.
    pub(crate) fn publish(&self, table: &RouteTable) {
        *self.shared.present.lock().unwrap() = Some(table.clone());
        self.shared
            .streams
            .lock()
            .unwrap()
            .retain(|stream| stream.send(table.clone()).is_ok());
    }

    /// The first report that fits, of those since the start.
    pub(crate) async fn report(&self, fits: impl Fn(&RouterReport) -> bool) -> RouterReport {
        let mut reports = self.shared.reports.subscribe();
        let wait = reports.wait_for(|reports| reports.iter().any(&fits));
        let reports = super::harness::in_time("a report", wait).await.unwrap();
        reports.iter().find(|report| fits(report)).unwrap().clone()
    }

    /// The router listens for tables.
    pub(crate) async fn connected(&self) {
        super::harness::until("the router", || !self.shared.streams.lock().unwrap().is_empty()).await;
    }

    pub(crate) async fn applied(&self, generation: u64) {
        self.report(|report| report.generation.0 == generation).await;
    }

    /// Publishes a table and waits until it is in force.
    pub(crate) async fn put(&self, table: RouteTable) {
        let generation = table.generation.0;
        self.publish(&table);
        self.applied(generation).await;
    }

    pub(crate) fn reports(&self) -> Vec<RouterReport> {
        self.shared.reports.borrow().clone()
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.socket));
        if let Some(runtime) = self.runtime.take() {
            // On return its connections are closed, as those of a killed process are before a next one can listen.
            // On a thread of its own, since a runtime may not be waited for within another.
            let end =
                std::thread::spawn(move || runtime.shutdown_timeout(std::time::Duration::from_secs(30)));
            drop(end.join());
        }
    }
}

async fn routes(State(shared): State<Arc<Shared>>) -> Body {
    let (sender, receiver) = mpsc::unbounded_channel();
    if let Some(present) = shared.present.lock().unwrap().clone() {
        sender.send(present).unwrap();
    }
    shared.streams.lock().unwrap().push(sender);
    Body::from_stream(stream::unfold(receiver, |mut receiver| async move {
        let table: RouteTable = receiver.recv().await?;
        let line = format!("{}\n", serde_json::to_string(&table).unwrap());
        Some((Ok::<_, std::io::Error>(line), receiver))
    }))
}

async fn report(State(shared): State<Arc<Shared>>, Json(report): Json<RouterReport>) {
    shared.reports.send_modify(|reports| reports.push(report));
}
