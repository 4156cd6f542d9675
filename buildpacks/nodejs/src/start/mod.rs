//! The default web process: what starts the app when its Procfile does not say.
//!
//! The `start` script, else `server.js` and the like. The platform's signals go to the first process only, so
//! nothing may stand between it and the app: a plain command is started directly, a script of several commands
//! is made to end in `exec`; only what needs the package manager (`prestart`) is left to it, which passes
//! signals on.

mod command;
mod framework;
mod pruned;

use crate::{package_json::PackageJson, project::Project};
use buildpack_support::{Failure, Result, files};
use command::{pnp_command, script_command};
pub(crate) use framework::{HANDLER, is_handler};
use framework::{framework, is_dev_server};
pub(crate) use pruned::missing;
use std::path::{Path, PathBuf};

/// Packages that serve HTTP.
const SERVERS: [&str; 7] = [
    "express",
    "fastify",
    "koa",
    "hono",
    "@hapi/hapi",
    "restify",
    "polka",
];

/// How to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Web {
    pub(crate) command: Vec<String>,
    pub(crate) why: String,
    /// The folder of a workspace's package.
    pub(crate) folder: Option<PathBuf>,
}

/// The default web process; `is_pnp`: packages are found through `.pnp.cjs`.
pub(crate) fn web(project: &Project, is_pnp: bool) -> Option<Web> {
    if project.procfile.command("web").is_some() {
        return None;
    }
    let Some(member) = &project.member else {
        return of_package(project, is_pnp);
    };
    let started = project.started();
    let mut web = of_package(&started, false)?;
    // The root's `.pnp.cjs` is for the package manager to find.
    if is_pnp && started.package_json.script("start").is_some() {
        web.command = by_manager(&started);
    } else {
        web.command = command::in_folder(web.command, &started.app);
    }
    web.folder = Some(member.path.clone());
    Some(web)
}

fn by_manager(project: &Project) -> Vec<String> {
    [project.manager.kind.program(), "run", "start"]
        .map(str::to_owned)
        .to_vec()
}

fn of_package(project: &Project, is_pnp: bool) -> Option<Web> {
    let built = framework(project);
    let script = project
        .package_json
        .script("start")
        .filter(|script| built.is_none() || !is_dev_server(script));
    if let Some(script) = script {
        let has_hooks = ["prestart", "poststart"]
            .iter()
            .any(|hook| project.package_json.script(hook).is_some());
        let command = if is_pnp {
            pnp_command(project, script)
        } else if has_hooks {
            None
        } else {
            script_command(script)
        };
        return Some(Web {
            command: command.unwrap_or_else(|| by_manager(project)),
            why: "the script `start`".to_owned(),
            folder: None,
        });
    }
    if let Some((command, file)) = built {
        return Some(Web {
            command,
            why: format!("{file} was built"),
            folder: None,
        });
    }
    let program = if project.manager.kind == crate::manager::Kind::Bun {
        "bun"
    } else {
        "node"
    };
    let entry = entry(project)?;
    let mut command = vec![program.to_owned(), entry.clone()];
    if is_pnp {
        command = pnp_command(project, &format!("node {entry}")).unwrap_or(command);
    }
    Some(Web {
        command,
        why: format!("{entry} is there"),
        folder: None,
    })
}

/// Whether a workspace's root has something to start, or may have it once it is built.
pub(crate) fn is_root_the_app(project: &Project) -> bool {
    let json = &project.package_json;
    json.script("start").is_some() || entry(project).is_some() || framework::builds_server(json)
}

/// Whether a workspace's package can be started, once it is built.
pub(crate) fn can_serve(json: &PackageJson) -> bool {
    framework::builds_server(json) || json.script("start").is_some_and(|script| !is_dev_server(script))
}

/// What to tell when there is no web process.
pub(crate) fn nothing(project: &Project) -> &'static str {
    if project
        .started()
        .package_json
        .depends_on("@sveltejs/adapter-auto")
    {
        return "Nothing says how to start the app: this version of SvelteKit's adapter-auto makes no server.\n\
                Run `npm install --save-dev @sveltejs/adapter-node`, import that in svelte.config.js, commit and push.";
    }
    if project.is_workspace() {
        return "Nothing says how to start the app: neither the root's package.json nor one of the workspace's packages has\n\
                a script `start`, and there is no Procfile. Add \"start\": \"cd FOLDER && node FILE\" to the root's scripts; for\n\
                pages that a front end's build makes, push its folder alone.";
    }
    "Nothing says how to start the app: package.json has no script `start`, there is no server.js,\n\
     and no Procfile. Add \"start\": \"node FILE\" to the scripts in package.json."
}

