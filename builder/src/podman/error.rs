//! Why Podman did not do it, and what its refusals say.

use crate::failure;
use http::StatusCode;
use serde::Deserialize;
use std::{io, path::PathBuf, time::Duration};
use thiserror::Error;

/// What Podman names as the cause when something goes while it is asked for, with the status of a fault.
const GONE: [&str; 2] = ["no such container", "network not found"];
/// What it names as the cause when a container is in no state for what was asked, with the same status.
const WRONG_STATE: &str = "container state improper";

/// Why Podman did not do it.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum PodmanError {
    #[error("Podman's socket {socket} does not answer: {source}")]
    Connect { socket: PathBuf, source: io::Error },
    #[error("Podman broke off: {0}")]
    Broken(#[from] hyper::Error),
    #[error("a container's connection broke: {0}")]
    Hijacked(String),
    #[error("Podman did not answer {call} within {} seconds", limit.as_secs())]
    TimedOut { call: String, limit: Duration },
    #[error("Podman: {message}")]
    Refused {
        status: StatusCode,
        /// A fixed word, where the message is for people; empty when Podman names none.
        cause: String,
        message: String,
    },
    #[error("Podman's answer is not understood: {0}")]
    Answer(String),
}

impl PodmanError {
    /// Whether what was asked for does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status, cause, .. }
            if *status == StatusCode::NOT_FOUND || GONE.contains(&cause.as_str()))
    }

    /// Whether what was asked for can't be had in the state that is: made already, or not running.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { status, cause, .. }
            if *status == StatusCode::CONFLICT || cause == WRONG_STATE)
    }

    /// Whether another user of Podman's storage removed something while this was done: asked again, Podman may
    /// well do it.
    #[must_use]
    pub fn is_storage_changed(&self) -> bool {
        matches!(self, Self::Refused { message, .. } if failure::storage_changed(message))
    }

    /// Whether Podman stumbled over what others did at the same time: it reads images without a lock, and an image
    /// that is removed meanwhile is a nil pointer to it.
    pub(super) fn is_stumble(&self) -> bool {
        const SIGN: &str = "runtime error: invalid memory address";
        self.is_storage_changed() || matches!(self, Self::Refused { message, .. } if message.contains(SIGN))
    }

    /// Reads the body of an answer whose status is no success.
    pub(super) fn refusal(status: StatusCode, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Refusal {
            #[serde(default)]
            cause: String,
            message: String,
        }
        let (cause, message) = match serde_json::from_slice::<Refusal>(body) {
            Ok(refusal) => (refusal.cause, refusal.message),
            Err(_) => (String::new(), String::from_utf8_lossy(body).into_owned()),
        };
        let message = match message.trim() {
            "" => status.to_string(),
            text => text.to_owned(),
        };
        Self::Refused {
            status,
            cause,
            message,
        }
    }
}

/// `None` for what does not exist.
pub(super) fn found<T>(answer: Result<T, PodmanError>) -> Result<Option<T>, PodmanError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, body: &str) -> PodmanError {
        PodmanError::refusal(StatusCode::from_u16(status).unwrap(), body.as_bytes())
    }

    #[test]
    fn what_is_gone_is_none_whatever_its_status() {
        let gone = r#"{"cause":"no such container","message":"container a does not exist","response":500}"#;
        assert!(found::<()>(Err(refusal(500, gone))).unwrap().is_none());
        assert!(found::<()>(Err(refusal(404, ""))).unwrap().is_none());
        let fault = r#"{"cause":"database is locked","message":"database is locked","response":500}"#;
        assert!(found::<()>(Err(refusal(500, fault))).is_err());
    }

    #[test]
    fn what_podman_stumbles_over_is_worth_another_try_and_nothing_else() {
        let crash = r#"{"message":"runtime error: invalid memory address or nil pointer dereference","response":500}"#;
        for (body, expected) in [
            (crash, true),
            (r#"{"message":"layer not known","response":500}"#, true),
            (r#"{"message":"database is locked","response":500}"#, false),
        ] {
            assert_eq!(refusal(500, body).is_stumble(), expected, "{body}");
        }
    }

    #[test]
    fn a_refusal_is_in_podmans_words() {
        let body = r#"{"cause":"OCI runtime error","message":"runc: wrong rlimit","response":500}"#;
        assert_eq!(refusal(500, body).to_string(), "Podman: runc: wrong rlimit");
        assert_eq!(refusal(400, " bad \n").to_string(), "Podman: bad");
        assert_eq!(refusal(500, "").to_string(), "Podman: 500 Internal Server Error");
    }
}
