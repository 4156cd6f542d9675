//! The launcher: the first program in a container made from an image that buildpacks built (platform.md, "launcher").
//!
//! It finds which process is meant, makes its environment out of the image's layers, and becomes that process:
//! no other process is left behind, so signals and exit codes are the process's own. What always holds:
//!
//! - The process has the launcher's process ID: it is executed, not started beside it.
//! - A variable of the launcher's own is not in the process's environment.
//! - What fails before the process runs is told on stderr in one line, with an exit code of 11, 12 or 80 to 85.

mod environment;
mod error;
mod exec_d;
mod files;
mod process;
mod shell;

use environment::LaunchEnv;
use error::LaunchError;
use process::{Metadata, Start};
use pvdify_cnb::api::{self, Api};
use std::{
    convert::Infallible,
    env,
    ffi::OsString,
    io::ErrorKind,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// The oldest Platform API whose images are launched.
const OLDEST_PLATFORM: Api = Api::new(0, 7);

fn main() -> ExitCode {
    match launch() {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("launcher: {error}");
            ExitCode::from(error.code())
        }
    }
}

/// Comes back only when it failed.
fn launch() -> Result<Infallible, LaunchError> {
    let mut arguments = env::args_os();
    let own_name = arguments.next().unwrap_or_default();
    let folder =
        |name: &str, default: &str| PathBuf::from(env::var_os(name).unwrap_or_else(|| default.into()));
    let (app, layers) = (
        folder("CNB_APP_DIR", "/workspace"),
        folder("CNB_LAYERS_DIR", "/layers"),
    );
    let platform = platform_api(env::var_os("CNB_PLATFORM_API"))?;
    let metadata = Metadata::read(&layers)?;
    warn_of_process_type(&metadata);
    let exec_env = env::var("CNB_EXEC_ENV").unwrap_or_else(|_| "production".to_owned());
    let start = metadata.choose(&own_name, arguments.collect(), platform, &exec_env)?;
    env::set_current_dir(&app).map_err(|error| LaunchError::Folder(app.clone(), error))?;
    let environment = LaunchEnv::make(&layers, &metadata.buildpacks, start.process_type.as_deref())?;
    if start.is_direct {
        execute(&start, &app, &environment)
    } else {
        let profiles = environment.profiles(&app, start.process_type.as_deref())?;
        let shell = shell::start(&start, &own_name, &app, &profiles);
        execute(&shell, &app, &environment)
    }
}

fn platform_api(text: Option<OsString>) -> Result<Api, LaunchError> {
    let text = text.unwrap_or_default();
    let known = |api: &Api| (OLDEST_PLATFORM..=api::PLATFORM).contains(api);
    let parsed = text
        .to_str()
        .and_then(|text| text.parse::<Api>().ok())
        .filter(known);
    parsed.ok_or_else(|| LaunchError::PlatformApi(text.to_string_lossy().into_owned()))
}

/// A variable of old platforms, which whoever sets it means to have an effect.
fn warn_of_process_type(metadata: &Metadata) {
    let asked = env::var("CNB_PROCESS_TYPE").unwrap_or_default();
    if !asked.is_empty() {
        let known = metadata.types().join(", ");
        eprintln!(
            "launcher: CNB_PROCESS_TYPE={asked} has no effect: run /cnb/process/TYPE to start another process type \
             (there are: {known})"
        );
    }
}

/// Becomes the process.
fn execute(start: &Start, app: &Path, environment: &LaunchEnv) -> Result<Infallible, LaunchError> {
    let name = start.command.first().ok_or(LaunchError::NoCommand)?;
    let folder = start.folder(app);
    env::set_current_dir(&folder).map_err(|error| LaunchError::Folder(folder, error))?;
    let program = environment
        .find(name)
        .ok_or_else(|| LaunchError::NotFound(name.clone()))?;
    let mut command = Command::new(&program);
    command.arg0(name).args(&start.command[1..]).env_clear();
    let error = command.envs(environment.env.iter()).exec();
    Err(match error.kind() {
        // The program is there, `find` saw it.
        ErrorKind::NotFound => LaunchError::Interpreter(program),
        _ => LaunchError::Execute(program, error),
    })
}
