//! exec.d: programs of a layer that give variables at launch (buildpack.md, "exec.d"). Each is run in the
//! environment that those before it made, and writes TOML to its file descriptor 3.

use crate::error::LaunchError;
use pvdify_cnb::env::Env;
use rustix::io::{dup, fcntl_dupfd_cloexec};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
    process::{Command, Stdio},
};

/// Where the program writes to.
const OUTPUT: i32 = 3;
/// Above all that the program may expect to have a meaning.
const OUT_OF_THE_WAY: i32 = 64;
/// The most that one program may write.
const MAX_OUTPUT: u64 = 1024 * 1024;

/// Runs one program and takes its variables over.
pub(crate) fn run(program: &Path, env: &mut Env) -> Result<(), LaunchError> {
    let failed = |text: String| LaunchError::ExecD(program.to_owned(), text);
    let output = output_of(program, env).map_err(failed)?;
    let variables: BTreeMap<String, String> = toml::from_str(&output)
        .map_err(|error| failed(format!("wrote no TOML of variables: {}", error.message())))?;
    for (name, value) in variables {
        env.set(name, value);
    }
    Ok(())
}

fn output_of(program: &Path, env: &Env) -> Result<String, String> {
    let (output, input) = pipe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.env_clear().envs(env.iter()).stdin(Stdio::null());
    let mut child = command
        .spawn()
        .map_err(|error| format!("can't be run: {error}"))?;
    // The program's copy is the only one now, so its end is the output's end.
    drop(input);
    let mut text = Vec::new();
    let read = File::from(output).take(MAX_OUTPUT + 1).read_to_end(&mut text);
    let status = child.wait().map_err(|error| error.to_string())?;
    if !status.success() {
        return Err(format!("failed: {status}"));
    }
    read.map_err(|error| error.to_string())?;
    if text.len() as u64 > MAX_OUTPUT {
        return Err(format!("wrote more than {} KiB", MAX_OUTPUT / 1024));
    }
    String::from_utf8(text).map_err(|_| "wrote what is no UTF-8 text".to_owned())
}

/// A pipe whose end for writing is inherited as file descriptor 3.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (output, input) = io::pipe()?;
    let output = fcntl_dupfd_cloexec(output, OUT_OF_THE_WAY)?;
    let input = fcntl_dupfd_cloexec(input, OUT_OF_THE_WAY)?;
    // The lowest number that is free, which is 3 unless the container was given a file of that number.
    let inherited = dup(&input)?;
    if inherited.as_raw_fd() == OUTPUT {
        Ok((output, inherited))
    } else {
        Err(io::Error::other(
            "file descriptor 3, to which it would write, is in use",
        ))
    }
}
