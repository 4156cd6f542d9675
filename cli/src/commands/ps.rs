//! `ps`, `ps:scale`, `ps:restart`, `ps:stop`, `run:detached`.

use super::{Context, Result};
use crate::{
    app::Rest,
    args::{Json, Name},
    error::CliError,
    output, shell,
};
use clap::Args;
use pvdify_api::{
    one_offs::RunOneOff,
    ps::{Instance, Process, Restart as RestartBody, Scale as Body, Stop as StopBody},
};
use pvdify_types::{OneOffName, ProcessType, Selection, formation::MAX_QUANTITY};
use std::collections::BTreeMap;

/// List an app's processes
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
        let processes = context.client.ps(&app).await?;
        let none = format!("{app} has no processes: nothing was released yet.");
        self.json.print_list(processes, &none, show)
    }
}

fn show(processes: Vec<Process>) -> Result {
    for process in processes {
        output::line(&heading(&process))?;
        for instance in &process.instances {
            output::line(&line(instance))?;
        }
    }
    Ok(())
}

/// As Heroku's `=== web: node app.js (2)`, with the status.
fn heading(process: &Process) -> String {
    let once = process
        .instances
        .iter()
        .any(|instance| instance.command.is_some());
    let command = if once {
        "one-off processes"
    } else if process.command.is_empty() {
        "(the image's own command)"
    } else {
        &process.command
    };
    format!(
        "=== {}: {command} ({}) {}",
        process.process_type, process.count, process.status
    )
}

fn line(instance: &Instance) -> String {
    let mut line = format!("{}: {} v{}", instance.name, instance.state, instance.release);
    if let Some(since) = instance.started_at {
        line.push_str(&format!(" since {}", output::utc(since)));
    }
    if let Some(command) = &instance.command {
        line.push_str(&format!(": {command}"));
    }
    if instance.restarts > 0 {
        line.push_str(&format!(", restarted {} times", instance.restarts));
    }
    line
}

/// Set how many of each process type run; without TYPE=COUNT, show it
#[derive(Args)]
#[command(override_usage = "pvdify ps:scale [OPTIONS] [NAME] TYPE=COUNT...")]
pub(crate) struct Scale {
    /// The app, then the counts, as web=2 worker=1
    #[arg(value_name = "ARGS")]
    args: Vec<String>,
    #[command(flatten)]
    json: Json,
}

impl Scale {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let (name, pairs) = Rest::Pairs.split(&self.args, context.flag());
        let processes = counts(pairs)?;
        let app = context.app(name)?;
        let changed = !processes.is_empty();
        let processes = if changed {
            context.client.scale(&app, &Body { processes }).await?
        } else {
            context.client.ps(&app).await?
        };
        self.json.print(processes, |processes| {
            if changed {
                output::talk(&format!("Scaled {app}:"));
            }
            let counts = processes
                .iter()
                .map(|process| format!("{}={}", process.process_type, process.count));
            output::line(&counts.collect::<Vec<_>>().join(" "))
        })
    }
}

fn counts(pairs: &[String]) -> Result<BTreeMap<String, i64>> {
    let mut counts = BTreeMap::new();
    for pair in pairs {
        let bad =
            |why: String| CliError::usage(format!("{pair:?}: {why}")).hint("write TYPE=COUNT, as web=2");
        let (process, count) = pair
            .split_once('=')
            .ok_or_else(|| bad("it has no \"=\"".to_owned()))?;
        let process: ProcessType = process.parse().map_err(|rule| bad(format!("{rule}")))?;
        let count = count.parse::<u32>().ok().filter(|count| *count <= MAX_QUANTITY);
        let count = count.ok_or_else(|| bad(format!("a count is a number from 0 to {MAX_QUANTITY}")))?;
        if counts.insert(process.to_string(), i64::from(count)).is_some() {
            return Err(bad(format!("{process} is given twice")));
        }
    }
    Ok(counts)
}

