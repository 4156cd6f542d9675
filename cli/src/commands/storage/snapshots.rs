//! `storage:snapshot`, `storage:snapshots`, `storage:snapshot:destroy`, `storage:restore`.
//!
//! What was begun goes on at the server whatever happens here, and comes to its end also where that is stopped; a lost
//! connection is told as that, with where to look.

use super::{confirm, size, word};
use crate::{
    app::Rest,
    args::Json,
    commands::{Context, Result},
    error::CliError,
    output::{self, Progress},
};
use clap::Args;
use pvdify_api::volumes::{CreateSnapshot, RestoreVolume, Snapshot as Shown, VolumeEvent};
use pvdify_client::SseEvents;
use pvdify_types::{AppName, SnapshotName, VolumeName};
use std::io;

/// Make a snapshot of a volume: a copy beside it, to be restored
///
/// While processes write to the volume, each file is copied as it is at some moment, as a crash would leave it. Most
/// databases come back from that; with --stop nothing that has the volume runs meanwhile.
#[derive(Args)]
#[command(override_usage = "pvdify storage:snapshot [OPTIONS] [NAME] VOLUME")]
pub(crate) struct Snapshot {
    /// The app, and the volume
    #[arg(value_name = "ARGS", num_args = 1..=2, required = true)]
    args: Vec<String>,
    /// The snapshot's name; one of the present time when it is left out
    #[arg(long, value_name = "SNAPSHOT")]
    name: Option<String>,
    /// Stop what has the volume while it is copied
    #[arg(long)]
    stop: bool,
    #[command(flatten)]
    json: Json,
}

impl Snapshot {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let (name, rest) = Rest::One.split(&self.args, context.flag());
        let volume: VolumeName = word(rest, 0)?;
        if let Some(text) = &self.name {
            text.parse::<SnapshotName>()
                .map_err(|rule| CliError::usage(format!("{text:?}: {rule}")))?;
        }
        let app = context.app(name)?;
        let body = CreateSnapshot {
            name: self.name,
            stop: self.stop,
        };
        let events = context.client.create_snapshot(&app, &volume, &body).await?;
        let made = follow(events, &app, &volume, "the snapshot").await?;
        self.json.print(made, |made| {
            output::line(&format!(
                "Snapshot {} of {volume} made, {}",
                made.name,
                taken(&made)
            ))?;
            if !made.stopped {
                output::talk("The app ran meanwhile: each file is as a crash would have left it.");
            }
            Ok(())
        })
    }
}

/// List the snapshots of a volume
#[derive(Args)]
#[command(override_usage = "pvdify storage:snapshots [OPTIONS] [NAME] VOLUME")]
pub(crate) struct ListSnapshots {
    /// The app, and the volume
    #[arg(value_name = "ARGS", num_args = 1..=2, required = true)]
    args: Vec<String>,
    #[command(flatten)]
    json: Json,
}

impl ListSnapshots {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let (name, rest) = Rest::One.split(&self.args, context.flag());
        let volume: VolumeName = word(rest, 0)?;
        let app = context.app(name)?;
        let all = context.client.snapshots(&app, &volume).await?;
        let none = format!("The volume {volume} of {app} has no snapshots.");
        self.json.print_list(all, &none, |all| {
            output::table(
                ["SNAPSHOT", "STATUS", "APP", "SIZE", "CREATED"],
                all.iter().map(row),
            )
        })
    }
}

fn row(one: &Shown) -> [String; 5] {
    let status = match &one.failure {
        Some(failure) => format!("{}: {failure}", one.status),
        None => one.status.clone(),
    };
    [
        one.name.to_string(),
        status,
        if one.stopped { "stopped" } else { "running" }.to_owned(),
        taken(one),
        output::utc(one.created_at),
    ]
}

fn taken(one: &Shown) -> String {
    one.bytes.map_or_else(|| "-".to_owned(), size)
}

/// Destroy a snapshot of a volume
#[derive(Args)]
#[command(override_usage = "pvdify storage:snapshot:destroy [OPTIONS] [NAME] VOLUME SNAPSHOT")]
pub(crate) struct DestroySnapshot {
    /// The app, the volume, and the snapshot
    #[arg(value_name = "ARGS", num_args = 2..=3, required = true)]
    args: Vec<String>,
    /// The snapshot's name once more, instead of typing it when asked
    #[arg(long, value_name = "SNAPSHOT")]
    confirm: Option<String>,
}

impl DestroySnapshot {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let (name, rest) = Rest::Two.split(&self.args, context.flag());
        let volume: VolumeName = word(rest, 0)?;
        let snapshot: SnapshotName = word(rest, 1)?;
        let app = context.app(name)?;
        confirm(
            snapshot.as_str(),
            self.confirm.as_deref(),
            &mut io::stdin().lock(),
        )?;
        context.client.destroy_snapshot(&app, &volume, &snapshot).await?;
        output::line(&format!("Destroyed the snapshot {snapshot} of {volume}"))
    }
}

/// Restore a volume from a snapshot; what was there becomes a snapshot too
///
/// The snapshot stays. What has the volume stops for a moment, once the snapshot is copied.
#[derive(Args)]
#[command(override_usage = "pvdify storage:restore [OPTIONS] [NAME] VOLUME SNAPSHOT")]
pub(crate) struct Restore {
    /// The app, the volume, and the snapshot
    #[arg(value_name = "ARGS", num_args = 2..=3, required = true)]
    args: Vec<String>,
}

impl Restore {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let (name, rest) = Rest::Two.split(&self.args, context.flag());
        let volume: VolumeName = word(rest, 0)?;
        let snapshot: SnapshotName = word(rest, 1)?;
        let app = context.app(name)?;
        let body = RestoreVolume {
            snapshot: snapshot.to_string(),
        };
        let events = context.client.restore_volume(&app, &volume, &body).await?;
        let before = follow(events, &app, &volume, "the restore").await?;
        output::line(&format!("Restored {volume} from {snapshot}"))?;
        output::talk(&format!("What was there is the snapshot {}.", before.name));
        Ok(())
    }
}

/// Shows what comes until it is done.
async fn follow(
    mut events: SseEvents<VolumeEvent>,
    app: &AppName,
    volume: &VolumeName,
    what: &str,
) -> Result<Shown> {
    let progress = Progress::start(format!("Working on {volume} of {app}"));
    let lost = |why: String| {
        CliError::failed(format!("lost the server while {what} was under way: {why}")).hint(format!(
            "see how it ended with `pvdify storage:snapshots {app} {volume}`"
        ))
    };
    loop {
        match events.next().await {
            Ok(Some(VolumeEvent::Line { text })) => progress.line(&text),
            Ok(Some(VolumeEvent::Copied { bytes })) => progress.say(format!("{} copied", size(bytes))),
            Ok(Some(VolumeEvent::Done { snapshot })) => return Ok(snapshot),
            Ok(Some(VolumeEvent::Failed { message })) => {
                return Err(CliError::failed(format!("{what} of {volume} failed: {message}")));
            }
            Ok(None) => return Err(lost("it ended the answer".to_owned())),
            Err(error) => return Err(lost(error.to_string())),
        }
    }
}
