//! Whether the app is a Go app, and by which file.

use buildpack_support::files;
use std::path::Path;

/// Why the buildpack is for this app.
pub(crate) fn reason(app_dir: &Path) -> Option<String> {
    match files::first(app_dir, &["go.mod", "go.work", "main.go"])? {
        "main.go" => Some("the app has a main.go, though no go.mod".to_owned()),
        name => Some(format!("the app has a {name}")),
    }
}
