//! `releases`, `releases:info`, `releases:output`, `releases:cancel`, `rollback`.

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
use pvdify_types::{AppName, ReleaseCause, ReleaseStatus, ReleaseVersion};

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

/// A release that may be left out, as an app's name may.
#[derive(Args)]
pub(crate) struct Which {
    /// The app, and the release, as v3; the newest when left out
    #[arg(value_name = "ARGS", num_args = 0..=2)]
    args: Vec<String>,
}

impl Which {
    async fn find(&self, context: &Context) -> Result<(AppName, Release)> {
        let (name, rest) = Rest::Version.split(&self.args, context.flag());
        let version = rest.first().map(|text| version(text)).transpose()?;
        let app = context.app(name)?;
        let release = match version {
            Some(version) => context.client.release(&app, version).await?,
            None => {
                let newest = context.client.releases(&app).await?.into_iter().next();
                newest.ok_or_else(|| CliError::failed(format!("{app} has no releases yet")))?
            }
        };
        Ok((app, release))
    }
}

/// Show a release
#[derive(Args)]
#[command(override_usage = "pvdify releases:info [OPTIONS] [NAME] [VERSION]")]
pub(crate) struct Info {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    json: Json,
}

impl Info {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let (app, release) = self.which.find(context).await?;
        self.json.print(release, |release| {
            output::line(&format!("=== {app} {}", release.version))?;
            for (name, value) in facts(&release) {
                output::line(&format!("{:<9} {value}", format!("{name}:")))?;
            }
            Ok(())
        })
    }
}

/// What there is to know of a release, in the order it is read.
fn facts(release: &Release) -> Vec<(&'static str, String)> {
    let mut facts = vec![("Status", release.status.to_string())];
    facts.extend(release.failure.clone().map(|why| ("Failure", why)));
    facts.push(("Change", release.description.clone()));
    facts.push(("By", release.user.clone()));
    facts.push(("When", output::utc(release.created_at)));
    facts.extend(release.commit.clone().map(|commit| ("Commit", commit)));
    facts.push(("Image", release.image.clone()));
    facts.push(("Config", format!("version {}", release.config_version)));
    for (process, command) in &release.processes {
        let command = if command.is_empty() {
            "(the image's own command)"
        } else {
            command
        };
        facts.push(("Process", format!("{process}: {command}")));
    }
    facts
}

/// Print what a release's command wrote
#[derive(Args)]
#[command(override_usage = "pvdify releases:output [OPTIONS] [NAME] [VERSION]")]
pub(crate) struct Output {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    json: Json,
}

impl Output {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let (app, release) = self.which.find(context).await?;
        let written = context.client.release_output(&app, release.version).await?;
        self.json.print(written, |written| {
            let output = written.output.as_deref().unwrap_or_default();
            output.lines().try_for_each(output::line)?;
            let end = match (&written.failure, written.exit_status) {
                (Some(failure), _) => format!("{} {failure}", written.name),
                (None, Some(status)) => format!("{} exited with status {status}", written.name),
                (None, None) => format!("{} is {}", written.name, written.status),
            };
            output::talk(&end);
            Ok(())
        })
    }
}

/// End a release that is under way; what serves goes on serving
#[derive(Args)]
#[command(override_usage = "pvdify releases:cancel [OPTIONS] [NAME] [VERSION]")]
pub(crate) struct Cancel {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    json: Json,
}

impl Cancel {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let (app, release) = self.which.find(context).await?;
        let release = context.client.cancel_release(&app, release.version).await?;
        self.json.print(release, |release| {
            output::line(&format!("Cancelled {} of {app}", release.version))
        })
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
