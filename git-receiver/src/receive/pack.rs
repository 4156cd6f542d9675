//! Takes the pack off the wire into a quarantine, bounded in bytes, in memory and in patience.
//!
//! Bytes behind the pack belong to nothing and refuse it, as far as they have come: the next read, which alone
//! could tell that no more come, would wait for ever for a client that keeps its side open until it has our
//! report, as most but git itself do. What comes later is never read. gix reads ahead and drops what it read
//! too much, so the end is told from the checksum: it is of all that came before the last twenty bytes.

use super::seal::{CHECKSUM, Seal};
use crate::{config::Limits, push::DISK_FULL, repo::Quarantine};
use gix_pack::Bundle;
use std::{
    fs,
    io::{self, BufRead, BufReader, Read},
    sync::atomic::AtomicBool,
};
use thiserror::Error;

/// Threads that resolve one pack's deltas. Each may hold a few objects of the largest size allowed.
const THREADS: usize = 2;

/// Why a pack was not taken: the text goes to the person.
#[derive(Debug, Error)]
pub(crate) enum PackError {
    #[error("the pack is larger than {} MiB, the most this server takes in one push", .0 >> 20)]
    TooLarge(u64),
    #[error("an object is larger than {} MiB, the most this server takes: keep such files out of the repository", .0 >> 20)]
    ObjectTooLarge(usize),
    #[error("the connection ended within the pack; nothing was changed: push again")]
    Ended,
    #[error("nothing was received for {0} seconds; nothing was changed: push again")]
    Idle(u64),
    #[error("{DISK_FULL}")]
    DiskFull,
    #[error("the server could not store the pack; nothing was changed: see its log")]
    Storage,
    #[error("the pack is damaged ({0}); nothing was changed")]
    Corrupt(String),
    #[error("more bytes follow the pack's end; nothing was changed")]
    Trailing,
}

impl From<&io::Error> for PackError {
    fn from(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Storage,
        }
    }
}

/// A pack without objects, which a ref to known ones comes with.
const EMPTY_PACK: u64 = 12 + CHECKSUM as u64;

/// Reads one pack, completes it if it is thin, and writes it with its index into the quarantine.
pub(crate) fn ingest(input: impl Read, quarantine: &Quarantine, limits: &Limits) -> Result<(), PackError> {
    let objects = open_objects(quarantine)?;
    let mut metered = Metered::new(input, limits.pack_bytes);
    let outcome = Bundle::write_to_directory(
        &mut metered,
        Some(&quarantine.pack_dir()),
        &mut gix::progress::Discard,
        // Never set: gix panics when it is interrupted at the input's end. A client that goes ends the input.
        &AtomicBool::new(false),
        Some(objects),
        gix::hash::Kind::Sha1,
        gix_pack::bundle::write::Options {
            thread_limit: Some(THREADS),
            alloc_limit_bytes: Some(limits.object_bytes),
            ..Default::default()
        },
    );
    match outcome {
        Ok(outcome) => {
            if let Some(keep) = outcome.keep_path {
                fs::remove_file(keep).map_err(|error| PackError::from(&error))?;
            }
            if outcome.index.num_objects == 0 {
                // gix reads no checksum behind no objects.
                metered.read_up_to(EMPTY_PACK);
            }
            metered.check_end(limits)
        }
        Err(error) => {
            tracing::info!(error = ?error, "a pack was refused");
            Err(match metered.stopped {
                Some(Stopped::TooLarge) => PackError::TooLarge(limits.pack_bytes),
                Some(Stopped::Idle) => PackError::Idle(limits.receive_idle.as_secs()),
                Some(Stopped::Ended) => PackError::Ended,
                None => explain(&error, limits),
            })
        }
    }
}

/// Objects of the app and of the quarantine.
pub(crate) fn open_objects(quarantine: &Quarantine) -> Result<gix::OdbHandle, PackError> {
    open(quarantine)
        .map(|repository| repository.objects.clone())
        .map_err(|error| {
            tracing::error!(error = ?error, "a quarantine can't be opened");
            PackError::Storage
        })
}

/// Opens the quarantine without the system's, the user's or the environment's git settings.
pub(crate) fn open(quarantine: &Quarantine) -> gix::Result<gix::Repository> {
    gix::open_opts(
        quarantine.git_dir(),
        gix::open::Options::isolated().open_path_as_is(true),
    )
}

