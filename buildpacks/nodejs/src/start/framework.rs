//! What the builds of frameworks make, and what starts it: apps of theirs often have no script `start`.

use crate::{package_json::PackageJson, project::Project};
use buildpack_support::files;

/// A framework: the package that the app depends on, what its build makes, and what starts that.
type Framework = (&'static str, &'static str, &'static [&'static str]);

/// What TanStack Start's build makes: `fetch`, without a server.
pub(crate) const HANDLER: &str = "dist/server/server.js";

const FRAMEWORKS: [Framework; 8] = [
    ("next", ".next/BUILD_ID", &["next", "start"]),
    (
        "nuxt",
        ".output/server/index.mjs",
        &["node", ".output/server/index.mjs"],
    ),
    (
        "@sveltejs/adapter-node",
        "build/index.js",
        &["node", "build/index.js"],
    ),
    // It made one of adapter-node's kind: see `addition`.
    (
        "@sveltejs/adapter-auto",
        "build/index.js",
        &["node", "build/index.js"],
    ),
    (
        "@astrojs/node",
        "dist/server/entry.mjs",
        &["node", "dist/server/entry.mjs"],
    ),
    (
        "@remix-run/serve",
        "build/server/index.js",
        &["remix-serve", "build/server/index.js"],
    ),
    (
        "@react-router/serve",
        "build/server/index.js",
        &["react-router-serve", "build/server/index.js"],
    ),
    ("@nestjs/core", "dist/main.js", &["node", "dist/main.js"]),
];

// Apps of frameworks often have no `start`: elsewhere it is known what their build makes.
pub(super) fn framework(project: &Project) -> Option<(Vec<String>, String)> {
    let nitro = (
        ".output/server/index.mjs",
        ["node", ".output/server/index.mjs"].as_slice(),
    );
    let handler = [(HANDLER, ["srvx", "--prod", "-s", "../client", HANDLER].as_slice())];
    FRAMEWORKS
        .iter()
        .filter(|(package, _, _)| project.package_json.depends_on(package))
        .map(|(_, file, command)| (*file, *command))
        // Several frameworks are served by Nitro.
        .chain([nitro])
        .chain(handler.into_iter().filter(|_| is_of_tanstack(project)))
        .find(|(file, _)| files::exists(&project.app, file))
        .map(|(file, command)| {
            let command = command.iter().map(|word| (*word).to_owned()).collect();
            (command, file.to_owned())
        })
        .or_else(|| of_angular(project))
}

// Its build puts the server below the folder of the project in angular.json, or below the only one.
fn of_angular(project: &Project) -> Option<(Vec<String>, String)> {
    if !project.package_json.depends_on("@angular/ssr") {
        return None;
    }
    let below = files::list(&project.app.join("dist"))
        .into_iter()
        .filter_map(|folder| {
            Some(format!(
                "dist/{}/server/server.mjs",
                folder.file_name()?.to_str()?
            ))
        });
    let mut found = std::iter::once("dist/server/server.mjs".to_owned())
        .chain(below)
        .filter(|file| files::exists(&project.app, file));
    let file = found.next().filter(|_| found.next().is_none())?;
    Some((vec!["node".to_owned(), file.clone()], file))
}

/// Whether the package's script `build` is a framework's whose build is a server.
pub(super) fn builds_server(json: &PackageJson) -> bool {
    let tools = [
        "next",
        "nuxt",
        "nuxi",
        "vite",
        "astro",
        "remix",
        "react-router",
        "nest",
        "ng",
    ];
    FRAMEWORKS
        .iter()
        .map(|(package, _, _)| *package)
        .chain(["@angular/ssr"])
        .any(|package| json.depends_on(package))
        && json
            .script("build")
            .is_some_and(|script| script.split_whitespace().any(|word| tools.contains(&word)))
}

fn is_of_tanstack(project: &Project) -> bool {
    ["@tanstack/react-start", "@tanstack/solid-start"]
        .iter()
        .any(|package| project.package_json.depends_on(package))
}

/// Whether the app is started by the server that is added to its handler.
pub(crate) fn is_handler(project: &Project) -> bool {
    let project = &project.started();
    super::of_package(project, false)
        .is_some_and(|web| web.command.first().is_some_and(|program| program == "srvx"))
        && framework(project).is_some_and(|(_, file)| file == HANDLER)
}

// A server for development, which has no place where the build made the real one.
pub(super) fn is_dev_server(script: &str) -> bool {
    let words: Vec<&str> = script.split_whitespace().collect();
    matches!(
        words.as_slice(),
        ["vite"]
            | [
                "next" | "nuxt" | "nuxi" | "astro" | "vite" | "remix" | "react-router" | "nest",
                "dev" | "develop" | "start",
                ..
            ]
            | [
                "react-scripts" | "react-app-rewired" | "craco" | "expo",
                "start",
                ..
            ]
            | ["ng" | "vue-cli-service" | "webpack", "serve", ..]
    ) && !matches!(words.as_slice(), ["next", "start", ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_for_development_is_known() {
        for (script, expected) in [
            ("vite", true),
            ("next dev -p 80", true),
            ("nest start", true),
            ("react-scripts start", true),
            ("ng serve --open", true),
            ("next start", false),
            ("node .", false),
        ] {
            assert_eq!(is_dev_server(script), expected, "{script}");
        }
    }
}
