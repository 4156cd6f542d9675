//! The commands, a file for each family: what it takes, and what it does.

pub(crate) mod apps;
pub(crate) mod bindings;
pub(crate) mod buildpacks;
pub(crate) mod config;
pub(crate) mod deploy;
pub(crate) mod domains;
pub(crate) mod git;
pub(crate) mod keys;
pub(crate) mod logs;
mod print;
pub(crate) mod ps;
pub(crate) mod releases;
pub(crate) mod resize;
pub(crate) mod run;
pub(crate) mod storage;

use crate::{
    app::{self, Sources},
    args::{Cli, Command, Name},
    error::CliError,
    output,
};
use pvdify_client::Client;
use pvdify_types::AppName;

/// A command's end.
pub(crate) type Result<T = ()> = std::result::Result<T, CliError>;

/// What every command works with.
pub(crate) struct Context {
    pub(crate) client: Client,
    sources: Sources,
}

impl Context {
    /// The app that `name`, or what stands for it, means.
    fn app(&self, name: Option<&str>) -> Result<AppName> {
        self.sources.find(name, app::remote_url)
    }

    /// The app of a command that takes nothing but its name.
    fn named(&self, name: &Name) -> Result<AppName> {
        self.app(name.name.as_deref())
    }

    /// `--app`, where arguments must be told apart.
    fn flag(&self) -> Option<&str> {
        self.sources.flag.as_deref()
    }
}

/// Does what the command line says.
pub(crate) async fn run(cli: Cli) -> Result {
    if matches!(cli.command, Command::Version) {
        return output::line(concat!("pvdify ", env!("CARGO_PKG_VERSION")));
    }
    let context = &Context {
        client: cli.connection.client()?,
        sources: cli.sources,
    };
    match cli.command {
        Command::Apps(args) => args.run(context).await,
        Command::AppsCreate(args) => args.run(context).await,
        Command::AppsInfo(args) => args.run(context).await,
        Command::AppsDelete(args) => args.run(context).await,
        Command::Deploy(args) => args.run(context).await,
        Command::Releases(args) => args.run(context).await,
        Command::ReleasesInfo(args) => args.run(context).await,
        Command::ReleasesOutput(args) => args.run(context).await,
        Command::ReleasesCancel(args) => args.run(context).await,
        Command::Rollback(args) => args.run(context).await,
        Command::Config(args) => args.run(context).await,
        Command::ConfigGet(args) => args.run(context).await,
        Command::ConfigSet(args) => args.run(context).await,
        Command::ConfigUnset(args) => args.run(context).await,
        Command::ConfigScope(args) => args.run(context).await,
        Command::ConfigVersions(args) => args.run(context).await,
        Command::ConfigDiff(args) => args.run(context).await,
        Command::Domains(args) => args.run(context).await,
        Command::DomainsAdd(args) => args.run(context).await,
        Command::DomainsRemove(args) => args.run(context).await,
        Command::Buildpacks(args) => args.run(context).await,
        Command::BuildpacksSet(args) => args.run(context).await,
        Command::BuildpacksAdd(args) => args.run(context).await,
        Command::BuildpacksRemove(args) => args.run(context).await,
        Command::BuildpacksClear(args) => args.run(context).await,
        Command::Bindings(args) => args.run(context).await,
        Command::BindingsAdd(args) => args.run(context).await,
        Command::BindingsRemove(args) => args.run(context).await,
        Command::StorageList(args) => args.run(context).await,
        Command::StorageCreate(args) => args.run(context).await,
        Command::StorageMount(args) => args.run(context).await,
        Command::StorageUnmount(args) => args.run(context).await,
        Command::StorageSnapshots(args) => args.run(context).await,
        Command::StorageSnapshot(args) => args.run(context).await,
        Command::StorageRestore(args) => args.run(context).await,
        Command::StorageSnapshotDestroy(args) => args.run(context).await,
        Command::StorageDestroy(args) => args.run(context).await,
        Command::Ps(args) => args.run(context).await,
        Command::PsScale(args) => args.run(context).await,
        Command::PsRestart(args) => args.run(context).await,
        Command::PsResize(args) => args.run(context).await,
        Command::PsStop(args) => args.run(context).await,
        Command::RunDetached(args) => args.run(context).await,
        Command::Run(args) => args.run(context).await,
        Command::Exec(args) => args.run(context).await,
        Command::Enter(args) => args.run(context).await,
        Command::Logs(args) => args.run(context).await,
        Command::GitRemote(args) => args.run(context).await,
        Command::Keys(args) => args.run(context).await,
        Command::KeysAdd(args) => args.run(context).await,
        Command::KeysRemove(args) => args.run(context).await,
        Command::Version => Ok(()),
    }
}
