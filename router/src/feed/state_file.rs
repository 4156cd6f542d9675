//! The last good table on disk: whole or not at all, also after a power cut.
//!
//! Written to a temporary file beside it, synced, renamed over the old one, and the folder synced. What goes
//! in is named field by field, so that nothing added to the table later, such as a certificate's key, gets
//! in without a decision. A file that can't be read is as good as none: the control plane has the truth.

use pvdify_types::{Generation, Route, RouteTable};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// A table of 2,000 hosts has about 300 KB.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
const FORMAT: u32 = 1;

/// What is kept. No secret is among it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    format: u32,
    generation: Generation,
    hosts: BTreeMap<String, usize>,
    routes: Vec<Route>,
}

pub(super) struct StateFile {
    path: PathBuf,
}

impl StateFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The saved table; nothing when there is none, or none that can be read.
    pub(super) fn load(&self) -> Option<RouteTable> {
        match self.read() {
            Ok(table) => {
                tracing::info!(
                    generation = table.generation.0,
                    "serving the last good route table"
                );
                Some(table)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(
                    path = %self.path.display(), %error,
                    "ignored an unreadable route table; waiting for the control plane's"
                );
                None
            }
        }
    }

    fn read(&self) -> io::Result<RouteTable> {
        let size = std::fs::metadata(&self.path)?.len();
        if size > MAX_BYTES {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                format!("it has {size} bytes"),
            ));
        }
        let bytes = std::fs::read(&self.path)?;
        let Saved {
            format,
            generation,
            hosts,
            routes,
        } = serde_json::from_slice(&bytes)?;
        if format != FORMAT {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                format!("it has format {format}, not {FORMAT}"),
            ));
        }
        Ok(RouteTable {
            generation,
            hosts,
            routes,
        })
    }

    /// Returns once the table is on the disk.
    pub(super) fn save(&self, table: &RouteTable) -> io::Result<()> {
        let RouteTable {
            generation,
            hosts,
            routes,
        } = table.clone();
        let bytes = serde_json::to_vec(&Saved {
            format: FORMAT,
            generation,
            hosts,
            routes,
        })?;
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let temporary = self.path.with_extension("new");
        let written = write_synced(&temporary, &bytes).and_then(|()| std::fs::rename(&temporary, &self.path));
        if written.is_err() {
            // What is left of it would only fill a full disk further; the first error is the one to tell.
            drop(std::fs::remove_file(&temporary));
        }
        written?;
        File::open(folder)?.sync_all()
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pvdify_types::Endpoint;
    use std::os::unix::fs::PermissionsExt;

    fn table() -> RouteTable {
        RouteTable {
            generation: Generation(7),
            hosts: [("demo.test".to_owned(), 0)].into(),
            routes: vec![Route {
                app: "demo".parse().unwrap(),
                endpoints: vec![Endpoint {
                    address: ([127, 0, 0, 1], 80).into(),
                    instance: "i1".parse().unwrap(),
                }],
                maintenance: true,
            }],
        }
    }

    #[test]
    fn a_table_comes_back_as_it_was_saved() {
        let folder = tempfile::tempdir().unwrap();
        let file = StateFile::new(folder.path().join("routes.json"));
        assert_eq!(file.load(), None);
        file.save(&RouteTable::default()).unwrap();
        file.save(&table()).unwrap();
        assert_eq!(file.load(), Some(table()));
        let names: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["routes.json"], "no temporary file stays");
        assert_eq!(
            std::fs::metadata(file.path()).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn an_unreadable_file_is_no_table() {
        let folder = tempfile::tempdir().unwrap();
        let file = StateFile::new(folder.path().join("routes.json"));
        file.save(&table()).unwrap();
        let good = std::fs::read_to_string(file.path()).unwrap();
        for bad in [
            "",
            "{",
            &good[..good.len() / 2],
            &good.replace("\"format\":1", "\"format\":2"),
            "null",
        ] {
            std::fs::write(file.path(), bad).unwrap();
            assert_eq!(file.load(), None, "{bad}");
        }
    }

    #[test]
    fn a_failed_save_leaves_the_old_table() {
        let folder = tempfile::tempdir().unwrap();
        let file = StateFile::new(folder.path().join("routes.json"));
        file.save(&table()).unwrap();
        // A folder in the temporary file's place makes writing fail, also for root.
        std::fs::create_dir(folder.path().join("routes.new")).unwrap();
        assert!(file.save(&RouteTable::default()).is_err());
        assert_eq!(file.load(), Some(table()));
    }
}
