//! Runs a program: no shell, the environment given, its output in the log, its last lines kept for the error.
//!
//! stdout and stderr are one pipe, so the log has them in the order they were written. A progress bar (a line
//! rewritten by carriage returns) leaves its last state only.

use crate::{Failure, output};
use libcnb::Env;
use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    fmt,
    io::{self, BufRead, BufReader, Read},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{self, ExitStatus, Stdio},
};

// npm puts a compiler's whole output before its own last words, and behind its first ones all that a lockfile lacks.
const TAIL: usize = 400;
// What the log takes of one line; minified code in an error message is longer.
const LINE: usize = 4096;

/// A program to run.
#[derive(Debug)]
pub struct Command {
    inner: process::Command,
    shown: String,
    quiet: bool,
}

/// Why a program failed.
#[derive(Debug)]
pub struct CommandError {
    /// As a person would type it.
    pub command: String,
    /// How it ended.
    pub cause: Cause,
    /// The last lines of its output.
    pub tail: Vec<String>,
}

/// How a program that failed ended.
#[derive(Debug)]
pub enum Cause {
    /// There is no such program on PATH.
    NotFound,
    /// It could not be started or read.
    Io(io::Error),
    /// It ended by itself, with this status.
    Status(i32),
    /// It was ended, by this signal.
    Signal(i32),
}

impl Command {
    /// A program on the PATH of its environment, or by path.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut inner = process::Command::new(&program);
        inner.stdin(Stdio::null());
        let program = Path::new(&program);
        let name = program
            .file_name()
            .unwrap_or(program.as_os_str())
            .to_string_lossy()
            .into_owned();
        Self {
            inner,
            shown: name,
            quiet: false,
        }
    }

    /// One argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.shown.push(' ');
        self.shown.push_str(&arg.as_ref().to_string_lossy());
        self.inner.arg(arg);
        self
    }

    /// Several.
    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(self, args: I) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    /// An argument that people need not see (a path of ours, an option of ours).
    #[must_use]
    pub fn hidden_arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.inner.arg(arg);
        self
    }

    /// The whole environment: what is not in `env` is not there.
    #[must_use]
    pub fn envs(mut self, env: &Env) -> Self {
        self.inner.env_clear().envs(env);
        self
    }

    /// One more variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.inner.env(name, value);
        self
    }

    /// One variable less.
    #[must_use]
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.inner.env_remove(name);
        self
    }

    /// The folder it runs in.
    #[must_use]
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.inner.current_dir(dir);
        self
    }

    /// Nothing of its output is in the log (it stays in the error).
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// As a person would type it.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Runs it; its output goes to the log, indented.
    pub fn run(mut self) -> Result<(), CommandError> {
        let quiet = self.quiet;
        let (reader, writer) = io::pipe().map_err(|error| self.error(Cause::Io(error)))?;
        let second = writer.try_clone().map_err(|error| self.error(Cause::Io(error)))?;
        self.inner.stdout(writer).stderr(second);
        let spawned = self.inner.spawn();
        // Our ends of the pipe live in the command: the end of output is seen only when they are closed.
        self.inner.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = spawned.map_err(|error| self.error(spawn_cause(error)))?;
        let tail = follow(reader, |line| {
            if !quiet {
                output::detail(line);
            }
        });
        let status = child.wait().map_err(|error| self.error(Cause::Io(error)))?;
        self.finish(status, tail)
    }

    /// Runs it quietly; gives its stdout. The tail of the error is its stderr.
    pub fn output(mut self) -> Result<String, CommandError> {
        let output = self
            .inner
            .output()
            .map_err(|error| self.error(spawn_cause(error)))?;
        let tail = follow(&output.stderr[..], |_| {});
        self.finish(output.status, tail)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn error(&self, cause: Cause) -> CommandError {
        CommandError {
            command: self.shown.clone(),
            cause,
            tail: Vec::new(),
        }
    }

    fn finish(&self, status: ExitStatus, tail: VecDeque<String>) -> Result<(), CommandError> {
        if status.success() {
            return Ok(());
        }
        let cause = match (status.code(), status.signal()) {
            (Some(code), _) => Cause::Status(code),
            (None, signal) => Cause::Signal(signal.unwrap_or_default()),
        };
        Err(CommandError {
            tail: tail.into(),
            ..self.error(cause)
        })
    }
}

fn spawn_cause(error: io::Error) -> Cause {
    match error.kind() {
        io::ErrorKind::NotFound => Cause::NotFound,
        _ => Cause::Io(error),
    }
}

// Reads lines until the end; what is too long is cut, what is no UTF-8 replaced.
fn follow(reader: impl Read, mut each: impl FnMut(&str)) -> VecDeque<String> {
    let mut tail = VecDeque::with_capacity(TAIL);
    let mut reader = BufReader::new(reader);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        match read_line(&mut reader, &mut bytes) {
            Ok(true) => {}
            // A reading error ends the log, not the program: its status tells.
            Ok(false) | Err(_) => return tail,
        }
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end();
        let line = text.rsplit('\r').next().unwrap_or_default();
        each(line);
        if !line.trim().is_empty() {
            if tail.len() == TAIL {
                tail.pop_front();
            }
            tail.push_back(line.to_owned());
        }
    }
}

