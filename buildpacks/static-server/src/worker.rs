//! A thread with an epoll of its own; all share the one listening socket, so none is left behind at the end.

use crate::{
    connection::{Connection, Next},
    date,
    limits::Limits,
    response::Now,
    site::Site,
};
use rustix::{
    event::{
        Timespec,
        epoll::{self, EventData, EventFlags},
    },
    io::Errno,
    net::{self, SocketFlags, accept_with, sockopt},
};
use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

const LISTENER: u64 = u64::MAX;
const STOP: u64 = u64::MAX - 1;
// How exact time limits are.
const TICK: Duration = Duration::from_millis(500);

/// What the threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) site: Site,
    pub(crate) listener: OwnedFd,
    /// Readable for ever once the server ends.
    pub(crate) stop: OwnedFd,
    pub(crate) stopping: AtomicBool,
    pub(crate) limits: Limits,
    /// Connections of one thread.
    pub(crate) most: usize,
}

/// A thread's own.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    epoll: OwnedFd,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    ready: Vec<usize>,
    date: String,
    now: Instant,
    next_tick: Instant,
    /// When all must be over.
    end: Option<Instant>,
    room: Vec<u8>,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        // One thread is woken for a connection, not all.
        epoll::add(
            &epoll,
            &shared.listener,
            EventData::new_u64(LISTENER),
            EventFlags::IN | EventFlags::EXCLUSIVE,
        )?;
        epoll::add(&epoll, &shared.stop, EventData::new_u64(STOP), EventFlags::IN)?;
        let now = Instant::now();
        Ok(Self {
            shared,
            epoll,
            connections: Vec::new(),
            free: Vec::new(),
            ready: Vec::new(),
            date: date::now(),
            now,
            next_tick: now + TICK,
            end: None,
            room: vec![0; 32 * 1024],
        })
    }

    /// Serves until the server ends.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(256);
        loop {
            let wait = if self.ready.is_empty() {
                self.next_tick.saturating_duration_since(Instant::now())
            } else {
                Duration::ZERO
            };
            let wait = Timespec {
                tv_sec: 0,
                tv_nsec: i64::from(wait.subsec_nanos()),
            };
            match epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut events),
                Some(&wait),
            ) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            self.now = Instant::now();
            if self.now >= self.next_tick {
                self.tick();
            }
            for event in events.drain(..) {
                match event.data.u64() {
                    LISTENER => {
                        self.accept();
                    }
                    STOP => self.stop(),
                    at => self.drive(at as usize),
                }
            }
            for at in std::mem::take(&mut self.ready) {
                self.drive(at);
            }
            if self.end.is_some() && self.free.len() == self.connections.len() {
                return Ok(());
            }
        }
    }

    // Some at a time, for those that are here already wait; false when there are no more.
    fn accept(&mut self) -> bool {
        for _ in 0..64 {
            match accept_with(
                &self.shared.listener,
                SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
            ) {
                Ok(socket) => self.add(socket),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS) => {
                    if !self.make_room() {
                        // Nothing to close: others may soon.
                        std::thread::sleep(Duration::from_millis(10));
                    }
                    return false;
                }
                Err(_) => return false,
            }
        }
        true
    }

    fn add(&mut self, socket: OwnedFd) {
        if self.connections.len() - self.free.len() >= self.shared.most && !self.make_room() {
            return;
        }
        // A small response is sent at once; without it, all works the same.
        sockopt::set_tcp_nodelay(&socket, true).unwrap_or_default();
        let at = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        if epoll::add(&self.epoll, socket.as_fd(), EventData::new_u64(at as u64), flags).is_err() {
            self.free.push(at);
            return;
        }
        self.connections[at] = Some(Connection::new(socket, self.now));
        self.drive(at);
    }

    // Closes the connection that has waited longest for its client.
    fn make_room(&mut self) -> bool {
        let longest = self
            .connections
            .iter()
            .enumerate()
            .filter_map(|(at, connection)| Some((connection.as_ref()?.waits_since()?, at)))
            .min();
        longest.is_some_and(|(_, at)| {
            self.close(at);
            true
        })
    }

    fn drive(&mut self, at: usize) {
        let now = Now {
            date: &self.date,
            stopping: self.end.is_some(),
        };
        let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else {
            return;
        };
        match connection.drive(&self.shared.site, now, self.now, &mut self.room) {
            Next::Wait if self.end.is_some() && connection.is_idle() => self.close(at),
            Next::Wait => {}
            Next::Again => self.ready.push(at),
            Next::Close => self.close(at),
        }
    }

    // A closed socket leaves the epoll by itself.
    fn close(&mut self, at: usize) {
        if self.connections[at].take().is_some() {
            self.free.push(at);
        }
    }

    fn tick(&mut self) {
        self.next_tick = self.now + TICK;
        self.date = date::now();
        let limits = self.shared.limits;
        let is_over = self.end.is_some_and(|end| self.now >= end);
        let is_silence_over = self
            .end
            .is_some_and(|end| self.now + limits.stop >= end + limits.silence);
        for at in 0..self.connections.len() {
            let Some(connection) = &mut self.connections[at] else {
                continue;
            };
            if is_over {
                connection.abort();
                self.close(at);
            } else if is_silence_over && connection.is_silent() {
                self.close(at);
            } else if connection.deadline(&limits) <= self.now {
                let now = Now {
                    date: &self.date,
                    stopping: self.end.is_some(),
                };
                if connection.expire(now, self.now) {
                    self.drive(at);
                } else {
                    self.close(at);
                }
            }
        }
    }

    // No new ones; what has come already is served; what is idle is closed.
    fn stop(&mut self) {
        if self.end.is_some() || !self.shared.stopping.load(Ordering::Acquire) {
            return;
        }
        self.end = Some(self.now + self.shared.limits.stop);
        while self.accept() {}
        // From now on who connects is refused, and does not wait for nothing.
        net::shutdown(&self.shared.listener, net::Shutdown::Read).unwrap_or_default();
        for source in [&self.shared.stop, &self.shared.listener] {
            // It was added, so it can be removed; and if not, it would only wake us.
            epoll::delete(&self.epoll, source).unwrap_or_default();
        }
        for at in 0..self.connections.len() {
            if self.connections[at].as_ref().is_some_and(Connection::is_idle) {
                self.close(at);
            }
        }
    }
}
