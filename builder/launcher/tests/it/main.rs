//! The launcher as a container runs it: an image's folders, the launcher by its names, what the process sees.
//! The cases are those of the reference lifecycle's acceptance test of its launcher, in our words.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod image;
mod processes;
mod variables;
