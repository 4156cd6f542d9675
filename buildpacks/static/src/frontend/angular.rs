//! Angular, which says in `angular.json` where its builder puts pages: since version 17 with `browser` below it.

use super::{Frontend, made};
use buildpack_support::files;
use serde_json::Value;
use std::path::Path;

/// The site that the app's project builds, unless it builds a server too.
pub(super) fn site(app: &Path) -> Option<Frontend> {
    let text = files::read(app, "angular.json")
        .unwrap_or_default()
        .unwrap_or_default();
    let json: Value = serde_json::from_str(&text).unwrap_or_default();
    let projects = json.get("projects")?.as_object()?;
    let named = json.get("defaultProject").and_then(Value::as_str);
    let (name, project) = projects
        .iter()
        .filter(|(_, project)| project.get("projectType").and_then(Value::as_str) != Some("library"))
        .max_by_key(|(name, _)| Some(name.as_str()) == named)?;
    let options = project
        .pointer("/architect/build/options")
        .or_else(|| project.pointer("/targets/build/options"))?;
    let is_static = options.get("outputMode").and_then(Value::as_str) == Some("static");
    let has_server =
        options.get("server").is_some() && options.get("ssr").is_some_and(|ssr| *ssr != Value::Bool(false));
    if has_server && !is_static {
        return None;
    }
    let (base, browser) = match options.get("outputPath") {
        Some(Value::String(base)) => (base.clone(), None),
        Some(paths) => (
            paths
                .get("base")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            paths.get("browser").and_then(Value::as_str).map(str::to_owned),
        ),
        None => (format!("dist/{name}"), None),
    };
    let browser = browser.unwrap_or_else(|| "browser".to_owned());
    Some(made(
        "Angular",
        &[&format!("{base}/{browser}"), &base, "dist"],
        true,
    ))
}

#[cfg(test)]
mod tests {
    use super::super::sample::folders;

    #[test]
    fn an_angular_app_with_a_server_is_no_site() {
        let of = |options: &str| {
            let json =
                format!(r#"{{"projects":{{"a":{{"architect":{{"build":{{"options":{options}}}}}}}}}}}"#);
            folders("ng build", &["@angular/core"], &[("angular.json", &json)]).map(|(_, folders)| folders)
        };
        assert_eq!(of("{}").as_deref(), Some("dist/a/browser dist/a dist"));
        assert_eq!(
            of(r#"{"outputPath":{"base":"out","browser":""}}"#).as_deref(),
            Some("out dist")
        );
        let server = r#""server":"src/main.server.ts","ssr":{"entry":"server.ts"}"#;
        assert_eq!(of(&format!("{{{server}}}")), None);
        assert!(of(&format!(r#"{{{server},"outputMode":"static"}}"#)).is_some());
    }
}
