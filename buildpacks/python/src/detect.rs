//! Whether the app is a Python app, and by which file.

use buildpack_support::files;
use std::path::Path;

// A package manager's file, or Django's: an app in Python whatever else is there.
const STRONG: [&str; 10] = [
    "uv.lock",
    "poetry.lock",
    "Pipfile.lock",
    "Pipfile",
    "requirements.txt",
    "pylock.toml",
    "pyproject.toml",
    "setup.py",
    "manage.py",
    "runtime.txt",
];

// A script is an app only where nothing else could be.
const WEAK: [&str; 9] = [
    "main.py",
    "app.py",
    "server.py",
    "wsgi.py",
    "asgi.py",
    "run.py",
    "start.py",
    "bot.py",
    "hello.py",
];
const OTHERS: [&str; 6] = [
    "package.json",
    "deno.json",
    "deno.jsonc",
    "index.html",
    "Staticfile",
    "static.json",
];

/// Why the buildpack is for this app.
pub(crate) fn reason(app_dir: &Path) -> Option<String> {
    let weak = || {
        files::first(app_dir, &OTHERS)
            .is_none()
            .then(|| files::first(app_dir, &WEAK))?
    };
    files::first(app_dir, &STRONG)
        .or_else(weak)
        .map(|name| format!("the app has a {name}"))
}
