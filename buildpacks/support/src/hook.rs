//! Programs of the app that a build runs where they are, as Heroku's buildpacks do: `bin/pre_compile` and the like.

use crate::{Command, Result, output};
use libcnb::Env;
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

/// Runs the file `name` in the app's folder, if it is there and may be run.
pub fn run(app_dir: &Path, env: &Env, name: &str) -> Result<()> {
    let program = app_dir.join(name);
    let is_program = fs::metadata(&program)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0);
    if !is_program {
        return Ok(());
    }
    let step = output::step(format!("Running {name}"));
    Command::new(program)
        .envs(env)
        .dir(app_dir)
        .run()
        .map_err(|error| {
            error.failure(
                format!("{name} failed"),
                "Its output is above. Correct it, commit and push again.",
            )
        })?;
    step.done();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    #[test]
    fn a_hook_runs_in_the_apps_folder_and_only_a_program_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut env = Env::new();
        env.insert("PATH", "/usr/bin:/bin");
        let hook = dir.path().join("bin/pre");
        run(dir.path(), &env, "bin/pre").unwrap();
        files::write(&hook, "#!/bin/sh\necho ran >here\n[ ! -f stop ]\n").unwrap();
        run(dir.path(), &env, "bin/pre").unwrap();
        assert!(!dir.path().join("here").exists());
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
        run(dir.path(), &env, "bin/pre").unwrap();
        assert!(dir.path().join("here").exists());
        files::write(&dir.path().join("stop"), "").unwrap();
        insta::assert_snapshot!(run(dir.path(), &env, "bin/pre").unwrap_err().text(), @r"
        bin/pre failed

        `pre` ended with status 1.

        Its output is above. Correct it, commit and push again.
        ");
    }
}
