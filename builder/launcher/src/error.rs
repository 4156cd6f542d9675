//! Why no process was started, and the exit code that says so (platform.md: 11, 12, 80 to 89).

use pvdify_cnb::api;
use std::{ffi::OsString, io, path::PathBuf};
use thiserror::Error;

/// Nothing was started.
#[derive(Debug, Error)]
pub(crate) enum LaunchError {
    #[error(
        "CNB_PLATFORM_API is {0:?}: this image is for another launcher, or was started without its environment"
    )]
    PlatformApi(String),
    #[error("the buildpack {0} speaks API {1}, which this launcher does not: build the app anew")]
    BuildpackApi(String, api::Api),
    #[error("{0}: {1}")]
    Metadata(PathBuf, String),
    #[error("no process of type {0} is for the execution environment {1}")]
    NotForExecEnv(String, String),
    #[error("the process type {0} is of the buildpack {1}, which the image does not know")]
    UnknownBuildpack(String, String),
    #[error(
        "no process type is the default, so a command is needed: run it with one, or run /cnb/process/TYPE ({0})"
    )]
    NothingToRun(String),
    #[error("the process has no command")]
    NoCommand,
    #[error("{}: no such program in PATH, or not executable", .0.display())]
    NotFound(OsString),
    #[error("{}: its interpreter is not in the image", .0.display())]
    Interpreter(PathBuf),
    #[error("{path}: {1}", path = .0.display())]
    Execute(PathBuf, io::Error),
    #[error("{path}: {1}", path = .0.display())]
    Environment(PathBuf, io::Error),
    #[error("{path}: {1}", path = .0.display())]
    ExecD(PathBuf, String),
    #[error("can't go to {path}: {1}", path = .0.display())]
    Folder(PathBuf, io::Error),
}

impl LaunchError {
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::PlatformApi(_) => 11,
            Self::BuildpackApi(..) => 12,
            Self::Metadata(..) => 80,
            Self::NotForExecEnv(..)
            | Self::UnknownBuildpack(..)
            | Self::NothingToRun(_)
            | Self::NoCommand => 81,
            Self::NotFound(_) | Self::Interpreter(_) | Self::Execute(..) => 82,
            Self::Environment(..) => 83,
            Self::ExecD(..) => 84,
            Self::Folder(..) => 85,
        }
    }
}
