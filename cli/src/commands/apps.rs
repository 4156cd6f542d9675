//! `apps`, `apps:create`, `apps:info`, `apps:delete`.

use super::{Context, Result};
use crate::{
    app,
    args::{Json, Name},
    error::CliError,
    output,
};
use clap::Args;
use pvdify_api::apps::{App, CreateApp, Healthcheck};
use pvdify_types::AppName;
use std::io::{self, BufRead, IsTerminal};

/// List the apps
#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    json: Json,
}

impl List {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let apps = context.client.apps().await?;
        let none = "There are no apps yet; make one with `pvdify apps:create NAME`.";
        self.json.print_list(apps, none, |apps| {
            output::table(
                ["NAME", "ENVIRONMENT", "STATUS", "RELEASE", "URL"],
                apps.into_iter().map(row),
            )
        })
    }
}

fn row(app: App) -> [String; 5] {
    [
        app.name.to_string(),
        app.environment.to_string(),
        app.status.as_str().to_owned(),
        release(app.release),
        app.web_url,
    ]
}

fn release(version: Option<u64>) -> String {
    version.map_or_else(|| "-".to_owned(), |version| format!("v{version}"))
}

/// Create an app
#[derive(Args)]
#[command(override_usage = "pvdify apps:create [OPTIONS] NAME")]
pub(crate) struct Create {
    /// 1 to 30 of a-z, 0-9 and hyphens; starts with a letter, is part of the app's URL
    #[arg(value_name = "NAME")]
    name: String,
    /// What the app is for
    #[arg(short, long, default_value = "production", value_parser = ["production", "staging"])]
    environment: String,
    #[command(flatten)]
    json: Json,
}

impl Create {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let name = app::parse(&self.name)?;
        let body = CreateApp {
            name: name.to_string(),
            environment: Some(self.environment),
        };
        let app = context.client.create_app(&body).await?;
        self.json.print(app, |app| {
            output::talk(&format!("Created {name}."));
            output::line(&format!("{} | {}", app.web_url, app.git_url))?;
            output::talk(&format!(
                "Deploy it with `pvdify git:remote {name}` and `git push {} main`, or `pvdify deploy {name} -i IMAGE`.",
                app::REMOTE
            ));
            Ok(())
        })
    }
}

/// Show an app
#[derive(Args)]
pub(crate) struct Info {
    #[command(flatten)]
    name: Name,
    #[command(flatten)]
    json: Json,
}

impl Info {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let app = context.client.app(&context.named(&self.name)?).await?;
        self.json.print(app, show)
    }
}

fn show(app: App) -> Result {
    output::line(&format!("=== {}", app.name))?;
    let resources = &app.resources;
    output::facts([
        ("Environment", app.environment.to_string()),
        ("Status", app.status.as_str().to_owned()),
        ("Release", release(app.release)),
        ("Web URL", app.web_url),
        ("Git URL", app.git_url),
        ("Image", app.image.unwrap_or_else(|| "-".to_owned())),
        (
            "Port",
            app.bind_port
                .map_or_else(|| "the image's, else 8080".to_owned(), |port| port.to_string()),
        ),
        (
            "Memory",
            format!("{} MiB", resources.memory_bytes / (1024 * 1024)),
        ),
        (
            "CPU",
            resources.cpu_millis.map_or_else(
                || "shared".to_owned(),
                |millis| format!("{}%", f64::from(millis) / 10.0),
            ),
        ),
        ("Processes", format!("at most {}", resources.pids)),
        ("Health check", health_check(&app.healthcheck)),
        ("Created", output::utc(app.created_at)),
        ("Updated", output::utc(app.updated_at)),
    ])
}

fn health_check(check: &Healthcheck) -> String {
    let seconds = check.timeout_seconds;
    match &check.path {
        Some(path) => format!("GET {path} within {seconds} s"),
        None => format!("a TCP connection within {seconds} s"),
    }
}

/// Delete an app with its releases, config vars and domains
#[derive(Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    name: Name,
    /// The app's name once more, instead of typing it when asked
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
}

impl Delete {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let name = context.named(&self.name)?;
        match self.confirm {
            Some(confirm) if confirm == name.as_str() => {}
            Some(confirm) => {
                return Err(CliError::usage(format!(
                    "--confirm {confirm} is not {name}: nothing was deleted"
                )));
            }
            None if io::stdin().is_terminal() => {
                // A name that is none should not be typed twice to find that out.
                context.client.app(&name).await?;
                ask(&name, &mut io::stdin().lock())?;
            }
            None => {
                return Err(CliError::usage(format!(
                    "deleting {name} can't be undone and nobody can be asked here"
                ))
                .hint(format!("add --confirm {name}")));
            }
        }
        context.client.delete_app(&name).await?;
        output::line(&format!("Deleted {name}"))
    }
}

fn ask(name: &AppName, answers: &mut impl BufRead) -> Result {
    output::talk(&format!(
        "This deletes {name} with its releases, config vars and domains. It can't be undone."
    ));
    output::ask(&format!("Type {name} to go on: "));
    let mut answer = String::new();
    answers
        .read_line(&mut answer)
        .map_err(|cause| CliError::failed(format!("can't read the answer: {cause}")))?;
    if answer.trim() == name.as_str() {
        Ok(())
    } else {
        Err(CliError::failed(format!(
            "that is not {name}: nothing was deleted"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_name_confirms() {
        let name: AppName = "demo".parse().unwrap();
        assert!(ask(&name, &mut "demo\n".as_bytes()).is_ok());
        for answer in ["", "\n", "y\n", "Demo\n", "demo2\n", "dem\n"] {
            assert!(ask(&name, &mut answer.as_bytes()).is_err(), "{answer:?}");
        }
    }
}
