//! One client: reads heads, writes responses, one after the other, never waiting.
//!
//! The socket is edge-triggered: [`Connection::drive`] goes on until the socket would block or its turn is over.
//! Each phase has its own time limit, so a client that is slow on purpose holds little and not for long: a head
//! has a fixed time however it trickles in, a response must get on and may take only so long for its size.

use crate::{
    limits::Limits,
    request::{self, MOST_HEAD, Parsed},
    response::{self, Now, Response},
    segment::Segment,
    site::Site,
};
use rustix::{
    io::{Errno, retry_on_intr},
    net::SendFlags,
};
use std::{
    collections::VecDeque,
    io::{self, IoSlice, Write},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

/// Slower than this in the mean is not worth a connection.
const BYTES_PER_SECOND: u64 = 512;
/// Of one connection in one turn.
const TURN_RESPONSES: u32 = 32;
const TURN_BYTES: u64 = 1024 * 1024;

#[derive(Debug)]
enum Phase {
    /// Reading a head; since its first byte.
    Head(Option<Instant>),
    /// Passing over a body.
    Body(u64, Instant),
    /// Writing; the last byte, and when all must be through.
    Write(Instant, Instant),
    /// All said: reading until the client closes, or its last words would be answered by a reset that can undo ours.
    Linger(Instant),
}

/// What is to be done next with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// It waits for its socket.
    Wait,
    /// It has more to do, after the others.
    Again,
    /// It ended.
    Close,
}

/// A client.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: OwnedFd,
    phase: Phase,
    since: Instant,
    served: u64,
    received: Vec<u8>,
    segments: VecDeque<Segment>,
    then_body: u64,
    keep_alive: bool,
}

impl Connection {
    pub(crate) fn new(socket: OwnedFd, now: Instant) -> Self {
        Self {
            socket,
            phase: Phase::Head(None),
            since: now,
            served: 0,
            received: Vec::new(),
            segments: VecDeque::new(),
            then_body: 0,
            keep_alive: true,
        }
    }

    /// Does what can be done now. `room` is for reading.
    pub(crate) fn drive(&mut self, site: &Site, date: Now<'_>, now: Instant, room: &mut [u8]) -> Next {
        let (mut responses, mut bytes) = (0, 0);
        loop {
            let result = match self.phase {
                Phase::Head(_) => self.head(site, date, now, room),
                Phase::Body(left, _) => self.pass_over(left, now, room),
                Phase::Write(..) => self.write(now, &mut bytes),
                Phase::Linger(_) => self.linger(room, &mut bytes),
            };
            match result {
                Ok(Step::Done) => responses += 1,
                Ok(Step::On) => {}
                Ok(Step::Blocked) => return Next::Wait,
                Ok(Step::End) | Err(_) => return Next::Close,
            }
            if responses >= TURN_RESPONSES || bytes >= TURN_BYTES {
                return Next::Again;
            }
        }
    }

    fn head(&mut self, site: &Site, date: Now<'_>, now: Instant, room: &mut [u8]) -> Result<Step, Errno> {
        if !self.received.is_empty() {
            match request::parse(&self.received) {
                Parsed::Partial => {}
                Parsed::Whole(request, length) => {
                    let response = response::respond(site, &request, date);
                    if site.manifest.access_log {
                        log(&request, &response);
                    }
                    // A client that may wait with its body is not told to go on: it then sends none.
                    let body = if request.header("expect").is_some() {
                        0
                    } else {
                        request.body
                    };
                    let keep_alive = response.keep_alive && (body == request.body);
                    self.received.drain(..length);
                    self.answer(
                        Response {
                            keep_alive,
                            ..response
                        },
                        body,
                        now,
                    );
                    return Ok(Step::On);
                }
                Parsed::Bad(status) => {
                    self.answer(response::refuse(status, date), 0, now);
                    return Ok(Step::On);
                }
            }
        }
        let most = room.len().min(MOST_HEAD + 1 - self.received.len().min(MOST_HEAD));
        match receive(&self.socket, &mut room[..most])? {
            None => Ok(Step::Blocked),
            Some(0) => Ok(Step::End),
            Some(length) => {
                self.received.extend_from_slice(&room[..length]);
                if let Phase::Head(started @ None) = &mut self.phase {
                    *started = Some(now);
                }
                Ok(Step::On)
            }
        }
    }

    fn answer(&mut self, response: Response, body: u64, now: Instant) {
        self.served += 1;
        self.keep_alive = response.keep_alive;
        self.then_body = body;
        self.segments = response.segments;
        let size: u64 = self.segments.iter().map(Segment::left).sum();
        let most = Duration::from_secs(60 + size / BYTES_PER_SECOND);
        self.phase = Phase::Write(now, now + most);
    }

