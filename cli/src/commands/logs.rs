//! `logs`, in the form of Heroku's lines.
//!
//! Following survives a restart of the server: it is taken up again from the last line shown, and what the
//! new stream repeats of that moment is left out.

use super::{Context, Result};
use crate::{
    args::Name,
    error::CliError,
    output,
    wait::{RETRIES, RETRY_AFTER},
};
use clap::Args;
use pvdify_api::logs::{LogLine, LogQuery};
use pvdify_client::Client;
use pvdify_types::AppName;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

/// The most lines the server gives.
const MAX_LINES: u32 = 10_000;

/// Show what an app's processes and Pvdify wrote
#[derive(Args)]
pub(crate) struct Logs {
    #[command(flatten)]
    name: Name,
    /// How many of the last lines
    #[arg(short = 'n', long = "lines", visible_alias = "num", value_name = "COUNT", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_LINES)))]
    lines: u32,
    /// Go on with new lines until Ctrl-C
    #[arg(short, long, visible_alias = "tail")]
    follow: bool,
    /// Only of a process type (web) or one instance (web.1)
    #[arg(short, long, value_name = "PROCESS")]
    process: Option<String>,
    /// Only what the processes wrote, or only what Pvdify says of them
    #[arg(long, value_parser = ["app", "pvdify"])]
    source: Option<String>,
    /// Only lines from then on: a time as 2026-01-01T00:00:00Z, or how long ago, as 10m, 2h or 1d
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Print a JSON object for each line
    #[arg(long)]
    json: bool,
}

impl Logs {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let since = self
            .since
            .as_deref()
            .map(|text| since(text, OffsetDateTime::now_utc()))
            .transpose()?;
        let app = context.named(&self.name)?;
        let query = LogQuery {
            lines: Some(self.lines),
            follow: false,
            process: self.process,
            source: self.source,
            since,
        };
        if self.follow {
            return tokio::select! {
                result = follow(&context.client, &app, query, self.json) => result,
                // Asked to end: that is no failure.
                _ = tokio::signal::ctrl_c() => Ok(()),
            };
        }
        for line in context.client.logs(&app, &query).await? {
            show(&line, self.json)?;
        }
        Ok(())
    }
}

async fn follow(client: &Client, app: &AppName, mut query: LogQuery, json: bool) -> Result {
    let mut last = Last::default();
    let mut lost = 0;
    let mut stream = client.follow_logs(app, &query).await?;
    loop {
        while let Ok(Some(line)) = stream.next().await {
            lost = 0;
            if last.is_new(&line) {
                show(&line, json)?;
            }
        }
        if let Some(time) = last.time() {
            query.since = Some(rfc3339(time)?);
            query.lines = Some(MAX_LINES);
        }
        stream = loop {
            tokio::time::sleep(RETRY_AFTER).await;
            last.replay();
            match client.follow_logs(app, &query).await {
                Ok(stream) => break stream,
                Err(error) if error.status().is_some_and(|status| status < 500) => return Err(error.into()),
                Err(error) => {
                    lost += 1;
                    if lost >= RETRIES {
                        return Err(error.into());
                    }
                }
            }
        };
    }
}

/// As `2026-01-01T00:00:00.000000+00:00 app[web.1]: message`.
fn show(line: &LogLine, json: bool) -> Result {
    if json {
        return output::json_line(line);
    }
    let time = output::log_time(line.time);
    output::line(&format!(
        "{time} {}[{}]: {}",
        line.source, line.process, line.message
    ))
}

/// The lines of the latest moment shown: several lines can have one time.
#[derive(Default)]
struct Last {
    lines: Vec<LogLine>,
    /// How many of them the present stream has repeated.
    repeated: usize,
}

impl Last {
    fn time(&self) -> Option<OffsetDateTime> {
        self.lines.first().map(|line| line.time)
    }

    /// A new stream begins, from the latest moment on.
    fn replay(&mut self) {
        self.repeated = 0;
    }

    fn is_new(&mut self, line: &LogLine) -> bool {
        if self.lines.get(self.repeated) == Some(line) {
            self.repeated += 1;
            return false;
        }
        if self.time() != Some(line.time) {
            self.lines.clear();
        }
        self.lines.push(line.clone());
        self.repeated = self.lines.len();
        true
    }
}

/// Reads a moment: RFC 3339, or a number and its unit before now.
fn since(text: &str, now: OffsetDateTime) -> Result<String> {
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return rfc3339(time);
    }
    ago(text)
        .and_then(|ago| now.checked_sub(ago))
        .ok_or_else(|| {
            CliError::usage(format!("--since: {text:?} is no time"))
                .hint("write it as 2026-01-01T00:00:00Z, or how long ago: 30s, 10m, 2h, 1d")
        })
        .and_then(rfc3339)
}

fn ago(text: &str) -> Option<Duration> {
    let (number, seconds) = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)]
        .into_iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))?;
    let number = number.parse::<u32>().ok()?;
    Some(Duration::seconds(i64::from(number) * seconds))
}

fn rfc3339(time: OffsetDateTime) -> Result<String> {
    time.format(&Rfc3339)
        .map_err(|cause| CliError::failed(format!("{time} has no RFC 3339 form: {cause}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_moment_is_a_time_or_how_long_ago() {
        let now = datetime!(2026-01-02 00:00:00 UTC);
        let table = [
            ("2026-01-01T00:00:00Z", Some("2026-01-01T00:00:00Z")),
            ("2026-01-01T01:00:00+01:00", Some("2026-01-01T01:00:00+01:00")),
            ("30s", Some("2026-01-01T23:59:30Z")),
            ("10m", Some("2026-01-01T23:50:00Z")),
            ("2h", Some("2026-01-01T22:00:00Z")),
            ("1d", Some("2026-01-01T00:00:00Z")),
            ("", None),
            ("10", None),
            ("-1m", None),
            ("yesterday", None),
            ("99999999999d", None),
            ("4294967295d", None),
            ("2026-01-01", None),
        ];
        for (text, expected) in table {
            assert_eq!(since(text, now).ok().as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_stream_taken_up_again_repeats_nothing_and_drops_nothing() {
        let line = |second: u8, message: &str| LogLine {
            time: datetime!(2026-01-01 00:00:00 UTC).replace_second(second).unwrap(),
            source: "app".into(),
            process: "web.1".into(),
            message: message.into(),
        };
        let mut last = Last::default();
        assert!(last.is_new(&line(1, "a")));
        assert!(last.is_new(&line(2, "b")));
        assert!(
            last.is_new(&line(2, "b")),
            "one process may well say the same twice at once"
        );
        last.replay();
        assert!(!last.is_new(&line(2, "b")));
        assert!(!last.is_new(&line(2, "b")));
        assert!(last.is_new(&line(2, "c")));
        assert!(last.is_new(&line(3, "d")));
        last.replay();
        assert!(
            last.is_new(&line(4, "e")),
            "a server that forgot its lines goes on with new ones"
        );
    }
}
