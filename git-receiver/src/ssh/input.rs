//! What the client sends, for code that blocks.

use crate::receive::Arriving;
use bytes::Bytes;
use futures_util::FutureExt;
use russh::{ChannelMsg, ChannelReadHalf};
use std::{
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::runtime::Handle;

/// A channel's data as a blocking reader that gives up on a silent client.
pub(crate) struct Input {
    channel: ChannelReadHalf,
    chunk: Bytes,
    ended: bool,
    idle: Duration,
    deadline: Instant,
    late: Arc<AtomicBool>,
    runtime: Handle,
}

impl Input {
    /// Reads `channel`, waiting for each part at most `idle`, and for all of it at most `total` from now. Call it
    /// within the runtime, read it outside.
    pub(crate) fn new(channel: ChannelReadHalf, idle: Duration, total: Duration) -> Self {
        Self {
            channel,
            chunk: Bytes::new(),
            ended: false,
            idle,
            deadline: Instant::now() + total,
            late: Arc::default(),
            runtime: Handle::current(),
        }
    }

    /// Tells, when it was read, whether it was given up because its whole time was up.
    pub(crate) fn late(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.late)
    }
}

impl Input {
    fn take(&mut self, message: Option<ChannelMsg>) {
        match message {
            Some(ChannelMsg::Data { data }) => self.chunk = data,
            Some(ChannelMsg::Eof | ChannelMsg::Close) | None => self.ended = true,
            Some(_) => {}
        }
    }
}

impl Arriving for Input {
    fn has_arrived(&mut self) -> bool {
        while self.chunk.is_empty() && !self.ended {
            match self.channel.wait().now_or_never() {
                Some(message) => self.take(message),
                None => return false,
            }
        }
        !self.chunk.is_empty()
    }
}

impl Read for Input {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() && !self.ended {
            // A client that always has a byte ready never times out.
            if Instant::now() >= self.deadline {
                self.late.store(true, Ordering::Relaxed);
                return Err(io::ErrorKind::TimedOut.into());
            }
            let next = async { tokio::time::timeout(self.idle, self.channel.wait()).await };
            match self.runtime.block_on(next) {
                Ok(message) => self.take(message),
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
        let count = out.len().min(self.chunk.len());
        out[..count].copy_from_slice(&self.chunk.split_to(count));
        Ok(count)
    }
}