fn entry(project: &Project) -> Option<String> {
    let app = &project.app;
    let main = project
        .package_json
        .main()
        .filter(|main| resolves(app, main))
        .map(str::to_owned);
    let known = [
        "server.js",
        "server.mjs",
        "server.cjs",
        "index.js",
        "index.mjs",
        "app.js",
        "main.js",
    ];
    let bun = ["index.ts", "server.ts", "src/index.ts"];
    // Of a page, too, the script is often called so.
    let sources = ["src/server.js", "src/index.js", "src/app.js", "src/main.js"];
    let has_server = SERVERS
        .iter()
        .any(|package| project.package_json.depends_on(package));
    let is_bun = project.manager.kind == crate::manager::Kind::Bun;
    files::first(app, &known[..1])
        .map(str::to_owned)
        .or(main)
        .or_else(|| files::first(app, &known).map(str::to_owned))
        .or_else(|| files::first(app, &bun).filter(|_| is_bun).map(str::to_owned))
        .or_else(|| {
            files::first(app, &sources)
                .filter(|_| has_server)
                .map(str::to_owned)
        })
}

/// Checks that what `node FILE` would start is there after the build.
pub(crate) fn check(project: &Project, web: &Web) -> Result<()> {
    let [program, file, ..] = web.command.as_slice() else {
        return Ok(());
    };
    if program != "node" || file.starts_with('-') || resolves(&project.app, file) {
        return Ok(());
    }
    let has_build = project.package_json.script("build").is_some()
        || project.package_json.script("heroku-postbuild").is_some();
    let (why, fix) = if has_build {
        (
            "The scripts that ran did not make it.",
            "Does `build` write to another folder, or to a path that .gitignore or tsconfig.json (outDir) decides? Make\n\
             `build` and `start` agree, commit and push again.",
        )
    } else {
        (
            "It is not in the source, and package.json has no script `build` that would make it.",
            "Add a `build` script (as in \"build\": \"tsc\") if the file is compiled, or commit the file, and push again.",
        )
    };
    Err(Failure::new(
        format!("{file}, which starts the app, is not there"),
        format!("`start` in package.json is `{}`.\n{why}", web.command.join(" ")),
        fix,
    ))
}

