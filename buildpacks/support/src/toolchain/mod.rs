//! Toolchains, each through its ecosystem's own client: what the server sets for `npm`, `pip` or `apt` once
//! (mirror, proxy, CA, credentials) holds for the runtimes too. What always holds: what an index promises is
//! compared with what came.

mod client;
pub mod deb;
mod index;
pub mod installed;
pub mod libraries;
pub mod npm;
pub mod pypi;

pub use index::Index;

/// The processor, as npm's packages name it: `x64`, `arm64`.
#[must_use]
pub fn npm_arch() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "x64",
    }
}

/// The processor, as Debian's packages name it: `amd64`, `arm64`.
#[must_use]
pub fn debian_arch() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "amd64",
    }
}

/// The processor, as Debian's multiarch folders name it: `x86_64-linux-gnu`.
#[must_use]
pub fn multiarch() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "aarch64-linux-gnu",
        _ => "x86_64-linux-gnu",
    }
}
