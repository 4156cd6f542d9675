//! `config:set`, `config:unset`, `config:scope`: one change each, and one release.

use super::{super::Context, Result, Wait, finish, parse_key};
use crate::{app::Rest, env_file, error::CliError, output};
use clap::Args;
use pvdify_api::config::{ChangeQuery, ConfigChange, Scopes};
use pvdify_types::{AppName, ConfigKey, ConfigScope, ConfigValue, ConfigVars};
use std::{
    fs::File,
    io::{self, Read},
};

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
    #[arg(long, visible_alias = "from", value_name = "FILE")]
    env_file: Option<String>,
    /// Builds see them too, from the next one on; a key keeps its scope without it
    #[arg(long)]
    build: bool,
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
        let query = ChangeQuery {
            scope: self.build.then_some(ConfigScope::Build),
        };
        apply(context, &app, change.collect(), query, "Set", self.wait).await
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
            change.insert(parse_key(key)?.to_string(), None);
        }
        let app = context.app(name)?;
        let query = ChangeQuery::default();
        apply(context, &app, change, query, "Removed", self.wait).await
    }
}

/// Say who sees config vars: the app's processes alone, or its builds too
///
/// A build by buildpacks has them in its environment, one by a Dockerfile as secrets:
/// RUN --mount=type=secret,id=KEY. What runs in a build can read them.
#[derive(Args)]
#[command(override_usage = "pvdify config:scope [OPTIONS] <--build|--run> [NAME] KEY...")]
#[command(group = clap::ArgGroup::new("scope").required(true))]
pub(crate) struct Scope {
    /// The app, then the keys
    #[arg(value_name = "ARGS", required = true)]
    args: Vec<String>,
    /// Builds see them too, from the next one on
    #[arg(long, group = "scope")]
    build: bool,
    /// The app's processes alone see them, as is usual
    #[arg(long, group = "scope")]
    run: bool,
    #[command(flatten)]
    wait: Wait,
}

impl Scope {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let (name, keys) = Rest::Keys.split(&self.args, context.flag());
        let (scope, seen) = if self.run {
            (ConfigScope::Run, "the app's processes alone")
        } else {
            (ConfigScope::Build, "builds too")
        };
        let scopes = keys.iter().map(|key| Ok((parse_key(key)?, scope)));
        let scopes = scopes.collect::<Result<Scopes>>()?;
        let app = context.app(name)?;
        let release = context.client.set_config_scopes(&app, &scopes).await?.release;
        let keys: Vec<&str> = scopes.keys().map(ConfigKey::as_str).collect();
        let done = format!("Shown to {seen}: {}", keys.join(", "));
        finish(context, &app, release, &done, self.wait).await
    }
}

/// Sends one change, waits for the release that it makes, and says what was done.
async fn apply(
    context: &Context,
    app: &AppName,
    change: ConfigChange,
    query: ChangeQuery,
    done: &str,
    wait: Wait,
) -> Result {
    let changed = context.client.set_config_of(app, &change, &query).await?;
    let keys: Vec<&str> = change.keys().map(String::as_str).collect();
    let done = format!("{done} {}", keys.join(", "));
    finish(context, app, changed.release, &done, wait).await?;
    if let Some(keys) = changed.next_build {
        output::talk(&format!("The next build sees {keys}."));
    }
    Ok(())
}
