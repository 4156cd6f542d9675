//! What every step of a build needs to know of the app: its files, its package manager, its environment.

use crate::{
    manager::{Kind, Manager},
    package_json::PackageJson,
    workspace::Member,
};
use buildpack_support::{Command, procfile::Procfile};
use libcnb::Env;
use std::path::PathBuf;

/// The app, with its tools chosen and installed.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    pub(crate) app: PathBuf,
    pub(crate) package_json: PackageJson,
    /// The package of the workspace that is started in the root's place.
    pub(crate) member: Option<Member>,
    pub(crate) procfile: Procfile,
    pub(crate) manager: Manager,
    /// The exact version of the package manager.
    pub(crate) manager_version: String,
    /// The exact version of Node.js.
    pub(crate) node_version: String,
    /// For everything that runs: tools on PATH, caches, production.
    pub(crate) env: Env,
    /// The app is in another language; Node.js builds its front end.
    pub(crate) is_helper: bool,
    /// Something of Node.js runs in the image.
    pub(crate) launch: bool,
}

impl Project {
    /// The package manager, in the app's folder.
    pub(crate) fn command(&self) -> Command {
        Command::new(self.manager.kind.program())
            .envs(&self.env)
            .dir(&self.app)
    }

    /// What is started: a package of the workspace, seen as an app of its own, or the app itself.
    pub(crate) fn started(&self) -> Self {
        let mut started = self.clone();
        if let Some(member) = started.member.take() {
            started.app = self.app.join(&member.path);
            started.package_json = member.json;
        }
        started
    }

    /// The first number of the package manager's version.
    pub(crate) fn manager_major(&self) -> u64 {
        major(&self.manager_version)
    }

    /// A script of package.json, by the package manager.
    pub(crate) fn run_script(&self, name: &str) -> Command {
        self.command().args(["run", name])
    }

    /// Whether a process or `start` names `program`.
    pub(crate) fn runs(&self, program: &str) -> bool {
        let names = |text: &str| {
            text.split(|c: char| c.is_whitespace() || "&|;()'\"".contains(c))
                .any(|word| word == program)
        };
        self.procfile.entries.iter().any(|entry| names(&entry.command))
            || self.package_json.script("start").is_some_and(names)
            || self
                .member
                .as_ref()
                .and_then(|member| member.json.script("start"))
                .is_some_and(names)
    }

    /// Whether the app is made of several packages.
    pub(crate) fn is_workspace(&self) -> bool {
        self.package_json.has_workspaces()
            || (self.manager.kind == Kind::Pnpm && self.app.join("pnpm-workspace.yaml").is_file())
    }
}

/// The first number of a version.
pub(crate) fn major(version: &str) -> u64 {
    version
        .split('.')
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
impl Project {
    /// The app in a folder, with tools as a test needs them.
    pub(crate) fn of(app: &std::path::Path, kind: Kind) -> Self {
        Self {
            app: app.to_owned(),
            package_json: PackageJson::of(app).unwrap().unwrap_or_default(),
            member: None,
            procfile: Procfile::of(app).unwrap().unwrap_or_default(),
            manager: Manager {
                kind,
                version: None,
                line: None,
                from: String::new(),
                lockfile: Some(kind.lockfiles()[kind.lockfiles().len() - 1]),
                vendored: None,
            },
            manager_version: "11.0.0".into(),
            node_version: "24.1.0".into(),
            env: Env::new(),
            is_helper: false,
            launch: true,
        }
    }
}
