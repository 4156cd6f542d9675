//! The interpreter and the packages together: packages that can't be built for the newest Python may be compiled
//! already for an older one, which is tried once. What was found out is remembered as long as the packages stay.

use crate::{
    PythonBuildpack,
    dependencies::{self, Venv},
    errors, inputs,
    interpreter::{self, Python},
    manager::Manager,
    uv::Uv,
};
use buildpack_support::{Failure, Result, files, hook, layer, output};
use libcnb::{Env, build::BuildContext, data::layer_name};

type Context = BuildContext<PythonBuildpack>;

/// Gives the packages, and `env` with the interpreter.
pub(crate) fn install(context: &Context, manager: Manager, uv: &Uv, env: &Env) -> Result<(Venv, Env)> {
    let memory = layer::cache(context, layer_name!("index"), "1".to_owned())?.join("needs-older-python");
    let inputs = inputs::read(&context.app_dir, manager)?.digest;
    let is_known = std::fs::read_to_string(&memory).is_ok_and(|text| text == inputs);
    let remembered = if is_known {
        interpreter::older(context, env, None)?
    } else {
        None
    };
    let python = match &remembered {
        Some(older) => {
            output::detail("The app's packages can't be built for a newer Python, as an earlier build found");
            interpreter::provide_older(context, env, older)?
        }
        None => interpreter::provide(context, uv, env)?,
    };
    let with = |python: &Python| -> Result<(Venv, Env)> {
        let env = python.layer.apply(env);
        hook::run(&context.app_dir, &env, "bin/pre_compile")?;
        let venv = dependencies::install(context, &manager, uv, python, &env)?;
        Ok((venv, env))
    };
    let first = with(&python);
    let failure = match first {
        Err(failure) if remembered.is_none() && errors::is_of_a_build(&failure) => failure,
        other => return other,
    };
    let Some(older) = interpreter::older(context, env, Some(&python))? else {
        return Err(failure);
    };
    output::warning(warning(&failure, &python.version, &older.version));
    let python = interpreter::provide_older(context, env, &older)?;
    // If that is no better, what the newer one said counts.
    let installed = with(&python).map_err(|_| failure)?;
    files::write(&memory, inputs)?;
    Ok(installed)
}

fn warning(failure: &Failure, version: &str, older: &str) -> String {
    let why = failure.why().lines().next().unwrap_or_default();
    format!(
        "The app's packages can't be installed with Python {version}: once more with {older}.\n{why}\n\
         Ask for {} in .python-version, or for newer packages, to have it at once; PVDIFY_RUNTIME_FALLBACK=off would \
         make this an error.",
        older.rsplit_once('.').map_or(older, |(line, _)| line),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_attempt_says_why() {
        let failure = Failure::new(
            "x",
            "A package is too old for this Python: its code in C does not compile with it.\nmore",
            "y",
        );
        insta::assert_snapshot!(warning(&failure, "3.13.5", "3.11.2"), @r"
        The app's packages can't be installed with Python 3.13.5: once more with 3.11.2.
        A package is too old for this Python: its code in C does not compile with it.
        Ask for 3.11 in .python-version, or for newer packages, to have it at once; PVDIFY_RUNTIME_FALLBACK=off would make this an error.
        ");
    }
}
