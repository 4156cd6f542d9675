//! The form of the project, held by tests: the edges between crates, the headers, what no file may hold.

use pvdify_tests::repository_root;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What the one program of all our buildpacks is made of.
const BUILDPACKS: &[&str] = &[
    "buildpack-support",
    "buildpack-nodejs",
    "buildpack-python",
    "buildpack-go",
    "buildpack-rust",
    "buildpack-java",
    "buildpack-ruby",
    "buildpack-php",
    "buildpack-static",
    "buildpack-procfile",
    "buildpack-apt",
    "buildpack-deno",
];

/// crate -> the crates of ours that it may use (ARCHITECTURE.md, "Crates"). `tests` may use any.
const EDGES: &[(&str, &[&str])] = &[
    ("pvdify-types", &[]),
    ("pvdify-api", &["pvdify-types"]),
    ("pvdify-client", &["pvdify-types", "pvdify-api"]),
    ("pvdify-registry", &["pvdify-types"]),
    ("pvdify-cnb", &[]),
    ("pvdify-lifecycle", &["pvdify-cnb"]),
    ("pvdify-launcher", &["pvdify-cnb"]),
    (
        "pvdify-builder",
        &["pvdify-types", "pvdify-registry", "pvdify-cnb"],
    ),
    ("buildpack-support", &[]),
    ("buildpack-nodejs", &["buildpack-support"]),
    ("buildpack-python", &["buildpack-support"]),
    ("buildpack-go", &["buildpack-support"]),
    ("buildpack-rust", &["buildpack-support"]),
    ("buildpack-java", &["buildpack-support"]),
    ("buildpack-ruby", &["buildpack-support"]),
    ("buildpack-php", &["buildpack-support"]),
    ("buildpack-static", &["buildpack-support"]),
    ("buildpack-procfile", &["buildpack-support"]),
    ("buildpack-apt", &["buildpack-support"]),
    ("buildpack-deno", &["buildpack-support"]),
    ("pvdify-buildpack", BUILDPACKS),
    ("pvdify-static-server", &[]),
    ("git-receiver", &["pvdify-types", "pvdify-client"]),
    ("router", &["pvdify-types", "pvdify-client"]),
    ("pvdify", &["pvdify-types", "pvdify-api", "pvdify-client"]),
    (
        "pvdifyd",
        &[
            "pvdify-types",
            "pvdify-api",
            "pvdify-builder",
            "pvdify-registry",
            "git-receiver",
            "router",
            "pvdify-client",
        ],
    ),
];

#[test]
fn crates_use_each_other_only_along_the_allowed_edges() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(repository_root())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let ours: BTreeSet<&str> = packages
        .iter()
        .map(|package| package["name"].as_str().unwrap())
        .collect();
    for package in packages {
        let name = package["name"].as_str().unwrap();
        if name == "pvdify-tests" {
            continue;
        }
        let allowed = EDGES
            .iter()
            .find(|(of, _)| *of == name)
            .unwrap_or_else(|| panic!("{name} has no line in EDGES"))
            .1;
        for dependency in package["dependencies"].as_array().unwrap() {
            let used = dependency["name"].as_str().unwrap();
            let is_dev = dependency["kind"] == "dev";
            assert!(
                !ours.contains(used) || allowed.contains(&used) || is_dev,
                "{name} may not use {used}"
            );
        }
    }
}

#[test]
fn the_router_meets_the_client_in_its_feed_only() {
    for file in files_below(&repository_root().join("router/src"), "rs") {
        let text = fs::read_to_string(&file).unwrap();
        let name = file
            .strip_prefix(repository_root())
            .unwrap()
            .display()
            .to_string();
        let allowed = name.contains("feed") || name.ends_with("lib.rs") || name.ends_with("server.rs");
        assert!(
            allowed || !text.contains("pvdify_client"),
            "{name} uses pvdify_client"
        );
    }
}

fn files_below(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir()
            && !matches!(
                name.to_str(),
                Some("target" | "node_modules" | ".git" | "build" | ".pvdify" | ".demo" | ".svelte-kit")
            )
        {
            found.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn every_file_opens_with_what_it_is() {
    for file in files_below(repository_root(), "rs") {
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("//!"), "{} has no //! header", file.display());
    }
}

#[test]
fn no_control_plane_code_starts_a_shell() {
    for dir in ["pvdifyd", "git-receiver", "router", "builder", "cli"] {
        for file in files_below(&repository_root().join(dir), "rs") {
            if file.components().any(|part| part.as_os_str() == "tests") {
                continue;
            }
            let text = fs::read_to_string(&file).unwrap();
            for shell in [
                "Command::new(\"sh\")",
                "Command::new(\"bash\")",
                "Command::new(\"/bin/sh\")",
            ] {
                assert!(!text.contains(shell), "{} starts a shell", file.display());
            }
        }
    }
}

#[test]
fn every_test_that_architecture_names_exists() {
    let text = fs::read_to_string(repository_root().join("ARCHITECTURE.md")).unwrap();
    let sources: String = files_below(repository_root(), "rs")
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let mut named = 0;
    // Tests are named as sentences in backticks with at least three underscores.
    for word in text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.matches('_').count() >= 3 && !word.contains('/'))
    {
        named += 1;
        assert!(
            sources.contains(&format!("fn {word}(")),
            "ARCHITECTURE.md names {word}, which is no test"
        );
    }
    assert!(named >= 10, "ARCHITECTURE.md names only {named} tests");
}

#[test]
fn every_make_target_that_the_readme_names_exists() {
    let makefile = fs::read_to_string(repository_root().join("Makefile")).unwrap();
    for document in ["README.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(repository_root().join(document)).unwrap();
        for target in text
            .split("make ")
            .skip(1)
            .filter_map(|rest| rest.split(|c: char| !c.is_ascii_lowercase() && c != '-').next())
        {
            let is_target = makefile
                .lines()
                .any(|line| line.starts_with(&format!("{target}:")));
            // Prose has the word too: only what stands in code is a promise.
            let in_code =
                text.contains(&format!("`make {target}`")) || text.contains(&format!("\nmake {target}"));
            assert!(is_target || !in_code, "{document} names `make {target}`");
        }
    }
}
