//! The Python buildpack through `bin/detect` and `bin/build`.

use buildpack_python::{DESCRIPTOR, PythonBuildpack};
use buildpack_support::testing::{App, entry};
use std::{env, path::Path, process::Command, sync::LazyLock};

entry!(PythonBuildpack, DESCRIPTOR);

const TOOLS: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/python-tools");

// As a build image that has uv; fetched once for all tests.
static PATH: LazyLock<String> = LazyLock::new(|| {
    let bin = Path::new(TOOLS).join("bin");
    if !bin.join("uv").is_file() {
        let status = Command::new("pip3")
            .args(["install", "--quiet", "--target", TOOLS, "uv"])
            .status();
        assert!(status.expect("pip3 is there").success());
    }
    format!("{}:{}", bin.display(), env::var("PATH").unwrap_or_default())
});

/// An empty app on an image that has uv.
fn app_with_uv() -> App {
    app().process_env("PATH", &PATH)
}

mod additions;
mod detecting;
mod failing;
mod installing;
mod serving;