// One line into `bytes`, no more than LINE of it; false at the end.
fn read_line(reader: &mut impl BufRead, bytes: &mut Vec<u8>) -> io::Result<bool> {
    let mut seen = false;
    loop {
        let chunk = match reader.fill_buf() {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if chunk.is_empty() {
            return Ok(seen);
        }
        seen = true;
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(chunk.len(), |at| at + 1);
        let room = LINE.saturating_sub(bytes.len());
        bytes.extend_from_slice(&chunk[..used.min(room)]);
        reader.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { command, cause, .. } = self;
        match cause {
            Cause::NotFound => write!(
                formatter,
                "`{command}` could not be started: there is no such program."
            ),
            Cause::Io(error) => write!(formatter, "`{command}` could not be run: {error}."),
            Cause::Status(code) => write!(formatter, "`{command}` ended with status {code}."),
            Cause::Signal(9) => {
                write!(
                    formatter,
                    "`{command}` was killed (signal 9), most likely for using too much memory."
                )
            }
            Cause::Signal(signal) => write!(formatter, "`{command}` was ended by signal {signal}."),
        }
    }
}

impl std::error::Error for CommandError {}

impl CommandError {
    /// The failure to show: `what` happened, why from the command, `fix` what to do.
    #[must_use]
    pub fn failure(self, what: impl Into<String>, fix: impl Into<String>) -> Failure {
        Failure::new(what, self.to_string(), fix)
    }

    /// As [`Self::failure`], for a command that ran quietly: its last lines belong to the why.
    #[must_use]
    pub fn failure_with_tail(self, what: impl Into<String>, fix: impl Into<String>) -> Failure {
        let mut why = self.to_string();
        let first = self.tail.len().saturating_sub(10);
        for line in &self.tail[first..] {
            why.push_str("\n  ");
            why.push_str(line);
        }
        Failure::new(what, why, fix)
    }

    /// Whether one of its last lines holds `text`.
    #[must_use]
    pub fn says(&self, text: &str) -> bool {
        self.tail.iter().any(|line| line.contains(text))
    }

    /// Whether one of its last lines holds one of `texts`.
    #[must_use]
    pub fn says_any(&self, texts: &[&str]) -> bool {
        texts.iter().any(|text| self.says(text))
    }
}

/// Where `program` is on the PATH of `env`.
#[must_use]
pub fn find(env: &Env, program: &str) -> Option<std::path::PathBuf> {
    let path: OsString = env.get("PATH").cloned().unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.metadata().is_ok_and(|metadata| is_program(&metadata)))
}

fn is_program(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.is_file() && metadata.permissions().mode() & 0o111 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        follow(bytes, |line| lines.push(line.to_owned()));
        lines
    }

    #[test]
    fn a_progress_bar_leaves_its_last_state() {
        assert_eq!(lines(b"10%\r50%\r100%\r\nnext\nlast"), ["100%", "next", "last"]);
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_is_whole() {
        let mut bytes = vec![b'x'; 3 * LINE];
        bytes.extend(b"\nnext\n");
        let lines = lines(&bytes);
        assert_eq!((lines[0].len(), lines[1].as_str()), (LINE, "next"));
    }

    #[test]
    fn a_failed_command_tells_its_status_and_last_lines() {
        let error = Command::new("sh")
            .args([
                "-c",
                "for i in $(seq 440); do echo $i; done; echo bad >&2; exit 3",
            ])
            .quiet()
            .run()
            .unwrap_err();
        assert!(matches!(error.cause, Cause::Status(3)));
        assert_eq!(error.tail.len(), TAIL);
        assert_eq!(error.tail.last().unwrap(), "bad");
        assert!(error.says("440"));
    }

    #[test]
    fn the_environment_is_the_one_given() {
        let mut env = Env::new();
        env.insert("PATH", "/usr/bin:/bin").insert("ONLY", "this");
        let text = Command::new("env").envs(&env).env("MORE", "x").output().unwrap();
        let mut names: Vec<&str> = text.lines().collect();
        names.sort_unstable();
        assert_eq!(names, ["MORE=x", "ONLY=this", "PATH=/usr/bin:/bin"]);
        assert!(find(&env, "env").is_some() && find(&env, "no-such-program").is_none());
    }

    #[test]
    fn each_end_has_its_sentence() {
        let missing = Command::new("no-such-program").arg("x").run().unwrap_err();
        insta::assert_snapshot!(missing, @"`no-such-program x` could not be started: there is no such program.");
        let killed = Command::new("sh").args(["-c", "kill -9 $$"]).run().unwrap_err();
        insta::assert_snapshot!(killed, @"`sh -c kill -9 $$` was killed (signal 9), most likely for using too much memory.");
        let error = Command::new("sh")
            .args(["-c", "echo why >&2; exit 1"])
            .output()
            .unwrap_err();
        insta::assert_snapshot!(error.failure_with_tail("It failed", "Try again.").why(), @r"
        `sh -c echo why >&2; exit 1` ended with status 1.
          why
        ");
    }
}
