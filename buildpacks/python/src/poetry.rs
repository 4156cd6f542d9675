//! Poetry's lock as requirements, written by Poetry itself, in an environment of its own that no image has.
//!
//! uv installs them: it is quicker, and it asks the index that the server has set, which Poetry would not.

use crate::{PythonBuildpack, errors, interpreter::Python, uv::Uv};
use buildpack_support::{Failure, Result, files, layer, output};
use libcnb::{Env, build::BuildContext, data::layer_name, layer_env::LayerEnv};
use std::path::Path;
use toml::Value;

/// Writes the requirements of the lock to `file`; makes the lock first if there is none.
pub(crate) fn export(
    context: &BuildContext<PythonBuildpack>,
    uv: &Uv,
    python: &Python,
    env: &Env,
    is_locked: bool,
    file: &Path,
) -> Result<()> {
    let wanted = wanted(&files::read(&context.app_dir, "pyproject.toml")?.unwrap_or_default());
    let spec = layer::Spec {
        name: layer_name!("poetry"),
        title: "Poetry",
        build: false,
        launch: false,
        key: (wanted.clone(), python.key.clone()),
    };
    let layer = layer::keyed(context, &spec, |path| {
        uv.command(env)
            .arg("venv")
            .hidden_arg("--python")
            .hidden_arg(&python.program)
            .hidden_arg(path)
            .quiet()
            .run()
            .map_err(|error| errors::of(error, "Can't make an environment for Poetry"))?;
        uv.command(env)
            .args([
                "pip",
                "install",
                &format!("poetry{wanted}"),
                "poetry-plugin-export",
            ])
            .env("VIRTUAL_ENV", path)
            .quiet()
            .run()
            .map_err(|error| errors::of(error, "Poetry can't be installed"))?;
        Ok(LayerEnv::new())
    })?;
    let poetry = |arguments: &[&str]| {
        buildpack_support::Command::new(layer.path.join("bin/poetry"))
            .args(arguments)
            .envs(env)
            .env("POETRY_NO_INTERACTION", "1")
            .env("POETRY_VIRTUALENVS_CREATE", "false")
            .env("POETRY_CACHE_DIR", std::env::temp_dir().join("poetry"))
            .dir(&context.app_dir)
    };
    if !is_locked {
        let step = output::step("Locking with Poetry");
        poetry(&["lock"])
            .run()
            .map_err(|error| errors::of(error, "Poetry can't lock the app's packages"))?;
        step.done();
    }
    poetry(&["export", "--format", "requirements.txt", "--only", "main"])
        .arg("--with-credentials")
        .hidden_arg("--output")
        .hidden_arg(file)
        .quiet()
        .run()
        .map_err(|error| {
            if error.says("changed significantly") || error.says("poetry.lock is not up to date") || error.says("poetry lock") {
                return out_of_date();
            }
            error.failure_with_tail(
                "Poetry can't read the app's lock",
                "Does `poetry check --lock` succeed where you work? Run `poetry lock`, commit poetry.lock and push again.",
            )
        })
}

fn out_of_date() -> Failure {
    Failure::new(
        "poetry.lock is out of date",
        "pyproject.toml was changed after it.",
        "Run `poetry lock`, commit poetry.lock and push again.",
    )
}

// `requires-poetry`, else version 2, which reads the locks of version 1 too.
fn wanted(project: &str) -> String {
    let project: toml::Table = project.parse().unwrap_or_default();
    project
        .get("tool")
        .and_then(|tool| tool.get("poetry")?.get("requires-poetry"))
        .and_then(Value::as_str)
        .filter(|text| text.starts_with(['<', '>', '=', '~', '!']))
        .unwrap_or(">=2,<3")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poetry_itself_can_be_asked_for() {
        assert_eq!(wanted("[tool.poetry]\nrequires-poetry = '>=1.8,<2'"), ">=1.8,<2");
        assert_eq!(wanted("[tool.poetry]\nname = 'a'"), ">=2,<3");
    }

    #[test]
    fn a_lock_out_of_date_is_told() {
        insta::assert_snapshot!(out_of_date().text(), @r"
        poetry.lock is out of date

        pyproject.toml was changed after it.

        Run `poetry lock`, commit poetry.lock and push again.
        ");
    }
}
