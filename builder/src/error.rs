//! Why there is no image. The texts are complete: they are shown to the person as they stand.

use crate::{failure, log, podman::PodmanError};
use pvdify_registry::StoreError;
use thiserror::Error;

/// A build or import that made no image.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BuildError {
    /// The source, the Dockerfile, a step of it or the image is at fault: pushing the same again fails again.
    #[error("{0}")]
    Refused(String),
    /// The host is at fault: the same may succeed later.
    #[error("{0}")]
    Unavailable(String),
}

impl BuildError {
    pub(crate) fn refused(text: impl std::fmt::Display) -> Self {
        Self::Refused(text.to_string())
    }

    pub(crate) fn unavailable(text: impl std::fmt::Display) -> Self {
        Self::Unavailable(text.to_string())
    }

    /// Without what could draw on a terminal and without end: a build's own words may be in it.
    pub(crate) fn for_a_terminal(self) -> Self {
        match self {
            Self::Refused(text) => Self::Refused(log::plain_text(&text)),
            Self::Unavailable(text) => Self::Unavailable(log::plain_text(&text)),
        }
    }
}

impl BuildError {
    /// What the file system answered.
    #[allow(clippy::needless_pass_by_value, reason = "it stands in map_err")]
    pub(crate) fn disk(error: std::io::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl From<PodmanError> for BuildError {
    fn from(error: PodmanError) -> Self {
        match error {
            PodmanError::Refused { message, .. } if failure::is_disk_full(&message) => failure::disk_full(),
            PodmanError::Refused { .. } | PodmanError::Answer(_) => {
                Self::Unavailable(format!("the image can't be built now. {error}"))
            }
            PodmanError::Connect { .. }
            | PodmanError::Broken(_)
            | PodmanError::Hijacked(_)
            | PodmanError::TimedOut { .. } => Self::Unavailable(format!(
                "the build was interrupted: {error}. Push again; if it fails again, run pvdifyd doctor on the host"
            )),
        }
    }
}

impl From<StoreError> for BuildError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::DiskFull => failure::disk_full(),
            other => Self::Unavailable(format!("the image can't be stored: {other}")),
        }
    }
}
