//! Lines that a release's own commands write, to whoever waits for that release, as they come.
//!
//! They are on their way already, into the app's log; a relay follows them there from before the start, so that none
//! is missing, to after the last is read. It lives in memory: after a restart of pvdifyd nobody waits.

use super::desired::ControlState;
use crate::{
    engine::InstanceKey,
    logs::{LogFilter, LogStore, SOURCE_APP},
};
use pvdify_api::logs::LogLine;
use pvdify_types::OneOffKind;
use std::{collections::BTreeMap, sync::Arc};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// The relays of all commands that run.
#[derive(Debug, Default)]
pub(super) struct Relays {
    running: BTreeMap<InstanceKey, Relay>,
}

#[derive(Debug)]
struct Relay {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Whether somebody may wait for what it writes.
pub(super) fn is_waited_for(key: &InstanceKey) -> bool {
    let kind = key.one_off().map(|name| name.kind);
    matches!(kind, Some(OneOffKind::Release | OneOffKind::Postdeploy))
}

impl Relays {
    /// Begins, where somebody may wait; before the command starts.
    pub(super) fn begin(&mut self, state: &Arc<dyn ControlState>, logs: &LogStore, key: &InstanceKey) {
        if !is_waited_for(key) || self.running.contains_key(key) {
            return;
        }
        let filter = LogFilter {
            process: Some(key.dyno()),
            source: Some(SOURCE_APP.to_owned()),
            since: None,
        };
        // A log that can't be read is told of where it is written; the command runs all the same.
        let Ok((_, lines)) = logs.tail_then_follow(&key.app, &filter, 0) else {
            return;
        };
        let stop = CancellationToken::new();
        let follow = follow(Arc::clone(state), key.clone(), filter, lines, stop.clone());
        let relay = Relay {
            stop,
            task: tokio::spawn(follow),
        };
        self.running.insert(key.clone(), relay);
    }

    /// All that was written is in the log: passes the rest on, and ends.
    pub(super) async fn end(&mut self, key: &InstanceKey) {
        if let Some(relay) = self.running.remove(key) {
            relay.stop.cancel();
            // It does not panic; if it did, lines would be missing, and no more.
            relay.task.await.ok();
        }
    }
}

async fn follow(
    state: Arc<dyn ControlState>,
    key: InstanceKey,
    filter: LogFilter,
    mut lines: Receiver<Arc<LogLine>>,
    stop: CancellationToken,
) {
    let pass = async |line: &LogLine| {
        if filter.matches(line) {
            state.progress(&key.app, key.release, line.message.clone()).await;
        }
    };
    loop {
        tokio::select! {
            biased;
            line = lines.recv() => match line {
                Ok(line) => pass(&line).await,
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            () = stop.cancelled() => break,
        }
    }
    while let Ok(line) = lines.try_recv() {
        pass(&line).await;
    }
}
