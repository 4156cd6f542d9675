//! The CNB launcher.

fn main() {}
