//! Reading ahead: one thread decompresses while another writes files.

use std::{
    io::{self, Read},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{Builder, Scope},
};

/// What goes from one thread to the other at a time, and how many of these may wait.
const PIECE: usize = 1024 * 1024;
const WAITING: usize = 4;

/// What another thread reads.
pub(super) struct Ahead {
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    at: usize,
}

impl Ahead {
    /// Begins reading. The thread ends with the input, its first error, or when nobody takes what it reads any more.
    pub(super) fn new<'scope>(
        scope: &'scope Scope<'scope, '_>,
        input: impl Read + Send + 'scope,
    ) -> io::Result<Self> {
        let (sender, pieces) = sync_channel(WAITING);
        let thread = Builder::new().name("unpack".to_owned());
        thread.spawn_scoped(scope, move || send_all(input, &sender))?;
        Ok(Self {
            pieces,
            piece: Vec::new(),
            at: 0,
        })
    }
}

fn send_all(mut input: impl Read, to: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        let read = input.by_ref().take(PIECE as u64).read_to_end(&mut piece);
        let is_last = !matches!(read, Ok(count) if count > 0);
        if to.send(read.map(|_| piece)).is_err() || is_last {
            return;
        }
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            // A thread that is gone has sent its end before.
            self.piece = self.pieces.recv().unwrap_or_else(|_| Ok(Vec::new()))?;
            self.at = 0;
        }
        let rest = &self.piece[self.at..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_ahead_is_what_there_is_and_an_error_comes_in_its_place() {
        struct Fails;
        impl Read for Fails {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::new(io::ErrorKind::InvalidData, "damaged"))
            }
        }
        let all: Vec<u8> = (0..3 * PIECE + 17).map(|at| (at % 251) as u8).collect();
        std::thread::scope(|scope| {
            let mut read = Vec::new();
            let mut ahead = Ahead::new(scope, &all[..]).unwrap();
            ahead.read_to_end(&mut read).unwrap();
            assert!(read == all);
            assert_eq!(ahead.read(&mut [0]).unwrap(), 0, "the end stays the end");
            let mut ahead = Ahead::new(scope, (&all[..PIECE]).chain(Fails)).unwrap();
            ahead.read_exact(&mut read[..PIECE]).unwrap();
            assert_eq!(
                ahead.read(&mut [0]).unwrap_err().kind(),
                io::ErrorKind::InvalidData
            );
            // The thread of one that nobody reads to its end does not keep the scope waiting.
            drop(Ahead::new(scope, io::repeat(0)).unwrap());
        });
    }
}
