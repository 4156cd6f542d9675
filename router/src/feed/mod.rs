//! Tables in: from the control plane to the state file to the routes, and the report back.
//!
//! **Which table is taken.** The first of each stream, whatever its generation: it is the control plane's
//! present word, and a restored database may count from lower. After it, within the stream, only a higher
//! generation: a lower or equal one can only be a mistake of order, and is dropped. A stream is one connection, so one
//! life of the control plane; there is one stream at a time.
//!
//! **When it is in force.** Saved, then swapped, then reported: what is reported survives a restart.
//! When it can't be saved (a full disk), traffic goes first: it is swapped all the same, saving is tried again, and
//! the report waits for it.
//!
//! **When the control plane is away**, the table in force stays in force, and the last saved one is served
//! after a restart; connecting is tried for ever.

mod backoff;
mod report;
mod state_file;

use crate::routes::Routes;
use backoff::Backoff;
use pvdify_client::{Client, Ndjson};
use pvdify_types::{Generation, RouteTable};
use report::Reporter;
use state_file::StateFile;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::time::timeout;

/// A control plane that takes longer to begin an answer hangs.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// The last good table, if there is one.
pub(crate) async fn load(path: PathBuf) -> Option<RouteTable> {
    let reading = tokio::task::spawn_blocking(move || StateFile::new(path).load());
    reading.await.ok().flatten()
}

/// Takes tables and reports them, for ever.
pub(crate) async fn run(routes: Arc<Routes>, control: Client, state_file: PathBuf) {
    let reporter = Arc::new(Reporter::new(Arc::clone(&routes), control.clone()));
    let feed = Feed {
        routes,
        control,
        file: Arc::new(StateFile::new(state_file)),
        reporter: Arc::clone(&reporter),
    };
    tokio::join!(feed.run(), reporter.run());
}

struct Feed {
    routes: Arc<Routes>,
    control: Client,
    file: Arc<StateFile>,
    reporter: Arc<Reporter>,
}

impl Feed {
    async fn run(&self) {
        let mut backoff = Backoff::default();
        let mut told = false;
        loop {
            let error = match self.connect().await {
                Ok(stream) => {
                    tracing::info!("connected to the control plane's routes");
                    told = false;
                    let ended = self.follow(stream, &mut backoff).await;
                    self.reporter.hold();
                    match ended {
                        Ok(()) => "the control plane ended the stream of routes".to_owned(),
                        Err(error) => error.to_string(),
                    }
                }
                Err(error) => error.to_string(),
            };
            if !told {
                told = true;
                tracing::warn!(
                    error,
                    "no routes from the control plane; serving the last table until it is back"
                );
            }
            backoff.wait().await;
        }
    }

    async fn connect(&self) -> pvdify_client::Result<Ndjson<RouteTable>> {
        let late = || pvdify_client::Error::Transport("no reply in time".to_owned());
        timeout(REPLY_TIMEOUT, self.control.routes())
            .await
            .unwrap_or_else(|_| Err(late()))
    }

    /// One stream, to its end.
    async fn follow(
        &self,
        mut stream: Ndjson<RouteTable>,
        backoff: &mut Backoff,
    ) -> pvdify_client::Result<()> {
        let mut last: Option<Generation> = None;
        let mut unsaved = false;
        let mut saving = Backoff::default();
        loop {
            let next = tokio::select! {
                next = stream.next() => next?,
                () = saving.wait(), if unsaved => {
                    unsaved = !self.save(self.routes.table()).await;
                    continue;
                }
            };
            let Some(table) = next else { return Ok(()) };
            if is_stale(last, table.generation) {
                tracing::warn!(
                    generation = table.generation.0,
                    "dropped a route table that is older than the one in force"
                );
                continue;
            }
            last = Some(table.generation);
            backoff.reset();
            saving.reset();
            unsaved = !self.take(table).await;
        }
    }

    /// Saves and swaps. Whether it was saved.
    async fn take(&self, table: RouteTable) -> bool {
        self.reporter.hold();
        let saved = self.write(table.clone()).await;
        tracing::info!(
            generation = table.generation.0,
            hosts = table.hosts.len(),
            "route table in force"
        );
        self.routes.apply(table);
        if saved {
            self.reporter.release();
        }
        saved
    }

    async fn save(&self, table: RouteTable) -> bool {
        let saved = self.write(table).await;
        if saved {
            self.reporter.release();
        }
        saved
    }

    async fn write(&self, table: RouteTable) -> bool {
        let file = Arc::clone(&self.file);
        match tokio::task::spawn_blocking(move || file.save(&table)).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::error!(
                    %error, path = %self.file.path().display(),
                    "can't save the route table; it is in force, but not acknowledged until it is saved"
                );
                false
            }
            Err(error) => {
                tracing::error!(%error, "saving the route table was cut short");
                false
            }
        }
    }
}

/// Within one stream generations only grow; see the rule above.
fn is_stale(last: Option<Generation>, next: Generation) -> bool {
    last.is_some_and(|last| next <= last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_table_of_a_stream_is_taken_and_then_only_higher_ones() {
        let stale = |last: Option<u64>, next| is_stale(last.map(Generation), Generation(next));
        assert!(!stale(None, 1));
        assert!(!stale(Some(1), 2));
        assert!(stale(Some(2), 2));
        assert!(stale(Some(2), 1));
    }
}
