//! `run`, `exec`, `enter`: a process of the app's, at this terminal.
//!
//! A terminal is used when stdin and stdout are one; else the two outputs are kept apart, and the end of stdin is one
//! for the process. Its size is that of ours from its first moment on, and follows it; COLUMNS and LINES are not set,
//! which would pin it for many programs.

use super::{Context, Result};
use crate::{app::Rest, error::CliError, session, terminal};
use clap::Args;
use pvdify_api::session::Start;
use pvdify_types::{ConfigKey, ConfigValue, ProcessType};
use std::collections::BTreeMap;

/// Run a command in a process of its own, with the app's code, config and services
///
/// One text is a process type of the app, or a line for a shell; several words are a program and its arguments. The
/// process ends with this program, and this program with the process's exit status.
#[derive(Args)]
#[command(override_usage = "pvdify run [OPTIONS] [NAME] -- COMMAND...\n       \
                            pvdify run [OPTIONS] [NAME] PROCESS-TYPE")]
pub(crate) struct Run {
    /// The app, then the command where it has no options of its own
    #[arg(value_name = "ARGS")]
    args: Vec<String>,
    /// The command
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// Set an environment variable for this process alone
    #[arg(short, long, value_name = "KEY=VALUE")]
    env: Vec<String>,
    #[command(flatten)]
    terminal: Terminal,
}

impl Run {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let (name, rest) = match self.command.is_empty() {
            true => Rest::Command.split(&self.args, context.flag()),
            false => name_alone(&self.args)?,
        };
        let command = [rest, &self.command].concat();
        if command.is_empty() {
            return Err(
                CliError::usage("no command is given").hint("write it last: pvdify run NAME -- COMMAND")
            );
        }
        let mut env = BTreeMap::new();
        for pair in &self.env {
            let (key, value) = variable(pair)?;
            env.insert(key, value);
        }
        let app = context.app(name)?;
        let start = self.terminal.start(command, env);
        session::attend(context.client.run(&app).await?, start).await
    }
}

/// Run a command inside one of an app's instances
#[derive(Args)]
#[command(override_usage = "pvdify exec [OPTIONS] [NAME] INSTANCE -- COMMAND...")]
pub(crate) struct Exec {
    /// The app, then the instance, as web.1
    #[arg(value_name = "ARGS")]
    args: Vec<String>,
    /// The command
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    #[command(flatten)]
    terminal: Terminal,
}

impl Exec {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let (name, rest) = Rest::Instance.split(&self.args, context.flag());
        let Some((instance, rest)) = rest.split_first() else {
            return Err(no_instance());
        };
        let command = [rest, &self.command].concat();
        if command.is_empty() {
            return Err(CliError::usage("no command is given")
                .hint("write it last: pvdify exec NAME INSTANCE -- COMMAND; pvdify enter opens a shell"));
        }
        let start = self.terminal.start(command, BTreeMap::new());
        enter(context, name, instance, start).await
    }
}

/// Open a shell inside one of an app's instances
#[derive(Args)]
#[command(override_usage = "pvdify enter [OPTIONS] [NAME] [INSTANCE]")]
pub(crate) struct Enter {
    /// The app, then the instance; web.1 unless given
    #[arg(value_name = "ARGS")]
    args: Vec<String>,
    #[command(flatten)]
    terminal: Terminal,
}

impl Enter {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let (name, rest) = Rest::Instance.split(&self.args, context.flag());
        let instance = match rest {
            [] => "web.1",
            [instance] => instance,
            [_, more, ..] => {
                return Err(CliError::usage(format!("{more:?} follows the instance"))
                    .hint("run a command with pvdify exec"));
            }
        };
        let start = self.terminal.start(Vec::new(), BTreeMap::new());
        enter(context, name, instance, start).await
    }
}

#[derive(Args)]
struct Terminal {
    /// Use no terminal, also where there is one
    #[arg(long)]
    no_tty: bool,
}

impl Terminal {
    fn start(&self, command: Vec<String>, mut env: BTreeMap<String, String>) -> Start {
        let terminal = (!self.no_tty && terminal::is_there()).then(terminal::size);
        if terminal.is_some()
            && let Ok(kind) = std::env::var("TERM")
        {
            env.entry("TERM".to_owned()).or_insert(kind);
        }
        Start {
            command,
            terminal,
            env,
        }
    }
}

async fn enter(context: &Context, name: Option<&str>, instance: &str, start: Start) -> Result {
    let (process, ordinal) = parse_instance(instance).ok_or_else(no_instance)?;
    let app = context.app(name)?;
    let opened = context.client.exec(&app, &process, ordinal).await?;
    session::attend(opened, start).await
}

fn no_instance() -> CliError {
    CliError::usage("no instance is named").hint("name one as web.1; pvdify ps lists them")
}

fn parse_instance(text: &str) -> Option<(ProcessType, u32)> {
    let (process, ordinal) = text.split_once('.')?;
    Some((process.parse().ok()?, ordinal.parse().ok()?))
}

/// Before `--` stands the app's name, or nothing.
fn name_alone(args: &[String]) -> Result<(Option<&str>, &[String])> {
    match args {
        [] => Ok((None, &[])),
        [name] => Ok((Some(name), &[])),
        [_, more, ..] => Err(CliError::usage(format!("{more:?} stands before the command"))
            .hint("write pvdify run NAME -- COMMAND")),
    }
}

/// A variable that can't be read is not shown: it may be a secret.
fn variable(pair: &str) -> Result<(String, String)> {
    let bad = |why: String| CliError::usage(format!("-e: {why}")).hint("write -e KEY=VALUE");
    let (key, value) = pair
        .split_once('=')
        .ok_or_else(|| bad("it has no \"=\"".to_owned()))?;
    let key: ConfigKey = key.parse().map_err(|rule| bad(format!("{rule}")))?;
    let value = ConfigValue::new(value.to_owned()).map_err(bad)?;
    Ok((key.to_string(), value.reveal().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_has_a_type_and_a_number() {
        assert_eq!(parse_instance("web.1"), Some((ProcessType::web(), 1)));
        for bad in [
            "web", "web.", ".1", "web.x", "web.-1", "a b.1", "web.1/2", "web.1.2",
        ] {
            assert_eq!(parse_instance(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_variable_is_read_or_refused_without_being_shown() {
        let read = variable("KEY=a=b").unwrap();
        assert_eq!(read, ("KEY".to_owned(), "a=b".to_owned()));
        for bad in ["s3cret", "=s3cret", "A B=s3cret"] {
            let error = format!("{:?}", variable(bad).unwrap_err());
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
