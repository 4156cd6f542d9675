//! `pvdifyd stack ...`: the base images, made on the host, also before a server ever ran; and all apps put on them.
//!
//! Images are made by this process with Podman. Only the server publishes and rebases: it has the registry and the
//! database. It is asked over its control socket, and does the same as for the API.

mod podman;

use crate::{
    args::{StackArgs, StackCommand},
    boot,
    config::Config,
};
use podman::Podman;
use pvdify_api::stack::{StackEvent, StackOutcome};
use pvdify_builder::stack::{self, Base, Options};
use pvdify_client::Client;
use std::fmt::Display;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

/// Does it and says each step on standard error; the error is a line of cause and one of what to do.
///
/// # Errors
/// When the images can't be made, or an app could not be rebased.
pub async fn run(command: StackCommand, config: &Config) -> Result<(), String> {
    match command {
        StackCommand::Build(args) => make(args, false, config).await.map(drop),
        StackCommand::Update(args) => {
            let changed = make(args, true, config).await?;
            match connect(config).await? {
                Some(server) => rebase(&server).await,
                None if changed => {
                    say(
                        "       No server runs here: it publishes the run image when it starts; then run pvdifyd stack rebase",
                    );
                    Ok(())
                }
                None => Ok(()),
            }
        }
        StackCommand::Rebase => match connect(config).await? {
            Some(server) => rebase(&server).await,
            None => Err(refusal(
                format!("no server answers at {}", config.control_socket().display()),
                "start pvdifyd, or set PVDIFY_STATE_DIR to the state directory of the one that runs",
            )),
        },
    }
}

/// Makes the images; whether one changed.
async fn make(args: StackArgs, newest: bool, config: &Config) -> Result<bool, String> {
    let temporary = std::env::temp_dir();
    let podman = Podman::start(config, &temporary).await?;
    let options = Options {
        base: args.from.as_deref().map(Base::named),
        mirror: args.mirror,
        temporary,
        ca: config.build_ca.clone(),
        newest,
        released: today(),
    };
    let (output, mut lines) = mpsc::channel::<String>(64);
    let show = async {
        while let Some(line) = lines.recv().await {
            say(&line);
        }
    };
    let work = async {
        let made = stack::build(podman.client(), &options, &output).await;
        drop(output);
        made.map_err(|error| refusal(error.cause, error.remedy))
    };
    let (mut terminate, mut interrupt) = (stop(SignalKind::terminate())?, stop(SignalKind::interrupt())?);
    tokio::select! {
        (made, ()) = async { tokio::join!(work, show) } => made,
        _ = terminate.recv() => Err(stopped()),
        _ = interrupt.recv() => Err(stopped()),
    }
}

/// Now, to the second.
fn today() -> String {
    let now = OffsetDateTime::now_utc();
    let whole = now.replace_nanosecond(0).unwrap_or(now);
    whole.format(&Rfc3339).unwrap_or_default()
}

fn stop(kind: SignalKind) -> Result<tokio::signal::unix::Signal, String> {
    signal(kind).map_err(|error| {
        refusal(
            format!("signals can't be received: {error}"),
            "run the command again",
        )
    })
}

fn stopped() -> String {
    refusal(
        "stopped; the base images are as they were",
        "run the command again to make them",
    )
}

/// The running server; `None`: none runs with this state directory.
async fn connect(config: &Config) -> Result<Option<Client>, String> {
    let server = boot::running_server(config).await;
    server.map_err(|error| refusal(error, "run the command again"))
}

/// Has the server put every app on the newest run image, and says what came of each.
async fn rebase(server: &Client) -> Result<(), String> {
    let failed = |error| refusal(error, "see the server's log, and run pvdifyd stack rebase");
    say("-----> Putting apps on the newest run image");
    let mut events = server.control_rebase_stack().await.map_err(failed)?;
    let mut failures = 0;
    while let Some(event) = events.next().await.map_err(failed)? {
        if let Some(line) = line(&event) {
            say(&line);
        }
        match event {
            StackEvent::App {
                outcome: StackOutcome::Failed { .. },
                ..
            } => failures += 1,
            StackEvent::Failed { message } => return Err(failed_whole(&message)),
            StackEvent::Done { .. } if failures == 0 => return Ok(()),
            StackEvent::Done { .. } => {
                return Err(refusal(
                    format!("{failures} of the apps stay on their older run image"),
                    "mend what is said above, and run pvdifyd stack rebase",
                ));
            }
            StackEvent::App { .. } | StackEvent::Published { .. } | StackEvent::KeepAlive => {}
        }
    }
    Err(refusal(
        "the server stopped before all apps were done",
        "start it, and run pvdifyd stack rebase",
    ))
}

fn failed_whole(message: &str) -> String {
    refusal(message, "mend that, and run pvdifyd stack rebase")
}

/// What a person reads of an event.
fn line(event: &StackEvent) -> Option<String> {
    Some(match event {
        StackEvent::Published {
            digest,
            changed: true,
        } => format!("       Published the run image {digest}"),
        StackEvent::Published {
            digest,
            changed: false,
        } => format!("       The run image is {digest}"),
        StackEvent::App { app, outcome } => match outcome {
            StackOutcome::Released { version } => format!("       {app}: released v{version}"),
            StackOutcome::Newest => format!("       {app}: is on it already"),
            StackOutcome::NotRebasable { reason } => format!(" !     {app}: {reason}"),
            StackOutcome::Failed { reason } => format!(" !     {app}: failed: {reason}"),
        },
        StackEvent::Done {
            released,
            newest,
            not_rebasable,
            failed,
        } => format!(
            "       {released} released, {newest} on it already, {not_rebasable} to be deployed anew, {failed} failed"
        ),
        StackEvent::Failed { .. } | StackEvent::KeepAlive => return None,
    })
}

fn refusal(cause: impl Display, remedy: impl Display) -> String {
    format!("{cause}\n       {remedy}")
}

fn say(line: &str) {
    eprintln!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_is_one_line_for_a_person() {
        let app = |outcome| StackEvent::App {
            app: "demo".parse().unwrap(),
            outcome,
        };
        let digest = format!("sha256:{}", "0".repeat(64));
        let events = [
            StackEvent::Published {
                digest,
                changed: true,
            },
            app(StackOutcome::Released { version: 7 }),
            app(StackOutcome::Newest),
            app(StackOutcome::NotRebasable {
                reason: "no buildpack built it: push it again".into(),
            }),
            app(StackOutcome::Failed {
                reason: "web.1 exited".into(),
            }),
            StackEvent::KeepAlive,
            StackEvent::Done {
                released: 1,
                newest: 1,
                not_rebasable: 1,
                failed: 1,
            },
        ];
        let text: Vec<String> = events.iter().filter_map(line).collect();
        insta::assert_snapshot!(text.join("\n"), @r"
               Published the run image sha256:0000000000000000000000000000000000000000000000000000000000000000
               demo: released v7
               demo: is on it already
         !     demo: no buildpack built it: push it again
         !     demo: failed: web.1 exited
               1 released, 1 on it already, 1 to be deployed anew, 1 failed
        ");
    }
}
