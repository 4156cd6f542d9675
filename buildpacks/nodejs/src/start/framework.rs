//! What the builds of frameworks make, and what starts it: apps of theirs often have no script `start`.

use crate::project::Project;
use buildpack_support::files;

/// A framework: the package that the app depends on, what its build makes, and what starts that.
type Framework = (&'static str, &'static str, &'static [&'static str]);

const FRAMEWORKS: [Framework; 7] = [
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
pub(super) fn framework(project: &Project) -> Option<(&'static [&'static str], &'static str)> {
    let nitro = (
        ".output/server/index.mjs",
        ["node", ".output/server/index.mjs"].as_slice(),
    );
    FRAMEWORKS
        .iter()
        .filter(|(package, _, _)| project.package_json.depends_on(package))
        .map(|(_, file, command)| (*file, *command))
        // Several frameworks are served by Nitro.
        .chain([nitro])
        .find(|(file, _)| files::exists(&project.app, file))
        .map(|(file, command)| (command, file))
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
            ("next start", false),
            ("node .", false),
        ] {
            assert_eq!(is_dev_server(script), expected, "{script}");
        }
    }
}
