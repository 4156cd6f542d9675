//! The deployed commit's tree: looked over first, then streamed as a tar.
//!
//! Looked over, because a pack of a few kilobytes can name one subtree again and again and so check out to
//! terabytes, and because what a build silently lacks (submodules, LFS files) should be said beforehand.
//! The tar holds what `git archive` would: `export-ignore` is honoured, no filter but git's own runs.

use crate::config::Limits;
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use gix::{
    ObjectId,
    bstr::{BStr, BString, ByteSlice},
    objs::{Kind, TreeRefIter},
    prelude::{FindExt, HeaderExt},
};
use std::io::{self, Write};
use thiserror::Error;
use tokio::sync::mpsc;

/// Linux' `PATH_MAX`: no deeper tree can be checked out.
const MAX_PATH_BYTES: usize = 4_096;
/// All paths together: the walks keep a folder's path for as long as it waits to be visited.
const MAX_PATHS_BYTES: usize = 64 << 20;
const CHUNK: usize = 64 * 1024;

/// Why a commit's tree can't be deployed: the text goes to the person.
#[derive(Debug, Error)]
pub(crate) enum SourceError {
    #[error("the commit's files are larger than {} MiB together, the most that is deployed", .0 >> 20)]
    TooLarge(u64),
    #[error("the commit has more than {0} files, the most that is deployed")]
    TooMany(u64),
    #[error("the commit has a path longer than {MAX_PATH_BYTES} bytes")]
    TooDeep,
    #[error("the commit's paths are longer than {} MiB together", MAX_PATHS_BYTES >> 20)]
    LongPaths,
    #[error("the commit can't be read: {0}")]
    Unreadable(String),
}

/// A commit that fits.
#[derive(Debug)]
pub(crate) struct Source {
    tree: ObjectId,
    time: i64,
    /// Lines for the person about what the build will not find.
    pub(crate) warnings: Vec<String>,
}

impl Source {
    /// Looks the commit's tree over.
    pub(crate) fn survey(
        repository: &gix::Repository,
        commit: ObjectId,
        limits: &Limits,
    ) -> Result<Self, SourceError> {
        let unreadable = |error: gix::Error| SourceError::Unreadable(error.probable_cause().to_string());
        let mut buffer = Vec::new();
        let (tree, time) = {
            let commit = repository
                .objects
                .find_commit(&commit, &mut buffer)
                .map_err(unreadable)?;
            (commit.tree(), commit.time().map_or(0, |time| time.seconds))
        };
        let mut count = Count {
            files: limits.source_files,
            bytes: limits.source_bytes,
            paths: MAX_PATHS_BYTES,
        };
        let mut submodules = Vec::new();
        let mut attributes = None;
        let mut folders = vec![(tree, BString::default())];
        while let Some((folder, path)) = folders.pop() {
            let entries = repository
                .objects
                .find(&folder, &mut buffer)
                .map_err(unreadable)?;
            if entries.kind != Kind::Tree {
                return Err(SourceError::Unreadable(format!("{folder} is no tree")));
            }
            for entry in TreeRefIter::from_bytes(entries.data, gix::hash::Kind::Sha1) {
                let entry = entry.map_err(unreadable)?;
                let path = join(&path, entry.filename)?;
                count.file(path.len(), limits)?;
                if entry.mode.is_tree() {
                    folders.push((entry.oid.to_owned(), path));
                } else if entry.mode.is_commit() {
                    submodules.push(path);
                } else {
                    let header = repository.objects.header(entry.oid).map_err(unreadable)?;
                    count.bytes(header.size(), limits)?;
                    if path == ".gitattributes" {
                        attributes = Some(entry.oid.to_owned());
                    }
                }
            }
        }
        let lfs = match attributes {
            Some(id) => repository
                .objects
                .find(&id, &mut buffer)
                .map_err(unreadable)?
                .data
                .contains_str("filter=lfs"),
            None => false,
        };
        Ok(Self {
            tree,
            time,
            warnings: warnings(&submodules, lfs),
        })
    }