    fn pass_over(&mut self, left: u64, now: Instant, room: &mut [u8]) -> Result<Step, Errno> {
        let here = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(self.received.len());
        self.received.drain(..here);
        let left = left - here as u64;
        if left == 0 {
            self.phase = self.next_head(now);
            return Ok(Step::On);
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(room.len());
        let read = receive(&self.socket, &mut room[..most])?;
        let got = read.unwrap_or(0) as u64;
        let Phase::Body(_, since) = self.phase else {
            return Ok(Step::End);
        };
        self.phase = Phase::Body(left - got, since);
        Ok(match read {
            None => Step::Blocked,
            Some(0) => Step::End,
            Some(_) => Step::On,
        })
    }

    fn next_head(&mut self, now: Instant) -> Phase {
        self.since = now;
        if self.received.is_empty() {
            // What waits for its next request holds no memory.
            self.received = Vec::new();
            return Phase::Head(None);
        }
        Phase::Head(Some(now))
    }

    fn write(&mut self, now: Instant, bytes: &mut u64) -> Result<Step, Errno> {
        while let Some(first) = self.segments.front_mut() {
            if first.left() == 0 {
                self.segments.pop_front();
                continue;
            }
            let sent = if let Segment::File(file, from, length) = first {
                let most = usize::try_from(*length)
                    .unwrap_or(usize::MAX)
                    .min(TURN_BYTES as usize);
                let mut at = *from;
                would_block(retry_on_intr(|| {
                    rustix::fs::sendfile(&self.socket, &*file, Some(&mut at), most)
                }))?
            } else {
                self.send_memory()?
            };
            match sent {
                None => return Ok(Step::Blocked),
                // The file is shorter than it was.
                Some(0) => return Ok(Step::End),
                Some(sent) => {
                    self.advance(sent as u64);
                    *bytes += sent as u64;
                    if let Phase::Write(last, _) = &mut self.phase {
                        *last = now;
                    }
                    if *bytes >= TURN_BYTES {
                        return Ok(Step::On);
                    }
                }
            }
        }
        if !self.keep_alive {
            rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Write)?;
            self.phase = Phase::Linger(now);
            return Ok(Step::Done);
        }
        self.phase = if self.then_body > 0 {
            Phase::Body(self.then_body, now)
        } else {
            self.next_head(now)
        };
        Ok(Step::Done)
    }

    // The pieces in memory at the front, in one call; held back if a file's bytes come next.
    fn send_memory(&self) -> Result<Option<usize>, Errno> {
        let memory: Vec<&[u8]> = self.segments.iter().map_while(Segment::memory).take(16).collect();
        let file_follows = memory.len() == 1 && self.segments.len() > 1;
        if file_follows {
            return would_block(retry_on_intr(|| {
                rustix::net::send(&self.socket, memory[0], SendFlags::MORE | SendFlags::NOSIGNAL)
            }));
        }
        let slices: Vec<IoSlice<'_>> = memory.iter().map(|bytes| IoSlice::new(bytes)).collect();
        would_block(retry_on_intr(|| rustix::io::writev(&self.socket, &slices)))
    }

    fn advance(&mut self, mut sent: u64) {
        while sent > 0 {
            let Some(first) = self.segments.front_mut() else {
                return;
            };
            let here = sent.min(first.left());
            first.skip(here);
            sent -= here;
            if first.left() == 0 {
                self.segments.pop_front();
            }
        }
    }

    // What still comes is passed over, in turns as all else.
    fn linger(&mut self, room: &mut [u8], bytes: &mut u64) -> Result<Step, Errno> {
        Ok(match receive(&self.socket, room)? {
            None => Step::Blocked,
            Some(0) => Step::End,
            Some(count) => {
                *bytes += count as u64;
                Step::On
            }
        })
    }

    /// When its time is over.
    pub(crate) fn deadline(&self, limits: &Limits) -> Instant {
        match self.phase {
            Phase::Head(Some(since)) | Phase::Body(_, since) => since + limits.head,
            Phase::Head(None) if self.served == 0 => self.since + limits.head,
            Phase::Head(None) => self.since + limits.idle,
            Phase::Write(last, end) => (last + limits.stall).min(end),
            Phase::Linger(since) => since + limits.linger,
        }
    }

    /// Since when it has waited for the client to ask for something.
    pub(crate) fn waits_since(&self) -> Option<Instant> {
        matches!(self.phase, Phase::Head(_)).then_some(self.since)
    }

    /// Nothing of a request is here.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self.phase, Phase::Head(None))
    }

    /// Nothing of a request is here, and there was one before: it can be closed without a loss.
    pub(crate) fn is_idle(&self) -> bool {
        self.is_silent() && self.served > 0
    }

    /// Tells the client that its head took too long.
    pub(crate) fn expire(&mut self, date: Now<'_>, now: Instant) -> bool {
        let is_partial = matches!(self.phase, Phase::Head(Some(_)));
        if is_partial {
            self.answer(response::refuse(408, date), 0, now);
        }
        is_partial
    }

    /// Ends both ways at once.
    pub(crate) fn abort(&self) {
        // It may be closed already: then there is nothing to end.
        rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both).unwrap_or_default();
    }
}

enum Step {
    /// A response is written.
    Done,
    On,
    Blocked,
    End,
}

fn receive(socket: &OwnedFd, room: &mut [u8]) -> Result<Option<usize>, Errno> {
    would_block(retry_on_intr(|| rustix::io::read(socket, &mut *room)))
}

fn would_block(result: Result<usize, Errno>) -> Result<Option<usize>, Errno> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(Errno::AGAIN) => Ok(None),
        Err(error) => Err(error),
    }
}

fn log(request: &request::Request<'_>, response: &Response) {
    // A log that nobody reads any more is no reason to end.
    writeln!(
        io::stdout(),
        "{} {} {} {}",
        request.verb,
        request.target,
        response.status,
        response.length
    )
    .unwrap_or_default();
}
