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

    /// The beginning of the first of two known PDF files of one SHA-1 (shattered.io), which ends in the attack's
    /// blocks. That pushed objects are hashed with the same care rests on this build of the hash, so it is held.
    const SHATTERED: &str = "\
        255044462d312e330a25e2e3cfd30a0a0a312030206f626a0a3c3c2f57696474682032203020522f48656967687420332030\
        20522f547970652034203020522f537562747970652035203020522f46696c7465722036203020522f436f6c6f7253706163\
        652037203020522f4c656e6774682038203020522f42697473506572436f6d706f6e656e7420383e3e0a73747265616d0aff\
        d8fffe00245348412d3120697320646561642121212121852fec092339759c39b1a1c63c4c97e1fffe017f46dc93a6b67e01\
        3b029aaa1db2560b45ca67d688c7f84b8c4c791fe02b3df614f86db1690901c56b45c1530afedfb76038e972722fe7ad728f\
        0e4904e046c230570fe9d41398abe12ef5bc942be33542a4802d98b5d70f2a332ec37fac3514e74ddc0f2cc1a874cd0c7830\
        5a21566461309789606bd0bf3f98cda8044629a1";

    #[test]
    fn a_collision_attack_on_the_hash_is_found_out() {
        let bytes: Vec<u8> = (0..SHATTERED.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&SHATTERED[at..at + 2], 16).unwrap())
            .collect();
        assert_eq!(bytes.len(), 320);
        let mut hash = hasher(Kind::Sha1);
        hash.update(&bytes);
        assert!(hash.try_finalize().is_err());
        // And one byte of the attack's last block changed is no attack.
        let mut harmless = bytes;
        harmless[300] ^= 1;
        let mut hash = hasher(Kind::Sha1);
        hash.update(&harmless);
        assert!(hash.try_finalize().is_ok());
    }
}
