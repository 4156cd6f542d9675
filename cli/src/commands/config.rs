//! `config`, `config:set`, `config:unset`.
//!
//! Values are shown only by `--reveal`. An argument that can't be read is named by its place and never
//! shown, since what a person mistyped may be the secret.

use super::{Context, Result, deploy::Wait};
use crate::{
    app::Rest,
    args::{Json, Name},
    env_file,
    error::CliError,
    output, wait,
};
use clap::Args;
use pvdify_api::config::ConfigChange;
use pvdify_client::ConfigChanged;
use pvdify_types::{AppName, ConfigKey, ConfigValue, ConfigVars};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read},
};

/// List an app's config vars, without their values
#[derive(Args)]
pub(crate) struct Show {
    #[command(flatten)]
    name: Name,
    /// Show the values too, in a form that `config:set --env-file` reads back
    #[arg(long)]
    reveal: bool,
    #[command(flatten)]
    json: Json,
}

impl Show {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let app = context.named(&self.name)?;
        let config = context.client.config(&app).await?;
        match (self.json.json, self.reveal) {
            (true, true) => return output::json(&config),
            (true, false) => {
                let hidden: BTreeMap<&String, Option<()>> = config.keys().map(|key| (key, None)).collect();
                return output::json(&hidden);
            }
            (false, _) if config.is_empty() => output::talk(&format!("{app} has no config vars.")),
            (false, true) => {
                for (key, value) in &config {
                    output::line(&env_file::render(key, value))?;
                }
            }
            (false, false) => {
                let rows = config.keys().map(|key| [key.clone(), "[hidden]".to_owned()]);
                output::table(["KEY", "VALUE"], rows)?;
                output::talk("The values are shown with --reveal.");
            }
        }
        Ok(())
    }
}

/// Set config vars, and release the app with them
///
/// What stands on the command line can be read by other users of the host and stays in the shell's history.
/// Give secrets in a file or on stdin: `pvdify config:set demo - < secrets.env`. A file has a KEY=VALUE on
/// each line; a value with line breaks stands in quotes, and a line that starts with # is a comment.
#[derive(Args)]
#[command(override_usage = "pvdify config:set [OPTIONS] [NAME] KEY=VALUE...\n       \
                            pvdify config:set [OPTIONS] [NAME] --env-file FILE\n       \
                            pvdify config:set [OPTIONS] [NAME] -")]
pub(crate) struct Set {
    /// The app, then what to set; `-` reads it from stdin
    #[arg(value_name = "ARGS")]
    args: Vec<String>,
    /// Read KEY=VALUE lines from a file; `-` is stdin
    #[arg(long, value_name = "FILE")]
    env_file: Option<String>,
    #[command(flatten)]
    wait: Wait,
}

impl Set {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let (name, pairs) = Rest::Pairs.split(&self.args, context.flag());
        let mut vars = ConfigVars::new();
        let mut files: Vec<&str> = self.env_file.as_deref().into_iter().collect();
        let before = self.args.len() - pairs.len();
        for (place, pair) in (before + 1..).zip(pairs) {
            if pair == "-" {
                files.push("-");
                continue;
            }
            let (key, value) = read_pair(pair).map_err(|what| {
                CliError::usage(format!("argument {place}: {what}"))
                    .hint("write [NAME] KEY=VALUE...; the argument is not shown, it may be a secret")
            })?;
            add(&mut vars, key, value)?;
        }
        if files.len() > 1 {
            return Err(CliError::usage(
                "config vars come from one file or from stdin, not from several",
            ));
        }
        let app = context.app(name)?;
        if let Some(file) = files.first() {
            for (key, value) in read_file(file)? {
                add(&mut vars, key, value)?;
            }
        }
        if vars.is_empty() {
            return Err(
                CliError::usage("nothing to set").hint("write KEY=VALUE, or give a file with --env-file")
            );
        }
        let change = vars
            .iter()
            .map(|(key, value)| (key.to_string(), Some(value.reveal().to_owned())));
        apply(context, &app, change.collect(), "Set", self.wait).await
    }
}

fn read_pair(pair: &str) -> std::result::Result<(ConfigKey, ConfigValue), String> {
    let (key, value) = pair.split_once('=').ok_or("it has no \"=\"")?;
    let key = key.parse().map_err(|rule| format!("{rule}"))?;
    Ok((key, ConfigValue::new(value.to_owned())?))
}

fn add(vars: &mut ConfigVars, key: ConfigKey, value: ConfigValue) -> Result {
    if vars.contains_key(&key) {
        return Err(CliError::usage(format!("{key} is given twice")));
    }
    vars.insert(key, value);
    Ok(())
}

fn read_file(path: &str) -> Result<ConfigVars> {
    let shown = if path == "-" { "stdin" } else { path };
    let failed = |cause: io::Error| CliError::usage(format!("can't read {shown}: {cause}"));
    let mut text = String::new();
    let mut limited: Box<dyn Read> = if path == "-" {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path).map_err(failed)?)
    };
    // One byte more than the limit tells a file at the limit from one beyond it.
    limited
        .by_ref()
        .take(env_file::MAX_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if text.len() as u64 > env_file::MAX_BYTES {
        return Err(CliError::usage(format!(
            "{shown} has more than 1 MiB: no app has so much config"
        )));
    }
    env_file::parse(&text).map_err(|what| CliError::usage(format!("{shown}, {what}")))
}

/// Remove config vars, and release the app without them
#[derive(Args)]
#[command(override_usage = "pvdify config:unset [OPTIONS] [NAME] KEY...")]
pub(crate) struct Unset {
    /// The app, then the keys to remove
    #[arg(value_name = "ARGS", required = true)]
    args: Vec<String>,
    #[command(flatten)]
    wait: Wait,
}

impl Unset {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let (name, keys) = Rest::Keys.split(&self.args, context.flag());
        let mut change = ConfigChange::new();
        for key in keys {
            let key: ConfigKey = key
                .parse()
                .map_err(|rule| CliError::usage(format!("{key:?}: {rule}")))?;
            change.insert(key.to_string(), None);
        }
        apply(context, &context.app(name)?, change, "Removed", self.wait).await
    }
}

/// Sends one change, waits for the release that it makes, and says what was done.
async fn apply(context: &Context, app: &AppName, change: ConfigChange, done: &str, wait: Wait) -> Result {
    let keys: BTreeSet<&str> = change.keys().map(String::as_str).collect();
    let keys = Vec::from_iter(keys).join(", ");
    let ConfigChanged { release, .. } = context.client.set_config(app, &change).await?;
    let Some(version) = release else {
        return output::line(&format!("{done} {keys}; that needed no new release"));
    };
    if wait.no_wait {
        return output::line(&format!("{done} {keys}; release {version} is under way"));
    }
    output::talk(&format!("Releasing {app} with the change as {version}"));
    wait::for_release(&context.client, app, version).await?;
    output::line(&format!("{done} {keys}; released {version}"))
}
