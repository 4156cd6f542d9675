//! The default process types, as Heroku: `web` by what the app is, `console` and `rake` beside it.

use crate::gemfile::Lock;
use buildpack_support::{
    Result, files, output,
    process::{direct, shell},
    procfile::Procfile,
};
use libcnb::data::{launch::Process, process_type};
use std::path::Path;

/// The process types that the Procfile does not give.
pub(crate) fn processes(app: &Path, lock: &Lock) -> Result<Vec<Process>> {
    let procfile = Procfile::of(app)?.unwrap_or_default();
    let mut processes = Vec::new();
    if procfile.command("web").is_none() {
        match web(app, lock) {
            Some(command) => {
                output::step(format!("Web process: {command}")).quiet();
                processes.push(Process {
                    default: true,
                    ..shell(process_type!("web"), &format!("exec {command}"))
                });
            }
            None if procfile.entries.is_empty() => output::warning(
                "Nothing says how to start the app: there is no config.ru, no app.rb and no Procfile.\n\
                 Add a Procfile as in `web: bundle exec ruby server.rb`.",
            ),
            None => {}
        }
    }
    let is_rails = lock.has("railties");
    if procfile.command("console").is_none() && (is_rails || lock.has("irb")) {
        let words: &[&str] = if is_rails {
            &["bundle", "exec", "rails", "console"]
        } else {
            &["bundle", "exec", "irb"]
        };
        processes.push(direct(process_type!("console"), words.iter().copied()));
    }
    if procfile.command("rake").is_none() && lock.has("rake") && files::exists(app, "Rakefile") {
        processes.push(direct(process_type!("rake"), ["bundle", "exec", "rake"]));
    }
    Ok(processes)
}

fn web(app: &Path, lock: &Lock) -> Option<String> {
    if lock.has("puma") && files::exists(app, "config/puma.rb") && files::exists(app, "config.ru") {
        return Some("bundle exec puma -C config/puma.rb".to_owned());
    }
    if lock.has("railties") {
        return Some("bundle exec rails server -b 0.0.0.0 -p ${PORT:-5000} -e $RAILS_ENV".to_owned());
    }
    if files::exists(app, "config.ru") {
        return Some(if lock.has("puma") {
            "bundle exec puma -b tcp://0.0.0.0:${PORT:-5000}".to_owned()
        } else {
            "bundle exec rackup --host 0.0.0.0 --port ${PORT:-5000}".to_owned()
        });
    }
    files::first(app, &["app.rb", "server.rb", "main.rb", "web.rb"])
        .map(|file| format!("bundle exec ruby {file}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str], gems: &[&str]) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            files::write(&dir.path().join(name), "").unwrap();
        }
        let specs: String = gems.iter().map(|gem| format!("    {gem} (1.0)\n")).collect();
        files::write(
            &dir.path().join("Gemfile.lock"),
            format!("GEM\n  specs:\n{specs}"),
        )
        .unwrap();
        web(dir.path(), &Lock::of(dir.path()).unwrap().unwrap())
    }

    #[test]
    fn the_web_process_is_by_the_framework() {
        assert_eq!(
            of(&["config.ru"], &["railties"]).unwrap(),
            "bundle exec rails server -b 0.0.0.0 -p ${PORT:-5000} -e $RAILS_ENV"
        );
        assert_eq!(
            of(&["config.ru", "config/puma.rb"], &["railties", "puma"]).unwrap(),
            "bundle exec puma -C config/puma.rb"
        );
        assert_eq!(
            of(&["config.ru"], &["puma"]).unwrap(),
            "bundle exec puma -b tcp://0.0.0.0:${PORT:-5000}"
        );
        assert_eq!(
            of(&["config.ru"], &[]).unwrap(),
            "bundle exec rackup --host 0.0.0.0 --port ${PORT:-5000}"
        );
        assert_eq!(of(&["app.rb"], &[]).unwrap(), "bundle exec ruby app.rb");
        assert_eq!(of(&["lib.rb"], &[]), None);
    }
}
