//! What requirements.txt leads to: other requirement files, and folders of the app. Only to know when the
//! packages must be installed anew; installing is uv's.

use buildpack_support::{Result, files};
use std::path::{Component, Path, PathBuf};

/// What is named, as paths below the app's folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Named {
    /// Requirement and constraint files, the first one included.
    pub(crate) files: Vec<String>,
    /// Folders and archives that are copied when installed.
    pub(crate) copied: Vec<String>,
    /// Folders that are installed in place.
    pub(crate) editable: Vec<String>,
}

/// Follows `name` and all that it includes.
pub(crate) fn follow(app_dir: &Path, name: &str) -> Result<Named> {
    let mut named = Named::default();
    let mut queue = vec![name.to_owned()];
    while let Some(name) = queue.pop() {
        if named.files.contains(&name) {
            continue;
        }
        let text = files::read(app_dir, &name)?.unwrap_or_default();
        named.files.push(name.clone());
        let folder = Path::new(&name).parent().unwrap_or(Path::new(""));
        for line in lines(&text) {
            match read(&line) {
                // Included files are named from the including one's folder, packages from the app's.
                Some(Line::Include(path)) => queue.extend(inside(folder, &path)),
                Some(Line::Editable(path)) => named.editable.extend(inside(Path::new(""), &path)),
                Some(Line::Local(path)) => named.copied.extend(inside(Path::new(""), &path)),
                None => {}
            }
        }
    }
    named.files.sort();
    Ok(named)
}

enum Line {
    Include(String),
    Editable(String),
    Local(String),
}

// Lines that end with a backslash go on; comments go.
fn lines(text: &str) -> Vec<String> {
    let joined = text.replace("\\\r\n", " ").replace("\\\n", " ");
    joined
        .lines()
        .map(|line| line.split(" #").next().unwrap_or(line).trim().to_owned())
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

fn read(line: &str) -> Option<Line> {
    let option = |names: &[&str]| {
        names.iter().find_map(|name| {
            let rest = line.strip_prefix(name)?;
            let is_short = !name.starts_with("--");
            (is_short || rest.starts_with([' ', '=', '\t']))
                .then(|| rest.trim_start_matches(['=', ' ', '\t']).trim().to_owned())
        })
    };
    if let Some(path) = option(&["--requirement", "--constraint"]).or_else(|| option(&["-r", "-c"])) {
        return Some(Line::Include(path));
    }
    if let Some(path) = option(&["--editable"]).or_else(|| option(&["-e"])) {
        return local(&path).map(Line::Editable);
    }
    if line.starts_with('-') {
        return None;
    }
    let place = line.split_once(" @ ").map_or(line, |(_, place)| place);
    local(place).map(Line::Local)
}

// A path without the extras and the marker after it.
fn local(place: &str) -> Option<String> {
    let place = place.split(';').next().unwrap_or(place).trim();
    let path = place
        .strip_prefix("file://")
        .or_else(|| place.strip_prefix("file:"))
        .unwrap_or(place);
    let is_archive =
        [".whl", ".tar.gz", ".zip"].iter().any(|end| path.ends_with(end)) && !path.contains("://");
    let is_path = path.starts_with('.') || path.starts_with('/') || place.starts_with("file:") || is_archive;
    is_path.then(|| path.split('[').next().unwrap_or(path).to_owned())
}

// The path below the app's folder; one that leads out of it is none of ours.
fn inside(folder: &Path, path: &str) -> Option<String> {
    let path = Path::new(path)
        .strip_prefix("/workspace")
        .unwrap_or(Path::new(path));
    let mut out = PathBuf::new();
    for part in folder.join(path).components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !out.pop() {
                    return None;
                }
            }
            _ => return None,
        }
    }
    Some(out.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn includes_and_folders_are_followed() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| files::write(&dir.path().join(name), text).unwrap();
        write(
            "requirements.txt",
            "-r requirements/prod.txt\ndjango==5.0 \\\n  --hash=sha256:00\n./libs/a[extra] ; python_version > '3'\n-e .\n\
             -c limits.txt # why\nrequests\nwheels/x-1.0-py3-none-any.whl\ngit+https://example.com/x.zip\n-rmore.txt\n",
        );
        write(
            "requirements/prod.txt",
            "--requirement=base.txt\n-r ../../outside.txt\nfoo @ file:///workspace/libs/foo\n",
        );
        write("requirements/base.txt", "-r prod.txt\ngunicorn\n");
        let named = follow(dir.path(), "requirements.txt").unwrap();
        assert_eq!(
            named.files,
            [
                "limits.txt",
                "more.txt",
                "requirements.txt",
                "requirements/base.txt",
                "requirements/prod.txt"
            ]
        );
        assert_eq!(
            named.copied,
            ["libs/a", "wheels/x-1.0-py3-none-any.whl", "libs/foo"]
        );
        assert_eq!(named.editable, [""]);
    }
}
