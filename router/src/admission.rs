//! Who may be connected: so many clients in all, and so many of one address.
//!
//! Beyond the first bound connections wait in the kernel's queue, unaccepted. Beyond the second they are closed
//! at once: that queue is everyone's, and whoever opens connections and sits on them must not fill it.
//!
//! An address is an IPv4 address or an IPv6 /64, which is the least that a customer of any provider is given. A
//! trusted proxy speaks for many clients and is bound by the first rule alone.
//!
//! A place is free again when the connection is gone for good: an upgraded one keeps it.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A flood is one line in this time, not one line for each connection.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// The book of client connections, of all threads.
pub(crate) struct Admission {
    room: Arc<Semaphore>,
    per_address: usize,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    open: HashMap<Address, usize>,
    /// Since the start.
    refused: u64,
    warned: Option<Instant>,
}

impl Admission {
    pub(crate) fn new(connections: usize, per_address: usize) -> Self {
        Self {
            room: Arc::new(Semaphore::new(connections)),
            per_address,
            book: Mutex::default(),
        }
    }

    /// Waits until there is room for one more connection, whosever it will be.
    pub(crate) async fn room(&self) -> OwnedSemaphorePermit {
        let room = Arc::clone(&self.room).acquire_owned().await;
        room.expect("the semaphore is never closed")
    }

    /// A place for an accepted connection; none when its address has as many as it may.
    pub(crate) fn admit(
        self: &Arc<Self>,
        room: OwnedSemaphorePermit,
        peer: IpAddr,
        trusted: bool,
    ) -> Option<Place> {
        let address = (!trusted).then(|| Address::of(peer));
        if let Some(address) = address
            && !self.book().enter(address, self.per_address)
        {
            return None;
        }
        Some(Place {
            admission: Arc::clone(self),
            address,
            _room: room,
        })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn enter(&mut self, address: Address, most: usize) -> bool {
        let open = self.open.entry(address).or_default();
        if *open < most {
            *open += 1;
            return true;
        }
        self.refused += 1;
        if self.warned.is_none_or(|warned| warned.elapsed() >= WARN_EVERY) {
            self.warned = Some(Instant::now());
            tracing::warn!(
                %address,
                refused_since_start = self.refused,
                "an address has {most} connections open: further ones are closed at once"
            );
        }
        false
    }

    fn leave(&mut self, address: Address) {
        if let Some(open) = self.open.get_mut(&address) {
            *open -= 1;
            if *open == 0 {
                self.open.remove(&address);
            }
        }
    }
}

/// One admitted connection; its place is free again when this goes.
pub(crate) struct Place {
    admission: Arc<Admission>,
    address: Option<Address>,
    _room: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(address) = self.address {
            self.admission.book().leave(address);
        }
    }
}

/// What connections are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Address {
    V4(Ipv4Addr),
    /// The first 64 bits.
    V6(u64),
}

impl Address {
    fn of(peer: IpAddr) -> Self {
        match peer.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4),
            IpAddr::V6(v6) => Self::V6((v6.to_bits() >> 64) as u64),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(v4) => write!(f, "{v4}"),
            Self::V6(network) => write!(f, "{}/64", Ipv6Addr::from_bits(u128::from(*network) << 64)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn enter(admission: &Arc<Admission>, peer: &str, trusted: bool) -> Option<Place> {
        let room = admission.room().await;
        admission.admit(room, peer.parse().unwrap(), trusted)
    }

    #[tokio::test]
    async fn an_address_has_its_share_and_a_place_comes_back() {
        let admission = Arc::new(Admission::new(10, 2));
        let first = enter(&admission, "192.0.2.1", false).await.unwrap();
        let _second = enter(&admission, "::ffff:192.0.2.1", false).await.unwrap();
        assert!(enter(&admission, "192.0.2.1", false).await.is_none());
        let _other = enter(&admission, "192.0.2.2", false).await.unwrap();
        drop(first);
        let _third = enter(&admission, "192.0.2.1", false).await.unwrap();
        assert!(enter(&admission, "192.0.2.1", false).await.is_none());
        assert_eq!(admission.book().refused, 2);
        assert_eq!(
            admission.room.available_permits(),
            7,
            "who was refused takes no room"
        );
    }

    #[tokio::test]
    async fn one_ipv6_network_is_one_address() {
        let admission = Arc::new(Admission::new(10, 1));
        let _one = enter(&admission, "2001:db8:0:1::1", false).await.unwrap();
        assert!(enter(&admission, "2001:db8:0:1:ffff::2", false).await.is_none());
        let _next = enter(&admission, "2001:db8:0:2::1", false).await.unwrap();
        let shown = Address::of("2001:db8:0:1:ffff::2".parse().unwrap()).to_string();
        assert_eq!(shown, "2001:db8:0:1::/64");
    }

    #[tokio::test]
    async fn a_trusted_proxy_is_bound_by_the_room_alone_and_nothing_is_kept_of_who_left() {
        let admission = Arc::new(Admission::new(3, 1));
        let places = [
            enter(&admission, "10.0.0.1", true).await.unwrap(),
            enter(&admission, "10.0.0.1", true).await.unwrap(),
            enter(&admission, "192.0.2.1", false).await.unwrap(),
        ];
        assert_eq!(admission.room.available_permits(), 0);
        drop(places);
        assert_eq!(admission.room.available_permits(), 3);
        assert!(admission.book().open.is_empty());
    }
}
