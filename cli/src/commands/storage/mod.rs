//! `storage:create`, `storage:list`, `storage:mount`, `storage:unmount`, `storage:destroy`; snapshots are in
//! [`snapshots`]. What destroys data takes its name twice.

mod snapshots;

pub(crate) use snapshots::{DestroySnapshot, ListSnapshots, Restore, Snapshot};

use super::{Context, Result, deploy::Wait};
use crate::{
    app::Rest,
    args::{Json, Name},
    error::CliError,
    output, wait,
};
use clap::Args;
use pvdify_api::volumes::{CreateVolume, MountVolume, UnmountQuery, Volume, VolumeMount};
use pvdify_client::VolumeChanged;
use pvdify_types::{AppName, MountPath, ProcessType, VolumeName};
use std::io::{self, BufRead, IsTerminal};

/// List an app's volumes
#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    name: Name,
    #[command(flatten)]
    json: Json,
}

impl List {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let app = context.named(&self.name)?;
        let volumes = context.client.volumes(&app).await?;
        let none = format!("{app} has no volumes; make one with `pvdify storage:create {app} VOLUME`.");
        self.json.print_list(volumes, &none, |volumes| {
            output::table(
                ["VOLUME", "SIZE", "OWNER", "SNAPSHOTS", "MOUNTED"],
                volumes.into_iter().map(row),
            )
        })
    }
}

fn row(volume: Volume) -> [String; 5] {
    let is_there = volume.owner.is_some();
    let mut mounted: Vec<String> = volume.mounts.iter().map(mount).collect();
    mounted.extend(
        volume
            .operation
            .map(|operation| format!("({operation} under way)")),
    );
    [
        volume.name.to_string(),
        match volume.bytes {
            Some(bytes) => size(bytes),
            None if is_there => "many files".to_owned(),
            None => "missing".to_owned(),
        },
        volume.owner.unwrap_or_else(|| "-".to_owned()),
        volume.snapshots.to_string(),
        if mounted.is_empty() {
            "-".to_owned()
        } else {
            mounted.join(" ")
        },
    ]
}

/// As `web:/data (read-only)`.
fn mount(mount: &VolumeMount) -> String {
    let mut text = match &mount.process {
        Some(process) => format!("{process}:{}", mount.path),
        None => mount.path.to_string(),
    };
    if mount.read_only {
        text.push_str(" (read-only)");
    } else if mount.shared {
        text.push_str(" (shared)");
    }
    text
}

/// As `1.5 GiB`.
fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut tenths = bytes.saturating_mul(10) / 1024;
    let mut unit = units[0];
    for larger in &units[1..] {
        if tenths < 10_240 {
            break;
        }
        tenths /= 1024;
        unit = larger;
    }
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

/// Make an empty volume: a folder that outlives an app's releases
#[derive(Args)]
#[command(override_usage = "pvdify storage:create [OPTIONS] [NAME] VOLUME")]
pub(crate) struct Create {
    /// The app, and the volume's name
    #[arg(value_name = "ARGS", num_args = 1..=2, required = true)]
    args: Vec<String>,
    #[command(flatten)]
    json: Json,
}

impl Create {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let (name, rest) = Rest::One.split(&self.args, context.flag());
        let volume: VolumeName = word(rest, 0)?;
        let app = context.app(name)?;
        let body = CreateVolume {
            name: volume.to_string(),
        };
        let made = context.client.create_volume(&app, &body).await?;
        self.json.print(made, |made| {
            output::line(&format!("Created the volume {} of {app}", made.name))?;
            output::talk(&format!(
                "Mount it with `pvdify storage:mount {app} {volume} PATH`."
            ));
            Ok(())
        })
    }
}

/// Mount a volume in an app's processes, and release the app with it
///
/// A process type that has a volume to itself runs once, and is stopped before its next release starts: two that write
/// the same files without knowing of each other destroy them. With --shared any number may have it at one time; with
/// --read-only any number may read it.
#[derive(Args)]
#[command(override_usage = "pvdify storage:mount [OPTIONS] [NAME] VOLUME PATH")]
pub(crate) struct Mount {
    /// The app, the volume, and where processes find it, as /data
    #[arg(value_name = "ARGS", num_args = 2..=3, required = true)]
    args: Vec<String>,
    /// Only in processes of this type; may be given several times
    #[arg(long = "process", value_name = "TYPE")]
    processes: Vec<String>,
    /// The processes can't change it
    #[arg(long)]
    read_only: bool,
    /// Any number of them, also of two releases, may write to it at one time
    #[arg(long)]
    shared: bool,
    #[command(flatten)]
    wait: Wait,
}

impl Mount {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let (name, rest) = Rest::Two.split(&self.args, context.flag());
        let volume: VolumeName = word(rest, 0)?;
        let path: MountPath = word(rest, 1)?;
        for process in &self.processes {
            process_type(process)?;
        }
        let app = context.app(name)?;
        let body = MountVolume {
            path: path.to_string(),
            processes: self.processes,
            read_only: self.read_only,
            shared: self.shared,
        };
        let changed = context.client.mount_volume(&app, &volume, &body).await?;
        let done = format!("Mounted {volume} at {path}");
        released(context, &app, changed, &done, self.wait).await
    }
}

