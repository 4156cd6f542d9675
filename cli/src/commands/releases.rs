//! `releases`, `rollback`.

use super::{
    Context, Result,
    deploy::{Wait, finish},
};
use crate::{
    app::Rest,
    args::{Json, Name},
    error::CliError,
    output,
};
use clap::Args;
use pvdify_api::releases::{Release, Rollback as Body};
use pvdify_types::{ReleaseCause, ReleaseStatus, ReleaseVersion};

/// List an app's releases, the newest first
#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    name: Name,
    /// How many of the newest
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 15)]
    num: usize,
    #[command(flatten)]
    json: Json,
}

impl List {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let app = context.named(&self.name)?;
        let mut releases = context.client.releases(&app).await?;
        let current = releases
            .iter()
            .find(|release| release.status == ReleaseStatus::Current);
        let current = current.map(|release| release.version);
        releases.truncate(self.num);
        let none = format!("{app} has no releases yet.");
        self.json.print_list(releases, &none, |releases| {
            let current = current.map_or_else(|| "none".to_owned(), |version| version.to_string());
            output::line(&format!("=== {app} releases, current: {current}"))?;
            output::table(
                ["VERSION", "STATUS", "DESCRIPTION", "USER", "CREATED"],
                releases.into_iter().map(row),
            )
        })
    }
}

fn row(release: Release) -> [String; 5] {
    [
        release.version.to_string(),
        release.status.to_string(),
        description(&release),
        release.user,
        output::utc(release.created_at),
    ]
}

fn description(release: &Release) -> String {
    match &release.failure {
        Some(failure) => format!("{} ({failure})", release.description),
        None => release.description.clone(),
    }
}

/// Return to an earlier release: its image and its config vars, as a new release
#[derive(Args)]
#[command(override_usage = "pvdify rollback [OPTIONS] [NAME] [VERSION]")]
pub(crate) struct Rollback {
    /// The app, and the release to return to, as v3; the one that served before when left out
    #[arg(value_name = "ARGS", num_args = 0..=2)]
    args: Vec<String>,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    json: Json,
}

impl Rollback {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let (name, rest) = Rest::Version.split(&self.args, context.flag());
        let version = rest.first().map(|text| version(text)).transpose()?;
        let app = context.app(name)?;
        let body = Body {
            version: version.map(|version| version.0),
        };
        let release = context.client.rollback(&app, &body).await?;
        let to = match release.cause {
            ReleaseCause::Rollback { to } => format!(" to {to}"),
            ReleaseCause::Deploy | ReleaseCause::Config | ReleaseCause::Promote | ReleaseCause::Stack => {
                String::new()
            }
        };
        output::talk(&format!("Rolling {app} back{to} as {}", release.version));
        let done = format!("Rolled back{to}, released {}", release.version);
        finish(context, &app, release, self.wait, self.json, &done).await
    }
}

fn version(text: &str) -> Result<ReleaseVersion> {
    text.parse()
        .map_err(|_| CliError::usage(format!("{text:?} is no release version")).hint("write it as v3 or 3"))
}
