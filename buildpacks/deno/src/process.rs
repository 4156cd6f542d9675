//! What starts the app: the task `start`, else the file that looks like it.
//!
//! `deno task` runs its command in a shell of its own, so a plain `deno run ...` is started without it: signals
//! then reach the app itself.

use crate::{config::Config, detect::ENTRIES};
use buildpack_support::{Result, files, process::plain_words};
use std::path::Path;

/// The default web process and why it is this one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Web {
    pub(crate) command: Vec<String>,
    pub(crate) why: String,
}

/// Runs before each process: the address at which `Deno.serve` listens whatever the app says, and the heap.
pub(crate) const SIZES: &str = r#"
if [ -n "${PORT:-}" ]; then set_default DENO_SERVE_ADDRESS "tcp:0.0.0.0:$PORT"; fi
if [ "$is_limited" = yes ]; then set_default DENO_V8_FLAGS "--max-old-space-size=$((memory_mb * 3 / 4))"; fi
"#;

/// The default web process, if anything says so.
pub(crate) fn web(app: &Path, config: &Config) -> Result<Option<Web>> {
    if let Some(task) = config.task("start") {
        return Ok(Some(Web {
            command: task_command(config, task),
            why: "the task `start`".to_owned(),
        }));
    }
    let Some(entry) = files::first(app, &ENTRIES) else {
        return Ok(None);
    };
    let text = files::read(app, entry)?.unwrap_or_default();
    // In a container of its own a program may do what it wants, unless it says itself what it needs.
    let permissions = if config.has_permissions() {
        "--permission-set"
    } else {
        "--allow-all"
    };
    let verb = if is_handler(&text) { "serve" } else { "run" };
    let command = ["deno", verb, permissions, entry].map(str::to_owned);
    Ok(Some(Web {
        command: command.to_vec(),
        why: format!("{entry} is there"),
    }))
}

fn task_command(config: &Config, task: &str) -> Vec<String> {
    let direct = plain_words(task).filter(|words| {
        let is_run = matches!(words.first().map(String::as_str), Some("deno"))
            && matches!(words.get(1).map(String::as_str), Some("run" | "serve"));
        // Deno's shell knows patterns; a name with one is not plain, and is left to it already.
        is_run && !config.has_dependencies("start")
    });
    direct.unwrap_or_else(|| ["deno", "task", "start"].map(str::to_owned).to_vec())
}

// `export default { fetch(request) { ... } }`, without a server of its own: for `deno serve`.
fn is_handler(text: &str) -> bool {
    let is_default = text.contains("export default");
    let serves = ["Deno.serve(", ".listen(", "serve(", "Deno.listen"]
        .iter()
        .any(|call| text.contains(call));
    is_default && text.contains("fetch") && !serves
}

/// Files that commands run: what they import is downloaded too.
pub(crate) fn files_of<'a>(app: &Path, commands: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for word in commands.flat_map(str::split_whitespace) {
        let word = word.trim_matches(['"', '\'']).trim_start_matches("./");
        let is_module = [".ts", ".tsx", ".js", ".jsx", ".mjs", ".mts"]
            .iter()
            .any(|ending| word.ends_with(ending));
        if is_module
            && !word.contains("..")
            && files::exists(app, word)
            && !found.iter().any(|known| known == word)
        {
            found.push(word.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web_of(tree: &[(&str, &str)]) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in tree {
            files::write(&dir.path().join(name), text).unwrap();
        }
        let config = Config::of(dir.path()).unwrap();
        web(dir.path(), &config)
            .unwrap()
            .map(|web| format!("{} ({})", web.command.join(" "), web.why))
    }

    #[test]
    fn the_task_start_or_a_file_starts_the_app() {
        for (tree, expected) in [
            (
                &[(
                    "deno.json",
                    r#"{"tasks":{"start":"deno run -A --unstable-kv src/x.ts"}}"#,
                )][..],
                Some("deno run -A --unstable-kv src/x.ts (the task `start`)"),
            ),
            (
                &[(
                    "deno.json",
                    r#"{"tasks":{"start":"deno run -A x.ts --port=$PORT"}}"#,
                )],
                Some("deno task start (the task `start`)"),
            ),
            (
                &[(
                    "deno.json",
                    r#"{"tasks":{"start":"deno task build && deno serve x.ts"}}"#,
                )],
                Some("deno task start (the task `start`)"),
            ),
            (
                &[(
                    "deno.json",
                    r#"{"tasks":{"start":{"command":"deno run x.ts","dependencies":["build"]}}}"#,
                )],
                Some("deno task start (the task `start`)"),
            ),
            (
                &[
                    ("deno.json", "{}"),
                    ("main.ts", "Deno.serve(x)"),
                    ("server.ts", ""),
                ],
                Some("deno run --allow-all main.ts (main.ts is there)"),
            ),
            (
                &[("main.ts", "export default { fetch() { return x } }")],
                Some("deno serve --allow-all main.ts (main.ts is there)"),
            ),
            (
                &[("main.ts", "export default app; Deno.serve(app.fetch)")],
                Some("deno run --allow-all main.ts (main.ts is there)"),
            ),
            (
                &[
                    ("deno.json", r#"{"permissions":{"default":{"net":true}}}"#),
                    ("main.ts", ""),
                ],
                Some("deno run --permission-set main.ts (main.ts is there)"),
            ),
            (&[("deno.json", "{}"), ("lib/a.ts", "")], None),
        ] {
            assert_eq!(web_of(tree).as_deref(), expected, "{tree:?}");
        }
    }

    #[test]
    fn the_files_of_commands_are_found() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.ts", "src/b.tsx"] {
            files::write(&dir.path().join(name), "").unwrap();
        }
        let commands = [
            "deno run -A ./a.ts && deno run 'src/b.tsx'",
            "deno run a.ts c.ts ../d.ts",
        ];
        assert_eq!(files_of(dir.path(), commands.into_iter()), ["a.ts", "src/b.tsx"]);
    }
}