/// Unmount a volume, and release the app without it; what is in it stays
#[derive(Args)]
#[command(override_usage = "pvdify storage:unmount [OPTIONS] [NAME] VOLUME")]
pub(crate) struct Unmount {
    /// The app, and the volume
    #[arg(value_name = "ARGS", num_args = 1..=2, required = true)]
    args: Vec<String>,
    /// Only in processes of this type
    #[arg(long, value_name = "TYPE")]
    process: Option<String>,
    #[command(flatten)]
    wait: Wait,
}

impl Unmount {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let (name, rest) = Rest::One.split(&self.args, context.flag());
        let volume: VolumeName = word(rest, 0)?;
        self.process.as_deref().map(process_type).transpose()?;
        let app = context.app(name)?;
        let query = UnmountQuery {
            process: self.process,
        };
        let changed = context.client.unmount_volume(&app, &volume, &query).await?;
        let done = format!("Unmounted {volume}");
        released(context, &app, changed, &done, self.wait).await
    }
}

/// Waits for the release that a change made, and says what was done.
async fn released(
    context: &Context,
    app: &AppName,
    changed: VolumeChanged,
    done: &str,
    wait: Wait,
) -> Result {
    let Some(version) = changed.release else {
        return output::line(&format!("{done}; that needed no new release"));
    };
    if wait.no_wait {
        return output::line(&format!("{done}; release {version} is under way"));
    }
    output::talk(&format!("Releasing {app} with the change as {version}"));
    wait::for_release(&context.client, app, version).await?;
    output::line(&format!("{done}; released {version}"))
}

/// Destroy a volume with all that is in it and its snapshots
#[derive(Args)]
#[command(override_usage = "pvdify storage:destroy [OPTIONS] [NAME] VOLUME")]
pub(crate) struct Destroy {
    /// The app, and the volume
    #[arg(value_name = "ARGS", num_args = 1..=2, required = true)]
    args: Vec<String>,
    /// The volume's name once more, instead of typing it when asked
    #[arg(long, value_name = "VOLUME")]
    confirm: Option<String>,
}

impl Destroy {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let (name, rest) = Rest::One.split(&self.args, context.flag());
        let volume: VolumeName = word(rest, 0)?;
        let app = context.app(name)?;
        if self.confirm.is_none() && io::stdin().is_terminal() {
            // A name that is none should not be typed twice to find that out.
            let shown = context.client.volume(&app, &volume).await?;
            output::talk(&format!(
                "This destroys all that is in the volume {volume} of {app}, and its snapshots: {}.",
                shown.snapshots
            ));
        }
        confirm(volume.as_str(), self.confirm.as_deref(), &mut io::stdin().lock())?;
        context.client.destroy_volume(&app, &volume).await?;
        output::line(&format!("Destroyed the volume {volume} of {app}"))
    }
}

/// Nothing is destroyed before its name was given a second time.
fn confirm(name: &str, given: Option<&str>, answers: &mut impl BufRead) -> Result {
    match given {
        Some(given) if given == name => Ok(()),
        Some(given) => Err(CliError::usage(format!(
            "--confirm {given} is not {name}: nothing was destroyed"
        ))),
        None if io::stdin().is_terminal() => {
            output::ask(&format!("Type {name} to go on: "));
            let mut answer = String::new();
            answers
                .read_line(&mut answer)
                .map_err(|cause| CliError::failed(format!("can't read the answer: {cause}")))?;
            if answer.trim() == name {
                Ok(())
            } else {
                Err(CliError::failed(format!(
                    "that is not {name}: nothing was destroyed"
                )))
            }
        }
        None => Err(CliError::usage(format!(
            "destroying {name} can't be undone and nobody can be asked here"
        ))
        .hint(format!("add --confirm {name}"))),
    }
}

/// The argument at this place, or how it breaks its rule.
fn word<T: std::str::FromStr<Err: std::fmt::Display>>(args: &[String], place: usize) -> Result<T> {
    let text = args.get(place).map_or("", String::as_str);
    text.parse()
        .map_err(|rule| CliError::usage(format!("{text:?}: {rule}")))
}

fn process_type(text: &str) -> Result<ProcessType> {
    text.parse()
        .map_err(|rule| CliError::usage(format!("{text:?}: {rule}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_by_people() {
        let table = [
            (0, "0.0 KiB"),
            (4096, "4.0 KiB"),
            (1024 * 1024 - 1, "1023.9 KiB"),
            (1024 * 1024, "1.0 MiB"),
            (3 << 29, "1.5 GiB"),
        ];
        for (bytes, text) in table {
            assert_eq!(size(bytes), text);
        }
    }
}
