//! The CNB lifecycle's phases that run in the build container: unpack the source, detect, restore, build
//! (platform.md; the host analyzes, extends images and exports). One program, `lifecycle PHASE` or under the names of the reference's
//! (`detector`, `restorer`, `builder`, `creator`).
//!
//! It runs as the same unprivileged user as the buildpacks it starts, holds no secret, and speaks to nobody: what it
//! leaves in the layers' folder is as little to be trusted as what they leave. A failure ends with the exit status of
//! the specification and one line on standard error that the host reads; so does a whole build that succeeded, as the
//! line is there long before the host learns the status of a container.
//!
//! A whole builder image brings a lifecycle of its own: then detection and build are that one's ([`elsewhere`]).
//!
//! The same program is what classic buildpacks are wrapped in ([`classic`]), and what fetches buildpacks from outside
//! ([`fetch`]).

mod build;
mod children;
mod classic;
mod detect;
mod elsewhere;
mod environment;
mod failure;
mod fetch;
mod files;
mod generate;
mod log;
mod outputs;
mod programs;
mod restore;
mod settings;
mod store;
mod unpack;

use crate::{
    children::Children,
    failure::{Failure, code},
    settings::{Phase, Settings},
};
use std::{io::Write as _, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Option<Vec<String>> = std::env::args_os()
        .skip(1)
        .map(|it| it.into_string().ok())
        .collect();
    let arguments = arguments.unwrap_or_default();
    let classic = arguments.first().and_then(|it| classic::asked(it));
    if let Some(code) = classic.or_else(|| fetch::asked(&arguments)) {
        return code;
    }
    match run() {
        Ok((phase, code)) => {
            if matches!(phase, Phase::Create | Phase::Resume) {
                tell(&failure::ended(code));
            }
            ExitCode::from(code)
        }
        Err(failure) => {
            tell(&failure.line());
            ExitCode::from(failure.code)
        }
    }
}

/// The last line, for the host. If nobody listens, the exit status tells enough.
fn tell(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// The phase that did not fail, and its exit status.
fn run() -> Result<(Phase, u8), Failure> {
    let settings = Settings::parse(std::env::args_os(), |name| std::env::var_os(name))?;
    let phase = settings.phase.name();
    if !settings.platform_api.is_supported_platform() {
        let message = format!(
            "Platform API {} is not spoken; {} to {} are",
            settings.platform_api,
            pvdify_cnb::api::OLDEST_PLATFORM,
            pvdify_cnb::api::PLATFORM
        );
        return Err(Failure::new(phase, code::PLATFORM_API, message));
    }
    let children = Children::new()
        .map_err(|error| Failure::new(phase, code::ARGUMENTS, format!("signals can't be heard: {error}")))?;
    let ended = phases(&settings, &children);
    // Whatever else went wrong on the way.
    if children.is_stopped() {
        Err(detect::stopped(phase))
    } else {
        ended.map(|code| (settings.phase, code))
    }
}

fn phases(settings: &Settings, children: &Children) -> Result<u8, Failure> {
    match settings.phase {
        Phase::Unpack => unpack::run(settings, children)?,
        Phase::Detect => {
            detect::run(settings, children)?;
            generate::run(settings, children)?;
        }
        Phase::Restore => restore::run(settings)?.finish()?,
        Phase::Build => build::run(settings, children)?,
        Phase::Create => {
            unpack::run(settings, children)?;
            match settings.phases.as_deref() {
                // With whole builders no image extension takes part.
                Some(folder) => elsewhere::detect(folder, settings, children)?,
                None => {
                    detect::run(settings, children)?;
                    if generate::run(settings, children)? {
                        return Ok(code::TO_EXTEND);
                    }
                }
            }
            restore_and_build(settings, children)?;
        }
        Phase::Resume => restore_and_build(settings, children)?,
    }
    Ok(0)
}

fn restore_and_build(settings: &Settings, children: &Children) -> Result<(), Failure> {
    let removing = restore::run(settings)?;
    match settings.phases.as_deref() {
        Some(folder) => elsewhere::build(folder, settings, children)?,
        None => build::run(settings, children)?,
    }
    removing.finish()
}
