//! The engine seam and the reconciler from outside: loop logic on a fake engine with faults, and all of it
//! on a real Podman.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "all of this binary is tests; clippy sees only the functions marked #[test]"
)]

mod fake_engine;
mod fake_state;
mod harness;
mod images;
mod loop_faults;
mod loop_logic;
mod podman;
mod podman_loop;
mod podman_volumes;
mod sandbox;
mod sessions;