/// Tells the pusher's faults from the server's.
pub(crate) fn explain(error: &gix::Error, limits: &Limits) -> PackError {
    let io = error
        .iter_errors()
        .find_map(|cause| cause.downcast_ref::<io::Error>());
    if error.is_resource_exhausted() && io.is_none() {
        return PackError::ObjectTooLarge(limits.object_bytes);
    }
    // What gix makes of a damaged pack has one of these kinds. The system's own errors have others, or keep its
    // number, which is lost where a path was added to one.
    let is_the_packs = |error: &io::Error| {
        use io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
        let kind = matches!(error.kind(), InvalidData | InvalidInput | Other | UnexpectedEof);
        kind && error.raw_os_error().is_none()
    };
    match io {
        Some(error) if !is_the_packs(error) => PackError::from(error),
        _ => PackError::Corrupt(one_line(&error.probable_cause().to_string())),
    }
}

fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(300)
        .collect()
}

/// Why the input ended before the pack did.
#[derive(Clone, Copy, Debug)]
enum Stopped {
    TooLarge,
    Idle,
    Ended,
}

/// Counts what is read and remembers why it stopped: gix wraps our errors beyond recognition.
struct Metered<R> {
    inner: BufReader<R>,
    left: u64,
    stopped: Option<Stopped>,
    seal: Seal,
}

impl<R: Read> Metered<R> {
    fn new(input: R, limit: u64) -> Self {
        Self {
            inner: BufReader::with_capacity(64 * 1024, input),
            left: limit,
            stopped: None,
            seal: Seal::new(),
        }
    }

    /// Goes on until so many bytes were taken in all, or the input ends.
    fn read_up_to(&mut self, total: u64) {
        while self.seal.length() < total {
            let missing = usize::try_from(total - self.seal.length()).unwrap_or(usize::MAX);
            // It does not fail: every stop reads as an end.
            let available = self.fill_buf().map_or(0, <[u8]>::len);
            if available == 0 {
                return;
            }
            self.consume(available.min(missing));
        }
    }

