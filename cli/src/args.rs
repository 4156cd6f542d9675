//! The command line as clap reads it: the list of all commands, and the global flags.
//!
//! What a command takes stands beside it in `commands/`, its help is its doc comment; the reference of all
//! help texts is a snapshot in the tests. Names with a colon are Heroku's way, and fixed.

use crate::{
    api::Connection,
    app::Sources,
    commands::{
        apps, bindings, buildpacks, config, deploy, domains, git, keys, logs, ps, releases, resize, run,
        storage,
    },
};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, parser::ValueSource};

/// Deploy and run apps on your own server, as on Heroku
#[derive(Parser)]
#[command(
    name = "pvdify",
    version,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100,
    help_template = "{about}\n\nUsage: pvdify COMMAND [NAME] [OPTIONS]{after-help}\n\nGlobal options:\n{options}"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(flatten)]
    app: App,
    /// Where the app's name may come from, told apart by clap's own record.
    #[arg(skip)]
    pub(crate) sources: Sources,
}

#[derive(Args)]
#[command(next_help_heading = "Global options")]
struct App {
    /// The app, where NAME is left out; else the git remote `pvdify` names it
    #[arg(
        short,
        long,
        global = true,
        value_name = "NAME",
        env = "PVDIFY_APP",
        hide_env_values = true
    )]
    app: Option<String>,
}

impl Cli {
    /// Reads the program's arguments.
    pub(crate) fn of_command_line() -> Result<Self, clap::Error> {
        let matches = command().try_get_matches()?;
        let mut cli = Self::from_arg_matches(&matches)?;
        let app = cli.app.app.take().filter(|app| !app.is_empty());
        if matches.value_source("app") == Some(ValueSource::CommandLine) {
            cli.sources.flag = app;
            cli.sources.env = std::env::var("PVDIFY_APP").ok().filter(|app| !app.is_empty());
        } else {
            cli.sources.env = app;
        }
        Ok(cli)
    }
}

/// The clap command, its list of commands in groups.
fn command() -> clap::Command {
    let command = Cli::command();
    let list = grouped(&command);
    command.after_help(list)
}

/// Every command stands in one group; a test holds it.
const GROUPS: [(&str, &[&str]); 7] = [
    ("Apps", &["apps", "apps:create", "apps:info", "apps:delete"]),
    (
        "Deploy",
        &[
            "deploy",
            "releases",
            "releases:info",
            "releases:output",
            "releases:cancel",
            "rollback",
        ],
    ),
    (
        "Configure",
        &[
            "config",
            "config:get",
            "config:set",
            "config:unset",
            "config:scope",
            "config:versions",
            "config:diff",
            "domains",
            "domains:add",
            "domains:remove",
            "buildpacks",
            "buildpacks:set",
            "buildpacks:add",
            "buildpacks:remove",
            "buildpacks:clear",
            "bindings",
            "bindings:add",
            "bindings:remove",
        ],
    ),
    (
        "Storage",
        &[
            "storage:list",
            "storage:create",
            "storage:mount",
            "storage:unmount",
            "storage:snapshots",
            "storage:snapshot",
            "storage:restore",
            "storage:snapshot:destroy",
            "storage:destroy",
        ],
    ),
    (
        "Run",
        &[
            "ps",
            "ps:scale",
            "ps:restart",
            "ps:resize",
            "ps:stop",
            "run",
            "run:detached",
            "exec",
            "enter",
            "logs",
        ],
    ),
    ("Git", &["git:remote", "keys", "keys:add", "keys:remove"]),
    ("Other", &["version"]),
];

fn grouped(command: &clap::Command) -> String {
    let mut list = String::new();
    for (heading, names) in GROUPS {
        list.push_str(&format!("{heading}:\n"));
        for name in names {
            let about = command.find_subcommand(name).and_then(clap::Command::get_about);
            list.push_str(&format!(
                "  {name:<17} {}\n",
                about.map(ToString::to_string).unwrap_or_default()
            ));
        }
        list.push('\n');
    }
    list.push_str("`pvdify COMMAND --help` explains a command.");
    list
}

