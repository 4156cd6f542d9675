//! Lists the programs, compiles them, puts them into their layer.
//!
//! The go command decides what is out of date. It writes into a cache layer, because it touches even a program
//! that needs no work; the launch layer is made anew only when a program's bytes differ. `-trimpath` and the
//! absence of VCS stamps make those the same for the same source.

use crate::{
    GoBuildpack, errors,
    manifest::App,
    packages::{self, Package, Program},
};
use buildpack_support::{
    Command, Failure, Result, command::CommandError, env as settings, files, fingerprint::Fingerprint, hook,
    layer, output,
};
use libcnb::{Env, build::BuildContext, data::layer_name, layer_env::LayerEnv};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

/// What was compiled.
pub(crate) struct Compiled {
    pub(crate) programs: Vec<Program>,
    /// The module's path: a program of its name is likely the one that serves.
    pub(crate) module: Option<String>,
}

/// Compiles the app.
pub(crate) fn run(context: &BuildContext<GoBuildpack>, app: &App, env: &Env) -> Result<Compiled> {
    let dir = &context.app_dir;
    hook::run(dir, env, "bin/go-pre-compile")?;
    let env = prepare(dir, app, env)?;
    let procfile = files::read(dir, "Procfile")?.unwrap_or_default();
    let programs = list(dir, app, &env, &procfile)?;

    let step = output::step("Compiling");
    let compiled = layer::cache(context, layer_name!("compiled"), "1".to_owned())?;
    build(dir, &env, &programs, &compiled)?;
    step.done_as(&format!("Compiled {}", output::count(programs.len(), "program")));
    for program in &programs {
        let size = output::size(files::size(&compiled.join(&program.name)));
        output::detail(format!("{} ({}): {size}", program.name, program.package.path));
    }
    let bin = install(context, &programs, &compiled)?;
    link(dir, &bin, &programs, &procfile)?;
    hook::run(dir, &env, "bin/go-post-compile")?;
    Ok(Compiled {
        programs,
        module: app.module.as_ref().and_then(|module| module.path.clone()),
    })
}

// What an app lacks that Go needs: a go.mod, a go.sum.
fn prepare(dir: &Path, app: &App, env: &Env) -> Result<Env> {
    let mut env = env.clone();
    let flags = settings::value(&env, "GOFLAGS").unwrap_or_default();
    let module = match (&app.module, &app.work) {
        (None, None) => {
            output::warning(
                "There is no go.mod: one is made for this build. Make yours with\n`go mod init NAME && go mod tidy`, and commit go.mod and go.sum.",
            );
            tidy(dir, &env)?;
            return Ok(env);
        }
        (module, _) => module.clone().unwrap_or_default(),
    };
    if flags.contains("-mod=") {
        return Ok(env);
    }
    if app.is_vendored {
        env.insert("GOFLAGS", format!("{flags} -mod=vendor"));
    } else if module.has_requirements && !app.has_sums && app.work.is_none() {
        output::warning(
            "There is no go.sum: what is downloaded is checked by the public checksum database only.\n\
             Run `go mod tidy` and commit go.sum.",
        );
        env.insert("GOFLAGS", format!("{flags} -mod=mod"));
    }
    Ok(env)
}

fn tidy(dir: &Path, env: &Env) -> Result<()> {
    for arguments in [&["mod", "init", "app"][..], &["mod", "tidy"]] {
        Command::new("go")
            .args(arguments)
            .envs(env)
            .dir(dir)
            .run()
            .map_err(|error| errors::of(error, "Can't make a go.mod for the app"))?;
    }
    Ok(())
}

fn list(dir: &Path, app: &App, env: &Env, procfile: &str) -> Result<Vec<Program>> {
    let asked: Vec<String> = match settings::value(env, "GO_INSTALL_PACKAGE_SPEC") {
        Some(text) => text.split_whitespace().map(str::to_owned).collect(),
        None => app.install().to_vec(),
    };
    let patterns = if asked.is_empty() {
        everything(dir, app, env)?
    } else {
        asked.clone()
    };
    let found = go_list(dir, env, &patterns)
        .map_err(|error| errors::of(error, "Can't list the packages of the app"))?;
    // By links the go command may name the folder otherwise.
    let real = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let mut found = packages::listed(&found, &real.to_string_lossy());
    if asked.is_empty() {
        found = packages::of_the_app(found, procfile);
    }
    if found.is_empty() {
        return Err(packages::none(&asked));
    }
    Ok(packages::programs(found))
}

// All packages of all modules of a workspace; `./...` alone stays within one module.
fn everything(dir: &Path, app: &App, env: &Env) -> Result<Vec<String>> {
    if app.work.is_none() {
        return Ok(vec!["./...".to_owned()]);
    }
    let text = Command::new("go")
        .args(["list", "-m", "-f", "{{.Dir}}"])
        .envs(env)
        .dir(dir)
        .output()
        .map_err(|error| errors::of(error, "Can't list the modules of the workspace"))?;
    Ok(text.lines().map(|folder| format!("{folder}/...")).collect())
}

