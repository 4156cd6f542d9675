//! `config` and `config:get`: which config vars there are, and their values on request.

use super::{super::Context, Result, parse_key};
use crate::{
    app::Rest,
    args::{Json, Name},
    env_file,
    error::CliError,
    output, shell,
};
use clap::Args;
use pvdify_types::AppName;
use std::collections::BTreeMap;

/// List an app's config vars, without their values
#[derive(Args)]
pub(crate) struct Show {
    #[command(flatten)]
    name: Name,
    /// Show the values too, in a form that `config:set --env-file` reads back
    #[arg(long, conflicts_with = "shell")]
    reveal: bool,
    /// Show the values too, as a POSIX shell reads them: eval "$(pvdify config demo --shell)"
    #[arg(short, long, conflicts_with = "json")]
    shell: bool,
    #[command(flatten)]
    json: Json,
}

impl Show {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let app = context.named(&self.name)?;
        if !self.reveal && !self.shell {
            return self.keys(context, &app).await;
        }
        let config = context.client.config(&app).await?;
        if self.json.json {
            return output::json(&config);
        }
        if config.is_empty() {
            none(&app);
        }
        for (key, value) in &config {
            if self.shell {
                output::exact(&shell::assign(key, value))?;
            } else {
                output::line(&env_file::render(key, value))?;
            }
        }
        Ok(())
    }

    /// No value is even asked for.
    async fn keys(self, context: &Context, app: &AppName) -> Result {
        let scopes = context.client.config_scopes(app).await?;
        if self.json.json {
            let hidden: BTreeMap<_, Option<()>> = scopes.into_keys().map(|key| (key, None)).collect();
            return output::json(&hidden);
        }
        if scopes.is_empty() {
            none(app);
            return Ok(());
        }
        let row = |(key, scope): (_, _)| [format!("{key}"), "[hidden]".to_owned(), format!("{scope}")];
        output::table(["KEY", "VALUE", "SCOPE"], scopes.into_iter().map(row))?;
        output::talk("The values are shown with --reveal.");
        Ok(())
    }
}

fn none(app: &AppName) {
    output::talk(&format!("{app} has no config vars."));
}

/// Print the value of a config var
#[derive(Args)]
#[command(override_usage = "pvdify config:get [OPTIONS] [NAME] KEY")]
pub(crate) struct Get {
    /// The app, then the key
    #[arg(value_name = "ARGS", required = true, num_args = 1..=2)]
    args: Vec<String>,
    #[command(flatten)]
    json: Json,
}

impl Get {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let (name, rest) = Rest::One.split(&self.args, context.flag());
        let [key] = rest else {
            return Err(CliError::usage("config:get prints one config var"));
        };
        let key = parse_key(key)?;
        let app = context.app(name)?;
        let config = context.client.config(&app).await?;
        let value = config.get(key.as_str()).ok_or_else(|| {
            CliError::failed(format!("{app} has no config var {key}"))
                .hint(format!("list them with `pvdify config {app}`"))
        })?;
        self.json.print(value, |value| output::exact(value))
    }
}
