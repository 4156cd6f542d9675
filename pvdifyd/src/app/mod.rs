//! Use cases: no HTTP, no SQL.

pub mod ports;
