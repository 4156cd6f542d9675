//! Makes what runs what should run.

pub mod desired;
pub mod handle;