/// Restart processes, the new ones before the old: all, those of a type, or one
#[derive(Args)]
#[command(override_usage = "pvdify ps:restart [OPTIONS] [NAME] [PROCESS]")]
pub(crate) struct Restart {
    /// The app, and which: a type (web) or one (web.1); a lone type or app is taken as the app
    #[arg(value_name = "ARGS", num_args = 0..=2)]
    args: Vec<String>,
}

impl Restart {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let (name, rest) = Rest::Process.split(&self.args, context.flag());
        let app = context.app(name)?;
        let body = RestartBody {
            process: rest.first().map(|text| selection(text)).transpose()?,
        };
        context.client.restart(&app, &body).await?;
        output::line(&match body.process {
            Some(process) => format!("Restarting {process} of {app}"),
            None => format!("Restarting {app}"),
        })
    }
}

/// Stop a one-off process, or processes that their formation then starts again
#[derive(Args)]
#[command(override_usage = "pvdify ps:stop [OPTIONS] [NAME] PROCESS")]
pub(crate) struct Stop {
    /// The app, and what: a one-off process (run.1001), a type (web) or one of it (web.1)
    #[arg(value_name = "ARGS", num_args = 1..=2)]
    args: Vec<String>,
}

impl Stop {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let (name, rest) = Rest::One.split(&self.args, context.flag());
        let process = rest.first().map_or("", String::as_str);
        let body = StopBody {
            process: match process.parse::<OneOffName>() {
                Ok(one_off) => one_off.to_string(),
                Err(_) => selection(process)?,
            },
        };
        let app = context.app(name)?;
        context.client.stop(&app, &body).await?;
        output::line(&format!("Stopping {} of {app}", body.process))?;
        if process.parse::<OneOffName>().is_err() {
            output::talk(&format!(
                "It is started again; to keep it down: pvdify ps:scale {app} {}=0",
                process.split('.').next().unwrap_or(process)
            ));
        }
        Ok(())
    }
}

fn selection(text: &str) -> Result<String> {
    let parsed: std::result::Result<Selection, _> = text.parse();
    let selection =
        parsed.map_err(|rule| CliError::usage(format!("{rule}")).hint("write it as web or web.1"))?;
    Ok(selection.to_string())
}

/// Run a command once, on its own, without waiting for its end
#[derive(Args)]
#[command(override_usage = "pvdify run:detached [OPTIONS] [NAME] -- COMMAND [ARGS]...")]
pub(crate) struct RunDetached {
    #[command(flatten)]
    name: Name,
    /// The command; one text alone is a command line of the shell
    #[arg(value_name = "COMMAND", last = true, required = true)]
    command: Vec<String>,
    #[command(flatten)]
    json: Json,
}

impl RunDetached {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let app = context.named(&self.name)?;
        let body = RunOneOff {
            command: shell::command_line(&self.command),
        };
        let started = context.client.run_one_off(&app, &body).await?;
        self.json.print(started, |started| {
            output::line(&started.name)?;
            output::talk(&format!(
                "Running {} as {}; see what it writes with pvdify logs {app} --process {} -f",
                started.command, started.name, started.name
            ));
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_or_refused() {
        let read = |pairs: &[&str]| counts(&pairs.iter().map(|&pair| pair.to_owned()).collect::<Vec<_>>());
        let counts = read(&["web=2", "worker=0"]).unwrap();
        assert_eq!(
            Vec::from_iter(counts),
            [("web".to_owned(), 2), ("worker".to_owned(), 0)]
        );
        for bad in [
            "web", "web=", "web=x", "web=-1", "web=101", "web=1.5", "=1", "a b=1", "web=2=3", "web=+-1",
        ] {
            assert!(matches!(read(&[bad]), Err(CliError::Usage(_))), "{bad}");
        }
        assert!(read(&["web=1", "web=2"]).is_err());
    }
}
