//! Idle connections to instances, one pool for each thread.
//!
//! Each connection has a task that watches its socket, so one that the instance closed is known closed by the
//! time it is asked for, but for a race that `upstream` handles. Of the
//! whole limit each thread keeps its share. Sharing between threads would cost a wake-up across cores for
//! each request.

use crate::{backend::Instance, body::RequestBody};
use hyper::client::conn::http1::SendRequest;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// A connection that can take a request.
pub(crate) type Sender = SendRequest<RequestBody>;

struct Idle {
    sender: Sender,
    since: Instant,
}

struct Shelf {
    instance: Arc<Instance>,
    idle: Vec<Idle>,
}

pub(crate) struct Pool {
    shelves: Mutex<HashMap<u64, Shelf>>,
    max_idle: usize,
    max_age: Duration,
}

impl Pool {
    /// `max_idle` connections to one instance, each for `max_age`.
    pub(crate) fn new(max_idle: usize, max_age: Duration) -> Self {
        Self {
            shelves: Mutex::default(),
            max_idle,
            max_age,
        }
    }

    fn shelves(&self) -> MutexGuard<'_, HashMap<u64, Shelf>> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection used last, if it was within `max_age`: it is the least likely to be closed just now.
    pub(crate) fn take(&self, instance: &Instance, max_age: Duration) -> Option<Sender> {
        let mut shelves = self.shelves();
        let shelf = shelves.get_mut(&instance.key)?;
        shelf.idle.retain(|idle| !idle.sender.is_closed());
        let at = shelf.idle.iter().rposition(|idle| idle.sender.is_ready())?;
        if shelf.idle[at].since.elapsed() > max_age.min(self.max_age) {
            return None;
        }
        Some(shelf.idle.remove(at).sender)
    }

    /// Keeps a connection whose response was read to its end.
    pub(crate) fn put(&self, instance: &Arc<Instance>, sender: Sender) {
        if sender.is_closed() || instance.is_retired() {
            return;
        }
        let mut shelves = self.shelves();
        let shelf = shelves.entry(instance.key).or_insert_with(|| Shelf {
            instance: Arc::clone(instance),
            idle: Vec::new(),
        });
        if shelf.idle.len() >= self.max_idle {
            shelf.idle.remove(0);
        }
        shelf.idle.push(Idle {
            sender,
            since: Instant::now(),
        });
    }

    /// Closes what is too old, closed, or leads to an instance that left the table.
    pub(crate) fn reap(&self) {
        self.shelves().retain(|_, shelf| {
            if shelf.instance.is_retired() {
                return false;
            }
            shelf
                .idle
                .retain(|idle| !idle.sender.is_closed() && idle.since.elapsed() <= self.max_age);
            !shelf.idle.is_empty()
        });
    }
}
