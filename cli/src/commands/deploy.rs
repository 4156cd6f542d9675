//! `deploy`: releases an image that was built elsewhere.

use super::{Context, Result};
use crate::{
    args::{Json, Name},
    output, wait,
};
use clap::Args;
use pvdify_api::releases::{CreateRelease, Release};
use pvdify_types::AppName;

/// Deploy an image that was built before
#[derive(Args)]
#[command(override_usage = "pvdify deploy [OPTIONS] --image IMAGE [NAME]")]
pub(crate) struct Deploy {
    #[command(flatten)]
    name: Name,
    /// The image, as registry.example.com/demo:1.2; its tag is resolved once, now
    #[arg(short, long, value_name = "IMAGE")]
    image: String,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    json: Json,
}

/// Whether to wait for a release to end.
#[derive(Args, Clone, Copy)]
pub(crate) struct Wait {
    /// Return at once, while the release is under way
    #[arg(long)]
    pub(crate) no_wait: bool,
}

impl Deploy {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let app = context.named(&self.name)?;
        let body = CreateRelease { image: self.image };
        let release = context.client.create_release(&app, &body).await?;
        output::talk(&format!(
            "Deploying {} to {app} as {}",
            body.image, release.version
        ));
        let done = format!("Released {}", release.version);
        finish(context, &app, release, self.wait, self.json, &done).await
    }
}

/// Waits for a release unless told not to, and prints what came of it: `done`, or the release as JSON.
pub(crate) async fn finish(
    context: &Context,
    app: &AppName,
    release: Release,
    wait: Wait,
    json: Json,
    done: &str,
) -> Result {
    let version = release.version;
    if wait.no_wait {
        return json.print(release, |release| {
            output::line(&format!("{version} is {}", release.status))
        });
    }
    wait::for_release(&context.client, app, version).await?;
    if json.json {
        return output::json(&context.client.release(app, version).await?);
    }
    output::line(done)
}