/// Prints values as JSON, for programs.
#[derive(Args, Clone, Copy)]
pub(crate) struct Json {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The name of the app a command is about.
#[derive(Args)]
pub(crate) struct Name {
    /// The app
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Apps(apps::List),
    #[command(name = "apps:create")]
    AppsCreate(apps::Create),
    #[command(name = "apps:info")]
    AppsInfo(apps::Info),
    #[command(name = "apps:delete")]
    AppsDelete(apps::Delete),
    Deploy(deploy::Deploy),
    Releases(releases::List),
    #[command(name = "releases:info")]
    ReleasesInfo(releases::Info),
    #[command(name = "releases:output")]
    ReleasesOutput(releases::Output),
    #[command(name = "releases:cancel")]
    ReleasesCancel(releases::Cancel),
    Rollback(releases::Rollback),
    Config(config::Show),
    #[command(name = "config:get")]
    ConfigGet(config::Get),
    #[command(name = "config:set")]
    ConfigSet(config::Set),
    #[command(name = "config:unset")]
    ConfigUnset(config::Unset),
    #[command(name = "config:scope")]
    ConfigScope(config::Scope),
    #[command(name = "config:versions")]
    ConfigVersions(config::Versions),
    #[command(name = "config:diff")]
    ConfigDiff(config::Diff),
    Domains(domains::List),
    #[command(name = "domains:add")]
    DomainsAdd(domains::Add),
    #[command(name = "domains:remove")]
    DomainsRemove(domains::Remove),
    Buildpacks(buildpacks::List),
    #[command(name = "buildpacks:set")]
    BuildpacksSet(buildpacks::Set),
    #[command(name = "buildpacks:add")]
    BuildpacksAdd(buildpacks::Add),
    #[command(name = "buildpacks:remove")]
    BuildpacksRemove(buildpacks::Remove),
    #[command(name = "buildpacks:clear")]
    BuildpacksClear(buildpacks::Clear),
    Bindings(bindings::List),
    #[command(name = "bindings:add")]
    BindingsAdd(bindings::Add),
    #[command(name = "bindings:remove")]
    BindingsRemove(bindings::Remove),
    #[command(name = "storage:list")]
    StorageList(storage::List),
    #[command(name = "storage:create")]
    StorageCreate(storage::Create),
    #[command(name = "storage:mount")]
    StorageMount(storage::Mount),
    #[command(name = "storage:unmount")]
    StorageUnmount(storage::Unmount),
    #[command(name = "storage:snapshots")]
    StorageSnapshots(storage::ListSnapshots),
    #[command(name = "storage:snapshot")]
    StorageSnapshot(storage::Snapshot),
    #[command(name = "storage:restore")]
    StorageRestore(storage::Restore),
    #[command(name = "storage:snapshot:destroy")]
    StorageSnapshotDestroy(storage::DestroySnapshot),
    #[command(name = "storage:destroy")]
    StorageDestroy(storage::Destroy),
    Ps(ps::List),
    #[command(name = "ps:scale")]
    PsScale(ps::Scale),
    #[command(name = "ps:restart")]
    PsRestart(ps::Restart),
    #[command(name = "ps:resize")]
    PsResize(resize::Resize),
    #[command(name = "ps:stop")]
    PsStop(ps::Stop),
    #[command(name = "run:detached")]
    RunDetached(ps::RunDetached),
    Run(run::Run),
    Exec(run::Exec),
    Enter(run::Enter),
    Logs(logs::Logs),
    #[command(name = "git:remote")]
    GitRemote(git::Remote),
    Keys(keys::List),
    #[command(name = "keys:add")]
    KeysAdd(keys::Add),
    #[command(name = "keys:remove")]
    KeysRemove(keys::Remove),
    /// Print the version of this program
    Version,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn each_command_stands_in_one_group_and_says_what_it_does() {
        let command = command();
        let mut grouped: Vec<_> = GROUPS
            .iter()
            .flat_map(|(_, names)| names.iter().copied())
            .collect();
        let mut all: Vec<_> = command.get_subcommands().map(clap::Command::get_name).collect();
        grouped.sort_unstable();
        all.sort_unstable();
        assert_eq!(grouped, all);
        for subcommand in command.get_subcommands() {
            assert!(subcommand.get_about().is_some(), "{}", subcommand.get_name());
        }
    }
}
