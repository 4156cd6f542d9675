//! Takes from the app's folder what the image does not need: the site is in a layer of its own, and what it was
//! built from serves nothing.
//!
//! Not when the Procfile starts anything else: then all stays as it is.

use crate::{frontend, tree::Tree};
use buildpack_support::{Failure, Result, files, output, procfile::Procfile};
use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt, path::Path};

/// What later buildpacks, the platform or a shell in the image may read.
const KEPT: [&str; 6] = [
    "Procfile",
    "app.json",
    "project.toml",
    ".profile",
    ".profile.d",
    "Aptfile",
];

/// Empties the folder as far as it goes. `command` starts our server.
pub(crate) fn trim(app: &Path, is_built: bool, root: &str, tree: &Tree, command: &[String]) -> Result<()> {
    if starts_more(app) {
        // Which of the files it needs, nobody knows.
    } else if is_built {
        everything(app)?;
    } else if root == "." {
        let tops: BTreeSet<&str> = tree
            .files
            .iter()
            .filter_map(|file| file.path.split('/').next())
            .collect();
        for top in tops {
            files::remove(&app.join(top))?;
        }
    } else {
        files::remove(&app.join(root))?;
    }
    if procfile(app).command("web").is_some_and(frontend::is_ours) {
        let boot = app.join("bin/boot");
        files::write(&boot, format!("#!/bin/sh\nexec {}\n", command.join(" ")))?;
        fs::set_permissions(&boot, fs::Permissions::from_mode(0o755))
            .map_err(|error| Failure::io("write", &boot, &error))?;
    }
    Ok(())
}

/// Whether the Procfile starts anything but our server.
pub(crate) fn starts_more(app: &Path) -> bool {
    let is_ours = |name: &str, command: &str| name == "web" && frontend::is_ours(command);
    procfile(app)
        .entries
        .iter()
        .any(|entry| !is_ours(entry.name.as_str(), &entry.command))
}

// One that can't be read is told by its own buildpack.
fn procfile(app: &Path) -> Procfile {
    Procfile::of(app).unwrap_or_default().unwrap_or_default()
}

fn everything(app: &Path) -> Result<()> {
    let mut removed = 0;
    for entry in fs::read_dir(app)
        .map_err(|error| Failure::io("read", app, &error))?
        .flatten()
    {
        let is_kept = entry
            .file_name()
            .to_str()
            .is_some_and(|name| KEPT.contains(&name));
        if !is_kept {
            removed += files::size(&entry.path());
            files::remove(&entry.path())?;
        }
    }
    output::detail(format!(
        "Left out of the image: sources and packages that only the build needs ({})",
        output::size(removed)
    ));
    Ok(())
}
