//! Compressed forms of files, as small as they get: the work is done once for each content, and remembered.
//!
//! The cache has a file `HASH.CODING` for each; an empty one says that this coding is not worth it. Files that no
//! build asks for any more are removed.

use buildpack_support::{Failure, Result, files};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Write},
    num::NonZero,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// The codings; a folder of the site is named by each.
pub(crate) const CODINGS: [&str; 3] = ["br", "gzip", "zstd"];
/// Below, a file fits into a packet anyway.
const LEAST: u64 = 512;
/// Above, no browser is meant.
const MOST: u64 = 64 * 1024 * 1024;
/// Above, the slowest methods take seconds and save little.
const LARGE: usize = 2 * 1024 * 1024;

/// A file to compress.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) hash: String,
    pub(crate) source: PathBuf,
    pub(crate) size: u64,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// By hash: codings that are worth it, and their sizes.
    pub(crate) sizes: BTreeMap<String, BTreeMap<&'static str, u64>>,
    /// Contents that had to be compressed now.
    pub(crate) new: usize,
}

/// Whether a file of this size is worth a try.
pub(crate) fn is_worth(size: u64) -> bool {
    (LEAST..=MOST).contains(&size)
}

/// Where a form is in the cache.
pub(crate) fn place(cache: &Path, hash: &str, coding: &str) -> PathBuf {
    cache.join(format!("{hash}.{coding}"))
}

/// Compresses what is not in the cache, on all processors, the largest first.
pub(crate) fn all(cache: &Path, mut jobs: Vec<Job>) -> Result<Outcome> {
    jobs.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.hash.cmp(&b.hash)));
    jobs.dedup_by(|a, b| a.hash == b.hash);
    prune(cache, &jobs)?;
    let (next, new) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let sizes = Mutex::new(BTreeMap::new());
    let work = || -> Result<()> {
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (found, made) = one(cache, job)?;
            new.fetch_add(usize::from(made), Ordering::Relaxed);
            sizes
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .insert(job.hash.clone(), found);
        }
        Ok(())
    };
    let threads = thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min(jobs.len());
    thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        handles.into_iter().try_for_each(|handle| {
            handle.join().unwrap_or_else(|_| {
                Err(Failure::new(
                    "The site can't be compressed",
                    "A compressor failed.",
                    "This is no fault of your app: tell the server's administrator.",
                ))
            })
        })
    })?;
    let sizes = sizes
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(Outcome {
        sizes,
        new: new.into_inner(),
    })
}

fn one(cache: &Path, job: &Job) -> Result<(BTreeMap<&'static str, u64>, bool)> {
    let mut found = BTreeMap::new();
    let mut content = None;
    for coding in CODINGS {
        let place = place(cache, &job.hash, coding);
        let size = match fs::metadata(&place) {
            Ok(metadata) => metadata.len(),
            Err(_) => {
                let plain = match &content {
                    Some(plain) => plain,
                    None => content.insert(
                        fs::read(&job.source).map_err(|error| Failure::io("read", &job.source, &error))?,
                    ),
                };
                keep(&place, plain, coding).map_err(|error| Failure::io("write", &place, &error))?
            }
        };
        if size > 0 {
            found.insert(coding, size);
        }
    }
    Ok((found, content.is_some()))
}

// Under another name first: a build that is cut short leaves no half file under the right one.
fn keep(place: &Path, plain: &[u8], coding: &str) -> io::Result<u64> {
    let packed = compress(plain, coding)?;
    let is_less = packed.len() + plain.len() / 20 < plain.len();
    let packed = if is_less { &packed[..] } else { &[] };
    let new = place.with_extension(format!("{coding}.new"));
    fs::write(&new, packed)?;
    fs::rename(&new, place)?;
    Ok(packed.len() as u64)
}

fn compress(plain: &[u8], coding: &str) -> io::Result<Vec<u8>> {
    let is_large = plain.len() > LARGE;
    match coding {
        "br" => {
            let params = brotli::enc::BrotliEncoderParams {
                quality: if is_large { 9 } else { 11 },
                size_hint: plain.len(),
                ..Default::default()
            };
            let mut out = Vec::new();
            brotli::BrotliCompress(&mut &plain[..], &mut out, &params)?;
            Ok(out)
        }
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(plain)?;
            encoder.finish()
        }
        // A window of 8 MB at most, which browsers take.
        _ => zstd::bulk::compress(plain, if is_large { 15 } else { 19 }),
    }
}

fn prune(cache: &Path, jobs: &[Job]) -> Result<()> {
    let wanted: BTreeSet<&str> = jobs.iter().map(|job| job.hash.as_str()).collect();
    for entry in fs::read_dir(cache)
        .map_err(|error| Failure::io("read", cache, &error))?
        .flatten()
    {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let (hash, coding) = name.split_once('.').unwrap_or((&name, ""));
        if !wanted.contains(hash) || !CODINGS.contains(&coding) {
            files::remove(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn job(dir: &Path, hash: &str, content: &[u8]) -> Job {
        let source = dir.join(hash);
        fs::write(&source, content).unwrap();
        Job {
            hash: hash.to_owned(),
            source,
            size: content.len() as u64,
        }
    }

    fn names(cache: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(cache)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn each_form_gives_back_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let cache = tempfile::tempdir().unwrap();
        let text = "all the same, ".repeat(300);
        let outcome = all(cache.path(), vec![job(dir.path(), "a", text.as_bytes())]).unwrap();
        assert_eq!(outcome.new, 1);
        let read = |coding: &str| fs::read(place(cache.path(), "a", coding)).unwrap();
        for coding in CODINGS {
            assert_eq!(outcome.sizes["a"][coding], read(coding).len() as u64);
        }
        let mut out = String::new();
        brotli::Decompressor::new(&read("br")[..], 4096)
            .read_to_string(&mut out)
            .unwrap();
        assert!(out == text);
        out.clear();
        flate2::read::GzDecoder::new(&read("gzip")[..])
            .read_to_string(&mut out)
            .unwrap();
        assert!(out == text);
        assert!(zstd::decode_all(&read("zstd")[..]).unwrap() == text.as_bytes());
    }

    #[test]
    fn what_was_done_is_remembered_and_what_is_gone_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let cache = tempfile::tempdir().unwrap();
        let text = "again ".repeat(200);
        let (a, b) = (
            job(dir.path(), "a", text.as_bytes()),
            job(dir.path(), "b", text.as_bytes()),
        );
        assert_eq!(
            all(cache.path(), vec![a.clone(), b.clone(), a.clone()])
                .unwrap()
                .new,
            2
        );
        fs::write(cache.path().join("b.br.new"), "half").unwrap();
        assert_eq!(all(cache.path(), vec![a.clone(), b]).unwrap().new, 0);
        assert_eq!(all(cache.path(), vec![a]).unwrap().new, 0);
        assert_eq!(names(cache.path()), ["a.br", "a.gzip", "a.zstd"]);
    }

    #[test]
    fn what_does_not_get_smaller_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let cache = tempfile::tempdir().unwrap();
        let mut state = 1u32;
        let noise: Vec<u8> = (0..4000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        for _ in 0..2 {
            let outcome = all(cache.path(), vec![job(dir.path(), "a", &noise)]).unwrap();
            assert!(outcome.sizes["a"].is_empty());
        }
        assert_eq!(names(cache.path()).len(), 3);
    }
}
