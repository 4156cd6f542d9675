//! The app's packages, in a virtual environment that is a layer.
//!
//! Its path is the same in the build and in the image, so nothing in it needs to be moved. It is kept as long
//! as what it was made from stays, and otherwise made anew: uv takes what it had before from its cache.

use crate::{
    PythonBuildpack, asgi, errors, former_parts,
    inputs::{self, Itself},
    interpreter::Python,
    libraries,
    manager::{self, Manager},
    pipfile, poetry,
    uv::Uv,
};
use buildpack_support::{
    Command, Failure, Result, files,
    layer::{self, Layer},
    output,
};
use libcnb::{
    Env,
    build::BuildContext,
    data::layer_name,
    layer_env::{LayerEnv, ModificationBehavior, Scope},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fs, path::Path};

/// The environment.
#[derive(Debug)]
pub(crate) struct Venv {
    pub(crate) layer: Layer,
    packages: BTreeSet<String>,
}

impl Venv {
    /// Whether a package is installed; `name` as the index compares names.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.packages.contains(name)
    }

    #[cfg(test)]
    pub(crate) fn of(packages: &[&str]) -> Self {
        Self {
            layer: Layer {
                path: "/layers/venv".into(),
                env: LayerEnv::new(),
                reused: false,
            },
            packages: packages.iter().map(|name| (*name).to_owned()).collect(),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
struct Key {
    python: String,
    manager: String,
    inputs: String,
    arch: String,
}

struct Install<'a> {
    context: &'a BuildContext<PythonBuildpack>,
    uv: &'a Uv,
    python: &'a Python,
    env: Env,
    venv: &'a Path,
    has_copies: bool,
}

/// Installs what the app asks for.
pub(crate) fn install(
    context: &BuildContext<PythonBuildpack>,
    manager: &Manager,
    uv: &Uv,
    python: &Python,
    env: &Env,
) -> Result<Venv> {
    match manager {
        Manager::Nothing => {
            output::step("Installing packages").quiet();
            output::warning("No file names packages to install (such as requirements.txt): there are none.");
        }
        manager => output::step(format!(
            "Installing packages with {} ({})",
            manager.name(),
            manager.file()
        ))
        .quiet(),
    }
    let inputs = inputs::read(&context.app_dir, *manager)?;
    let spec = layer::Spec {
        name: layer_name!("venv"),
        title: "Packages",
        build: true,
        launch: true,
        key: Key {
            python: python.key.clone(),
            manager: manager.file().to_owned(),
            inputs: inputs.digest,
            arch: std::env::consts::ARCH.to_owned(),
        },
    };
    let layer = layer::keyed(context, &spec, |path| {
        let install = Install {
            context,
            uv,
            python,
            env: env.clone(),
            venv: path,
            has_copies: inputs.has_copies,
        };
        install.make_venv()?;
        match install.packages(*manager) {
            Err(failure) if former_parts::is_missing_in_a_build(&failure) => {
                output::detail(format!(
                    "A package's own build imports pkg_resources: once more with {}",
                    former_parts::SETUPTOOLS
                ));
                let folder = files::temporary()?;
                let env = former_parts::in_builds(env, folder.path())?;
                Install { env, ..install }.packages(*manager)?;
            }
            other => other?,
        }
        libraries::note(path)?;
        let mut layer_env = LayerEnv::new();
        layer_env.insert(Scope::All, ModificationBehavior::Override, "VIRTUAL_ENV", path);
        Ok(layer_env)
    })?;
    libraries::provide(context, &layer.path, &python.packages)?;
    let packages = installed(&layer.path);
    output::detail(output::count(packages.len(), "package"));
    Ok(Venv { layer, packages })
}

impl Install<'_> {
    fn make_venv(&self) -> Result<()> {
        self.uv
            .command(&self.env)
            .arg("venv")
            .hidden_arg("--allow-existing")
            .hidden_arg("--python")
            .hidden_arg(&self.python.program)
            .hidden_arg(self.venv)
            .quiet()
            .run()
            .map_err(|error| errors::of(error, "Can't make a virtual environment"))?;
        // For shells that no image has.
        for name in ["bat", "csh", "fish", "nu", "ps1", "xsh"] {
            files::remove(&self.venv.join(format!("bin/activate.{name}")))?;
        }
        for name in ["deactivate.bat", "pydoc.bat"] {
            files::remove(&self.venv.join("bin").join(name))?;
        }
        Ok(())
    }

    // `uv ARGUMENTS` on the environment, in the app's folder.
    fn uv(&self, arguments: &[&str]) -> Command {
        self.uv
            .command(&self.env)
            .args(arguments)
            .env("VIRTUAL_ENV", self.venv)
            .env("UV_PROJECT_ENVIRONMENT", self.venv)
            .env("UV_PYTHON", self.venv.join("bin/python"))
            .dir(&self.context.app_dir)
    }

    fn run(&self, command: Command) -> Result<()> {
        let shown = command.shown().to_owned();
        self.run_as(&shown, command)
    }

    fn run_as(&self, shown: &str, command: Command) -> Result<()> {
        output::detail(format!("$ {shown}"));
        // uv knows a folder by the time of its pyproject.toml only.
        let command = if self.has_copies {
            command.hidden_arg("--refresh")
        } else {
            command
        };
        command
            .run()
            .map_err(|error| errors::of(error, "The app's packages can't be installed"))
    }

    fn packages(&self, manager: Manager) -> Result<()> {
        let app_dir = &self.context.app_dir;
        match manager {
            Manager::Uv => self.locked_by_uv()?,
            Manager::Poetry { is_locked } => {
                let folder = files::temporary()?;
                let file = folder.path().join("requirements.txt");
                poetry::export(self.context, self.uv, self.python, &self.env, is_locked, &file)?;
                self.requirements(&file, "poetry.lock", true)?;
                self.itself()?;
            }
            Manager::Pipenv { is_locked } => {
                let text = files::read(app_dir, "Pipfile")?.unwrap_or_default();
                let wanted = text.parse::<toml::Table>().map_err(|error| {
                    Failure::new(
                        "The Pipfile can't be read",
                        error.to_string(),
                        "Correct it, commit and push again.",
                    )
                })?;
                let text = if is_locked {
                    let lock = files::read(app_dir, "Pipfile.lock")?.unwrap_or_default();
                    pipfile::locked(&lock, &pipfile::names(&wanted))?
                } else {
                    pipfile::unlocked(&wanted)
                };
                let folder = files::temporary()?;
                let file = folder.path().join("requirements.txt");
                files::write(&file, text)?;
                self.requirements(&file, manager.file(), is_locked)?;
            }
            Manager::Pip | Manager::Pylock => {
                let command = self.uv(&["pip", "install", "-r", manager.file()]);
                self.run(self.like_pip(command))?;
            }
            Manager::Project | Manager::Setup => self.project()?,
            Manager::Nothing => {}
        }
        // Older code takes this package for a part of Python, which it was until 3.12.
        let importer = former_parts::importer(self.venv);
        if let Some(module) = &importer {
            output::detail(format!(
                "{module} imports pkg_resources: setuptools is to have it"
            ));
        }
        if importer.is_some() || self.python.is_newer && manager != Manager::Nothing {
            self.run(self.uv(&["pip", "install", former_parts::SETUPTOOLS]).quiet())?;
        }
        if let Some(framework) = asgi::without_server(&installed(self.venv)) {
            output::warning(format!(
                "{framework} is called by a server, and the app installs none: {0} is installed besides.\n\
                 Add {0} to what the app installs, to have the version that you tried.",
                asgi::SERVER
            ));
            self.run(self.uv(&["pip", "install", asgi::SERVER]))?;
        }
        Ok(())
    }

    // Exactly what the lock has, as uv installs it; from another index than the one in the lock, or for another
    // Python than it allows, by its list of requirements.
    fn locked_by_uv(&self) -> Result<()> {
        if !self.uv.has_own_index() && !self.python.is_refused {
            let mut arguments = vec!["sync", "--locked", "--no-default-groups"];
            if self.is_workspace_only()? {
                arguments.push("--all-packages");
            }
            return self.run(self.uv(&arguments));
        }
        let folder = files::temporary()?;
        let file = folder.path().join("requirements.txt");
        let mut command = self.uv(&["export", "--frozen", "--no-default-groups"]);
        if self.is_workspace_only()? {
            command = command.arg("--all-packages");
        }
        if self.python.is_refused {
            // The app itself refuses this Python; its folder is on the path anyway.
            command = command.arg("--no-emit-project");
        }
        let command = command.hidden_arg("--output-file").hidden_arg(&file).quiet();
        command
            .run()
            .map_err(|error| errors::of(error, "uv.lock can't be read"))?;
        self.requirements(&file, "uv.lock", true)
    }

    fn is_workspace_only(&self) -> Result<bool> {
        let text = files::read(&self.context.app_dir, "pyproject.toml")?.unwrap_or_default();
        Ok(!manager::parse(&text)?.contains_key("project"))
    }

    // `file` has the requirements that were read from `from`.
    fn requirements(&self, file: &Path, from: &str, is_locked: bool) -> Result<()> {
        let mut command = self.uv(&["pip", "install"]);
        if is_locked {
            command = command.arg("--no-deps");
        }
        let command = command.arg("-r").hidden_arg(file);
        let shown = format!("{} <packages of {from}>", command.shown());
        self.run_as(&shown, self.like_pip(command))
    }

    // pip looks in all indexes for the best version; uv would take the first index that has the package.
    fn like_pip(&self, command: Command) -> Command {
        if self.uv.is_set("UV_INDEX_STRATEGY") {
            return command;
        }
        command.env("UV_INDEX_STRATEGY", "unsafe-best-match")
    }

    // pyproject.toml or setup.py without a lock.
    fn project(&self) -> Result<()> {
        let is_described = files::exists(&self.context.app_dir, "pyproject.toml");
        let itself = inputs::itself(&self.context.app_dir)?;
        let only_packages = || self.run(self.like_pip(self.uv(&["pip", "install", "-r", "pyproject.toml"])));
        if itself == Itself::No || is_described && self.python.is_refused {
            return only_packages();
        }
        let mut command = self.uv(&["pip", "install"]);
        if itself == Itself::InPlace {
            command = command.arg("-e");
        }
        let installed = self.run(self.like_pip(command.arg(".")));
        match installed {
            Err(failure) if is_described && self.is_not_buildable(&failure) => {
                output::warning(
                    "The app itself is no package that can be installed (see above): only what it needs is installed.",
                );
                only_packages()
            }
            other => other,
        }
    }

    // The layout of many an app is not one of a package, whatever its pyproject.toml says.
    fn is_not_buildable(&self, failure: &Failure) -> bool {
        [
            "Multiple top-level",
            "Unable to determine which files to ship",
            "does not appear to be a Python project",
            "No file/folder found for package",
        ]
        .iter()
        .any(|sign| failure.why().contains(sign))
    }

    fn itself(&self) -> Result<()> {
        let mut command = self.uv(&["pip", "install", "--no-deps"]);
        match inputs::itself(&self.context.app_dir)? {
            Itself::No => return Ok(()),
            _ if self.python.is_refused => return Ok(()),
            Itself::InPlace => command = command.arg("-e"),
            Itself::Copied => {}
        }
        let command = command.arg(".").quiet();
        output::detail(format!("$ {}", command.shown()));
        // What has no package of its name works all the same: Python finds its modules in the app's folder.
        if let Err(error) = command.run() {
            let why = error
                .tail
                .iter()
                .rfind(|line| line.contains("Error: ") || line.contains("No file/folder"))
                .map_or("", String::as_str);
            output::warning(format!(
                "The app itself can't be installed as a package:\n{}\n\
                 If it is none, say so: `package-mode = false` in [tool.poetry].",
                why.trim()
            ));
        }
        Ok(())
    }
}

fn installed(venv: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let folders = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
    for python in folders(&venv.join("lib")) {
        for entry in folders(&python.path().join("site-packages")) {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if let Some((name, _)) = name
                .strip_suffix(".dist-info")
                .and_then(|name| name.rsplit_once('-'))
            {
                found.insert(pipfile::normal(name));
            }
        }
    }
    found
}
