//! The default web process and the folder that it serves.

use crate::{boot::Servers, composer_json::ComposerJson};
use buildpack_support::{env, files, output, process::direct, procfile::Procfile};
use libcnb::{
    Env,
    data::{launch::Process, process_type},
};
use std::path::Path;

/// Where an app without a word about it has its index.php, but for its root.
pub(crate) const FOLDERS: [&str; 7] = [
    "public",
    "web",
    "webroot",
    "htdocs",
    "public_html",
    "www",
    "docroot",
];

/// The web process, unless the Procfile gives one.
pub(crate) fn web(
    app: &Path,
    env: &Env,
    json: Option<&ComposerJson>,
    procfile: &Procfile,
    server: Servers,
) -> Option<Process> {
    warn_of_no_key(app);
    if procfile.command("web").is_some() {
        return None;
    }
    let root = document_root(app, env, json);
    let mut command = vec![server.command().to_owned()];
    if !root.is_empty() {
        command.push(format!("{root}/"));
    }
    output::step(format!("Web process: {}", command.join(" "))).quiet();
    Some(Process {
        default: true,
        ..direct(process_type!("web"), command)
    })
}

// BP_PHP_WEB_DIR is what projects set in project.toml for the buildpacks of others.
fn document_root(app: &Path, env: &Env, json: Option<&ComposerJson>) -> String {
    if let Some(root) = json.and_then(ComposerJson::document_root) {
        return root.trim_matches('/').to_owned();
    }
    if let Some(root) = env::value(env, "BP_PHP_WEB_DIR") {
        return root.trim_matches('/').to_owned();
    }
    if files::exists(app, "index.php") && !files::exists(app, "artisan") {
        return String::new();
    }
    FOLDERS
        .into_iter()
        .find(|folder| files::exists(&app.join(folder), "index.php"))
        .map(str::to_owned)
        .unwrap_or_default()
}

// Configuration is not known to a build: what is certain is only that Laravel does not run without.
fn warn_of_no_key(app: &Path) {
    if files::exists(app, "artisan") && !files::exists(app, ".env") {
        output::detail(
            "Laravel needs APP_KEY in the app's configuration: `php artisan key:generate --show` makes one.",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(names: &[&str], json: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            files::write(&dir.path().join(name), "").unwrap();
        }
        files::write(&dir.path().join("composer.json"), json).unwrap();
        let json = ComposerJson::of(dir.path()).unwrap();
        document_root(dir.path(), &Env::new(), json.as_ref())
    }

    #[test]
    fn the_document_root_is_where_index_php_is() {
        assert_eq!(root(&["index.php"], "{}"), "");
        assert_eq!(root(&["public/index.php", "artisan"], "{}"), "public");
        assert_eq!(root(&["web/index.php"], "{}"), "web");
        assert_eq!(root(&["index.php", "public/index.php"], "{}"), "");
        assert_eq!(
            root(&[], r#"{"extra":{"heroku":{"document-root":"/site/"}}}"#),
            "site"
        );
    }

    #[test]
    fn the_document_root_may_be_set_for_the_build() {
        let dir = tempfile::tempdir().unwrap();
        files::write(&dir.path().join("index.php"), "").unwrap();
        let mut env = Env::new();
        env.insert("BP_PHP_WEB_DIR", "site/");
        assert_eq!(document_root(dir.path(), &env, None), "site");
    }
}
