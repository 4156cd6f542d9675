//! What `bin/detect` answers.
//!
//! A buildpack only finds the reason why an app is its own; that a reason is one line on stdout, and none is a
//! failure, is the same for all.

use crate::{Failure, output};
use libcnb::detect::{DetectResult, DetectResultBuilder};

/// Passes with a reason, fails without one.
pub fn answer(reason: Option<impl AsRef<str>>) -> libcnb::Result<DetectResult, Failure> {
    match reason {
        Some(reason) => {
            output::reason(reason);
            DetectResultBuilder::pass().build()
        }
        None => DetectResultBuilder::fail().build(),
    }
}
