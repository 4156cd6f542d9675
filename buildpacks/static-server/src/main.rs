//! A tiny HTTP file server for static sites.

fn main() {}
