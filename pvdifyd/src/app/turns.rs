//! Whose turn it is to build: one build at a time for each app, in the order they came, and a few at a time
//! for all apps together.

use super::{
    App,
    error::{Error, Result},
};
use pvdify_types::{AppId, AppName};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::Semaphore;

/// Whose turn it is.
pub(super) struct Turns {
    pub(super) slots: Arc<Semaphore>,
    apps: Mutex<HashMap<AppId, Queue>>,
}

#[derive(Default)]
struct Queue {
    turn: Arc<tokio::sync::Mutex<()>>,
    members: usize,
}

/// A place in an app's queue.
pub(super) struct Ticket {
    pub(super) app: App,
    pub(super) id: AppId,
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
}

impl Turns {
    pub(super) fn new(parallel: usize) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(parallel.max(1))),
            apps: Mutex::default(),
        }
    }
}

impl App {
    pub(super) fn queue_up(&self, name: &AppName, id: &AppId) -> Result<Ticket> {
        let limit = self.settings().limits.waiting_builds;
        let mut queues = self
            .inner
            .builds
            .apps
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let queue = queues.entry(id.clone()).or_default();
        // One of them is not waiting but at work.
        if queue.members > limit {
            return Err(Error::BuildQueueFull(limit, name.clone()));
        }
        queue.members += 1;
        Ok(Ticket {
            app: self.clone(),
            id: id.clone(),
            turn: Arc::clone(&queue.turn),
        })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut queues = self
            .app
            .inner
            .builds
            .apps
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get_mut(&self.id) {
            queue.members -= 1;
            if queue.members == 0 {
                queues.remove(&self.id);
            }
        }
    }
}
