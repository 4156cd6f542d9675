//! `domains`, `domains:add`, `domains:remove`.

use super::{Context, Result};
use crate::{
    app::Rest,
    args::{Json, Name},
    error::CliError,
    output,
};
use clap::Args;
use pvdify_api::domains::{AddDomain, Domain};
use pvdify_types::{AppName, DomainStatus, Hostname};

/// List an app's domains
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
        let domains = context.client.domains(&app).await?;
        let none = format!("{app} has no domains of its own; `pvdify apps:info {app}` shows its URL.");
        self.json.print_list(domains, &none, |domains| {
            output::table(
                ["DOMAIN", "STATUS", "CERTIFICATE", "CREATED"],
                domains.into_iter().map(row),
            )
        })
    }
}

fn row(domain: Domain) -> [String; 4] {
    [
        domain.domain.to_string(),
        word(domain.status).to_owned(),
        domain.certificate.unwrap_or_else(|| "-".to_owned()),
        output::utc(domain.created_at),
    ]
}

fn word(status: DomainStatus) -> &'static str {
    match status {
        DomainStatus::Pending => "pending",
        DomainStatus::Active => "active",
    }
}

/// Add a domain to an app
#[derive(Args)]
#[command(override_usage = "pvdify domains:add [OPTIONS] [NAME] DOMAIN")]
pub(crate) struct Add {
    /// The app, and the domain, as www.example.com
    #[arg(value_name = "ARGS", num_args = 1..=2, required = true)]
    args: Vec<String>,
    #[command(flatten)]
    json: Json,
}

impl Add {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let (app, domain) = app_and_domain(context, &self.args)?;
        let body = AddDomain {
            domain: domain.to_string(),
        };
        let added = context.client.add_domain(&app, &body).await?;
        self.json.print(added, |_| {
            output::line(&format!("Added {domain} to {app}"))?;
            output::talk(&format!(
                "Point its DNS record at this Pvdify's address; `pvdify domains {app}` shows its status."
            ));
            Ok(())
        })
    }
}

/// Remove a domain from an app
#[derive(Args)]
#[command(override_usage = "pvdify domains:remove [OPTIONS] [NAME] DOMAIN")]
pub(crate) struct Remove {
    /// The app, and the domain
    #[arg(value_name = "ARGS", num_args = 1..=2, required = true)]
    args: Vec<String>,
}

impl Remove {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let (app, domain) = app_and_domain(context, &self.args)?;
        context.client.remove_domain(&app, &domain).await?;
        output::line(&format!("Removed {domain} from {app}"))
    }
}

fn app_and_domain(context: &Context, args: &[String]) -> Result<(AppName, Hostname)> {
    let (name, rest) = Rest::One.split(args, context.flag());
    let text = rest.first().map_or("", String::as_str);
    let domain = Hostname::parse_typed(text).map_err(|rule| CliError::usage(format!("{text:?}: {rule}")))?;
    Ok((context.app(name)?, domain))
}
