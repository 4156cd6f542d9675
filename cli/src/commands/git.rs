//! `git:remote`: ties the repository in the working directory to an app.

use super::{Context, Result};
use crate::{
    app::{self, REMOTE},
    args::Name,
    error::CliError,
    output,
};
use clap::Args;
use std::process::{Command, Stdio};

/// Set the git remote `pvdify` of this repository to an app
#[derive(Args)]
pub(crate) struct Remote {
    #[command(flatten)]
    name: Name,
}

impl Remote {
    pub(crate) async fn run(self, context: &Context) -> Result {
        git(&["rev-parse", "--git-dir"]).map_err(|_| {
            CliError::usage("the working directory is in no git repository").hint("make one with `git init`")
        })?;
        let app = context.named(&self.name)?;
        let url = context.client.app(&app).await?.git_url;
        // git runs what some URLs say (`ext::`), and takes what begins with - as an option.
        if !["ssh://", "https://", "http://"]
            .iter()
            .any(|scheme| url.starts_with(scheme))
        {
            return Err(CliError::failed(format!(
                "the server gives {url:?}, which is no URL to push to"
            )));
        }
        let verb = if app::remote_url().is_some() {
            "set-url"
        } else {
            "add"
        };
        git(&["remote", verb, REMOTE, &url])?;
        output::line(&format!("Set git remote {REMOTE} to {url}"))
    }
}

/// Runs git; its own last line is the error.
fn git(args: &[&str]) -> Result {
    let output = Command::new("git")
        .args(args)
        .stdin(Stdio::null())
        .output()
        .map_err(|cause| CliError::failed(format!("can't run git: {cause}")).hint("install git"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.trim().lines().last().unwrap_or("it says nothing");
    Err(CliError::failed(format!("git {} failed: {last}", args[0])))
}
