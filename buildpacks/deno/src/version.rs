//! Which Deno: `DENO_VERSION`, `.deno-version`, `.dvmrc`, `.tool-versions`, `engines.deno`, else the newest.

use buildpack_support::{
    Result, env, files,
    toolchain::npm::Registry,
    version::{Requirement, Wanted, choose, unreadable},
};
use libcnb::Env;
use std::path::Path;

/// What is asked for, as it is written, and where.
fn asked(app: &Path, env: &Env) -> Result<Option<(String, &'static str)>> {
    if let Some(text) = env::value(env, "DENO_VERSION") {
        return Ok(Some((text, "DENO_VERSION")));
    }
    for name in [".deno-version", ".dvmrc"] {
        if let Some(text) = files::read(app, name)?
            && let Some(line) = text
                .lines()
                .map(str::trim)
                .find(|line| !line.is_empty() && !line.starts_with('#'))
        {
            return Ok(Some((line.to_owned(), name)));
        }
    }
    if let Some(text) = files::read(app, ".tool-versions")? {
        let line = text
            .lines()
            .find_map(|line| line.trim().strip_prefix("deno")?.split_whitespace().next());
        if let Some(version) = line {
            return Ok(Some((version.to_owned(), ".tool-versions")));
        }
    }
    let package = files::read(app, "package.json")?.unwrap_or_default();
    let package: serde_json::Value = serde_json::from_str(&package).unwrap_or_default();
    let engine = package
        .get("engines")
        .and_then(|engines| engines.get("deno"))
        .and_then(|deno| deno.as_str());
    Ok(engine.map(|text| (text.to_owned(), "engines.deno in package.json")))
}

/// The version, and for people where it comes from.
pub(crate) fn resolve(app: &Path, env: &Env, registry: &Registry, package: &str) -> Result<(String, String)> {
    let available = registry.versions(package)?;
    let asked = asked(app, env)?;
    let (text, from) = match &asked {
        Some((text, from)) => (text.as_str(), *from),
        None => ("*", "the newest"),
    };
    let wanted = Wanted {
        name: "Deno",
        text,
        from,
    };
    let bare = text
        .trim()
        .trim_start_matches("deno")
        .trim_start_matches(['@', ' ']);
    let requirement = match bare {
        "latest" | "stable" | "lts" => Requirement::npm("*"),
        bare => Requirement::npm(bare),
    };
    let requirement = requirement.ok_or_else(|| unreadable(wanted, "2.4.0, 2.x or ^2.1"))?;
    let chosen = choose(wanted, &requirement, &available, env)?;
    Ok((chosen.version, from.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tree: &[(&str, &str)], variable: Option<&str>) -> Option<(String, &'static str)> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in tree {
            files::write(&dir.path().join(name), text).unwrap();
        }
        let mut env = Env::new();
        if let Some(value) = variable {
            env.insert("DENO_VERSION", value);
        }
        asked(dir.path(), &env).unwrap()
    }

    #[test]
    fn a_version_is_asked_for_in_many_places() {
        let some = |text: &str, from| Some((text.to_owned(), from));
        assert_eq!(
            of(&[(".deno-version", "\n2.2.2\n")], None),
            some("2.2.2", ".deno-version")
        );
        assert_eq!(of(&[(".dvmrc", "v1.46.3")], None), some("v1.46.3", ".dvmrc"));
        assert_eq!(
            of(&[(".tool-versions", "nodejs 22\ndeno 2.1.4 # x")], None),
            some("2.1.4", ".tool-versions")
        );
        let package = ("package.json", r#"{"engines":{"deno":"^2"}}"#);
        assert_eq!(of(&[package], None), some("^2", "engines.deno in package.json"));
        assert_eq!(
            of(&[(".deno-version", "2")], Some("2.5.0")),
            some("2.5.0", "DENO_VERSION")
        );
        assert_eq!(of(&[], None), None);
    }
}
