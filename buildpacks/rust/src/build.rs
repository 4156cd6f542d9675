//! `cargo build --release`, and the programs that it made.

use crate::{problems, sources::Sources};
use buildpack_support::{Command, Failure, Result, env, files, layer, output, procfile::Procfile};
use libcnb::{Env, build::BuildContext, data::layer_name};
use serde::Deserialize;
use std::path::{Path, PathBuf};

type Context = BuildContext<crate::RustBuildpack>;

const TARGET_LIMIT: u64 = 6_000_000_000;
const HOME_LIMIT: u64 = 3_000_000_000;

/// A program of the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) name: String,
    /// The package that it is in.
    pub(crate) package: String,
    /// The package says that it is what `cargo run` starts.
    pub(crate) is_default: bool,
    /// Where Cargo put it.
    pub(crate) path: PathBuf,
}

/// What was built.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) programs: Vec<Program>,
    /// The folder's name below `target`.
    pub(crate) profile: String,
}

// What `cargo metadata` says, as far as it is needed.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    #[serde(default)]
    workspace_default_members: Vec<String>,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    default_run: Option<String>,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
    #[serde(rename = "required-features", default)]
    required_features: Vec<String>,
}

/// Builds the app.
pub(crate) fn build(context: &Context, env: &mut Env, procfile: &Procfile, version: &str) -> Result<Built> {
    let app = &context.app_dir;
    let what = ("The cache of packages", HOME_LIMIT);
    let home = layer::bounded_cache(context, layer_name!("cargo-home"), 1_u32, what)?;
    let what = ("What Cargo has built", TARGET_LIMIT);
    let target = layer::bounded_cache(context, layer_name!("target"), version.to_owned(), what)?;
    env.insert("CARGO_HOME", &home);
    env.insert("CARGO_TARGET_DIR", target.join("out"));
    env.insert("CARGO_TERM_COLOR", "never");
    env.insert("CARGO_TERM_PROGRESS_WHEN", "never");
    env.insert("CARGO_INCREMENTAL", "0");
    let has_lock = files::exists(app, "Cargo.lock");
    if !has_lock {
        // Versions of packages that this compiler knows, instead of the newest.
        env.insert("CARGO_RESOLVER_INCOMPATIBLE_RUST_VERSIONS", "fallback");
        output::warning(
            "The app has no Cargo.lock: each build may get other versions of its packages.\n\
             Remove it from .gitignore and commit it.",
        );
    }
    let step = output::step("Building with Cargo");
    let flags = flags(app, env)?;
    let metadata = metadata(app, env, has_lock, version)?;
    let names = programs(&metadata, procfile);
    let mut arguments = vec!["build".to_owned()];
    if !flags
        .iter()
        .any(|flag| flag == "--release" || flag.starts_with("--profile"))
    {
        arguments.push("--release".to_owned());
    }
    let asks_for_lock = flags.iter().any(|flag| flag == "--locked" || flag == "--frozen");
    if has_lock && !asks_for_lock {
        arguments.push("--locked".to_owned());
    }
    if names.needs_all {
        arguments.push("--workspace".to_owned());
    }
    arguments.extend(flags.iter().cloned());
    let sources = Sources::mark(app, &target)?;
    output::detail(format!(
        "{} since the last build",
        output::count(sources.changed, "changed file")
    ));
    let cargo = |arguments: &[String]| {
        output::detail(format!("$ cargo {}", arguments.join(" ")));
        Command::new("cargo").args(arguments).envs(env).dir(app).run()
    };
    let mut built = cargo(&arguments);
    if !asks_for_lock && built.as_ref().is_err_and(problems::is_lock_outdated) {
        output::warning(
            "Cargo.lock does not agree with Cargo.toml: it is followed as far as it goes.\n\
             Run `cargo build` on your machine and commit Cargo.lock.",
        );
        arguments.retain(|argument| argument != "--locked");
        built = cargo(&arguments);
    }
    built.map_err(|error| {
        let members: Vec<&str> = metadata
            .packages
            .iter()
            .map(|package| package.name.as_str())
            .collect();
        problems::cargo(error, version, &members)
    })?;
    sources.done()?;
    step.done();
    let profile = profile(&flags);
    let folder = target.join("out").join(&profile);
    let programs: Vec<Program> = names
        .programs
        .into_iter()
        .map(|program| Program {
            path: folder.join(&program.name),
            ..program
        })
        .filter(|program| program.path.is_file())
        .collect();
    if programs.is_empty() {
        return Err(problems::no_programs());
    }
    Ok(Built { programs, profile })
}

