//! Pipenv's files as requirements: `Pipfile.lock` has each package with its exact version and hashes already.

use buildpack_support::{Failure, Result};
use serde_json::{Map, Value};

/// The requirements of a lock; `names` are the packages that the Pipfile asks for.
pub(crate) fn locked(lock: &str, names: &[String]) -> Result<String> {
    let unreadable = |why: String| {
        Failure::new(
            "Pipfile.lock can't be read",
            why,
            "Was a merge conflict committed? Run `pipenv lock`, commit Pipfile.lock and push again.",
        )
    };
    let lock: Value = serde_json::from_str(lock).map_err(|error| unreadable(format!("{error}.")))?;
    let Some(packages) = lock["default"].as_object() else {
        return Err(unreadable("It has no list of packages (\"default\").".to_owned()));
    };
    let missing: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| !packages.keys().any(|key| normal(key) == normal(name)))
        .collect();
    if !missing.is_empty() {
        return Err(Failure::new(
            "Pipfile.lock is out of date",
            format!(
                "The Pipfile asks for these, and the lock does not have them: {}.",
                missing.join(", ")
            ),
            "Run `pipenv lock`, commit Pipfile.lock and push again.",
        ));
    }
    let mut out = sources(&lock["_meta"]["sources"]);
    for (name, package) in packages {
        if let Some(package) = package.as_object() {
            out.push_str(&requirement(name, package));
            out.push('\n');
        }
    }
    Ok(out)
}

/// The requirements of a Pipfile without a lock.
pub(crate) fn unlocked(pipfile: &toml::Table) -> String {
    let sources = pipfile
        .get("source")
        .and_then(|sources| serde_json::to_value(sources).ok())
        .unwrap_or_default();
    let mut out = self::sources(&sources);
    for (name, package) in pipfile
        .get("packages")
        .and_then(toml::Value::as_table)
        .into_iter()
        .flatten()
    {
        let package = match serde_json::to_value(package).unwrap_or_default() {
            Value::Object(package) => package,
            version => Map::from_iter([("version".to_owned(), version)]),
        };
        out.push_str(&requirement(name, &package));
        out.push('\n');
    }
    out
}

/// The packages that a Pipfile asks for.
pub(crate) fn names(pipfile: &toml::Table) -> Vec<String> {
    pipfile
        .get("packages")
        .and_then(toml::Value::as_table)
        .map(|packages| packages.keys().cloned().collect())
        .unwrap_or_default()
}

/// As the index compares names: lower case, `-` for `_` and `.`.
pub(crate) fn normal(name: &str) -> String {
    name.to_ascii_lowercase().replace(['_', '.'], "-")
}

// Further sources are further indexes. The default one stands for the client's own: where the server sets an index
// for builds, that one counts, because uv takes its environment's before the file's.
fn sources(sources: &Value) -> String {
    let line = |source: &Value| {
        let url = source["url"].as_str()?;
        let option = if is_default(source["name"].as_str(), url) {
            "--index-url"
        } else {
            "--extra-index-url"
        };
        Some(format!("{option} {url}\n"))
    };
    sources
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(line)
        .collect()
}

// The source that Pipenv writes into a new Pipfile is called `pypi`. Mirrors of companies are often called so too,
// but their indexes lie deeper than at the host's root, or are read with a password.
fn is_default(name: Option<&str>, url: &str) -> bool {
    let is_plain = url
        .split_once("://")
        .and_then(|(_, rest)| rest.trim_end_matches('/').split_once('/'))
        .is_some_and(|(host, path)| path == "simple" && !host.contains('@'));
    is_plain && name.is_none_or(|name| name.eq_ignore_ascii_case("pypi"))
}

