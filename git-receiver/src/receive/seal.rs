//! Whether a stream of bytes ends with its own checksum, as a pack does (gitformat-pack): told at any time,
//! in constant memory.

use gix::hash::{Hasher, Kind, hasher};

/// The bytes of a checksum.
pub(super) const CHECKSUM: usize = 20;

/// What is known of the stream so far.
pub(super) struct Seal {
    length: u64,
    /// The last bytes, at most [`CHECKSUM`].
    last: Vec<u8>,
    /// Of all before those.
    hasher: Hasher,
}

impl Seal {
    pub(super) fn new() -> Self {
        Self {
            length: 0,
            last: Vec::with_capacity(2 * CHECKSUM),
            hasher: hasher(Kind::Sha1),
        }
    }

    /// The bytes so far.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn update(&mut self, data: &[u8]) {
        self.length += data.len() as u64;
        let (before, end) = data.split_at(data.len().saturating_sub(CHECKSUM));
        let over = (self.last.len() + end.len()).saturating_sub(CHECKSUM);
        self.hasher.update(&self.last[..over]);
        self.hasher.update(before);
        self.last.drain(..over);
        self.last.extend_from_slice(end);
    }

    /// Whether the last bytes are the checksum of all before them.
    pub(super) fn holds(self) -> bool {
        // A hash that is a known attack's is no checksum.
        self.hasher
            .try_finalize()
            .is_ok_and(|hash| hash.as_slice() == self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_sealed_however_it_is_cut_and_not_with_a_byte_more_or_less() {
        let data: Vec<u8> = (0..100).collect();
        let mut hash = hasher(Kind::Sha1);
        hash.update(&data);
        let sealed = [&data[..], hash.try_finalize().unwrap().as_slice()].concat();
        let holds = |bytes: &[u8], cut: usize| {
            let mut seal = Seal::new();
            bytes.chunks(cut).for_each(|chunk| seal.update(chunk));
            assert_eq!(seal.length(), bytes.len() as u64);
            seal.holds()
        };
        for cut in [1, 3, 19, 20, 21, 39, 40, 41, 120, 500] {
            assert!(holds(&sealed, cut), "{cut}");
            assert!(!holds(&sealed[..119], cut), "{cut}");
            assert!(!holds(&[&sealed[..], b"x"].concat(), cut), "{cut}");
            assert!(!holds(&[&sealed[..], &[0; 64]].concat(), cut), "{cut}");
        }
        assert!(!holds(&[], 1));
        assert!(!holds(&[0; 10], 1));
    }
}
