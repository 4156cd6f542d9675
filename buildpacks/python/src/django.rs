//! Django's static files are collected in the build, as on Heroku, so that the image has them.

use crate::dependencies::Venv;
use buildpack_support::{
    Command, Failure, Result,
    command::{Cause, CommandError},
    env as settings, files, output,
};
use libcnb::Env;
use std::{fs, path::Path};

/// The app's `manage.py`: in its folder or one below.
pub(crate) fn manage(app_dir: &Path) -> Option<String> {
    if files::exists(app_dir, "manage.py") {
        return Some("manage.py".to_owned());
    }
    let mut folders: Vec<String> = fs::read_dir(app_dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.') && files::exists(&app_dir.join(name), "manage.py"))
        .collect();
    folders.sort();
    folders.first().map(|folder| format!("{folder}/manage.py"))
}

/// Runs `collectstatic`, where the app has that command and did not forbid it.
pub(crate) fn collect_static(app_dir: &Path, venv: &Venv, env: &Env) -> Result<()> {
    let Some(manage) = manage(app_dir).filter(|_| venv.has("django")) else {
        return Ok(());
    };
    let step = output::step("Collecting static files");
    if settings::is_on(env, "DISABLE_COLLECTSTATIC") {
        output::detail("Left out: DISABLE_COLLECTSTATIC is set");
        return Ok(());
    }
    let python = |arguments: &[&str]| {
        Command::new(venv.layer.path.join("bin/python"))
            .hidden_arg(&manage)
            .args(arguments)
            .envs(env)
            .dir(app_dir)
    };
    match python(&["help", "collectstatic"]).output() {
        Ok(_) => {}
        Err(error) if error.says("Unknown command") => {
            output::detail("Left out: django.contrib.staticfiles is not in INSTALLED_APPS");
            return Ok(());
        }
        Err(error) => return Err(failed(&error)),
    }
    output::detail(format!("$ python {manage} collectstatic --noinput"));
    match python(&["collectstatic", "--noinput"]).quiet().run() {
        Ok(()) => {
            step.done();
            Ok(())
        }
        Err(error) if error.says("without having set the STATIC_ROOT") => {
            output::warning(
                "STATIC_ROOT is not set: Django's static files are not collected.\n\
                 With DEBUG off nothing serves them. Set it, or DISABLE_COLLECTSTATIC=1 if there are none.",
            );
            Ok(())
        }
        Err(error) => Err(failed(&error)),
    }
}

fn failed(error: &CommandError) -> Failure {
    let mut why = match error.cause {
        Cause::Status(_) => "The end of its output:".to_owned(),
        _ => error.to_string(),
    };
    let first = error.tail.len().saturating_sub(12);
    for line in &error.tail[first..] {
        why.push_str("\n  ");
        why.push_str(line);
    }
    let variable = variable(&error.tail);
    let fix = match variable {
        Some(name) => format!(
            "The app's settings want the variable {name} in the build. Give it a default in the settings, or set it \
             for builds (any value that the settings accept will do), or DISABLE_COLLECTSTATIC=1 to leave this out."
        ),
        None if error.says("No module named") || error.says("ModuleNotFoundError") => {
            "A module that the settings use is not installed: add its package to the file that names the app's \
             packages. DISABLE_COLLECTSTATIC=1 leaves this step out."
                .to_owned()
        }
        None => "Does `python manage.py collectstatic` succeed where you work, with the app's settings for production? \
                 DISABLE_COLLECTSTATIC=1, set for builds, leaves this step out."
            .to_owned(),
    };
    Failure::new("Django's static files can't be collected", why, fix)
}

// The variable that the settings miss: `KeyError: 'X'`, python-decouple's and django-environ's words for it.
fn variable(tail: &[String]) -> Option<&str> {
    let stated = tail.iter().rev().find_map(|line| {
        // DATABASE_URL environment variable not defined
        let word = line.split(" environment variable").next()?.rsplit(' ').next()?;
        (line.contains(" environment variable") && name(word) == Some(word)).then_some(word)
    });
    stated.or_else(|| named_after_a_sign(tail))
}

fn named_after_a_sign(tail: &[String]) -> Option<&str> {
    tail.iter().rev().find_map(|line| {
        let rest = [
            "KeyError: '",
            "Set the ",
            "UndefinedValueError: ",
            "The SECRET_KEY setting must not be empty",
        ]
        .iter()
        .find_map(|sign| {
            let (_, rest) = line.split_once(sign)?;
            Some(if sign.starts_with("The ") {
                "SECRET_KEY"
            } else {
                rest
            })
        })?;
        name(rest)
    })
}

// The name of a variable that a text begins with.
fn name(text: &str) -> Option<&str> {
    let length = text
        .find(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_')
        .unwrap_or(text.len());
    (length > 2).then_some(&text[..length])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(lines: &[&str]) -> String {
        let tail = lines.iter().map(|line| (*line).to_owned()).collect();
        failed(&CommandError {
            command: "python collectstatic".to_owned(),
            cause: Cause::Status(1),
            tail,
        })
        .text()
    }

    #[test]
    fn a_variable_that_the_settings_want() {
        insta::assert_snapshot!(failure(&["  File \"settings.py\", line 3", "KeyError: 'SECRET_KEY'"]), @r#"
        Django's static files can't be collected

        The end of its output:
            File "settings.py", line 3
          KeyError: 'SECRET_KEY'

        The app's settings want the variable SECRET_KEY in the build. Give it a default in the settings, or set it for builds (any value that the settings accept will do), or DISABLE_COLLECTSTATIC=1 to leave this out.
        "#);
        for line in [
            "django.core.exceptions.ImproperlyConfigured: Set the DATABASE_URL environment variable",
            "Exception: DATABASE_URL environment variable not defined",
            "decouple.UndefinedValueError: DATABASE_URL not found. Declare it as envvar or define a default value.",
        ] {
            assert!(failure(&[line]).contains("the variable DATABASE_URL"), "{line}");
        }
        assert!(failure(&["The SECRET_KEY setting must not be empty."]).contains("the variable SECRET_KEY"));
    }

    #[test]
    fn a_module_that_is_missing() {
        insta::assert_snapshot!(failure(&["ModuleNotFoundError: No module named 'whitenoise'"]), @r"
        Django's static files can't be collected

        The end of its output:
          ModuleNotFoundError: No module named 'whitenoise'

        A module that the settings use is not installed: add its package to the file that names the app's packages. DISABLE_COLLECTSTATIC=1 leaves this step out.
        ");
    }

    #[test]
    fn anything_else() {
        insta::assert_snapshot!(failure(&["ValueError: bad manifest"]), @r"
        Django's static files can't be collected

        The end of its output:
          ValueError: bad manifest

        Does `python manage.py collectstatic` succeed where you work, with the app's settings for production? DISABLE_COLLECTSTATIC=1, set for builds, leaves this step out.
        ");
    }

    #[test]
    fn manage_is_found_in_the_folder_or_one_below() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(manage(dir.path()), None);
        files::write(&dir.path().join("site/manage.py"), "").unwrap();
        assert_eq!(manage(dir.path()).as_deref(), Some("site/manage.py"));
        files::write(&dir.path().join("manage.py"), "").unwrap();
        assert_eq!(manage(dir.path()).as_deref(), Some("manage.py"));
    }
}
