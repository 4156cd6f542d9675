//! The two ways in which a layer is compressed. Both use several processors, and how many they use changes no
//! byte of what comes out.

use flate2::{Compress, Compression as Level, Crc, FlushCompress, Status};
use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

/// How layers are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Fast and small; Podman reads it, some older clients do not.
    #[default]
    Zstd,
    /// What every client reads.
    Gzip,
}

/// Where a higher level costs more time than it saves bytes.
const ZSTD_LEVEL: i32 = 3;
/// Uncompressed bytes in one block of gzip, each compressed by itself.
const GZIP_BLOCK: usize = 1024 * 1024;

impl Compression {
    /// A layer's media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
        }
    }
}

/// Compresses what is written to it on the way to `W`.
pub(crate) enum Encoder<W: Write> {
    Zstd(zstd::stream::write::Encoder<'static, W>),
    Gzip(Gzip<W>),
}

impl<W: Write> Encoder<W> {
    pub(crate) fn new(compression: Compression, workers: usize, out: W) -> io::Result<Self> {
        let workers = workers.clamp(1, 64);
        Ok(match compression {
            Compression::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(out, ZSTD_LEVEL)?;
                // Even for one: without a worker of its own zstd cuts its blocks elsewhere.
                encoder.multithread(u32::try_from(workers).unwrap_or(1))?;
                Self::Zstd(encoder)
            }
            Compression::Gzip => Self::Gzip(Gzip::new(workers, out)?),
        })
    }

    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Self::Zstd(encoder) => encoder.finish(),
            Self::Gzip(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Zstd(encoder) => encoder.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Compressed, in the order of the blocks.
type Answer = Receiver<io::Result<Vec<u8>>>;

struct Job {
    block: Vec<u8>,
    is_last: bool,
    answer: SyncSender<io::Result<Vec<u8>>>,
}

/// One gzip stream whose blocks are compressed side by side: a block ends on a byte's border and refers to none
/// before it, so the blocks one after the other are one stream.
pub(crate) struct Gzip<W: Write> {
    out: W,
    block: Vec<u8>,
    checksum: Crc,
    jobs: SyncSender<Job>,
    answers: VecDeque<Answer>,
    most: usize,
}

impl<W: Write> Gzip<W> {
    fn new(workers: usize, mut out: W) -> io::Result<Self> {
        // No name, no time, no operating system.
        out.write_all(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff])?;
        let (jobs, inbox) = sync_channel::<Job>(workers);
        let inbox = Arc::new(Mutex::new(inbox));
        for _ in 0..workers {
            let inbox = Arc::clone(&inbox);
            thread::Builder::new()
                .name("gzip".to_owned())
                .spawn(move || work(&inbox))?;
        }
        Ok(Self {
            out,
            block: Vec::with_capacity(GZIP_BLOCK),
            checksum: Crc::new(),
            jobs,
            answers: VecDeque::new(),
            most: workers * 2,
        })
    }

    fn send(&mut self, is_last: bool) -> io::Result<()> {
        let next = if is_last {
            Vec::new()
        } else {
            Vec::with_capacity(GZIP_BLOCK)
        };
        let block = std::mem::replace(&mut self.block, next);
        let (answer, answered) = sync_channel(1);
        let job = Job {
            block,
            is_last,
            answer,
        };
        self.jobs
            .send(job)
            .map_err(|_| io::Error::other("the gzip workers ended"))?;
        self.answers.push_back(answered);
        if self.answers.len() > self.most {
            self.take()?;
        }
        Ok(())
    }

    /// Waits for the oldest block.
    fn take(&mut self) -> io::Result<()> {
        if let Some(answer) = self.answers.pop_front() {
            let block = answer
                .recv()
                .map_err(|_| io::Error::other("a gzip worker ended"))??;
            self.out.write_all(&block)?;
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<W> {
        self.send(true)?;
        while !self.answers.is_empty() {
            self.take()?;
        }
        self.out.write_all(&self.checksum.sum().to_le_bytes())?;
        self.out.write_all(&self.checksum.amount().to_le_bytes())?;
        Ok(self.out)
    }
}

impl<W: Write> Write for Gzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(GZIP_BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..count]);
        self.checksum.update(&bytes[..count]);
        if self.block.len() == GZIP_BLOCK {
            self.send(false)?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Ends when the encoder is gone.
fn work(inbox: &Mutex<Receiver<Job>>) {
    loop {
        let job = inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // Nobody waits any more when the encoder was given up.
        job.answer.send(deflate(&job.block, job.is_last)).ok();
    }
}

fn deflate(block: &[u8], is_last: bool) -> io::Result<Vec<u8>> {
    let mut compress = Compress::new(Level::default(), false);
    let mut out = Vec::with_capacity(block.len() / 2 + 1024);
    let flush = if is_last {
        FlushCompress::Finish
    } else {
        FlushCompress::Sync
    };
    loop {
        let done = usize::try_from(compress.total_in()).unwrap_or(block.len());
        let status = compress
            .compress_vec(&block[done..], &mut out, flush)
            .map_err(io::Error::other)?;
        let is_whole = compress.total_in() == block.len() as u64;
        // Room that is left over says that nothing waits inside any more.
        if status == Status::StreamEnd || (!is_last && is_whole && out.len() < out.capacity()) {
            return Ok(out);
        }
        out.reserve(64 * 1024);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    /// Neither random nor all alike.
    fn sample(size: usize) -> Vec<u8> {
        (0..size)
            .map(|at| (at / 7 % 251) as u8 ^ (at.wrapping_mul(2_654_435_761) >> 29) as u8)
            .collect()
    }

    fn compressed(compression: Compression, workers: usize, bytes: &[u8], piece: usize) -> Vec<u8> {
        let mut encoder = Encoder::new(compression, workers, Vec::new()).unwrap();
        for piece in bytes.chunks(piece.max(1)) {
            encoder.write_all(piece).unwrap();
        }
        encoder.finish().unwrap()
    }

    #[test]
    fn what_went_in_comes_out_and_neither_workers_nor_pieces_change_a_byte() {
        for compression in [Compression::Zstd, Compression::Gzip] {
            for size in [0, 1, GZIP_BLOCK - 1, GZIP_BLOCK, 9 * GZIP_BLOCK + 17] {
                let bytes = sample(size);
                let one = compressed(compression, 1, &bytes, 256 * 1024);
                for (workers, piece) in [(2, 256 * 1024), (5, 10_000), (1, 7 << 20)] {
                    assert!(
                        one == compressed(compression, workers, &bytes, piece),
                        "{compression:?} {size}"
                    );
                }
                let mut back = Vec::new();
                match compression {
                    Compression::Zstd => back = zstd::decode_all(&one[..]).unwrap(),
                    Compression::Gzip => {
                        flate2::read::GzDecoder::new(&one[..])
                            .read_to_end(&mut back)
                            .unwrap();
                    }
                }
                assert!(back == bytes, "{compression:?} {size}");
            }
        }
    }

    #[test]
    fn random_bytes_pass_gzip_too() {
        let mut state = 1_u64;
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as u8
        })
        .take(3 * GZIP_BLOCK)
        .collect();
        let packed = compressed(Compression::Gzip, 2, &bytes, 100_000);
        let mut back = Vec::new();
        flate2::read::GzDecoder::new(&packed[..])
            .read_to_end(&mut back)
            .unwrap();
        assert!(back == bytes);
    }
}