// As `node FILE` looks for it.
fn resolves(app: &Path, file: &str) -> bool {
    let path = app.join(file);
    path.is_file()
        || ["js", "json", "node", "mjs", "cjs", "ts", "mts"]
            .iter()
            .any(|end| app.join(format!("{file}.{end}")).is_file())
        || (path.is_dir()
            && (["index.js", "index.json", "index.node"]
                .iter()
                .any(|name| path.join(name).is_file())
                || path.join("package.json").is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sveltekit_app_without_a_server_is_told_of_the_adapter() {
        let of = |text: &str| {
            let dir = tempfile::tempdir().unwrap();
            files::write(&dir.path().join("package.json"), text).unwrap();
            nothing(&Project::of(dir.path(), crate::manager::Kind::Npm))
        };
        insta::assert_snapshot!(of(r#"{"devDependencies":{"@sveltejs/adapter-auto":"^4.0.0"}}"#), @r"
        Nothing says how to start the app: this version of SvelteKit's adapter-auto makes no server.
        Run `npm install --save-dev @sveltejs/adapter-node`, import that in svelte.config.js, commit and push.
        ");
        insta::assert_snapshot!(of(r#"{"workspaces":["a"]}"#), @r#"
        Nothing says how to start the app: neither the root's package.json nor one of the workspace's packages has
        a script `start`, and there is no Procfile. Add "start": "cd FOLDER && node FILE" to the root's scripts; for
        pages that a front end's build makes, push its folder alone.
        "#);
        insta::assert_snapshot!(of("{}"), @r#"
        Nothing says how to start the app: package.json has no script `start`, there is no server.js,
        and no Procfile. Add "start": "node FILE" to the scripts in package.json.
        "#);
    }

    fn web_of(tree: &[(&str, &str)], is_pnp: bool) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in tree {
            files::write(&dir.path().join(name), text).unwrap();
        }
        let project = Project::of(dir.path(), crate::manager::Kind::Yarn);
        web(&project, is_pnp).map(|web| format!("{} ({})", web.command.join(" "), web.why))
    }

    #[test]
    fn the_server_of_angulars_build_is_started_wherever_it_is() {
        let json = r#"{"scripts":{"start":"ng serve"},"dependencies":{"@angular/ssr":"20"}}"#;
        for file in ["dist/shop/server/server.mjs", "dist/server/server.mjs"] {
            assert_eq!(
                web_of(&[("package.json", json), (file, "")], false).unwrap(),
                format!("node {file} ({file} was built)")
            );
        }
        let several = [
            ("package.json", json),
            ("dist/a/server/server.mjs", ""),
            ("dist/b/server/server.mjs", ""),
        ];
        assert_eq!(web_of(&several, false).unwrap(), "ng serve (the script `start`)");
    }

    #[test]
    fn the_default_is_the_script_then_the_framework_then_a_file() {
        let start =
            |script: &str| format!(r#"{{"scripts":{{"start":"{script}"}},"dependencies":{{"nuxt":"4"}}}}"#);
        for (tree, is_pnp, expected) in [
            (
                vec![("package.json", start("node a.js"))],
                false,
                Some("node a.js (the script `start`)"),
            ),
            (
                vec![
                    ("package.json", start("node a.js")),
                    ("Procfile", "web: x".into()),
                ],
                false,
                None,
            ),
            (
                vec![
                    ("package.json", start("nuxt dev")),
                    (".output/server/index.mjs", String::new()),
                ],
                false,
                Some("node .output/server/index.mjs (.output/server/index.mjs was built)"),
            ),
            (
                vec![
                    (
                        "package.json",
                        r#"{"dependencies":{"@tanstack/react-start":"latest"}}"#.into(),
                    ),
                    ("dist/server/server.js", String::new()),
                ],
                false,
                Some("srvx --prod -s ../client dist/server/server.js (dist/server/server.js was built)"),
            ),
            (
                vec![
                    (
                        "package.json",
                        r#"{"devDependencies":{"@sveltejs/adapter-auto":"7"}}"#.into(),
                    ),
                    ("build/index.js", String::new()),
                ],
                false,
                Some("node build/index.js (build/index.js was built)"),
            ),
            (
                vec![("package.json", start("nuxt dev"))],
                false,
                Some("nuxt dev (the script `start`)"),
            ),
            (
                vec![("package.json", start("node a.js"))],
                true,
                Some("node --require ./.pnp.cjs a.js (the script `start`)"),
            ),
            (
                vec![("package.json", start("node a.js")), (".pnp.js", String::new())],
                true,
                Some("node --require ./.pnp.js a.js (the script `start`)"),
            ),
            (
                vec![("package.json", start("serve"))],
                true,
                Some("yarn run start (the script `start`)"),
            ),
            (
                vec![(
                    "package.json",
                    r#"{"scripts":{"start":"node a","prestart":"b"}}"#.into(),
                )],
                false,
                Some("yarn run start (the script `start`)"),
            ),
            (
                vec![
                    ("package.json", r#"{"main":"lib/a.js"}"#.into()),
                    ("lib/a.js", String::new()),
                ],
                false,
                Some("node lib/a.js (lib/a.js is there)"),
            ),
            (
                vec![
                    ("package.json", r#"{"main":"lib/a.js"}"#.into()),
                    ("server.js", String::new()),
                ],
                false,
                Some("node server.js (server.js is there)"),
            ),
            (
                vec![
                    ("package.json", r#"{"dependencies":{"express":"5"}}"#.into()),
                    ("src/index.js", String::new()),
                ],
                false,
                Some("node src/index.js (src/index.js is there)"),
            ),
            (
                vec![("package.json", "{}".into()), ("src/index.js", String::new())],
                false,
                None,
            ),
            (vec![("package.json", "{}".into())], false, None),
        ] {
            let tree: Vec<(&str, &str)> = tree.iter().map(|(name, text)| (*name, text.as_str())).collect();
            assert_eq!(web_of(&tree, is_pnp).as_deref(), expected, "{tree:?}");
        }
    }

    #[test]
    fn a_file_is_found_as_node_finds_it() {
        let dir = tempfile::tempdir().unwrap();
        files::write(&dir.path().join("dist/main.js"), "").unwrap();
        files::write(&dir.path().join("lib/index.js"), "").unwrap();
        for (file, expected) in [
            ("dist/main", true),
            ("dist/main.js", true),
            ("lib", true),
            ("dist", false),
            ("no", false),
        ] {
            assert_eq!(resolves(dir.path(), file), expected, "{file}");
        }
    }
}
