//! One instance of an app as the router sees it: how much is under way, whether it answers, whether it drains.
//!
//! An instance is *serving* while a table names it and *retired* after; a later table may name it again.
//! Apart from that it is *dead* for a moment after a connection to it failed (passive health: the control
//! plane does the probing). Shared by all threads, by atomics alone.
//!
//! Why a lease can't be lost between a swap and a report: a request first counts itself in, then asks
//! whether the instance is retired; the swap first retires it, then reads the count. Whatever the order, either the
//! request sees the retirement and goes elsewhere, or the report sees the request.

use pvdify_types::{AppName, Endpoint, InstanceId};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// How long a dead instance is passed over while others live (Heroku: up to 5 s).
const DEAD_FOR: Duration = Duration::from_secs(5);

pub(crate) struct Instance {
    /// Unlike the id it names one instance at one address, for the pools.
    pub(crate) key: u64,
    pub(crate) id: InstanceId,
    pub(crate) address: SocketAddr,
    in_flight: AtomicU64,
    retired: AtomicBool,
    /// Milliseconds of `born`'s clock; 0 is alive.
    dead_until: AtomicU64,
    born: Instant,
    /// Told when a retired instance's count reaches 0.
    drained: Arc<Notify>,
}

impl Instance {
    pub(crate) fn new(key: u64, endpoint: &Endpoint, drained: Arc<Notify>) -> Self {
        Self {
            key,
            id: endpoint.instance.clone(),
            address: endpoint.address,
            in_flight: AtomicU64::new(0),
            retired: AtomicBool::new(false),
            dead_until: AtomicU64::new(0),
            born: Instant::now(),
            drained,
        }
    }

    /// Requests and upgraded connections under way.
    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.load(SeqCst)
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(SeqCst)
    }

    /// Takes it in or out of service.
    pub(crate) fn set_retired(&self, retired: bool) {
        self.retired.store(retired, SeqCst);
    }

    pub(crate) fn is_dead(&self) -> bool {
        let until = self.dead_until.load(Relaxed);
        until != 0 && self.milliseconds() < until
    }

    /// A connection to it failed.
    pub(crate) fn mark_dead(&self) {
        self.dead_until
            .store(self.milliseconds() + duration_ms(DEAD_FOR), Relaxed);
    }

    /// A connection to it came up.
    pub(crate) fn mark_alive(&self) {
        if self.dead_until.load(Relaxed) != 0 {
            self.dead_until.store(0, Relaxed);
        }
    }

    fn milliseconds(&self) -> u64 {
        duration_ms(self.born.elapsed())
    }
}

fn duration_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Counts one request, its response body, or one upgraded connection, until it is dropped.
pub(crate) struct Lease(Arc<Instance>);

impl Lease {
    /// Nothing when the instance was retired meanwhile: look at the present table.
    pub(crate) fn take(instance: &Arc<Instance>) -> Option<Self> {
        instance.in_flight.fetch_add(1, SeqCst);
        let lease = Self(Arc::clone(instance));
        (!instance.is_retired()).then_some(lease)
    }

    pub(crate) fn instance(&self) -> &Arc<Instance> {
        &self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.0.in_flight.fetch_sub(1, SeqCst) == 1 && self.0.is_retired() {
            self.0.drained.notify_one();
        }
    }
}

/// An app's serving instances.
pub(crate) struct Backend {
    pub(crate) app: AppName,
    pub(crate) instances: Vec<Arc<Instance>>,
    pub(crate) maintenance: bool,
}

impl Backend {
    /// The least busy instance that was not tried yet; among equals the next after `turn`, which makes it round
    /// robin when all are idle. Dead ones only when no other is left: all dead is likelier a blip than an end.
    pub(crate) fn choose(&self, tried: &[u64], turn: usize) -> Option<&Arc<Instance>> {
        let count = self.instances.len();
        let in_turn = (0..count).map(|step| &self.instances[(turn + step) % count]);
        in_turn
            .filter(|instance| !tried.contains(&instance.key))
            .min_by_key(|instance| (instance.is_dead(), instance.in_flight.load(Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(count: u64) -> Backend {
        let endpoint = |n: u64| Endpoint {
            address: ([127, 0, 0, 1], 1000).into(),
            instance: format!("i{n}").parse().unwrap(),
        };
        let drained = Arc::new(Notify::new());
        let instance = |n| Arc::new(Instance::new(n, &endpoint(n), Arc::clone(&drained)));
        Backend {
            app: "demo".parse().unwrap(),
            instances: (0..count).map(instance).collect(),
            maintenance: false,
        }
    }

    fn chosen(backend: &Backend, tried: &[u64], turn: usize) -> Option<u64> {
        backend.choose(tried, turn).map(|instance| instance.key)
    }

    #[test]
    fn idle_instances_take_turns_and_busy_ones_are_spared() {
        let backend = backend(3);
        assert_eq!(
            [0, 1, 2, 3].map(|turn| chosen(&backend, &[], turn)),
            [Some(0), Some(1), Some(2), Some(0)]
        );
        let lease = Lease::take(&backend.instances[1]);
        assert_eq!(chosen(&backend, &[], 1), Some(2));
        drop(lease);
        assert_eq!(chosen(&backend, &[], 1), Some(1));
    }

    #[test]
    fn dead_and_tried_instances_are_passed_over() {
        let backend = backend(2);
        backend.instances[0].mark_dead();
        assert_eq!([0, 1].map(|turn| chosen(&backend, &[], turn)), [Some(1), Some(1)]);
        assert_eq!(chosen(&backend, &[1], 0), Some(0), "better a dead one than none");
        assert_eq!(chosen(&backend, &[0, 1], 0), None);
        backend.instances[0].mark_alive();
        assert_eq!(chosen(&backend, &[], 0), Some(0));
    }

    #[test]
    fn a_retired_instance_gives_no_lease_and_counts_those_it_gave() {
        let backend = backend(1);
        let instance = &backend.instances[0];
        let lease = Lease::take(instance).unwrap();
        instance.set_retired(true);
        assert!(Lease::take(instance).is_none());
        assert_eq!(instance.in_flight(), 1);
        drop(lease);
        assert_eq!(instance.in_flight(), 0);
    }
}
