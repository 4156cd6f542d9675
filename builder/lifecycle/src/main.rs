//! The CNB lifecycle's phases that run in the build container.

fn main() {}
