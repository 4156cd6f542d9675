//! A piece of a response, sent from its front: bytes in memory, or a part of a file that is never in memory.

use std::{os::fd::OwnedFd, sync::Arc};

/// A piece of what is sent.
#[derive(Debug)]
pub(crate) enum Segment {
    /// Of its own.
    Own(Vec<u8>, usize),
    /// Of a remembered file: from, to.
    Shared(Arc<[u8]>, usize, usize),
    /// Of a file: from, length.
    File(Arc<OwnedFd>, u64, u64),
}

impl Segment {
    /// How many bytes are still to be sent.
    pub(crate) fn left(&self) -> u64 {
        match self {
            Self::Own(bytes, from) => (bytes.len() - from) as u64,
            Self::Shared(_, from, to) => (to - from) as u64,
            Self::File(_, _, length) => *length,
        }
    }

    /// Those of them that are in memory.
    pub(crate) fn memory(&self) -> Option<&[u8]> {
        match self {
            Self::Own(bytes, from) => Some(&bytes[*from..]),
            Self::Shared(bytes, from, to) => Some(&bytes[*from..*to]),
            Self::File(..) => None,
        }
    }

    /// Takes what was sent.
    pub(crate) fn skip(&mut self, count: u64) {
        match self {
            Self::Own(_, from) | Self::Shared(_, from, _) => *from += usize::try_from(count).unwrap_or(0),
            Self::File(_, from, length) => {
                *from += count;
                *length -= count;
            }
        }
    }
}