fn requirement(name: &str, package: &Map<String, Value>) -> String {
    let text = |key: &str| package.get(key).and_then(Value::as_str);
    let extras: Vec<&str> = package
        .get("extras")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let extras = if extras.is_empty() {
        String::new()
    } else {
        format!("[{}]", extras.join(","))
    };
    let is_editable = package.get("editable").and_then(Value::as_bool) == Some(true);
    let mut line = if let Some(path) = text("path") {
        if is_editable {
            format!("-e {path}{extras}")
        } else {
            format!("{path}{extras}")
        }
    } else if let Some(url) = text("file") {
        format!("{name}{extras} @ {url}")
    } else if let Some(url) = text("git") {
        let prefix = if url.starts_with("git+") { "" } else { "git+" };
        let at = text("ref").map(|at| format!("@{at}")).unwrap_or_default();
        let folder = text("subdirectory")
            .map(|folder| format!("#subdirectory={folder}"))
            .unwrap_or_default();
        format!("{name}{extras} @ {prefix}{url}{at}{folder}")
    } else {
        let version = match text("version").unwrap_or("*") {
            "*" => "",
            version => version,
        };
        let bare = version.starts_with(|c: char| c.is_ascii_digit());
        format!("{name}{extras}{}{version}", if bare { "==" } else { "" })
    };
    if let Some(marker) = text("markers") {
        line.push_str(&format!(" ; {marker}"));
    }
    for hash in package
        .get("hashes")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        line.push_str(&format!(" --hash={hash}"));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"{
        "_meta": {"sources": [{"name": "pypi", "url": "https://index.example/simple"}, {"name": "own", "url": "https://own/simple"}]},
        "default": {
            "Flask": {"version": "==3.0.0", "hashes": ["sha256:aa", "sha256:bb"], "markers": "python_version >= '3.8'"},
            "psycopg": {"version": "==3.1", "extras": ["binary"]},
            "lib": {"git": "https://example.com/lib.git", "ref": "abc"},
            "mine": {"path": "./mine", "editable": true}
        },
        "develop": {"pytest": {"version": "==8"}}
    }"#;

    #[test]
    fn a_lock_becomes_requirements() {
        insta::assert_snapshot!(locked(LOCK, &["flask".to_owned()]).unwrap(), @r"
        --index-url https://index.example/simple
        --extra-index-url https://own/simple
        Flask==3.0.0 ; python_version >= '3.8' --hash=sha256:aa --hash=sha256:bb
        lib @ git+https://example.com/lib.git@abc
        -e ./mine
        psycopg[binary]==3.1
        ");
    }

    #[test]
    fn a_pipfile_becomes_requirements() {
        let pipfile: toml::Table =
            "[packages]\nflask = '*'\nrequests = '>=2'\ndjango = {version = '==5.0', extras = ['argon2']}\nx = '1.0'\n"
                .parse()
                .unwrap();
        assert_eq!(names(&pipfile), ["django", "flask", "requests", "x"]);
        insta::assert_snapshot!(unlocked(&pipfile), @r"
        django[argon2]==5.0
        flask
        requests>=2
        x==1.0
        ");
    }

    #[test]
    fn the_source_that_pipenv_writes_by_itself_is_the_default_index() {
        for (name, url, expected) in [
            (Some("pypi"), "https://index.example/simple", true),
            (Some("PyPI"), "https://index.example/simple/", true),
            (None, "https://index.example/simple", true),
            (Some("own"), "https://index.example/simple", false),
            (Some("pypi"), "https://mirror.example/root/pypi/simple", false),
            (Some("pypi"), "https://me:$TOKEN@mirror.example/simple", false),
            (Some("pypi"), "mirror", false),
        ] {
            assert_eq!(is_default(name, url), expected, "{name:?} {url}");
        }
    }

    #[test]
    fn a_lock_that_lacks_what_the_pipfile_asks_for_is_out_of_date() {
        insta::assert_snapshot!(locked(LOCK, &["flask".into(), "celery".into()]).unwrap_err().text(), @r"
        Pipfile.lock is out of date

        The Pipfile asks for these, and the lock does not have them: celery.

        Run `pipenv lock`, commit Pipfile.lock and push again.
        ");
    }

    #[test]
    fn a_lock_that_is_no_json_is_told() {
        insta::assert_snapshot!(locked("<<<<<<< HEAD\n", &[]).unwrap_err().text(), @r"
        Pipfile.lock can't be read

        expected value at line 1 column 1.

        Was a merge conflict committed? Run `pipenv lock`, commit Pipfile.lock and push again.
        ");
        assert!(
            locked("{}", &[])
                .unwrap_err()
                .why()
                .contains("no list of packages")
        );
    }
}
