//! `config:versions` and `config:diff`: the sets of config vars that an app had, and what differs between two.

use super::{super::Context, Result};
use crate::{
    app::Rest,
    args::{Json, Name},
    env_file,
    error::CliError,
    output,
};
use clap::Args;
use pvdify_api::config::{ConfigDiff, ConfigVersion, DiffQuery, Difference, Side};

/// List the versions of an app's config vars, the newest first, without values
#[derive(Args)]
pub(crate) struct Versions {
    #[command(flatten)]
    name: Name,
    /// How many of the newest
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 15)]
    num: usize,
    #[command(flatten)]
    json: Json,
}

impl Versions {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let app = context.named(&self.name)?;
        let mut versions = context.client.config_versions(&app).await?;
        let current = versions.iter().find(|one| one.current);
        let current = current.map_or_else(|| "none".to_owned(), |one| one.version.to_string());
        versions.truncate(self.num);
        let none = format!("{app} has no config vars, and had none.");
        self.json.print_list(versions, &none, |versions| {
            output::line(&format!("=== {app} config versions, current: {current}"))?;
            output::table(
                ["VERSION", "DESCRIPTION", "RELEASES", "USER", "CREATED"],
                versions.into_iter().map(row),
            )
        })
    }
}

fn row(version: ConfigVersion) -> [String; 5] {
    let releases: Vec<_> = version.releases.iter().map(ToString::to_string).collect();
    [
        version.version.to_string(),
        version.description,
        // The first and the last: a version may serve for hundreds of deploys.
        match releases.as_slice() {
            [] => "none".to_owned(),
            [one] => one.clone(),
            [first, .., last] => format!("{first} to {last} ({})", releases.len()),
        },
        version.user,
        output::utc(version.created_at),
    ]
}

/// Show which config vars differ between two versions
///
/// A version is named by its number in `config:versions`, or by a release, as v3. Left out, TO is the present version
/// and FROM the one before TO. A line begins with + for a var that TO alone has, with - for one that FROM alone has, and
/// with ~ for one that both have and that changed.
#[derive(Args)]
#[command(override_usage = "pvdify config:diff [OPTIONS] [NAME] [FROM] [TO]")]
pub(crate) struct Diff {
    /// The app, then the two versions
    #[arg(value_name = "ARGS", num_args = 0..=3)]
    args: Vec<String>,
    /// Show the values too
    #[arg(long)]
    reveal: bool,
    #[command(flatten)]
    json: Json,
}

impl Diff {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let (name, versions) = Rest::Versions.split(&self.args, context.flag());
        if versions.len() > 2 {
            return Err(CliError::usage("config:diff takes two versions at most"));
        }
        let app = context.app(name)?;
        let query = DiffQuery {
            from: versions.first().cloned(),
            to: versions.get(1).cloned(),
            values: self.reveal,
        };
        let diff = context.client.config_diff(&app, &query).await?;
        self.json.print(diff, |diff| {
            output::talk(&format!(
                "=== {app} config vars, version {} to {}",
                diff.from, diff.to
            ));
            if diff.changes.is_empty() {
                output::talk("Nothing differs.");
            }
            lines(&diff).iter().try_for_each(|line| output::line(line))
        })
    }
}

fn lines(diff: &ConfigDiff) -> Vec<String> {
    diff.changes.iter().flat_map(of_one).collect()
}

fn of_one(one: &Difference) -> Vec<String> {
    let key = one.key.as_str();
    let shown = |side: &Side| match &side.value {
        Some(value) => env_file::render(key, value),
        None => key.to_owned(),
    };
    let line = |mark: char, side: &Side| format!("{mark} {} ({})", shown(side), side.scope);
    match (&one.from, &one.to) {
        (Some(from), Some(to)) if from.value != to.value => vec![line('-', from), line('+', to)],
        (Some(from), Some(to)) if from.scope != to.scope => {
            vec![format!("~ {} ({} to {})", shown(to), from.scope, to.scope)]
        }
        (Some(_), Some(to)) => vec![line('~', to)],
        (Some(from), None) => vec![line('-', from)],
        (None, Some(to)) => vec![line('+', to)],
        (None, None) => Vec::new(),
    }
}
