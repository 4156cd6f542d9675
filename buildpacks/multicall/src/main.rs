//! All our buildpacks in one program: one static file to ship, one copy of what they share on disk.
//!
//! As `bin/detect` or `bin/build` of a buildpack's folder it is the buildpack whose id stands in that folder's
//! `buildpack.toml`; as `pvdify-buildpack install DIR` it makes those folders and the default order.

mod buildpacks;
mod install;

use std::{env, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().collect();
    let name = arguments
        .first()
        .and_then(|program| Path::new(program).file_name());
    let result = match (
        name.and_then(|name| name.to_str()),
        &arguments[1.min(arguments.len())..],
    ) {
        (Some("detect" | "build"), _) => buildpacks::run(),
        (_, [word, folder]) if word == "install" => install::install(Path::new(folder)),
        _ => Err("usage: pvdify-buildpack install DIR".to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
