//! How each package manager installs, prunes and is set up.

use crate::{manager::Kind, project::Project};
use buildpack_support::{Command, Result, files};
use libcnb::Env;
use std::path::Path;

/// What an install brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Dev dependencies too: scripts run.
    Everything,
    /// What the image needs.
    Production,
}

/// Variables for all that runs, with the package manager's cache in `cache`.
pub(crate) fn settings(kind: Kind, version: u64, app: &Path, cache: &Path, env: &mut Env) {
    if !env.contains_key("NODE_ENV") {
        env.insert("NODE_ENV", "production");
    }
    // Git hooks are for people's machines; a build has no terminal.
    env.insert("HUSKY", "0")
        .insert("npm_config_progress", "false")
        .insert("npm_config_update_notifier", "false");
    env.insert("npm_config_audit", "false")
        .insert("npm_config_fund", "false");
    match kind {
        Kind::Npm => {
            env.insert("npm_config_cache", cache);
            if version < 7 {
                env.insert("npm_config_production", "false");
            }
        }
        Kind::Pnpm => {
            // pnpm 11 reads its settings under its own name.
            for prefix in ["npm_config", "pnpm_config"] {
                env.insert(format!("{prefix}_store_dir"), cache.join("store"));
                env.insert(format!("{prefix}_cache_dir"), cache.join("cache"));
                env.insert(format!("{prefix}_confirm_modules_purge"), "false");
                env.insert(format!("{prefix}_manage_package_manager_versions"), "false");
                env.insert(format!("{prefix}_verify_deps_before_run"), "false");
            }
        }
        Kind::YarnClassic => {
            env.insert("YARN_CACHE_FOLDER", cache);
        }
        Kind::Yarn => {
            env.insert("YARN_ENABLE_TELEMETRY", "0")
                .insert("YARN_ENABLE_PROGRESS_BARS", "0");
            env.insert("YARN_IGNORE_PATH", "1");
            if !has_own_cache(app) {
                env.insert("YARN_GLOBAL_FOLDER", cache)
                    .insert("YARN_ENABLE_GLOBAL_CACHE", "true");
            }
        }
        Kind::Bun => {
            env.insert("BUN_INSTALL_CACHE_DIR", cache);
        }
    }
}

/// Whether Yarn's cache is committed ("zero install").
pub(crate) fn has_own_cache(app: &Path) -> bool {
    app.join(".yarn/cache").is_dir()
}

/// Installs from the lockfile, or by the ranges in package.json if there is none.
pub(crate) fn install(project: &Project, wanted: Wanted) -> Command {
    let has_lockfile = project.manager.lockfile.is_some();
    let everything = wanted == Wanted::Everything;
    let version = project.manager_major();
    let command = project.command();
    match project.manager.kind {
        Kind::Npm => {
            let verb = if has_lockfile && version >= 6 {
                "ci"
            } else {
                "install"
            };
            let include = match (everything, version) {
                (true, 7..) => Some("--include=dev"),
                (false, 7..) => Some("--omit=dev"),
                (false, _) => Some("--only=production"),
                (true, _) => None,
            };
            let command = command.arg(verb).args(include);
            // A lockfile made here would be in the image, and look like the app's own.
            if has_lockfile {
                command
            } else {
                command.arg("--no-package-lock")
            }
        }
        Kind::Pnpm => command
            .arg("install")
            .arg(if has_lockfile {
                "--frozen-lockfile"
            } else {
                "--no-frozen-lockfile"
            })
            .arg(if everything { "--prod=false" } else { "--prod" }),
        Kind::YarnClassic => command
            .arg("install")
            .args(has_lockfile.then_some("--frozen-lockfile"))
            .arg(if everything {
                "--production=false"
            } else {
                "--production"
            })
            .hidden_arg("--non-interactive"),
        Kind::Yarn if !everything && can_focus(project) && has_lockfile => {
            command.args(["workspaces", "focus", "--all", "--production"])
        }
        Kind::Yarn => {
            let flag = if has_lockfile {
                "--immutable"
            } else {
                "--no-immutable"
            };
            let cache = (has_own_cache(&project.app) && version >= 4).then_some("--immutable-cache");
            command
                .args(["install", flag])
                .args(cache)
                .hidden_arg("--inline-builds")
        }
        Kind::Bun => command
            .arg("install")
            .args(has_lockfile.then_some("--frozen-lockfile"))
            .args((!everything).then_some("--production")),
    }
}

/// Removes dev dependencies from what is installed; `None` if this package manager can't.
pub(crate) fn prune(project: &Project) -> Result<Option<Command>> {
    let command = project.command();
    Ok(match project.manager.kind {
        Kind::Npm if project.manager_major() >= 7 => {
            let command = command.args(["prune", "--omit=dev", "--ignore-scripts"]);
            // Told to ignore a lockfile that is there, npm would choose all versions anew.
            Some(command.arg(if project.manager.lockfile.is_some() {
                "--no-save"
            } else {
                "--no-package-lock"
            }))
        }
        Kind::Npm => Some(command.args(["prune", "--production"])),
        Kind::Pnpm if project.is_workspace() || project.manager_major() >= 12 => Some(command.args([
            "install",
            "--prod",
            "--offline",
            if project.manager.lockfile.is_some() {
                "--frozen-lockfile"
            } else {
                "--no-frozen-lockfile"
            },
            "--ignore-scripts",
        ])),
        Kind::Pnpm => Some(command.args(["prune", "--prod", "--ignore-scripts"])),
        Kind::YarnClassic => Some(
            command
                .args(["install", "--production", "--ignore-scripts", "--prefer-offline"])
                .hidden_arg("--non-interactive")
                .hidden_arg("--frozen-lockfile"),
        ),
        Kind::Yarn if can_focus(project) => {
            Some(command.args(["workspaces", "focus", "--all", "--production"]))
        }
        Kind::Yarn => None,
        // Bun has no prune, and installs anew with the scripts of the app itself, which may need what is gone.
        Kind::Bun if project.package_json.lifecycle().is_empty() => {
            for folder in crate::tree::module_folders(&project.app) {
                files::remove(&project.app.join(folder))?;
            }
            Some(install(project, Wanted::Production))
        }
        Kind::Bun => None,
    })
}

// Built in since Yarn 4, a plugin before.
fn can_focus(project: &Project) -> bool {
    project.manager_major() >= 4
        || files::exists(&project.app, ".yarn/plugins/@yarnpkg/plugin-workspace-tools.cjs")
}
