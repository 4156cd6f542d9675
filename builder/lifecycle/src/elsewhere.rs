//! Detection and build by another lifecycle's programs, as a whole builder image brings them (`-phases`).
//!
//! They are called as the specification has it: every path by its variable, in the Platform API that was agreed on.
//! What they leave is what this program would leave, so unpacking before them and restoring between them are ours.

use crate::{
    children::{Children, Ended, NotStarted},
    detect::stopped,
    failure::{Failure, code},
    log,
    settings::Settings,
};
use std::{
    path::Path,
    process::{Command, Stdio},
};

/// Detects; leaves group.toml and plan.toml.
pub(crate) fn detect(folder: &Path, settings: &Settings, children: &Children) -> Result<(), Failure> {
    // What an earlier build's detection left must not pass for this one's.
    for path in [&settings.group, &settings.plan] {
        std::fs::remove_file(path).ok();
    }
    log::step("Detecting buildpacks");
    run("detect", &folder.join("detector"), settings, children)
}

/// Builds; leaves config/metadata.toml.
pub(crate) fn build(folder: &Path, settings: &Settings, children: &Children) -> Result<(), Failure> {
    log::step("Building");
    run("build", &folder.join("builder"), settings, children)
}

fn run(phase: &'static str, program: &Path, settings: &Settings, children: &Children) -> Result<(), Failure> {
    let other = if phase == "detect" {
        code::DETECT
    } else {
        code::BUILD
    };
    let wrong = |text: String| Failure::new(phase, other, format!("{} {text}", program.display()));
    let mut command = Command::new(program);
    command
        .stdin(Stdio::null())
        .env("CNB_PLATFORM_API", settings.platform_api.to_string())
        .env("CNB_APP_DIR", &settings.app)
        .env("CNB_LAYERS_DIR", &settings.layers)
        .env("CNB_PLATFORM_DIR", &settings.platform)
        .env("CNB_BUILDPACKS_DIR", &settings.buildpacks)
        .env("CNB_ORDER_PATH", &settings.order)
        .env("CNB_ANALYZED_PATH", &settings.analyzed)
        .env("CNB_GROUP_PATH", &settings.group)
        .env("CNB_PLAN_PATH", &settings.plan)
        .env("CNB_NO_COLOR", "true");
    let pid = children.start(&mut command).map_err(|error| match error {
        NotStarted::Stopped => stopped(phase),
        NotStarted::Io(error) => wrong(format!("can't be started: {error}")),
    })?;
    let ended = children
        .wait(pid)
        .map_err(|error| wrong(format!("is lost: {error}")))?;
    match ended {
        Ended::Exit(0) => Ok(()),
        // The statuses are the specification's, as ours are.
        Ended::Exit(status) if matches!(status, 1..=127) => {
            let status = u8::try_from(status).unwrap_or(other);
            Err(Failure::new(phase, status, words(program, status, ended)))
        }
        // Memory runs out in a buildpack, and takes whoever started it with it.
        _ if phase == "build" => {
            let text = format!("{} ended: {ended}", program.display());
            Err(Failure::new(phase, code::BUILDPACK, text))
        }
        _ => Err(wrong(format!("ended: {ended}"))),
    }
}

fn words(program: &Path, status: u8, ended: Ended) -> String {
    match status {
        code::NOTHING_DETECTED => "no group of the builder's buildpacks passed".to_owned(),
        code::DETECT_ERRORED => "a buildpack's bin/detect went wrong".to_owned(),
        code::BUILDPACK => "a buildpack of the builder failed".to_owned(),
        _ => format!("{} ended: {ended}", program.display()),
    }
}
