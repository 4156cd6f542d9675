//! uv, from the Python index, and what it is told: where the index is, what is trusted, how to install.
//!
//! uv does not read pip's settings. A server's owner has set them once, for pip: they are read from pip and
//! given to uv in its words. A setting for uv itself wins.

use crate::PythonBuildpack;
use buildpack_support::{
    Command, Result,
    command::find,
    download::Downloads,
    env as settings, files, layer,
    toolchain::{Index, pypi::Registry},
    version::{Requirement, Wanted, choose},
};
use libcnb::{Env, build::BuildContext, data::layer_name, layer_env::LayerEnv};
use std::{
    cell::OnceCell,
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// uv, ready to run.
#[derive(Debug)]
pub(crate) struct Uv {
    program: PathBuf,
    env: Env,
    cache: PathBuf,
    // pip is asked only when uv runs: a build that changes nothing does not.
    settings: OnceCell<Vec<(&'static str, String)>>,
}

impl Uv {
    /// The build image's uv or the newest, or the one that the app asks for.
    pub(crate) fn provide(context: &BuildContext<PythonBuildpack>, env: &Env) -> Result<Self> {
        let text = required(&context.app_dir)?.unwrap_or_else(|| ">=0".to_owned());
        let requirement = Requirement::pep440(&text)
            .or_else(|| Requirement::prefix(&text))
            .unwrap_or_else(|| Requirement::Prefix(text.clone()));
        let program = match image(env, &requirement) {
            Some(program) => program,
            None => install(context, env, &text, &requirement)?,
        };
        let cache = layer::cache(context, layer_name!("uv-cache"), "1".to_owned())?;
        Ok(Self {
            program,
            env: env.clone(),
            cache,
            settings: OnceCell::new(),
        })
    }

    /// A command in `env`, with what uv is told here.
    pub(crate) fn command(&self, env: &Env) -> Command {
        let mut env = env.clone();
        for (name, value) in self.settings() {
            env.insert(name, value);
        }
        env.insert("UV_CACHE_DIR", &self.cache)
            .insert("UV_PYTHON_DOWNLOADS", "never")
            .insert("UV_NO_PROGRESS", "1")
            .insert("UV_COMPILE_BYTECODE", "1")
            // A build machine may be busy.
            .insert("UV_COMPILE_BYTECODE_TIMEOUT", "600")
            // Bytecode that is valid whatever the times of files are in the image, and the same each time.
            .insert("PYC_INVALIDATION_MODE", "UNCHECKED_HASH")
            .insert("PYTHONHASHSEED", "0");
        Command::new(&self.program).envs(&env)
    }

    /// Whether packages come from another index than the public one.
    pub(crate) fn has_own_index(&self) -> bool {
        let is_told = self
            .settings()
            .iter()
            .any(|(name, _)| *name == "UV_DEFAULT_INDEX");
        is_told
            || ["UV_DEFAULT_INDEX", "UV_INDEX_URL"]
                .iter()
                .any(|name| settings::value(&self.env, name).is_some())
    }

    /// A setting of the build's environment.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        settings::value(&self.env, name).is_some()
    }

    fn settings(&self) -> &[(&'static str, String)] {
        self.settings
            .get_or_init(|| translate(&pip_settings(&self.env), &self.env))
    }
}

fn image(env: &Env, requirement: &Requirement) -> Option<PathBuf> {
    let program = find(env, "uv")?;
    let text = Command::new(&program).arg("--version").envs(env).output().ok()?;
    requirement
        .matches(text.split_whitespace().nth(1)?)
        .then_some(program)
}

fn install(
    context: &BuildContext<PythonBuildpack>,
    env: &Env,
    text: &str,
    requirement: &Requirement,
) -> Result<PathBuf> {
    let index = layer::cache(context, layer_name!("index"), "1".to_owned())?;
    let registry = Registry::new(env, Index::in_folder(&index));
    let available = registry.versions("uv")?;
    let wanted = Wanted {
        name: "uv",
        text,
        from: "tool.uv.required-version",
    };
    let version = choose(wanted, requirement, &available, env)?.version;
    let spec = layer::Spec {
        name: layer_name!("uv"),
        title: &format!("uv {version}"),
        build: true,
        launch: false,
        key: (version.clone(), std::env::consts::ARCH.to_owned()),
    };
    let downloads = Downloads::of(env);
    let layer = layer::keyed(context, &spec, |path| {
        let wheel = path.join(".wheel");
        registry.unpack(&downloads, ("uv", &version), &wheel)?;
        take(
            &wheel.join(format!("uv-{version}.data/scripts/uv")),
            &path.join("bin/uv"),
        )?;
        files::remove(&wheel)?;
        Ok(LayerEnv::new())
    })?;
    Ok(layer.path.join("bin/uv"))
}

fn take(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        files::make_dir(folder)?;
    }
    fs::rename(from, to)
        .and_then(|()| fs::set_permissions(to, fs::Permissions::from_mode(0o755)))
        .map_err(|error| buildpack_support::Failure::io("write", to, &error))
}

fn required(app_dir: &Path) -> Result<Option<String>> {
    let from = |text: String| -> Option<toml::Table> { text.parse().ok() };
    let project = files::read(app_dir, "pyproject.toml")?.and_then(from);
    let own = files::read(app_dir, "uv.toml")?.and_then(from);
    let of = |table: &toml::Table| Some(table.get("required-version")?.as_str()?.to_owned());
    let in_project = || of(project.as_ref()?.get("tool")?.get("uv")?.as_table()?);
    Ok(own.as_ref().and_then(of).or_else(in_project))
}

// `global.index-url='...'`, `:env:.index-url='...'`; later ones count, and the environment is the last.
fn pip_settings(env: &Env) -> BTreeMap<String, String> {
    let text = Command::new("pip3")
        .args(["config", "list"])
        .envs(env)
        .output()
        .unwrap_or_default();
    read_pip(&text)
}

fn read_pip(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for scope in ["global.", "install.", ":env:."] {
        for line in text.lines() {
            let Some((name, value)) = line.strip_prefix(scope).and_then(|line| line.split_once('=')) else {
                continue;
            };
            let value = value.trim().trim_matches(['\'', '"']).replace("\\n", " ");
            found.insert(name.trim().to_owned(), value);
        }
    }
    found
}

fn translate(pip: &BTreeMap<String, String>, env: &Env) -> Vec<(&'static str, String)> {
    let mut out = Vec::new();
    let mut set = |pips: &str, uvs: &'static str, others: &[&str], form: &dyn Fn(&str) -> String| {
        let is_set = std::iter::once(&uvs)
            .chain(others)
            .any(|name| settings::value(env, name).is_some());
        if let (Some(value), false) = (pip.get(pips), is_set) {
            out.push((uvs, form(value)));
        }
    };
    let words = |separator: &'static str| {
        move |value: &str| value.split_whitespace().collect::<Vec<_>>().join(separator)
    };
    set("index-url", "UV_DEFAULT_INDEX", &["UV_INDEX_URL"], &str::to_owned);
    set(
        "extra-index-url",
        "UV_INDEX",
        &["UV_EXTRA_INDEX_URL"],
        &words(" "),
    );
    set("find-links", "UV_FIND_LINKS", &[], &words(","));
    set("trusted-host", "UV_INSECURE_HOST", &[], &words(" "));
    set("cert", "SSL_CERT_FILE", &[], &str::to_owned);
    let no_index = pip
        .get("no-index")
        .is_some_and(|value| matches!(value.as_str(), "1" | "true" | "True"));
    if no_index {
        out.push(("UV_NO_INDEX", "1".to_owned()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uv_is_told_what_pip_is() {
        let pip = read_pip(
            ":env:.index-url='https://mirror/simple'\nglobal.index-url='https://other/simple'\n\
             global.extra-index-url='\\nhttps://a\\nhttps://b'\nglobal.find-links='/wheels /more'\nglobal.no-index='1'\n",
        );
        let env = Env::new();
        let found = translate(&pip, &env);
        assert_eq!(
            found,
            [
                ("UV_DEFAULT_INDEX", "https://mirror/simple".to_owned()),
                ("UV_INDEX", "https://a https://b".to_owned()),
                ("UV_FIND_LINKS", "/wheels,/more".to_owned()),
                ("UV_NO_INDEX", "1".to_owned()),
            ]
        );
        let mut env = Env::new();
        env.insert("UV_INDEX_URL", "https://mine/simple");
        assert!(
            translate(&pip, &env)
                .iter()
                .all(|(name, _)| *name != "UV_DEFAULT_INDEX")
        );
    }
}
