//! Which package of a workspace is the app, when its root is only what holds the packages together.
//!
//! One that can serve is taken; of several the one in a folder called `web`, as its process type. Else a person
//! has to say: a release that starts nothing would be worth less than a failed build.

use crate::{key, manager::yaml_value, package_json::PackageJson, project::Project, start};
use buildpack_support::{Failure, Result, env, files, output};
use std::path::{Path, PathBuf};

/// Names the package, by its folder or its name.
const SETTING: &str = "PVDIFY_NODE_WORKSPACE";

/// A package of a workspace.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// Its folder in the app.
    pub(crate) path: PathBuf,
    pub(crate) json: PackageJson,
}

impl Member {
    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

/// The package that is to be started in the root's place, if there is such.
pub(crate) fn choose(project: &Project) -> Result<Option<Member>> {
    if !project.is_workspace() || project.is_helper || !project.procfile.entries.is_empty() {
        return Ok(None);
    }
    let setting = env::value(&project.env, SETTING);
    if setting.is_none() && start::is_root_the_app(project) {
        return Ok(None);
    }
    let patterns = patterns(project)?;
    let mut members = key::members(project)?;
    members.retain(|member| is_member(&member.path, &patterns));
    if let Some(asked) = setting {
        let asked = asked.trim_end_matches('/');
        let found = members
            .iter()
            .find(|member| member.path == Path::new(asked) || member.json.name() == Some(asked));
        return found
            .map(|member| Some(member.clone()))
            .ok_or_else(|| unknown(asked, &members));
    }
    members.retain(|member| start::can_serve(&member.json));
    let web = members.iter().find(|member| member.path.ends_with("web"));
    match (members.as_slice(), web) {
        ([], _) => Ok(None),
        ([member], _) => Ok(Some(member.clone())),
        (several, Some(web)) => {
            output::warning(format!(
                "Several packages of the workspace can be started: {}. It is {}.\n\
                 Name others in a Procfile, or another one's folder by {SETTING} in project.toml's `build.env`.",
                names(several),
                web.name()
            ));
            Ok(Some(web.clone()))
        }
        (several, None) => Err(undecided(several, project.manager.kind.program())),
    }
}

fn undecided(members: &[Member], manager: &str) -> Failure {
    let lines: Vec<String> = members
        .iter()
        .map(|member| format!("  web: cd {} && {manager} run start", member.name()))
        .collect();
    Failure::new(
        "It is not clear which package of the workspace is the app",
        format!(
            "The root's package.json has no script `start`, and several packages can be started: {}.",
            names(members)
        ),
        format!(
            "Add a Procfile with one of these lines and push again:\n{}\n\
             Or name one by its folder: {SETTING}={}, in project.toml's `build.env`.",
            lines.join("\n"),
            members.first().map(Member::name).unwrap_or_default(),
        ),
    )
}

fn unknown(asked: &str, members: &[Member]) -> Failure {
    Failure::new(
        format!("The workspace has no package {asked}"),
        format!(
            "{SETTING} asks for it. The workspace's packages are: {}.",
            names(members)
        ),
        format!("Set {SETTING} to one of these folders, or unset it, and push again."),
    )
}

fn names(members: &[Member]) -> String {
    let names: Vec<String> = members.iter().map(Member::name).collect();
    names.join(", ")
}

fn patterns(project: &Project) -> Result<Vec<String>> {
    let own = project.package_json.workspaces();
    let pnpm = files::read(&project.app, "pnpm-workspace.yaml")?
        .map(|text| packages_of(&text))
        .unwrap_or_default();
    Ok(own.into_iter().chain(pnpm).collect())
}

// The list below `packages:`, in either of YAML's forms.
fn packages_of(yaml: &str) -> Vec<String> {
    let clean = |word: &str| word.trim().trim_matches(['"', '\'']).to_owned();
    if let Some(list) = yaml_value(yaml, "packages") {
        let inner = list.trim_start_matches('[').trim_end_matches(']');
        return inner.split(',').map(clean).collect();
    }
    yaml.lines()
        .skip_while(|line| !line.starts_with("packages:"))
        .skip(1)
        .map(|line| line.split(" #").next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map_while(|line| line.strip_prefix('-'))
        .map(clean)
        .collect()
}

fn is_member(path: &Path, patterns: &[String]) -> bool {
    let segments: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
    let fits = |pattern: &str| {
        let pattern: Vec<&str> = pattern
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .collect();
        matches(&pattern, &segments)
    };
    patterns
        .iter()
        .fold(false, |is_in, pattern| match pattern.strip_prefix('!') {
            Some(without) => is_in && !fits(without),
            None => is_in || fits(pattern),
        })
}

fn matches(pattern: &[&str], segments: &[&str]) -> bool {
    match (pattern.split_first(), segments.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), None) => matches(rest, &[]),
        (Some((&"**", rest)), Some((_, after))) => matches(rest, segments) || matches(pattern, after),
        (Some((first, rest)), Some((segment, after))) => {
            let is_same = match first.split_once('*') {
                Some((before, end)) => {
                    segment.len() >= before.len() + end.len()
                        && segment.starts_with(before)
                        && segment.ends_with(end)
                }
                None => first == segment,
            };
            is_same && matches(rest, after)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manager::Kind;

    const NEXT: &str =
        r#"{"scripts":{"build":"next build","start":"next start"},"dependencies":{"next":"15"}}"#;
    const LIBRARY: &str = r#"{"main":"index.js","scripts":{"build":"tsc"}}"#;
    const ROOT: &str = r#"{"workspaces":["apps/*","packages/*"],"scripts":{"build":"turbo build"}}"#;

    fn chosen(tree: &[(&str, &str)], setting: &str) -> Result<Option<String>> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in tree {
            files::write(&dir.path().join(name), text).unwrap();
        }
        let mut project = Project::of(dir.path(), Kind::Npm);
        if !setting.is_empty() {
            project.env.insert(SETTING, setting);
        }
        Ok(choose(&project)?.map(|member| member.name()))
    }

    #[test]
    fn the_one_package_that_can_serve_is_the_app() {
        let ui = ("packages/ui/package.json", LIBRARY);
        let site = ("apps/site/package.json", NEXT);
        for (tree, expected) in [
            (vec![("package.json", ROOT), site, ui], Some("apps/site")),
            (
                vec![("package.json", ROOT), site, ("apps/web/package.json", NEXT)],
                Some("apps/web"),
            ),
            (vec![("package.json", ROOT), ui], None),
            // A server for development is none.
            (
                vec![
                    ("package.json", ROOT),
                    (
                        "apps/page/package.json",
                        r#"{"scripts":{"start":"react-scripts start"}}"#,
                    ),
                    site,
                ],
                Some("apps/site"),
            ),
            // No member of the workspace.
            (
                vec![("package.json", ROOT), ("examples/x/package.json", NEXT)],
                None,
            ),
            // The root is the app.
            (
                vec![
                    (
                        "package.json",
                        r#"{"workspaces":["apps/*"],"scripts":{"start":"node apps/site"}}"#,
                    ),
                    site,
                ],
                None,
            ),
            (vec![("package.json", ROOT), ("server.js", ""), site], None),
            (
                vec![("package.json", ROOT), ("Procfile", "worker: node a.js"), site],
                None,
            ),
            (vec![("package.json", "{}"), site], None),
        ] {
            assert_eq!(chosen(&tree, "").unwrap().as_deref(), expected, "{tree:?}");
        }
    }

    #[test]
    fn of_several_a_person_says_which() {
        let tree = [
            ("package.json", ROOT),
            ("apps/api/package.json", NEXT),
            (
                "apps/docs/package.json",
                r#"{"name":"@x/docs","scripts":{"start":"node ."}}"#,
            ),
        ];
        insta::assert_snapshot!(chosen(&tree, "").unwrap_err().text(), @r"
        It is not clear which package of the workspace is the app

        The root's package.json has no script `start`, and several packages can be started: apps/api, apps/docs.

        Add a Procfile with one of these lines and push again:
          web: cd apps/api && npm run start
          web: cd apps/docs && npm run start
        Or name one by its folder: PVDIFY_NODE_WORKSPACE=apps/api, in project.toml's `build.env`.
        ");
        for asked in ["apps/docs", "apps/docs/", "@x/docs"] {
            assert_eq!(chosen(&tree, asked).unwrap().as_deref(), Some("apps/docs"));
        }
        insta::assert_snapshot!(chosen(&tree, "apps/web").unwrap_err().text(), @r"
        The workspace has no package apps/web

        PVDIFY_NODE_WORKSPACE asks for it. The workspace's packages are: apps/api, apps/docs.

        Set PVDIFY_NODE_WORKSPACE to one of these folders, or unset it, and push again.
        ");
    }

    #[test]
    fn members_are_by_the_patterns_of_the_workspace() {
        for (yaml, expected) in [
            (
                "packages:\n  # all\n  - \"apps/*\"\n  - 'packages/**' # more\n\ncatalog:\n  - x\n",
                vec!["apps/*", "packages/**"],
            ),
            ("packages: ['a', \"b/*\"]\n", vec!["a", "b/*"]),
            ("onlyBuiltDependencies:\n  - x\n", vec![]),
        ] {
            assert_eq!(packages_of(yaml), expected, "{yaml}");
        }
        for (patterns, path, expected) in [
            (vec!["apps/*"], "apps/web", true),
            (vec!["./apps/*/"], "apps/web", true),
            (vec!["apps/*"], "apps/web/x", false),
            (vec!["apps/**"], "apps/web/x", true),
            (vec!["**"], "a/b", true),
            (vec!["*", "!docs"], "docs", false),
            (vec!["app-*"], "app-one", true),
            (vec!["app-*"], "one", false),
            (vec!["web"], "web", true),
        ] {
            let patterns: Vec<String> = patterns.into_iter().map(str::to_owned).collect();
            assert_eq!(
                is_member(Path::new(path), &patterns),
                expected,
                "{patterns:?} {path}"
            );
        }
    }
}
