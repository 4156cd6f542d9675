//! Whether an app is Deno's.
//!
//! A `deno.json` beside a Node.js lockfile is there for its formatter only, unless the app is started by Deno.

use crate::config::{Config, NAMES};
use buildpack_support::{Result, files, procfile::Procfile};
use std::path::Path;

const LOCKFILES: [&str; 6] = [
    "package-lock.json",
    "npm-shrinkwrap.json",
    "pnpm-lock.yaml",
    "yarn.lock",
    "bun.lock",
    "bun.lockb",
];

/// Files that start an app, the likeliest first.
pub(crate) const ENTRIES: [&str; 20] = [
    "main.ts",
    "main.tsx",
    "main.js",
    "main.mjs",
    "server.ts",
    "server.tsx",
    "server.js",
    "index.ts",
    "index.tsx",
    "index.js",
    "app.ts",
    "app.tsx",
    "app.js",
    "mod.ts",
    "src/main.ts",
    "src/server.ts",
    "src/index.ts",
    "src/app.ts",
    "src/main.js",
    "src/index.js",
];

/// The reason why it is, if it is.
pub(crate) fn reason(app: &Path) -> Result<Option<String>> {
    let of_deno = files::first(app, &[NAMES[0], NAMES[1], "deno.lock"]);
    let of_node = files::first(app, &LOCKFILES);
    // What is wrong with a file is told in the build.
    let procfile = Procfile::of(app).unwrap_or_default().unwrap_or_default();
    let runs = |command: &str| command.split_whitespace().any(|word| word == "deno");
    if let Some(file) = of_deno {
        let starts = procfile.command("web").is_some_and(runs)
            || Config::of(app)
                .unwrap_or_default()
                .task("start")
                .is_some_and(runs);
        return Ok((of_node.is_none() || starts).then(|| format!("{file} is there")));
    }
    if procfile.command("web").is_some_and(runs) {
        return Ok(Some("the Procfile starts it with Deno".to_owned()));
    }
    if files::exists(app, "package.json") {
        return Ok(None);
    }
    for name in ENTRIES {
        if let Some(text) = files::read(app, name)?
            && is_denos(&text)
        {
            return Ok(Some(format!("{name} uses Deno")));
        }
    }
    Ok(None)
}

// Its global, or an import that only Deno understands.
fn is_denos(text: &str) -> bool {
    [
        "Deno.",
        "\"jsr:",
        "'jsr:",
        "\"npm:",
        "'npm:",
        "https://deno.land/",
        "https://esm.sh/",
    ]
    .iter()
    .any(|mark| text.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_denos_by_its_files() {
        for (tree, expected) in [
            (&[("deno.json", "{}")][..], Some("deno.json is there")),
            (&[("deno.jsonc", "// x\n{}")], Some("deno.jsonc is there")),
            (
                &[("deno.lock", "{}"), ("main.ts", "")],
                Some("deno.lock is there"),
            ),
            (
                &[("main.ts", "Deno.serve(() => new Response('x'))")],
                Some("main.ts uses Deno"),
            ),
            (
                &[("src/main.ts", "import x from \"jsr:@std/http\"")],
                Some("src/main.ts uses Deno"),
            ),
            (
                &[("Procfile", "web: deno run -A x.ts")],
                Some("the Procfile starts it with Deno"),
            ),
            (
                &[("deno.json", "{}"), ("package.json", "{}")],
                Some("deno.json is there"),
            ),
            (
                &[("deno.json", "{}"), ("package.json", "{}"), ("yarn.lock", "")],
                None,
            ),
            (
                &[
                    ("deno.json", r#"{"tasks":{"start":"deno run x.ts"}}"#),
                    ("package-lock.json", ""),
                ],
                Some("deno.json is there"),
            ),
            (&[("main.ts", "console.log(1)")], None),
            (&[("main.ts", "Deno.exit()"), ("package.json", "{}")], None),
        ] {
            let dir = tempfile::tempdir().unwrap();
            for (name, text) in tree {
                files::write(&dir.path().join(name), text).unwrap();
            }
            assert_eq!(reason(dir.path()).unwrap().as_deref(), expected, "{tree:?}");
        }
    }
}