fn go_list(dir: &Path, env: &Env, patterns: &[String]) -> std::result::Result<String, CommandError> {
    // `-e`: a package that can't be built and that no program needs is no reason to end here.
    Command::new("go")
        .args(["list", "-e"])
        .arg(format!("-tags={}", tags(env)))
        .args(["-f", "{{if eq .Name \"main\"}}{{.ImportPath}}\t{{.Dir}}{{end}}"])
        .args(patterns)
        .envs(env)
        .dir(dir)
        .output()
}

// `heroku`, as on Heroku, and those of GOFLAGS: an argument would hide them.
fn tags(env: &Env) -> String {
    let flags = settings::value(env, "GOFLAGS").unwrap_or_default();
    let more = flags
        .split_whitespace()
        .filter_map(|flag| flag.trim_start_matches('-').strip_prefix("tags="))
        .next_back()
        .unwrap_or_default();
    if more.is_empty() {
        "heroku".to_owned()
    } else {
        format!("heroku,{more}")
    }
}

// Without symbol tables; stack traces keep their lines.
fn linker_flags(env: &Env) -> String {
    let symbol = settings::value(env, "GO_LINKER_SYMBOL");
    let value = settings::value(env, "GO_LINKER_VALUE").or_else(|| settings::value(env, "SOURCE_VERSION"));
    match (symbol, value) {
        (Some(symbol), Some(value)) => format!("-s -w -X '{symbol}={value}'"),
        _ => "-s -w".to_owned(),
    }
}

fn build(dir: &Path, env: &Env, programs: &[Program], into: &Path) -> Result<()> {
    for entry in fs::read_dir(into).into_iter().flatten().flatten() {
        let is_wanted = programs
            .iter()
            .any(|program| entry.file_name() == program.name.as_str());
        if !is_wanted {
            files::remove(&entry.path())?;
        }
    }
    let flags = settings::value(env, "GOFLAGS").unwrap_or_default();
    let command = |output: &Path, packages: &[&Package]| {
        let mut command = Command::new("go")
            .arg("build")
            .arg(format!("-tags={}", tags(env)))
            .hidden_arg("-trimpath");
        if !flags.contains("-ldflags") {
            command = command.hidden_arg("-ldflags").hidden_arg(linker_flags(env));
        }
        command
            .hidden_arg("-o")
            .hidden_arg(output)
            .args(packages.iter().map(|package| &package.path))
            .envs(env)
            .dir(dir)
    };
    // Together they share their compiling; those that go would name alike are built one by one.
    let folder_names = |program: &&Program| program.package.path.ends_with(&program.name);
    let (together, apart): (Vec<&Program>, Vec<&Program>) = programs.iter().partition(folder_names);
    let mut commands = Vec::new();
    if !together.is_empty() {
        let packages: Vec<&Package> = together.iter().map(|program| &program.package).collect();
        let folder = into.join("");
        commands.push(command(&folder, &packages));
    }
    for program in apart {
        commands.push(command(&into.join(&program.name), &[&program.package]));
    }
    for command in commands {
        output::detail(format!("$ {}", command.shown()));
        command
            .run()
            .map_err(|error| errors::of(error, "The app does not compile"))?;
    }
    Ok(())
}

// The launch layer, kept when the programs are the same.
fn install(context: &BuildContext<GoBuildpack>, programs: &[Program], compiled: &Path) -> Result<PathBuf> {
    let mut fingerprint = Fingerprint::new();
    fingerprint.tree(compiled, &|_| false)?;
    let spec = layer::Spec {
        name: layer_name!("bin"),
        title: "Programs",
        build: false,
        launch: true,
        key: (fingerprint.finish(), crate::process::SIZING.to_owned()),
    };
    let layer = layer::keyed(context, &spec, |path| {
        files::make_dir(&path.join("bin"))?;
        for program in programs {
            let (from, to) = (compiled.join(&program.name), path.join("bin").join(&program.name));
            fs::copy(&from, &to).map_err(|error| Failure::io("write", &to, &error))?;
        }
        buildpack_support::process::install_exec_d(path, "go", crate::process::SIZING)?;
        Ok(LayerEnv::new())
    })?;
    Ok(layer.path.join("bin"))
}

// Procfiles written for Heroku say `bin/NAME`, and some `./NAME`.
fn link(dir: &Path, bin: &Path, programs: &[Program], procfile: &str) -> Result<()> {
    for program in programs {
        let mut places = vec![dir.join("bin").join(&program.name)];
        if procfile.contains(&format!("./{}", program.name)) {
            places.push(dir.join(&program.name));
        }
        for place in places {
            let folder = place.parent().unwrap_or(dir);
            if fs::symlink_metadata(&place).is_ok() || folder.is_file() {
                continue;
            }
            files::make_dir(folder)?;
            symlink(bin.join(&program.name), &place).map_err(|error| Failure::io("write", &place, &error))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tags_of_goflags_are_kept() {
        let mut env = Env::new();
        assert_eq!(tags(&env), "heroku");
        env.insert("GOFLAGS", "-mod=vendor -tags=netgo,sqlite");
        assert_eq!(tags(&env), "heroku,netgo,sqlite");
    }

    #[test]
    fn a_version_is_linked_in_where_asked() {
        let mut env = Env::new();
        assert_eq!(linker_flags(&env), "-s -w");
        env.insert("GO_LINKER_SYMBOL", "main.version")
            .insert("SOURCE_VERSION", "abc");
        assert_eq!(linker_flags(&env), "-s -w -X 'main.version=abc'");
    }
}