    /// Writes the tree as an uncompressed tar.
    pub(crate) fn write_tar(&self, repository: &gix::Repository, out: impl Write) -> gix::Result<()> {
        let (mut stream, _index) = repository.worktree_stream(self.tree)?;
        let options = gix_archive::Options {
            format: gix_archive::Format::Tar,
            tree_prefix: None,
            modification_time: self.time.max(0),
        };
        gix_archive::write_stream(
            &mut stream,
            gix::worktree::stream::Stream::next_entry,
            out,
            options,
        )
    }
}

/// What may still come.
struct Count {
    files: u64,
    bytes: u64,
    paths: usize,
}

impl Count {
    fn file(&mut self, path: usize, limits: &Limits) -> Result<(), SourceError> {
        self.paths = self.paths.checked_sub(path).ok_or(SourceError::LongPaths)?;
        self.files = self
            .files
            .checked_sub(1)
            .ok_or(SourceError::TooMany(limits.source_files))?;
        Ok(())
    }

    fn bytes(&mut self, bytes: u64, limits: &Limits) -> Result<(), SourceError> {
        self.bytes = self
            .bytes
            .checked_sub(bytes)
            .ok_or(SourceError::TooLarge(limits.source_bytes))?;
        Ok(())
    }
}

fn join(folder: &BString, name: &BStr) -> Result<BString, SourceError> {
    let mut path = folder.clone();
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    if path.len() > MAX_PATH_BYTES {
        Err(SourceError::TooDeep)
    } else {
        Ok(path)
    }
}

fn warnings(submodules: &[BString], lfs: bool) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(first) = submodules.first() {
        let more = match submodules.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        lines.push(format!(
            " !     Submodules are not fetched: {first:?}{more} will be missing in the build."
        ));
    }
    if lfs {
        lines.push(" !     Git LFS is not supported: its files will be pointers in the build.".to_owned());
    }
    lines
}

/// A pipe from code that writes to a request that streams.
pub(crate) fn pipe() -> (
    ChunkWriter,
    impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) {
    let (sender, receiver) = mpsc::channel(8);
    let writer = ChunkWriter {
        chunks: sender,
        buffer: Vec::with_capacity(CHUNK),
    };
    let chunks = stream::unfold(Some(receiver), |receiver| async {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Some(chunk)) => Some((Ok(chunk), Some(receiver))),
            Some(None) => None,
            None => Some((Err(io::Error::other("the source was not read to its end")), None)),
        }
    });
    (writer, chunks)
}

/// The writing end. Only [`Self::finish`] ends the body well: a writer that is dropped, also by a panic,
/// breaks it, so that the other side never takes a part of the tree for the whole.
pub(crate) struct ChunkWriter {
    /// `None` is the end.
    chunks: mpsc::Sender<Option<Bytes>>,
    buffer: Vec<u8>,
}

impl ChunkWriter {
    /// Whether the other side has stopped reading: then a failed write says nothing of the source.
    pub(crate) fn is_unread(&self) -> bool {
        self.chunks.is_closed()
    }

    /// The body is whole.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.send(None)
    }

    fn send(&self, chunk: Option<Bytes>) -> io::Result<()> {
        self.chunks
            .blocking_send(chunk)
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for ChunkWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(data);
        if self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK));
        self.send(Some(chunk.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;

    async fn read(write: impl FnOnce(ChunkWriter) + Send + 'static) -> (Vec<u8>, bool) {
        let (writer, chunks) = pipe();
        let writing = std::thread::spawn(move || write(writer));
        let parts: Vec<_> = chunks.collect().await;
        writing.join().unwrap();
        let whole = parts.iter().all(Result::is_ok);
        (parts.into_iter().flatten().flatten().collect(), whole)
    }

    #[tokio::test]
    async fn a_source_is_whole_only_when_it_was_finished() {
        let data = vec![7; 3 * CHUNK + 1];
        let written = data.clone();
        let finished = read(move |mut writer| {
            writer.write_all(&written).unwrap();
            writer.finish().unwrap();
        });
        assert_eq!(finished.await, (data, true));
        let dropped = read(|mut writer| writer.write_all(&[7; CHUNK]).unwrap());
        assert_eq!(dropped.await, (vec![7; CHUNK], false));
        assert_eq!(read(|writer| writer.finish().unwrap()).await, (Vec::new(), true));
    }
}
