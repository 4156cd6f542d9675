//! The one authoriser: who may do what. Deny by default: an action that no rule allows is refused.
//!
//! The scope is checked before the app is looked up, so that a caller who may not change anything learns
//! nothing of which apps there are; an unknown app is "not found" for everyone.

use super::{Acting, error::Error, error::Result};
use crate::store::{Reader, apps};
use pvdify_types::AppName;

pub use crate::store::tokens::Scope;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// A loopback peer of a `--dev` server, which asks for no token.
    LocalDev,
    /// The bearer of a token.
    Token {
        /// For a release's `user`.
        name: String,
        /// How far it reaches.
        scope: Scope,
    },
    /// git-receiver, the router, `pvdifyd key` or `pvdifyd stack`, over the control socket.
    ControlPeer,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Action {
    ReadApps,
    CreateApp,
    ChangeApp,
    DeleteApp,
    ReadReleases,
    Deploy,
    Rollback,
    /// Config values are secrets: seeing them takes as much as changing them.
    ReadConfig,
    /// Which there are and who sees them, now and before, without values.
    ReadConfigKeys,
    ChangeConfig,
    ReadDomains,
    ChangeDomains,
    ReadBuildpacks,
    ChangeBuildpacks,
    /// As config: no answer shows what is in one, but what an app is given is for those who may change it.
    ReadBindings,
    ChangeBindings,
    ReadVolumes,
    ChangeVolumes,
    /// Data that can't be had again: it takes a confirmation too.
    DestroyVolume,
    /// A buildpack in a folder of the server: the build of an app then sees what is in it.
    UseServerFolders,
    ReadProcesses,
    Scale,
    Restart,
    /// A process of one's own, which sees all that the app's do.
    Run,
    /// The same, inside an instance.
    Exec,
    ReadLogs,
    ReadKeys,
    /// A key outlives the token that adds it.
    ChangeKeys,
    /// On behalf of a verified SSH key.
    IdentifyKey,
    Push,
    ListLiving,
    FollowRoutes,
    /// Of the host's administrator alone, who comes by the control socket.
    RotateKey,
    /// A release of every app; also of the host's administrator, who comes by the control socket.
    RebaseStack,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 34] = [
        Self::ReadApps,
        Self::CreateApp,
        Self::ChangeApp,
        Self::DeleteApp,
        Self::ReadReleases,
        Self::Deploy,
        Self::Rollback,
        Self::ReadConfig,
        Self::ReadConfigKeys,
        Self::ChangeConfig,
        Self::ReadDomains,
        Self::ChangeDomains,
        Self::ReadBuildpacks,
        Self::ChangeBuildpacks,
        Self::ReadBindings,
        Self::ChangeBindings,
        Self::ReadVolumes,
        Self::ChangeVolumes,
        Self::DestroyVolume,
        Self::UseServerFolders,
        Self::ReadProcesses,
        Self::Scale,
        Self::Restart,
        Self::Run,
        Self::Exec,
        Self::ReadLogs,
        Self::ReadKeys,
        Self::ChangeKeys,
        Self::IdentifyKey,
        Self::Push,
        Self::ListLiving,
        Self::FollowRoutes,
        Self::RotateKey,
        Self::RebaseStack,
    ];

    /// The scope that a token needs; `None`: no token is enough.
    fn scope(self) -> Option<Scope> {
        match self {
            Self::ReadApps
            | Self::ReadReleases
            | Self::ReadConfigKeys
            | Self::ReadDomains
            | Self::ReadBuildpacks
            | Self::ReadVolumes
            | Self::ReadProcesses
            | Self::ReadLogs
            | Self::ReadKeys => Some(Scope::Read),
            Self::CreateApp
            | Self::ChangeApp
            | Self::DeleteApp
            | Self::Deploy
            | Self::Rollback
            | Self::ReadConfig
            | Self::ChangeConfig
            | Self::ChangeDomains
            | Self::ChangeBuildpacks
            | Self::ReadBindings
            | Self::ChangeBindings
            | Self::ChangeVolumes
            | Self::DestroyVolume
            | Self::Scale
            | Self::Restart
            | Self::Run
            | Self::Exec => Some(Scope::Write),
            Self::ChangeKeys | Self::RebaseStack | Self::UseServerFolders => Some(Scope::Admin),
            Self::IdentifyKey | Self::Push | Self::ListLiving | Self::FollowRoutes | Self::RotateKey => None,
        }
    }
}

