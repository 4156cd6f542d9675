//! Waits for a release to end, showing what it says.
//!
//! The release goes on by itself whatever happens here: a lost connection is taken up again, and what the
//! event stream can't tell (it broke, it stayed silent, a proxy swallowed it) the release's own status does.
//! So every way out of here is the release's true end, or an error that says how to look for it.

use crate::{error::CliError, output::Progress};
use pvdify_api::releases::ReleaseEvent;
use pvdify_client::Client;
use pvdify_types::{AppName, ReleaseStatus, ReleaseVersion};
use std::time::Duration;

/// A stream that says nothing for so long may be dead without either end knowing: the status is asked.
const SILENCE: Duration = Duration::from_secs(30);
/// Between two attempts to reach a server that went away.
pub(crate) const RETRY_AFTER: Duration = Duration::from_millis(500);
/// A restart or an upgrade of the server takes seconds; 120 attempts are a minute and more.
pub(crate) const RETRIES: u32 = 120;

/// How a release ended.
struct End {
    status: ReleaseStatus,
    failure: Option<String>,
}

/// Shows the release's lines until it ends; `doing` stands on a terminal meanwhile.
///
/// That the release failed is an error. That a later one took its place meanwhile is none: it served.
pub(crate) async fn for_release(
    client: &Client,
    app: &AppName,
    version: ReleaseVersion,
) -> Result<(), CliError> {
    let progress = Progress::start(format!("Releasing {version} of {app}"));
    let end = tokio::select! {
        end = follow(client, app, version, &progress) => end,
        _ = tokio::signal::ctrl_c() => {
            Err(CliError::failed(format!("stopped waiting; release {version} of {app} goes on"))
                .hint(format!("see how it ends with `pvdify releases {app}`")))
        }
    };
    drop(progress);
    let end = end?;
    if end.status == ReleaseStatus::Failed {
        let reason = end
            .failure
            .unwrap_or_else(|| "the server gives no reason".to_owned());
        return Err(
            CliError::failed(format!("release {version} of {app} failed: {reason}")).hint(format!(
                "what served before is unchanged; `pvdify logs {app}` shows what the processes wrote"
            )),
        );
    }
    Ok(())
}

async fn follow(
    client: &Client,
    app: &AppName,
    version: ReleaseVersion,
    progress: &Progress,
) -> Result<End, CliError> {
    let mut shown = Shown::default();
    let mut unreachable = 0;
    loop {
        if let Some(end) = watch(client, app, version, &mut shown, progress).await {
            return Ok(end);
        }
        match ended(client, app, version).await {
            Ok(Some(end)) => return Ok(end),
            Ok(None) => unreachable = 0,
            // A proxy in front answers 502 while the server restarts; a 4xx will not get better.
            Err(error) if error.status().is_some_and(|status| status < 500) => return Err(error.into()),
            Err(error) => {
                unreachable += 1;
                if unreachable >= RETRIES {
                    return Err(CliError::failed(format!(
                        "lost the server while release {version} of {app} was under way: {error}"
                    ))
                    .hint(format!("see how it ended with `pvdify releases {app}`")));
                }
            }
        }
        tokio::time::sleep(RETRY_AFTER).await;
        shown.replay();
    }
}

/// The end as the event stream tells it; `None` when it can't.
async fn watch(
    client: &Client,
    app: &AppName,
    version: ReleaseVersion,
    shown: &mut Shown,
    progress: &Progress,
) -> Option<End> {
    let mut events = client.release_events(app, version).await.ok()?;
    loop {
        match tokio::time::timeout(SILENCE, events.next()).await {
            Ok(Ok(Some(ReleaseEvent::Line { text }))) => {
                if shown.is_new(&text) {
                    progress.line(&text);
                }
            }
            Ok(Ok(Some(ReleaseEvent::Done { status, failure }))) => return Some(End { status, failure }),
            Ok(Ok(None) | Err(_)) => return None,
            Err(_silent) => match ended(client, app, version).await {
                Ok(None) => {}
                Ok(end) => return end,
                Err(_) => return None,
            },
        }
    }
}

/// The end as the release's status tells it; `None` while it is under way.
async fn ended(
    client: &Client,
    app: &AppName,
    version: ReleaseVersion,
) -> pvdify_client::Result<Option<End>> {
    let release = client.release(app, version).await?;
    Ok((!release.status.is_open()).then_some(End {
        status: release.status,
        failure: release.failure,
    }))
}

/// The lines shown so far: a stream that is taken up again may begin with them once more.
#[derive(Default)]
struct Shown {
    lines: Vec<String>,
    /// How many of them the present stream has repeated; all, once it says something new.
    repeated: usize,
}

impl Shown {
    /// A new stream begins.
    fn replay(&mut self) {
        self.repeated = 0;
    }

    fn is_new(&mut self, text: &str) -> bool {
        if self.lines.get(self.repeated).is_some_and(|line| line == text) {
            self.repeated += 1;
            return false;
        }
        self.lines.push(text.to_owned());
        self.repeated = self.lines.len();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of several streams that a person sees.
    fn seen<const N: usize>(streams: [&[&str]; N]) -> String {
        let mut shown = Shown::default();
        let mut seen = String::new();
        for stream in streams {
            shown.replay();
            for text in stream {
                if shown.is_new(text) {
                    seen.push_str(text);
                }
            }
        }
        seen
    }

    #[test]
    fn a_stream_that_begins_anew_shows_each_line_once_and_one_that_goes_on_shows_all() {
        let table = [
            (seen([&["a", "a", "b"]]), "aab"),
            (seen([&["a", "b"], &["a", "b", "c"]]), "abc"),
            (seen([&["a", "b"], &["a"], &["a", "b", "a"]]), "aba"),
            (seen([&["a", "b"], &["c", "a"]]), "abca"),
            (seen([&["a", "b"], &[], &["c"]]), "abc"),
        ];
        for (seen, expected) in table {
            assert_eq!(seen, expected);
        }
    }
}
