//! What runs once: when it is asked for, and what its end means.
//!
//! A release command's row is written in the transaction in which its release begins to deploy, and a failed one fails
//! the release in the transaction in which it ends: no kill leaves one without the other. A postdeploy's row is written
//! as the app's first release takes over.

use super::{
    Acting, Action, App,
    authorise::{known_app, living_app},
    error::{Error, Result},
    progress::Feed,
    releases::fail,
};
use crate::{
    logs::{LogFilter, SOURCE_APP},
    reconcile::desired::{self, OneOffEnd, ReleaseSpec},
    store::{
        self, Tx, apps, as_date,
        one_offs::{self, End, New, OneOff},
        releases::{self, Code, Release},
    },
};
use pvdify_api::one_offs as wire;
use pvdify_types::{
    AppId, AppName, OneOffKind, OneOffName, OneOffStatus, ReleaseCause, ReleaseStatus, ReleaseVersion,
    one_off::OneOffNameError,
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

/// As much as the kernel takes for one argument.
const MAX_COMMAND: usize = 128 * 1024;
/// Of a failed release: the last lines of its command.
const TAIL_LINES: usize = 20;
/// Looked for in the log of one that still runs.
const MAX_LINES: usize = 2000;
/// What is kept of one's output; the beginning is dropped.
const MAX_OUTPUT: usize = 256 * 1024;

/// A release begins to deploy: its command, if it has one, goes first. A newer run image is no reason to run it again:
/// code and config are what they were.
pub(super) fn begin_release(
    tx: &Tx<'_>,
    app: &AppId,
    release: &Release,
    code: &Code,
    timeout: Duration,
    now: i64,
) -> Result<()> {
    let command = code
        .processes
        .iter()
        .find(|(process, _)| process.is_release_phase());
    let Some((_, command)) = command.filter(|_| release.cause != ReleaseCause::Stack) else {
        return Ok(());
    };
    let new = New {
        kind: OneOffKind::Release,
        version: release.version,
        command: command.clone(),
        user: release.user.clone(),
        timeout,
    };
    one_offs::insert(tx, app, &new, now)?;
    Ok(())
}

/// A release takes over: once it is the first of its app to do so, its postdeploy follows.
pub(super) fn begin_postdeploy(
    tx: &Tx<'_>,
    app: &AppId,
    release: &Release,
    timeout: Duration,
    now: i64,
) -> Result<()> {
    let command = release.code.as_ref().and_then(|code| code.postdeploy.clone());
    let Some(command) = command else { return Ok(()) };
    if releases::any_served(tx, app)? {
        return Ok(());
    }
    let new = New {
        kind: OneOffKind::Postdeploy,
        version: release.version,
        command,
        user: release.user.clone(),
        timeout,
    };
    one_offs::insert(tx, app, &new, now)?;
    Ok(())
}

/// A row as the reconciler wants it; its time runs from its start, or from now on with what a start may take.
pub(super) fn desired(row: &OneOff, spec: ReleaseSpec, start_time: Duration) -> desired::OneOff {
    let start = row
        .started_at
        .map_or_else(|| store::as_time(row.created_at) + start_time, store::as_time);
    desired::OneOff {
        name: row.name,
        spec: Arc::new(spec),
        command: row.command.clone(),
        is_running: row.status == OneOffStatus::Running,
        deadline: start + row.timeout,
        timeout: row.timeout,
    }
}

impl Acting {
    /// What runs or ran once, newest first.
    ///
    /// # Errors
    /// When refused or unknown.
    pub async fn one_offs(&self, name: &AppName) -> Result<Vec<wire::OneOff>> {
        self.may(Action::ReadProcesses)?;
        let name = name.clone();
        self.app
            .store()
            .read(move |reader| {
                let app = known_app(reader, &name)?;
                let all = one_offs::list(reader, &app.id)?;
                Ok(all.into_iter().map(|row| face(row, None)).collect())
            })
            .await
    }

    /// One of them, and what it wrote.
    ///
    /// # Errors
    /// When refused or unknown.
    pub async fn one_off(&self, name: &AppName, given: &str) -> Result<wire::OneOff> {
        self.may(Action::ReadLogs)?;
        let (wanted, given) = (name.clone(), given.to_owned());
        let (id, row) = self
            .app
            .store()
            .read(move |reader| {
                let app = known_app(reader, &wanted)?;
                let row = match given.parse() {
                    Ok(one_off) => one_offs::find(reader, &app.id, one_off)?,
                    Err(OneOffNameError) => None,
                };
                let name = given.chars().take(48).collect();
                let row = row.ok_or(Error::NoOneOff { app: app.name, name })?;
                Ok::<_, Error>((app.id, row))
            })
            .await?;
        self.app.shown(id, row).await
    }

    /// Runs a command of the current release once, on its own.
    ///
    /// # Errors
    /// When refused, unknown, nothing was deployed, or too many run.
    pub async fn run_detached(&self, name: &AppName, command: String) -> Result<wire::OneOff> {
        self.may(Action::Run)?;
        let command = parse_command(command)?;
        let (wanted, user) = (name.clone(), self.user().to_owned());
        let limits = self.app.settings().limits.clone();
        let (id, row) = self
            .app
            .store()
            .write(move |tx| {
                let app = living_app(tx, &wanted)?;
                let current = releases::current(tx, &app.id)?;
                let current = current.ok_or_else(|| Error::NothingDeployed(app.name.clone()))?;
                let open = one_offs::open(tx, &app.id)?;
                if open.iter().filter(|row| row.name.kind == OneOffKind::Run).count() >= limits.one_offs {
                    return Err(Error::TooManyOneOffs(limits.one_offs, app.name));
                }
                let new = New {
                    kind: OneOffKind::Run,
                    version: current.version,
                    command,
                    user,
                    timeout: limits.run_time,
                };
                let given = one_offs::insert(tx, &app.id, &new, store::now())?;
                let row = one_offs::find(tx, &app.id, given)?;
                let row = row.ok_or_else(|| Error::NoOneOff {
                    app: app.name,
                    name: given.to_string(),
                })?;
                Ok((app.id, row))
            })
            .await?;
        let user = self.user();
        self.app
            .note(&id, format!("{} started by {user}: {}", row.name, row.command));
        self.app.inner.handle.wake();
        Ok(face(row, None))
    }
}

/// A command line: one line, not empty, of a length that a process may be given.
fn parse_command(command: String) -> Result<String> {
    let invalid = |message: String| Error::InvalidWithHint {
        message,
        hint: "give a command line, as rake db:seed".into(),
    };
    if command.trim().is_empty() {
        return Err(invalid("the command is empty".into()));
    }
    if command.len() > MAX_COMMAND {
        let length = command.len();
        return Err(invalid(format!(
            "a command has at most {MAX_COMMAND} bytes, this one has {length}"
        )));
    }
    if command.contains('\0') {
        return Err(invalid("a command holds no NUL byte".into()));
    }
    Ok(command)
}

fn face(row: OneOff, output: Option<String>) -> wire::OneOff {
    wire::OneOff {
        name: row.name.to_string(),
        command: row.command,
        status: row.status.as_str().to_owned(),
        release: row.version.0,
        exit_status: row.exit_status,
        failure: row.failure,
        user: row.user,
        created_at: as_date(row.created_at),
        started_at: row.started_at.map(as_date),
        ended_at: row.ended_at.map(as_date),
        output,
    }
}

impl App {
    /// A row for people, with what it wrote.
    pub(super) async fn shown(&self, id: AppId, row: OneOff) -> Result<wire::OneOff> {
        let output = match row.output.clone() {
            Some(output) => output,
            None => self.written_so_far(id, row.name).await?,
        };
        Ok(face(row, Some(output)))
    }

    pub(super) async fn record_begin(
        &self,
        id: &AppId,
        name: OneOffName,
        started_at: SystemTime,
    ) -> Result<()> {
        let (id, at) = (id.clone(), store::millis(started_at));
        self.store()
            .write(move |tx| one_offs::begin(tx, &id, name, at).map(drop))
            .await
            .map_err(Error::Store)
    }

    pub(super) async fn record_output(
        &self,
        id: &AppId,
        name: OneOffName,
        output: Vec<String>,
    ) -> Result<()> {
        let (id, output) = (id.clone(), text(&output));
        self.store()
            .write(move |tx| one_offs::keep_output(tx, &id, name, &output))
            .await
            .map_err(Error::Store)
    }

    pub(super) async fn record_end(&self, id: &AppId, name: OneOffName, end: OneOffEnd) -> Result<()> {
        let (app, start_time) = (id.clone(), self.settings().limits.start_time);
        let failure = end.failure.clone();
        let of = self
            .store()
            .write(move |tx| record_end(tx, &app, name, &end, start_time))
            .await?;
        let Some(version) = of else { return Ok(()) };
        if let Some(failure) = failure {
            self.note(id, format!("{name} {failure}"));
            if name.kind == OneOffKind::Release {
                self.note(id, format!("Release {version} failed"));
            }
        }
        self.inner.progress.feed(id, version).touch();
        Ok(())
    }

    /// What is in the app's log of one that has not ended.
    async fn written_so_far(&self, id: AppId, name: OneOffName) -> Result<String> {
        let logs = self.inner.logs.clone();
        let filter = LogFilter {
            process: Some(name.to_string()),
            source: Some(SOURCE_APP.to_owned()),
            since: None,
        };
        let read = tokio::task::spawn_blocking(move || logs.tail(&id, &filter, MAX_LINES)).await;
        let lines = read
            .map_err(std::io::Error::other)
            .flatten()
            .map_err(Error::io("read the log"))?;
        let lines: Vec<String> = lines.into_iter().map(|line| line.message).collect();
        Ok(text(&lines))
    }

    /// Waits for the postdeploy of a release, if there is one that has not ended; `show` is given each line that came
    /// to the release's feed after the first `seen`.
    ///
    /// # Errors
    /// The line for the person when it failed.
    pub(super) async fn follow_postdeploy(
        &self,
        id: &AppId,
        version: ReleaseVersion,
        mut seen: usize,
        mut show: impl FnMut(String),
    ) -> Result<std::result::Result<(), String>> {
        let feed: Arc<Feed<String>> = self.inner.progress.feed(id, version);
        let mut changes = feed.changes();
        loop {
            changes.mark_unchanged();
            let wanted = id.clone();
            let row = self
                .store()
                .read(move |reader| one_offs::postdeploy(reader, &wanted, version))
                .await?;
            let Some(row) = row else { return Ok(Ok(())) };
            let new = feed.since(seen);
            seen += new.len();
            new.into_iter().for_each(&mut show);
            match (row.status.is_open(), row.failure) {
                (true, _) => {}
                (false, Some(failure)) => return Ok(Err(format!("{} {failure}", row.name))),
                (false, None) => return Ok(Ok(())),
            }
            // Looked at again even so: the end may have been written by another process.
            tokio::time::timeout(super::progress::LOOK_AGAIN, changes.changed())
                .await
                .ok();
        }
    }
}

/// The release it was of, when this is its end.
fn record_end(
    tx: &Tx<'_>,
    app: &AppId,
    name: OneOffName,
    end: &OneOffEnd,
    start_time: Duration,
) -> Result<Option<ReleaseVersion>> {
    let now = store::now();
    let Some(row) = one_offs::find(tx, app, name)? else {
        return Ok(None);
    };
    let row_end = End {
        status: end.status,
        exit_status: end.exit_status,
        failure: end.failure.clone(),
    };
    let changed = one_offs::end(tx, app, name, &row_end, now)?;
    one_offs::keep_output(tx, app, name, &text(&end.output))?;
    if !changed.is_updated() {
        return Ok(None);
    }
    match (name.kind, &end.failure) {
        (OneOffKind::Release, Some(failure)) => {
            let tail = &end.output[end.output.len().saturating_sub(TAIL_LINES)..];
            fail(tx, app, row.version, &format!("{name} {failure}"), tail, now)?;
        }
        (OneOffKind::Release, None) => begin_start(tx, app, row.version, start_time, now)?,
        (OneOffKind::Postdeploy | OneOffKind::Cron | OneOffKind::Run, _) => {}
    }
    Ok(Some(row.version))
}

/// The command ended well: the time in which the release's instances must be ready begins now.
fn begin_start(
    tx: &Tx<'_>,
    app: &AppId,
    version: ReleaseVersion,
    start_time: Duration,
    now: i64,
) -> Result<()> {
    let Some(release) = releases::find(tx, app, version)? else {
        return Ok(());
    };
    if let (ReleaseStatus::Deploying, Some(fixed)) = (release.status, release.fixed) {
        let time = Duration::from_secs(fixed.start_timeout.into()) + start_time;
        let deadline = now.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
        releases::set_fixed(tx, app, version, &releases::Fixed { deadline, ..fixed })?;
        apps::touch(tx, app, now)?;
    }
    Ok(())
}

/// The lines as they are kept: the last that fit.
fn text(lines: &[String]) -> String {
    let mut kept = 0;
    let fits = |line: &&String| {
        kept += line.len() + 1;
        kept <= MAX_OUTPUT
    };
    let count = lines.iter().rev().take_while(fits).count();
    lines[lines.len() - count..]
        .iter()
        .flat_map(|line| [line, "\n"])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_much_output_the_last_whole_lines_are_kept() {
        assert_eq!(text(&["a".into(), "b".into()]), "a\nb\n");
        let long = "x".repeat(MAX_OUTPUT / 2);
        let kept = text(&[long.clone(), long.clone(), "end".into()]);
        assert_eq!(kept, format!("{long}\nend\n"));
    }
}
