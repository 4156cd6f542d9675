//! Files put into a container, and read out of one, that need not run.

use super::{Libpod, PodmanError, path};
use crate::podman::{Query, empty_body, error::found, full_body, transport::limited};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use http_body_util::{BodyExt, Limited};
use std::{
    collections::BTreeSet,
    io::{self, Read},
    path::Path,
};

/// On top of a file's own bytes in an archive: headers and filling.
const ARCHIVE_SLACK: usize = 64 * 1024;

impl Libpod {
    /// Puts files into a container, by their absolute paths; they and the folders they need belong to root, and nobody
    /// may write there. Folders that are there already are taken over in the same way, so let them be your own.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn put_read_only(&self, container: &str, files: &[(String, &[u8])]) -> Result<(), PodmanError> {
        let tar = archive(files).map_err(|error| PodmanError::Answer(error.to_string()))?;
        // Without the second, Podman gives all files to the image's user.
        let query = Query::default().with("path", "/").with("copyUIDGID", false);
        let path = query.on(&path(container, "/archive"));
        let kind = HeaderValue::from_static("application/x-tar");
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind)]);
        let put = async {
            let answer = self.request(Method::PUT, &path, headers, full_body(tar)).await?;
            // Done when the answer is, not when it begins.
            answer.into_body().collect().await?;
            Ok(())
        };
        limited(self.limit, &Method::PUT, &path, put).await
    }

    /// What a regular file of a container holds; `None` when there is none at this path, or a larger one.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn read_file(
        &self,
        container: &str,
        file: &str,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, PodmanError> {
        let path = Query::default()
            .with("path", file)
            .on(&path(container, "/archive"));
        let get = async {
            let asked = self.request(Method::GET, &path, HeaderMap::new(), empty_body());
            let Some(answer) = found(asked.await)? else {
                return Ok(None);
            };
            let read = Limited::new(answer.into_body(), limit + ARCHIVE_SLACK).collect();
            Ok(read.await.ok().map(http_body_util::Collected::to_bytes))
        };
        let tar = limited(self.limit, &Method::GET, &path, get).await?;
        Ok(tar.and_then(|tar| only_file(&tar, limit)))
    }
}

fn archive(files: &[(String, &[u8])]) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut folders = BTreeSet::new();
    for (path, bytes) in files {
        let path = Path::new(path.trim_start_matches('/'));
        let above: Vec<_> = path.ancestors().skip(1).collect();
        for folder in above.into_iter().rev().filter(|folder| *folder != Path::new("")) {
            if folders.insert(folder.to_owned()) {
                let mut header = root_owned(tar::EntryType::Directory, 0o555, 0);
                tar.append_data(&mut header, folder, io::empty())?;
            }
        }
        let mut header = root_owned(tar::EntryType::Regular, 0o444, bytes.len());
        tar.append_data(&mut header, path, *bytes)?;
    }
    tar.into_inner()
}

fn root_owned(kind: tar::EntryType, mode: u32, size: usize) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size as u64);
    header
}

/// A stranger's archive: it counts only where it is one regular file.
fn only_file(tar: &Bytes, limit: usize) -> Option<Vec<u8>> {
    let mut archive = tar::Archive::new(&tar[..]);
    let mut entries = archive.entries().ok()?;
    let file = entries.next()?.ok()?;
    if !file.header().entry_type().is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() <= limit).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_has_each_folder_once_before_what_is_in_it_and_all_is_roots_and_read_only() {
        let long = format!("/bindings/db/{}", "x".repeat(253));
        let files: [(String, &[u8]); 2] = [
            ("/bindings/db/pw".to_owned(), b"s3cret".as_slice()),
            (long, b"".as_slice()),
        ];
        let tar = archive(&files).unwrap();
        let mut archive = tar::Archive::new(&tar[..]);
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
            let path = entry.path().unwrap().display().to_string();
            (
                path.len().min(20),
                path.chars().take(15).collect(),
                header.mode().unwrap(),
            )
        });
        let entries: Vec<(usize, String, u32)> = entries.collect();
        let modes: Vec<_> = entries
            .iter()
            .map(|(_, path, mode)| (path.as_str(), *mode))
            .collect();
        assert_eq!(
            modes,
            [
                ("bindings", 0o555),
                ("bindings/db", 0o555),
                ("bindings/db/pw", 0o444),
                ("bindings/db/xxx", 0o444)
            ]
        );
    }

    #[test]
    fn what_is_no_regular_file_or_too_large_is_not_read() {
        let tar = Bytes::from(archive(&[("/a/f".to_owned(), b"four".as_slice())]).unwrap());
        assert_eq!(only_file(&tar, 9), None, "a folder");
        assert_eq!(only_file(&tar.slice(512..), 4), Some(b"four".to_vec()));
        assert_eq!(only_file(&tar.slice(512..), 3), None);
        assert_eq!(only_file(&Bytes::from_static(b"no archive"), 9), None);
    }
}