// Further options: the variable's, else those of RustConfig, as Heroku's community knows them.
fn flags(app: &Path, env: &Env) -> Result<Vec<String>> {
    let name = "RUST_CARGO_BUILD_FLAGS";
    let text = match env::value(env, name) {
        Some(text) => Some(text),
        None => files::read(app, "RustConfig")?.and_then(|text| {
            let prefix = format!("{name}=");
            let line = text
                .lines()
                .find_map(|line| line.trim().strip_prefix(&prefix))?
                .to_owned();
            Some(line.trim_matches(['"', '\'']).to_owned())
        }),
    };
    Ok(text
        .unwrap_or_default()
        .split_whitespace()
        .map(str::to_owned)
        .collect())
}

fn profile(flags: &[String]) -> String {
    let named = flags
        .iter()
        .enumerate()
        .find_map(|(at, flag)| match flag.strip_prefix("--profile") {
            Some("") => flags.get(at + 1).cloned(),
            Some(rest) => rest.strip_prefix('=').map(str::to_owned),
            None => None,
        });
    match named.as_deref() {
        Some("dev") => "debug".to_owned(),
        Some(name) => name.to_owned(),
        None => "release".to_owned(),
    }
}

fn metadata(app: &Path, env: &Env, has_lock: bool, version: &str) -> Result<Metadata> {
    let command = Command::new("cargo").args(["metadata", "--format-version", "1", "--no-deps"]);
    let command = if has_lock {
        command.hidden_arg("--locked")
    } else {
        command
    };
    let text = command
        .envs(env)
        .dir(app)
        .output()
        .map_err(|error| problems::manifest(error, version))?;
    serde_json::from_str(&text).map_err(|error| {
        Failure::new(
            "What Cargo says of the app can't be read",
            format!("{error}."),
            "Push again. If it stays, ask for another Rust in rust-toolchain.toml.",
        )
    })
}

struct Names {
    programs: Vec<Program>,
    needs_all: bool,
}

// Those of the packages that Cargo builds unasked; all of the workspace's, if these have none or the Procfile
// names another.
fn programs(metadata: &Metadata, procfile: &Procfile) -> Names {
    let of = |packages: Vec<&Package>| -> Vec<Program> {
        let mut programs = Vec::new();
        for package in packages {
            for target in &package.targets {
                if target.kind.iter().any(|kind| kind == "bin") && target.required_features.is_empty() {
                    programs.push(Program {
                        name: target.name.clone(),
                        package: package.name.clone(),
                        is_default: package.default_run.as_deref() == Some(&target.name),
                        path: PathBuf::new(),
                    });
                }
            }
        }
        programs
    };
    let is_default = |package: &&Package| {
        metadata.workspace_default_members.is_empty()
            || metadata.workspace_default_members.contains(&package.id)
    };
    let usual = of(metadata.packages.iter().filter(is_default).collect());
    let all = of(metadata.packages.iter().collect());
    let is_named = |program: &Program| {
        procfile.entries.iter().any(|entry| {
            entry
                .command
                .split(|c: char| c.is_whitespace() || c == '/')
                .any(|word| word == program.name)
        })
    };
    let misses = all
        .iter()
        .any(|program| is_named(program) && !usual.contains(program));
    if usual.is_empty() || misses {
        Names {
            programs: all,
            needs_all: true,
        }
    } else {
        Names {
            programs: usual,
            needs_all: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> Metadata {
        serde_json::from_str(
            r#"{"packages":[
                {"id":"a","name":"app","default_run":"one","targets":[{"name":"one","kind":["bin"]},{"name":"two","kind":["bin"]},{"name":"app","kind":["lib"]}]},
                {"id":"b","name":"tool","default_run":null,"targets":[{"name":"tool","kind":["bin"]},{"name":"extra","kind":["bin"],"required-features":["x"]}]}],
               "workspace_default_members":["a"]}"#,
        )
        .unwrap()
    }

    fn names(procfile: &str) -> (Vec<String>, bool) {
        let names = programs(&metadata(), &Procfile::parse(procfile).unwrap());
        (
            names.programs.into_iter().map(|program| program.name).collect(),
            names.needs_all,
        )
    }

    #[test]
    fn programs_are_those_of_the_default_packages() {
        assert_eq!(names(""), (vec!["one".into(), "two".into()], false));
        assert_eq!(
            names("worker: ./target/release/tool --x"),
            (vec!["one".into(), "two".into(), "tool".into()], true)
        );
    }

    #[test]
    fn the_profile_is_by_the_options() {
        let of = |text: &str| profile(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(
            [of(""), of("--profile dist"), of("--profile=dev")],
            ["release", "dist", "debug"]
        );
    }
}
