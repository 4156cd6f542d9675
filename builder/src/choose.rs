//! How a source is built, and why: the app's setting, project.toml, a Dockerfile, `.buildpacks`, app.json, and only
//! then what the buildpacks recognise. The person is told which it was. Pure.

use crate::source::Source;
use pvdify_cnb::project::{Project, ProjectBuildpack};
use pvdify_types::{BuildpackKind, BuildpackName, app_json::AppJson};

/// How a source is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// By its Dockerfile.
    Dockerfile,
    /// By buildpacks.
    Buildpacks(Wanted),
}

/// Which buildpacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The first group of ours that recognises the source.
    Detected,
    /// These, in this order.
    Named(Vec<BuildpackName>),
    /// Those of project.toml.
    Project(Vec<ProjectBuildpack>),
}

/// A way and the sentence that says why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) way: Way,
    pub(crate) why: String,
}

/// Chooses; `setting` are the buildpacks that the app was given.
pub(crate) fn choose(
    source: &Source,
    setting: &[BuildpackName],
    project: &Project,
    app_json: &AppJson,
) -> Result<Chosen, String> {
    if source.top.is_empty() {
        return Err("the source is empty: commit your files and push again".to_owned());
    }
    let buildpacks = |wanted: Wanted, why: &str| Chosen {
        way: Way::Buildpacks(wanted),
        why: why.to_owned(),
    };
    if !setting.is_empty() {
        return Ok(buildpacks(Wanted::Named(setting.to_vec()), "set for this app"));
    }
    if !project.group.is_empty() {
        return Ok(buildpacks(
            Wanted::Project(project.group.clone()),
            "named in project.toml",
        ));
    }
    if source.dockerfile.is_some() {
        return Ok(Chosen {
            way: Way::Dockerfile,
            why: "Dockerfile at the top of the source".to_owned(),
        });
    }
    if let Some(bytes) = &source.dot_buildpacks {
        return Ok(buildpacks(Wanted::Named(listed(bytes)?), "named in .buildpacks"));
    }
    if !app_json.buildpacks.is_empty() {
        let names: Vec<BuildpackName> = app_json.buildpacks.iter().map(|one| one.url.clone()).collect();
        for name in &names {
            check_of_source(name).map_err(|error| format!("app.json: {error}"))?;
        }
        return Ok(buildpacks(Wanted::Named(names), "named in app.json"));
    }
    if let Some(near) = source
        .top
        .iter()
        .find(|name| name.eq_ignore_ascii_case("dockerfile"))
    {
        let why = format!("detected; {near} is not called Dockerfile and so was not used");
        return Ok(buildpacks(Wanted::Detected, &why));
    }
    Ok(buildpacks(Wanted::Detected, "detected"))
}

/// `.buildpacks`: a name a line.
fn listed(bytes: &[u8]) -> Result<Vec<BuildpackName>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| ".buildpacks is no text".to_owned())?;
    let mut names = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |error: String| format!(".buildpacks line {}: {error}", index + 1);
        let name = line
            .parse()
            .map_err(|error: pvdify_types::buildpack::BuildpackNameError| wrong(error.to_string()))?;
        check_of_source(&name).map_err(wrong)?;
        names.push(name);
    }
    if names.is_empty() {
        return Err(".buildpacks names no buildpack: write one a line, or remove the file".to_owned());
    }
    Ok(names)
}

/// Whoever pushes may not read the server's folders; whoever sets an app's buildpacks was asked for the right to.
pub(crate) fn check_of_source(name: &BuildpackName) -> Result<(), String> {
    match name.kind() {
        BuildpackKind::Folder { path } => Err(format!(
            "a source can't name a folder of the server ({path}): an administrator can, with pvdify buildpacks:set"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pvdify_types::app_json;

    fn source(names: &[&str]) -> Source {
        Source {
            top: names.iter().map(|name| (*name).to_owned()).collect(),
            dockerfile: names.contains(&"Dockerfile").then(|| b"FROM x".to_vec()),
            dot_buildpacks: names
                .contains(&".buildpacks")
                .then(|| b"# ours\nhttps://h/a.git\n\nheroku/nodejs\n".to_vec()),
            ..Source::default()
        }
    }

    #[test]
    fn what_a_person_said_comes_before_what_is_found() {
        let setting = ["pvdify/go".parse().unwrap()];
        let project =
            Project::parse("[_]\nschema-version = '0.2'\n[[io.buildpacks.group]]\nid = 'pvdify/php'\n")
                .unwrap();
        let app_json = app_json::parse(br#"{"buildpacks":[{"url":"heroku/ruby"}]}"#).unwrap();
        let all = source(&["Dockerfile", ".buildpacks", "app.js"]);
        let (none, plain) = (Project::default(), AppJson::default());
        let why = |source: &Source, setting: &[BuildpackName], project: &Project, app_json: &AppJson| {
            choose(source, setting, project, app_json).unwrap().why
        };
        assert_eq!(why(&all, &setting, &project, &app_json), "set for this app");
        assert_eq!(why(&all, &[], &project, &app_json), "named in project.toml");
        assert_eq!(
            why(&all, &[], &none, &app_json),
            "Dockerfile at the top of the source"
        );
        let dots = source(&[".buildpacks", "app.js"]);
        assert_eq!(why(&dots, &[], &none, &app_json), "named in .buildpacks");
        let Way::Buildpacks(Wanted::Named(names)) = choose(&dots, &[], &none, &plain).unwrap().way else {
            panic!("not by name");
        };
        assert_eq!(
            names.iter().map(BuildpackName::as_str).collect::<Vec<_>>(),
            ["https://h/a.git", "heroku/nodejs"]
        );
        assert_eq!(
            why(&source(&["app.js"]), &[], &none, &app_json),
            "named in app.json"
        );
        assert_eq!(why(&source(&["app.js"]), &[], &none, &plain), "detected");
        assert_eq!(
            why(&source(&["dockerfile"]), &[], &none, &plain),
            "detected; dockerfile is not called Dockerfile and so was not used"
        );
    }

    #[test]
    fn what_can_not_be_chosen_from_is_said() {
        let none = Project::default();
        let error = |source: &Source| choose(source, &[], &none, &AppJson::default()).unwrap_err();
        assert_eq!(
            error(&source(&[])),
            "the source is empty: commit your files and push again"
        );
        let bad = |text: &str| Source {
            dot_buildpacks: Some(text.as_bytes().to_vec()),
            ..source(&["x"])
        };
        assert!(error(&bad("\n")).contains("names no buildpack"));
        insta::assert_snapshot!(error(&bad("/etc\n")), @".buildpacks line 1: a source can't name a folder of the server (/etc): an administrator can, with pvdify buildpacks:set");
        assert!(
            error(&bad("heroku/go\n../x\n")).starts_with(".buildpacks line 2: "),
            "{}",
            error(&bad("heroku/go\n../x\n"))
        );
    }
}
