//! Who may be connected: so many in all, so few of one address before they have shown a key.
//!
//! A connection too many from one address ends that address's oldest one without a key, rather than being
//! refused: whoever opens connections and sits on them can't keep a real login out, which needs a second.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// The book of connections.
#[derive(Debug)]
pub(crate) struct Admission {
    connections: usize,
    unauthenticated_per_address: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    count: usize,
    made: u64,
    unauthenticated: HashMap<IpAddr, VecDeque<(u64, CancellationToken)>>,
}

/// One admitted connection; its place is free again when this goes.
#[derive(Debug)]
pub(crate) struct Ticket {
    admission: Arc<Admission>,
    address: IpAddr,
    number: u64,
    /// Cancelled when the connection has to end.
    pub(crate) end: CancellationToken,
    authenticated: CancellationToken,
    pushes: AtomicUsize,
}

/// How long a connection with a verified key may ask for nothing.
const IDLE: Duration = Duration::from_secs(120);

impl Admission {
    pub(crate) fn new(connections: usize, unauthenticated_per_address: usize) -> Self {
        Self {
            connections,
            unauthenticated_per_address,
            open: Mutex::default(),
        }
    }

    /// A place for a connection from `address`, unless all are taken.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Ticket> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.count >= self.connections {
            return None;
        }
        open.count += 1;
        open.made += 1;
        let (number, end) = (open.made, CancellationToken::new());
        let waiting = open.unauthenticated.entry(address).or_default();
        if waiting.len() >= self.unauthenticated_per_address
            && let Some((_, oldest)) = waiting.pop_front()
        {
            oldest.cancel();
        }
        waiting.push_back((number, end.clone()));
        let authenticated = CancellationToken::new();
        Some(Ticket {
            admission: Arc::clone(self),
            address,
            number,
            end,
            authenticated,
            pushes: AtomicUsize::new(0),
        })
    }

    fn forget_unauthenticated(&self, open: &mut Open, address: IpAddr, number: u64) {
        if let Some(waiting) = open.unauthenticated.get_mut(&address) {
            waiting.retain(|(n, _)| *n != number);
            if waiting.is_empty() {
                open.unauthenticated.remove(&address);
            }
        }
    }
}

impl Ticket {
    /// A key was verified: from here on newer connections don't end this one.
    pub(crate) fn authenticated(&self) {
        let mut open = self.admission.open.lock().unwrap_or_else(PoisonError::into_inner);
        self.admission
            .forget_unauthenticated(&mut open, self.address, self.number);
        self.authenticated.cancel();
    }

    /// Whether a key was verified.
    pub(crate) fn is_authenticated(&self) -> bool {
        self.authenticated.is_cancelled()
    }

    /// A push begins; until the guard goes the connection is not idle. The ticket stays with the push also
    /// when its client has left: the bound on connections bounds the pushes.
    pub(crate) fn push(self: &Arc<Self>) -> PushGuard {
        self.pushes.fetch_add(1, Ordering::SeqCst);
        PushGuard(Arc::clone(self))
    }

    /// Ends with the reason when the connection has overstayed: no verified key within `grace`, or nothing
    /// asked for in two looks, [`IDLE`] apart.
    pub(crate) async fn overstayed(&self, grace: Duration) -> &'static str {
        if tokio::time::timeout(grace, self.authenticated.cancelled())
            .await
            .is_err()
        {
            return "it showed no key in time";
        }
        let mut idle_before = false;
        loop {
            tokio::time::sleep(IDLE).await;
            let idle = self.pushes.load(Ordering::SeqCst) == 0;
            if idle && idle_before {
                return "it asked for nothing";
            }
            idle_before = idle;
        }
    }
}

/// One push of a connection.
#[derive(Debug)]
pub(crate) struct PushGuard(Arc<Ticket>);

impl Drop for PushGuard {
    fn drop(&mut self) {
        self.0.pushes.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut open = self.admission.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.count -= 1;
        self.admission
            .forget_unauthenticated(&mut open, self.address, self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn a_newcomer_ends_the_oldest_of_its_own_address_that_has_no_key() {
        let admission = Arc::new(Admission::new(10, 2));
        let known = admission.admit(HERE).unwrap();
        known.authenticated();
        let oldest = admission.admit(HERE).unwrap();
        let other = admission.admit(THERE).unwrap();
        let newer = admission.admit(HERE).unwrap();
        assert!(!oldest.end.is_cancelled());
        let newest = admission.admit(HERE).unwrap();
        assert!(oldest.end.is_cancelled());
        for ticket in [&known, &other, &newer, &newest] {
            assert!(!ticket.end.is_cancelled());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_overstays_without_a_key_or_without_a_push() {
        let admission = Arc::new(Admission::new(10, 10));
        let ticket = Arc::new(admission.admit(HERE).unwrap());
        let grace = Duration::from_secs(30);
        assert!(ticket.overstayed(grace).await.contains("key"));
        ticket.authenticated();
        let push = ticket.push();
        assert!(
            tokio::time::timeout(10 * IDLE, ticket.overstayed(grace))
                .await
                .is_err()
        );
        drop(push);
        assert!(
            tokio::time::timeout(3 * IDLE, ticket.overstayed(grace))
                .await
                .is_ok()
        );
    }

    #[test]
    fn places_are_bounded_and_come_back() {
        let admission = Arc::new(Admission::new(1, 5));
        let only = admission.admit(HERE).unwrap();
        assert!(admission.admit(THERE).is_none());
        drop(only);
        assert!(admission.admit(THERE).is_some());
        assert!(admission.open.lock().unwrap().unauthenticated.is_empty());
    }
}
