//! What the guard below hyper and the proxy above it tell each other about one connection.

use super::refusal::Refusal;
use futures_util::task::AtomicWaker;
use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
};

/// Requests are told apart by their place on the connection: both sides count heads from 1, and hyper
/// hands them up in order.
#[derive(Default)]
pub(crate) struct Exchange {
    served: AtomicU64,
    busy: AtomicU32,
    word: Mutex<Word>,
    has_interim: AtomicBool,
    /// The connection's task.
    pub(super) waker: AtomicWaker,
}

#[derive(Default)]
struct Word {
    refused_head: Option<(u64, Refusal)>,
    refused_body: Option<Refusal>,
    upgrade: Option<(u64, Upgrade)>,
    interim: Vec<u8>,
}

/// How a request for another protocol stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upgrade {
    Waiting,
    /// The backend said 101: from here on bytes are passed as they are.
    Accepted,
    /// It stays HTTP: what follows is the next request.
    Declined,
}

impl Exchange {
    fn word(&self) -> MutexGuard<'_, Word> {
        self.word.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place of the request that hyper hands up now.
    pub(crate) fn next_request(&self) -> u64 {
        self.served.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Marks a request as under way until the guard is dropped, so that the connection does not count as idle.
    pub(crate) fn busy(self: &std::sync::Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Busy(std::sync::Arc::clone(self))
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed) > 0
    }

    pub(super) fn refuse_head(&self, place: u64, refusal: Refusal) {
        self.word().refused_head = Some((place, refusal));
    }

    /// Why the guard put a stand-in in the place of this request.
    pub(crate) fn refusal_of(&self, place: u64) -> Option<Refusal> {
        self.word()
            .refused_head
            .filter(|(refused, _)| *refused == place)
            .map(|(_, refusal)| refusal)
    }

    pub(super) fn refuse_body(&self, refusal: Refusal) {
        self.word().refused_body = Some(refusal);
    }

    /// Why reading the present request's body failed, if it was the client's fault and not its absence.
    pub(crate) fn body_refusal(&self) -> Option<Refusal> {
        self.word().refused_body
    }

    pub(super) fn await_upgrade(&self, place: u64) {
        self.word().upgrade = Some((place, Upgrade::Waiting));
    }

    /// Whether this request asks for another protocol.
    pub(crate) fn wants_upgrade(&self, place: u64) -> bool {
        self.word().upgrade == Some((place, Upgrade::Waiting))
    }

    /// The backend's answer to it.
    pub(crate) fn settle_upgrade(&self, upgrade: Upgrade) {
        if let Some((_, state)) = &mut self.word().upgrade {
            *state = upgrade;
        }
        self.waker.wake();
    }

    pub(super) fn upgrade(&self) -> Upgrade {
        self.word().upgrade.map_or(Upgrade::Declined, |(_, state)| state)
    }

    /// Puts an informational response before the final one; hyper's server has no way to send it.
    pub(crate) fn send_interim(&self, head: &[u8]) {
        self.word().interim.extend_from_slice(head);
        self.has_interim.store(true, Ordering::Release);
        self.waker.wake();
    }

    pub(super) fn take_interim(&self) -> Option<Vec<u8>> {
        // Asked at each write: the lock is for the rare case.
        self.has_interim
            .swap(false, Ordering::Acquire)
            .then(|| std::mem::take(&mut self.word().interim))
    }
}

/// See [`Exchange::busy`].
pub(crate) struct Busy(std::sync::Arc<Exchange>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
        // The idle wait starts now: the connection's task has to look at the clock.
        self.0.waker.wake();
    }
}
