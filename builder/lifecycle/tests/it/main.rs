//! The lifecycle through its real door: the program, run on trees of tiny `/bin/sh` buildpacks. What the reference
//! lifecycle's own tables test of these phases is here in our words.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helper fails the test")]

mod build;
mod classic;
mod create;
mod detect;
mod detect_env;
mod elsewhere;
mod extensions;
mod fetch;
mod restore;
mod unpack;
mod world;
