//! What the client sends, for code that blocks.

use bytes::Bytes;
use russh::{ChannelMsg, ChannelReadHalf};
use std::{
    io::{self, Read},
    time::Duration,
};
use tokio::runtime::Handle;

/// A channel's data as a blocking reader that gives up on a silent client.
pub(crate) struct Input {
    channel: ChannelReadHalf,
    chunk: Bytes,
    ended: bool,
    idle: Duration,
    runtime: Handle,
}

impl Input {
    /// Reads `channel`, waiting for each part at most `idle`. Call it within the runtime, read it outside.
    pub(crate) fn new(channel: ChannelReadHalf, idle: Duration) -> Self {
        Self {
            channel,
            chunk: Bytes::new(),
            ended: false,
            idle,
            runtime: Handle::current(),
        }
    }
}

impl Read for Input {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() && !self.ended {
            let next = async { tokio::time::timeout(self.idle, self.channel.wait()).await };
            match self.runtime.block_on(next) {
                Ok(Some(ChannelMsg::Data { data })) => self.chunk = data,
                Ok(Some(ChannelMsg::Eof | ChannelMsg::Close) | None) => self.ended = true,
                Ok(Some(_)) => {}
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
        let count = out.len().min(self.chunk.len());
        out[..count].copy_from_slice(&self.chunk.split_to(count));
        Ok(count)
    }
}
