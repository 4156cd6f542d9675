//! Log lines: the last ones, and new ones.

use super::{
    Acting, Action,
    authorise::known_app,
    error::{Error, Result},
};
use crate::logs::LogFilter;
use futures_util::{Stream, StreamExt};
use pvdify_api::logs::{LogLine, LogQuery};
use pvdify_types::AppName;
use std::sync::Arc;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::sync::broadcast;
use tokio_stream::wrappers::{BroadcastStream, errors::BroadcastStreamRecvError};

const DEFAULT_LINES: u32 = 100;
const MAX_LINES: u32 = 10_000;

/// What was asked for: lines that are there, and the way to those that come.
pub struct LogTail {
    /// The last lines, oldest first.
    pub lines: Vec<LogLine>,
    filter: LogFilter,
    live: broadcast::Receiver<Arc<LogLine>>,
}

impl Acting {
    /// The last lines that match.
    ///
    /// # Errors
    /// When refused, unknown, or the query breaks a rule.
    pub async fn logs(&self, name: &AppName, query: LogQuery) -> Result<LogTail> {
        self.may(Action::ReadLogs)?;
        let (filter, count) = parse(query)?;
        let name = name.clone();
        let app = self
            .app
            .store()
            .read(move |reader| known_app(reader, &name))
            .await?;
        let logs = self.app.inner.logs.clone();
        let wanted = filter.clone();
        let read =
            tokio::task::spawn_blocking(move || logs.tail_then_follow(&app.id, &wanted, count as usize))
                .await;
        let (lines, live) = read
            .map_err(std::io::Error::other)
            .flatten()
            .map_err(Error::io("read the log"))?;
        Ok(LogTail { lines, filter, live })
    }
}

impl LogTail {
    /// The last lines, then new ones without end. Whoever reads too slowly is told how much was left out.
    pub fn follow(self) -> impl Stream<Item = LogLine> + Send {
        let Self { lines, filter, live } = self;
        let new = BroadcastStream::new(live).filter_map(move |next| {
            let line = match next {
                Ok(line) if !filter.matches(&line) => None,
                Ok(line) => Some(line.as_ref().clone()),
                Err(BroadcastStreamRecvError::Lagged(count)) => Some(left_out(count)),
            };
            std::future::ready(line)
        });
        futures_util::stream::iter(lines).chain(new)
    }
}

fn left_out(count: u64) -> LogLine {
    LogLine {
        time: OffsetDateTime::now_utc(),
        source: "pvdify".to_owned(),
        process: "logs".to_owned(),
        message: format!("{count} lines left out: they came faster than they were read"),
    }
}

fn parse(query: LogQuery) -> Result<(LogFilter, u32)> {
    let count = query.lines.unwrap_or(DEFAULT_LINES);
    if !(1..=MAX_LINES).contains(&count) {
        return Err(Error::Invalid(format!("lines is 1 to {MAX_LINES}, not {count}")));
    }
    if let Some(source) = query.source.as_deref()
        && !matches!(source, "app" | "pvdify")
    {
        return Err(Error::Invalid(format!("source is app or pvdify, not {source:?}")));
    }
    let parse_time = |text: String| {
        OffsetDateTime::parse(&text, &Rfc3339)
            .map_err(|_| Error::Invalid(format!("since is a time as 2026-01-31T12:00:00Z, not {text:?}")))
    };
    let filter = LogFilter {
        process: query.process,
        source: query.source,
        since: query.since.map(parse_time).transpose()?,
    };
    Ok((filter, count))
}