    /// Whether the pack that was taken is all that came.
    fn check_end(self, limits: &Limits) -> Result<(), PackError> {
        if !self.inner.buffer().is_empty() {
            return Err(PackError::Trailing);
        }
        let length = self.seal.length();
        if self.seal.holds() {
            Ok(())
        } else if length < EMPTY_PACK {
            Err(match self.stopped {
                Some(Stopped::Idle) => PackError::Idle(limits.receive_idle.as_secs()),
                _ => PackError::Ended,
            })
        } else if length == EMPTY_PACK {
            Err(PackError::Corrupt("its checksum is wrong".to_owned()))
        } else {
            Err(PackError::Trailing)
        }
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(out)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: Read> BufRead for Metered<R> {
    /// Every stop reads as an end: gix asks again after an end, and panics at an error there.
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.stopped.is_none() {
            self.stopped = match self.inner.fill_buf() {
                _ if self.left == 0 => Some(Stopped::TooLarge),
                Ok([]) => Some(Stopped::Ended),
                Ok(_) => None,
                Err(error) if error.kind() == io::ErrorKind::TimedOut => Some(Stopped::Idle),
                Err(_) => Some(Stopped::Ended),
            };
        }
        if self.stopped.is_some() {
            return Ok(&[]);
        }
        let data = self.inner.buffer();
        Ok(&data[..data.len().min(usize::try_from(self.left).unwrap_or(usize::MAX))])
    }

    fn consume(&mut self, amount: usize) {
        self.left = self.left.saturating_sub(amount as u64);
        self.seal.update(&self.inner.buffer()[..amount]);
        self.inner.consume(amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metered(data: &[u8], left: u64) -> Metered<&[u8]> {
        Metered::new(data, left)
    }

    #[test]
    fn the_stream_is_cut_at_its_limit_and_says_why() {
        let mut input = metered(b"12345", 4);
        let mut out = Vec::new();
        input.read_to_end(&mut out).unwrap();
        assert_eq!(out, b"1234");
        assert!(matches!(input.stopped, Some(Stopped::TooLarge)));
    }

    #[test]
    fn the_servers_faults_are_told_from_the_packs() {
        let explain = |error: io::Error| explain(&gix::Error::from_error(error), &Limits::default());
        let with_path = |errno| {
            // As tempfile does it: the kind stays, the number goes.
            let error = io::Error::from_raw_os_error(errno);
            io::Error::new(error.kind(), format!("{error} at path \"/srv/x\""))
        };
        let (enospc, eio) = (28, 5);
        for error in [io::Error::from_raw_os_error(enospc), with_path(enospc)] {
            assert!(matches!(explain(error), PackError::DiskFull));
        }
        for error in [io::Error::from_raw_os_error(eio), with_path(eio)] {
            assert!(matches!(explain(error), PackError::Storage));
        }
        for kind in [
            io::ErrorKind::UnexpectedEof,
            io::ErrorKind::InvalidData,
            io::ErrorKind::Other,
        ] {
            let error = io::Error::new(kind, "a byte is missing");
            assert!(matches!(explain(error), PackError::Corrupt(text) if text == "a byte is missing"));
        }
    }

    /// gix has panicked on input that ends where it should not; every mutation here must be an answer.
    #[test]
    fn no_damage_to_a_pack_panics_or_hangs() {
        let dir = tempfile::tempdir().unwrap();
        let repositories = crate::repo::Repositories::open(dir.path()).unwrap();
        let app = "a".parse().unwrap();
        repositories.repository(&app).unwrap();
        let pack = sample_pack();
        let limits = Limits {
            object_bytes: 1 << 20,
            ..Limits::default()
        };
        let quarantine = repositories.quarantine(&app).unwrap();
        let ingest = |bytes: &[u8]| ingest(bytes, &quarantine, &limits);
        ingest(&sealed(&pack)).unwrap();
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |below: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            usize::try_from(random % below as u64).unwrap()
        };
        for _ in 0..ROUNDS {
            let mut bytes = pack.clone();
            for _ in 0..=next(3) {
                let at = next(bytes.len());
                match next(4) {
                    0 => bytes[at] ^= 1 << next(8),
                    1 => bytes[at] = u8::try_from(next(256)).unwrap(),
                    2 => bytes.truncate(at + 1),
                    _ => bytes.insert(at, 0xff),
                }
            }
            if next(2) == 0 {
                // A right checksum lets the damage through to the parsing; some of it is no damage there.
                ingest(&sealed(&bytes)).ok();
            } else {
                bytes.extend_from_slice(&[0; 20]);
                assert!(ingest(&bytes).is_err(), "{bytes:?}");
            }
        }
    }

    #[test]
    fn a_pack_is_all_that_comes() {
        let dir = tempfile::tempdir().unwrap();
        let repositories = crate::repo::Repositories::open(dir.path()).unwrap();
        let app = "a".parse().unwrap();
        repositories.repository(&app).unwrap();
        let limits = Limits::default();
        let empty = sealed(b"PACK\0\0\0\x02\0\0\0\0");
        let whole = sealed(&sample_pack());
        for pack in [&empty, &whole] {
            let ingest = |bytes: &[u8]| {
                let quarantine = repositories.quarantine(&app).unwrap();
                ingest(bytes, &quarantine, &limits)
            };
            ingest(pack).unwrap();
            // Read ahead by gix, by us, and by neither yet.
            for more in [1, 20, 5_000, 20_000, 200_000] {
                let error = ingest(&[&pack[..], &vec![b'x'; more]].concat()).unwrap_err();
                assert!(matches!(error, PackError::Trailing), "{more}: {error}");
            }
            assert!(matches!(
                ingest(&[&pack[..], &pack[..]].concat()),
                Err(PackError::Trailing)
            ));
            let mut bad = pack.clone();
            *bad.last_mut().unwrap() ^= 1;
            assert!(matches!(ingest(&bad), Err(PackError::Corrupt(_))));
            assert!(matches!(ingest(&pack[..pack.len() - 1]), Err(PackError::Ended)));
        }
    }

    const ROUNDS: usize = 1000;

    /// Two blobs and an ofs-delta upon the second, in stored zlib blocks, without the checksum.
    fn sample_pack() -> Vec<u8> {
        let stored = |data: &[u8]| {
            let length = u16::try_from(data.len()).unwrap();
            let (mut a, mut b) = (1u32, 0u32);
            for byte in data {
                a = (a + u32::from(*byte)) % 65_521;
                b = (b + a) % 65_521;
            }
            let mut out = vec![0x78, 0x01, 1];
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(&(!length).to_le_bytes());
            out.extend_from_slice(data);
            out.extend_from_slice(&((b << 16) | a).to_be_bytes());
            out
        };
        let mut pack = b"PACK\0\0\0\x02\0\0\0\x03".to_vec();
        pack.push(0x34);
        pack.extend_from_slice(&stored(b"blob"));
        let base = pack.len();
        pack.push(0x38);
        pack.extend_from_slice(&stored(b"the base"));
        let delta = [8, 9, 0x91, 4, 4, 5, b'd', b'e', b'l', b't', b'a'];
        let back = u8::try_from(pack.len() - base).unwrap();
        pack.extend_from_slice(&[0x60 | 11, back]);
        pack.extend_from_slice(&stored(&delta));
        pack
    }

    fn sealed(pack: &[u8]) -> Vec<u8> {
        let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
        hasher.update(pack);
        [pack, hasher.try_finalize().unwrap().as_slice()].concat()
    }

    #[test]
    fn an_early_end_is_told_from_a_limit() {
        let mut input = metered(b"12", 4);
        let mut out = Vec::new();
        input.read_to_end(&mut out).unwrap();
        assert!(matches!(input.stopped, Some(Stopped::Ended)));
    }
}
