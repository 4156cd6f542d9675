//! `config`, `config:get`, `config:set`, `config:unset`, `config:scope`, `config:versions`, `config:diff`.
//!
//! Values are fetched and shown only where they are asked for. An argument that can't be read is named by its place and
//! never shown, since what a person mistyped may be the secret.

mod set;
mod show;
mod versions;

pub(crate) use set::{Scope, Set, Unset};
pub(crate) use show::{Get, Show};
pub(crate) use versions::{Diff, Versions};

use super::{Context, Result, deploy::Wait};
use crate::{error::CliError, output, wait};
use pvdify_types::{AppName, ConfigKey, ReleaseVersion};

/// Waits for the release that a change made, and says what was done.
async fn finish(
    context: &Context,
    app: &AppName,
    release: Option<ReleaseVersion>,
    done: &str,
    wait: Wait,
) -> Result {
    let Some(version) = release else {
        return output::line(&format!("{done}; that needed no new release"));
    };
    if wait.no_wait {
        return output::line(&format!("{done}; release {version} is under way"));
    }
    output::talk(&format!("Releasing {app} with the change as {version}"));
    wait::for_release(&context.client, app, version).await?;
    output::line(&format!("{done}; released {version}"))
}

fn parse_key(text: &str) -> Result<ConfigKey> {
    text.parse()
        .map_err(|rule| CliError::usage(format!("{text:?}: {rule}")))
}
