//! One build of an app at a time, until the very end: the next one waits until the containers of one that was
//! cancelled are gone, since they share the app's layers.

use crate::{Folder, rest::Working};
use pvdify_types::AppName;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::OwnedMutexGuard;

/// Whose turn it is, for each app.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns(Arc<Mutex<HashMap<AppName, Arc<tokio::sync::Mutex<()>>>>>);

/// An app's turn, which ends when it is dropped.
pub(crate) type Turn = OwnedMutexGuard<()>;

impl Turns {
    /// Waits for it, in the order of asking.
    pub(crate) async fn wait(&self, app: &AppName) -> Turn {
        self.of(app).lock_owned().await
    }

    /// Takes it if nobody has it.
    pub(crate) fn try_wait(&self, app: &AppName) -> Option<Turn> {
        self.of(app).try_lock_owned().ok()
    }

    fn of(&self, app: &AppName) -> Arc<tokio::sync::Mutex<()>> {
        // What is behind it is whole after every line.
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(app.clone()).or_default())
    }
}

/// Whether somebody waits for the turn to end: besides it, and the list of all, there is someone who holds on to it.
pub(crate) fn is_awaited(turn: &Turn) -> bool {
    Arc::strong_count(Turn::mutex(turn)) > 2
}

/// What has to stay until a build's last container is gone.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) folder: Arc<Folder>,
    _turn: Arc<Turn>,
    _working: Arc<Working>,
}

impl Held {
    pub(crate) fn new(folder: Folder, turn: Turn, working: Working) -> Self {
        Self {
            folder: Arc::new(folder),
            _turn: Arc::new(turn),
            _working: Arc::new(working),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_apps_builds_take_turns_and_those_of_others_do_not_wait() {
        let turns = Turns::default();
        let (one, other): (AppName, AppName) = ("one".parse().unwrap(), "other".parse().unwrap());
        let first = turns.wait(&one).await;
        drop(turns.wait(&other).await);
        assert!(turns.try_wait(&one).is_none() && !is_awaited(&first));
        let mut second = Box::pin(turns.wait(&one));
        assert!(futures_util::poll!(&mut second).is_pending());
        assert!(is_awaited(&first));
        drop(first);
        drop(second.await);
        assert!(turns.try_wait(&one).is_some_and(|turn| !is_awaited(&turn)));
        drop(turns.wait(&other).await);
        assert_eq!(
            turns.0.lock().unwrap().len(),
            1,
            "what nobody waits for is forgotten"
        );
    }
}
