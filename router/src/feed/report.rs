//! What the control plane is told: which table is in force and durable, and what still drains.
//!
//! Sent after each table, when a draining instance is no longer in use, after a reconnection, and every few
//! seconds while something drains. A report is the whole state at its moment, so reports may be merged or repeated,
//! never missed: one that failed is sent again.

use super::{REPLY_TIMEOUT, backoff::Backoff};
use crate::routes::Routes;
use pvdify_client::{Client, Draining, RouterReport};
use pvdify_types::{Generation, InstanceId};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{sync::Notify, time::timeout};

/// While something drains, silence would look like a dead router.
const WHILE_DRAINING: Duration = Duration::from_secs(5);

pub(super) struct Reporter {
    routes: Arc<Routes>,
    control: Client,
    /// The table in force is not durable yet.
    held: AtomicBool,
    due: Notify,
}

impl Reporter {
    pub(super) fn new(routes: Arc<Routes>, control: Client) -> Self {
        // Before the first table of a stream there is nothing that the control plane waits for.
        Self {
            routes,
            control,
            held: AtomicBool::new(true),
            due: Notify::new(),
        }
    }

    /// No report until the next release: the table about to be in force is not durable yet, or the stream ended.
    /// After that the control plane may be another one that counts anew, and would take the old generation for its own.
    pub(super) fn hold(&self) {
        self.held.store(true, SeqCst);
    }

    /// The table in force is durable: report it.
    pub(super) fn release(&self) {
        self.held.store(false, SeqCst);
        self.due.notify_one();
    }

    pub(super) async fn run(&self) {
        let mut draining = false;
        let mut backoff = Backoff::default();
        loop {
            tokio::select! {
                () = self.due.notified() => {}
                () = self.routes.drained.notified() => {}
                () = tokio::time::sleep(WHILE_DRAINING), if draining => {}
            }
            while !self.held.load(SeqCst) {
                let (generation, counts) = self.routes.standing();
                // A table may have come in between: then its own release reports.
                if self.held.load(SeqCst) {
                    break;
                }
                draining = !counts.is_empty();
                match self.send(generation, counts).await {
                    Ok(()) => {
                        backoff.reset();
                        break;
                    }
                    Err(error) => {
                        tracing::debug!(
                            error,
                            "the control plane did not take the report; sending it again"
                        );
                        tokio::select! {
                            () = backoff.wait() => {}
                            () = self.due.notified() => backoff.reset(),
                        }
                    }
                }
            }
        }
    }

    async fn send(&self, generation: Generation, counts: BTreeMap<InstanceId, u64>) -> Result<(), String> {
        let draining = counts
            .into_iter()
            .map(|(instance, in_flight)| Draining { instance, in_flight })
            .collect();
        let report = RouterReport { generation, draining };
        match timeout(REPLY_TIMEOUT, self.control.report_routes(&report)).await {
            Ok(sent) => sent.map_err(|error| error.to_string()),
            Err(_) => Err("no reply in time".to_owned()),
        }
    }
}
