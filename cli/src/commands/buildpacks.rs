//! `buildpacks`, `buildpacks:set`, `:add`, `:remove`, `:clear`: what an app's builds are made with, said as
//! Heroku says it.

use super::{Context, Result};
use crate::{
    app::Rest,
    args::{Json, Name},
    error::CliError,
    output,
};
use clap::Args;
use pvdify_api::buildpacks::SetBuildpacks;
use pvdify_types::{AppName, BuildpackName, buildpack::MAX_BUILDPACKS};

/// List an app's buildpacks
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
        let answer = context.client.buildpacks(&app).await?;
        self.json.print(answer, |answer| match &answer.buildpacks[..] {
            [] => {
                output::talk(&format!(
                    "{app} has no buildpacks of its own: each push is built as the source says, or as detected."
                ));
                Ok(())
            }
            [one] => {
                output::line(&format!("=== {app} Buildpack"))?;
                output::line(one.as_str())
            }
            all => {
                output::line(&format!("=== {app} Buildpacks"))?;
                all.iter()
                    .enumerate()
                    .try_for_each(|(index, one)| output::line(&format!("{}. {one}", index + 1)))
            }
        })
    }
}

/// Set an app's buildpacks, or the one at a position
#[derive(Args)]
#[command(override_usage = "pvdify buildpacks:set [OPTIONS] [NAME] BUILDPACK...")]
pub(crate) struct Set {
    /// The app, and buildpacks: pvdify/nodejs, https://HOST/NAME.git[#REF], https://HOST/NAME.tgz,
    /// docker://IMAGE (a buildpack's or a whole builder), or a folder of the server
    #[arg(value_name = "ARGS", required = true)]
    args: Vec<String>,
    /// Replace the one at this position, from 1
    #[arg(short, long, value_name = "N")]
    index: Option<usize>,
}

impl Set {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let (app, named) = app_and_buildpacks(context, &self.args)?;
        let new = match self.index {
            None => {
                some(&named)?;
                named
            }
            Some(index) => {
                let one = only(named)?;
                let mut all = current(context, &app).await?;
                let at = place(index, all.len())?;
                all[at] = one;
                all
            }
        };
        replace(context, &app, new, "Buildpack set.").await
    }
}

/// Add a buildpack to an app, behind those it has or at a position
#[derive(Args)]
#[command(override_usage = "pvdify buildpacks:add [OPTIONS] [NAME] BUILDPACK")]
pub(crate) struct Add {
    /// The app, and the buildpack
    #[arg(value_name = "ARGS", num_args = 1..=2, required = true)]
    args: Vec<String>,
    /// Put it at this position, from 1
    #[arg(short, long, value_name = "N")]
    index: Option<usize>,
}

impl Add {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let (app, named) = app_and_buildpacks(context, &self.args)?;
        let one = only(named)?;
        let mut all = current(context, &app).await?;
        if all.contains(&one) {
            return Err(CliError::failed(format!(
                "{one} is one of {app}'s buildpacks already"
            )));
        }
        let at = match self.index {
            None => all.len(),
            Some(index) => place(index, all.len() + 1)?,
        };
        all.insert(at, one);
        replace(context, &app, all, "Buildpack added.").await
    }
}

/// Remove a buildpack from an app, by name or position
#[derive(Args)]
#[command(override_usage = "pvdify buildpacks:remove [OPTIONS] [NAME] <BUILDPACK|--index N>")]
pub(crate) struct Remove {
    /// The app, and the buildpack
    #[arg(value_name = "ARGS", num_args = 0..=2)]
    args: Vec<String>,
    /// Remove the one at this position, from 1
    #[arg(short, long, value_name = "N")]
    index: Option<usize>,
}

impl Remove {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let (app, named) = app_and_buildpacks(context, &self.args)?;
        if self.index.is_some() != named.is_empty() {
            return Err(CliError::usage("give either a buildpack or --index"));
        }
        let mut all = current(context, &app).await?;
        if all.is_empty() {
            return Err(CliError::failed(format!("{app} has no buildpacks of its own")));
        }
        let at = match self.index {
            Some(index) => place(index, all.len())?,
            None => {
                let one = only(named)?;
                let at = all.iter().position(|buildpack| *buildpack == one);
                at.ok_or_else(|| {
                    CliError::failed(format!(
                        "{one} is none of {app}'s buildpacks: nothing was removed"
                    ))
                    .hint(format!("list them with pvdify buildpacks {app}"))
                })?
            }
        };
        all.remove(at);
        replace(context, &app, all, "Buildpack removed.").await
    }
}

/// Remove all of an app's buildpacks
#[derive(Args)]
pub(crate) struct Clear {
    #[command(flatten)]
    name: Name,
}

impl Clear {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let app = context.named(&self.name)?;
        replace(context, &app, Vec::new(), "Buildpacks cleared.").await
    }
}

fn app_and_buildpacks(context: &Context, args: &[String]) -> Result<(AppName, Vec<BuildpackName>)> {
    let (name, rest) = Rest::Buildpacks.split(args, context.flag());
    let parse = |text: &String| {
        text.parse()
            .map_err(|rule| CliError::usage(format!("{text:?}: {rule}")))
    };
    let buildpacks = rest.iter().map(parse).collect::<Result<Vec<_>>>()?;
    if buildpacks.len() > MAX_BUILDPACKS {
        return Err(CliError::usage(format!(
            "an app has at most {MAX_BUILDPACKS} buildpacks"
        )));
    }
    Ok((context.app(name)?, buildpacks))
}

fn some(named: &[BuildpackName]) -> Result {
    if named.is_empty() {
        return Err(CliError::usage("no buildpack is named").hint("write it after the app's name"));
    }
    Ok(())
}

fn only(named: Vec<BuildpackName>) -> Result<BuildpackName> {
    some(&named)?;
    let [one] = <[BuildpackName; 1]>::try_from(named)
        .map_err(|_| CliError::usage("more than one buildpack is named"))?;
    Ok(one)
}

async fn current(context: &Context, app: &AppName) -> Result<Vec<BuildpackName>> {
    Ok(context.client.buildpacks(app).await?.buildpacks)
}

/// A position that a person counts from 1, among `places`.
fn place(index: usize, places: usize) -> Result<usize> {
    match index.checked_sub(1) {
        Some(at) if at < places => Ok(at),
        _ if places == 0 => Err(CliError::failed("there is no buildpack at any position yet")),
        _ => Err(CliError::failed(format!(
            "there is no position {index}: it is 1 to {places}"
        ))),
    }
}

async fn replace(context: &Context, app: &AppName, all: Vec<BuildpackName>, done: &str) -> Result {
    let body = SetBuildpacks {
        buildpacks: all.iter().map(ToString::to_string).collect(),
    };
    let set = context.client.set_buildpacks(app, &body).await?.buildpacks;
    match &set[..] {
        [] => output::line(&format!(
            "{done} Next release on {app} will detect buildpacks normally."
        )),
        [one] => {
            output::line(&format!("{done} Next release on {app} will use {one}."))?;
            output::talk("Run git push pvdify main to create a new release using this buildpack.");
            Ok(())
        }
        several => {
            output::line(&format!("{done} Next release on {app} will use:"))?;
            for (index, one) in several.iter().enumerate() {
                output::line(&format!("  {}. {one}", index + 1))?;
            }
            output::talk("Run git push pvdify main to create a new release using these buildpacks.");
            Ok(())
        }
    }
}