/// Decides.
///
/// # Errors
/// The refusal.
pub fn decide(principal: &Principal, action: Action) -> Result<()> {
    match (principal, action.scope()) {
        (Principal::ControlPeer, _) if action == Action::RebaseStack => Ok(()),
        (Principal::ControlPeer, None) | (Principal::LocalDev, Some(_)) => Ok(()),
        (Principal::Token { scope, .. }, Some(needs)) if *scope >= needs => Ok(()),
        (Principal::Token { scope, .. }, Some(needs)) => Err(Error::Scope { needs, has: *scope }),
        (Principal::ControlPeer, Some(_)) => Err(Error::NotForYou("the control socket")),
        (Principal::LocalDev | Principal::Token { .. }, None) => Err(Error::NotForYou("the API")),
    }
}

impl Acting {
    /// Allows or refuses what concerns no one app.
    pub(super) fn may(&self, action: Action) -> Result<()> {
        decide(&self.principal, action)
    }
}

/// The app of a name that the caller is already allowed to act on.
pub(super) fn known_app(reader: &Reader, name: &AppName) -> Result<apps::App> {
    apps::by_name(reader, name)?.ok_or_else(|| Error::NoApp(name.to_string()))
}

/// The same, for a change: an app that is going takes none.
pub(super) fn living_app(reader: &Reader, name: &AppName) -> Result<apps::App> {
    let app = known_app(reader, name)?;
    if app.deleting {
        return Err(Error::Deleting(app.name));
    }
    Ok(app)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_table_of_who_may_do_what() {
        let token = |scope| Principal::Token {
            name: "t".into(),
            scope,
        };
        let principals = [
            ("dev", Principal::LocalDev),
            ("read", token(Scope::Read)),
            ("write", token(Scope::Write)),
            ("admin", token(Scope::Admin)),
            ("control", Principal::ControlPeer),
        ];
        let mut table = String::new();
        for action in Action::ALL {
            let allowed: Vec<_> = principals
                .iter()
                .filter(|(_, principal)| decide(principal, action).is_ok())
                .map(|(name, _)| *name)
                .collect();
            table.push_str(&format!("{action:?}: {}\n", allowed.join(" ")));
        }
        insta::assert_snapshot!(table, @r#"
        ReadApps: dev read write admin
        CreateApp: dev write admin
        ChangeApp: dev write admin
        DeleteApp: dev write admin
        ReadReleases: dev read write admin
        Deploy: dev write admin
        Rollback: dev write admin
        ReadConfig: dev write admin
        ReadConfigKeys: dev read write admin
        ChangeConfig: dev write admin
        ReadDomains: dev read write admin
        ChangeDomains: dev write admin
        ReadBuildpacks: dev read write admin
        ChangeBuildpacks: dev write admin
        ReadBindings: dev write admin
        ChangeBindings: dev write admin
        ReadVolumes: dev read write admin
        ChangeVolumes: dev write admin
        DestroyVolume: dev write admin
        UseServerFolders: dev admin
        ReadProcesses: dev read write admin
        Scale: dev write admin
        Restart: dev write admin
        Run: dev write admin
        Exec: dev write admin
        ReadLogs: dev read write admin
        ReadKeys: dev read write admin
        ChangeKeys: dev admin
        IdentifyKey: control
        Push: control
        ListLiving: control
        FollowRoutes: control
        RotateKey: control
        RebaseStack: dev admin control
        "#);
    }
}
