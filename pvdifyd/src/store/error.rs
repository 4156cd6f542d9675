//! What can go wrong between the use cases and the disk.

use thiserror::Error;

/// A store call's result.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the store could not do it. The text is for the log; [`Error::is_disk_full`] is for the person.
#[derive(Debug, Error)]
pub enum Error {
    /// SQLite's own word.
    #[error("the database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A stored value does not read back: the file was altered, or a newer Pvdify wrote it.
    #[error("the database holds an unreadable {column}: {reason}")]
    Unreadable {
        /// As `releases.cause`.
        column: &'static str,
        /// Of the parser.
        reason: String,
    },
    /// A sealed value does not open.
    #[error(transparent)]
    Sealed(#[from] super::secrets::SealError),
    /// The writer thread is gone, or the change panicked; nothing was written.
    #[error("the database's writer did not answer; nothing was changed")]
    Stopped,
}

impl Error {
    /// Whether the disk holds no more.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Sqlite(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull))
    }

    #[expect(clippy::needless_pass_by_value, reason = "made to stand in map_err")]
    pub(super) fn unreadable(column: &'static str, reason: impl ToString) -> Self {
        Self::Unreadable {
            column,
            reason: reason.to_string(),
        }
    }
}

/// Why the database could not be opened. Each text says what to do.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum OpenError {
    #[error("can't open the database {path}: {reason}")]
    Open { path: String, reason: String },
    #[error(
        "the database {path} was written by a newer Pvdify: install that version again, or restore a backup made before the upgrade"
    )]
    Newer { path: String },
    #[error(
        "the database {path} is damaged ({reason}): restore the last backup; apps go on running meanwhile"
    )]
    Damaged { path: String, reason: String },
}
