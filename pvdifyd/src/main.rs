//! The pvdifyd binary.
fn main() {}
