//! bin/build of a classic buildpack: a copy of it that it may write to, bin/compile, its `export`, bin/release.

use super::{Classic, Wrapped, exports, procfile, release, variable};
use crate::{files, log};
use pvdify_cnb::id::ProcessName;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, ExitCode, Stdio},
};

/// The largest output of bin/release that is read.
const MOST_RELEASE: usize = 1 << 20;

pub(super) fn run() -> Result<ExitCode, String> {
    let classic = Classic::open()?;
    let layers = variable("CNB_LAYERS_DIR")?;
    let env_dir = variable("CNB_PLATFORM_DIR")?.join("env");
    let (root, cache, dyno) = (layers.join("root"), layers.join("cache"), layers.join("dyno"));
    for stale in [&root, &dyno] {
        files::remove_tree(stale).map_err(|error| at(stale, error))?;
    }
    let own = root.join("buildpack");
    copy(&classic.folder.join("classic"), &own)?;
    make(&cache)?;
    layer(&layers, "root", "build")?;
    layer(&layers, "cache", "cache")?;

    let (name, is_its_own) = classic.detect()?;
    log::step(&if is_its_own {
        format!("{name} app detected")
    } else {
        format!("Using {}", classic.wrapped.name)
    });
    let mut compile = classic
        .program(&own, "compile")
        .ok_or_else(|| format!("{} has no bin/compile", classic.wrapped.name))?;
    let status = compile
        .arg(&cache)
        .arg(&env_dir)
        .status()
        .map_err(|error| format!("bin/compile of {} can't be run: {error}", classic.wrapped.name))?;
    if !status.success() {
        log::warning(&format!(
            "bin/compile of {} failed: {status}",
            classic.wrapped.name
        ));
        return Ok(ExitCode::FAILURE);
    }
    if own.join("export").exists() {
        let exported = exports::read(&own.join("export"), &classic.app)?;
        write_env(&root.join("env.build"), &exported, "override")?;
    }
    let released = released(&classic, &own)?;
    write_env(&dyno.join("env.launch"), &released.config_vars, "default")?;
    if classic.wrapped.last {
        launch_as_heroku(&dyno, &classic.app)?;
        let processes = processes(&classic, released.default_process_types)?;
        files::write_toml(&layers.join("launch.toml"), &processes)?;
    }
    layer(&layers, "dyno", "launch")?;
    Ok(ExitCode::SUCCESS)
}

/// What its bin/release says.
fn released(classic: &Classic, own: &Path) -> Result<release::Release, String> {
    let Some(mut command) = classic.program(own, "release") else {
        return Ok(release::Release::default());
    };
    let Wrapped { name, .. } = &classic.wrapped;
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("bin/release of {name} can't be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("bin/release of {name} failed: {}", output.status));
    }
    let text = std::str::from_utf8(&output.stdout[..output.stdout.len().min(MOST_RELEASE)])
        .map_err(|_| format!("bin/release of {name} printed no text"))?;
    release::parse(text)
        .map_err(|error| format!("bin/release of {name} printed what is not understood: {error}"))
}

/// The Procfile's process types, and those of bin/release that it has not: `launch.toml` of Buildpack API 0.8, whose
/// commands are texts for a shell.
fn processes(classic: &Classic, defaults: BTreeMap<String, String>) -> Result<Launch, String> {
    let declared = files::text(&classic.app.join("Procfile"))?.unwrap_or_default();
    let mut all = defaults;
    all.extend(procfile::parse(&declared));
    let mut processes = Vec::new();
    for (name, command) in all {
        let name: ProcessName = name.parse().map_err(|error| format!("a process type: {error}"))?;
        processes.push(Process {
            default: name.as_str() == "web",
            name,
            command,
            direct: false,
        });
    }
    Ok(Launch { processes })
}

#[derive(Serialize)]
struct Launch {
    processes: Vec<Process>,
}

#[derive(Serialize)]
struct Process {
    #[serde(rename = "type")]
    name: ProcessName,
    command: String,
    direct: bool,
    default: bool,
}

/// As a dyno starts: HOME is the app's folder, and what is in `.profile.d` is sourced there.
fn launch_as_heroku(dyno: &Path, app: &Path) -> Result<(), String> {
    let home = [("HOME".to_owned(), app.display().to_string())].into();
    write_env(&dyno.join("env.launch"), &home, "override")?;
    let script = "cd \"$HOME\"\nfor file in \"$HOME\"/.profile.d/*.sh; do\n    \
        if [ -r \"$file\" ]; then source \"$file\"; fi\ndone\nunset file\n";
    let folder = dyno.join("profile.d");
    make(&folder)?;
    files::write(&folder.join("classic.sh"), script)
}

fn write_env(folder: &Path, variables: &BTreeMap<String, String>, suffix: &str) -> Result<(), String> {
    make(folder)?;
    for (name, value) in variables {
        files::write(&folder.join(format!("{name}.{suffix}")), value)?;
    }
    Ok(())
}

/// `NAME.toml` with one flag set.
fn layer(layers: &Path, name: &str, flag: &str) -> Result<(), String> {
    files::write(
        &layers.join(format!("{name}.toml")),
        &format!("[types]\n{flag} = true\n"),
    )
}

/// A copy with links as they are; what is neither file, folder nor link has no place in a buildpack.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    make(to)?;
    for entry in fs::read_dir(from).map_err(|error| at(from, error))? {
        let entry = entry.map_err(|error| at(from, error))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(|error| at(&path, error))?;
        if kind.is_dir() {
            copy(&path, &target)?;
        } else if kind.is_symlink() {
            let link = fs::read_link(&path).map_err(|error| at(&path, error))?;
            std::os::unix::fs::symlink(link, &target).map_err(|error| at(&target, error))?;
        } else if kind.is_file() {
            fs::copy(&path, &target).map_err(|error| at(&path, error))?;
            let mode = entry
                .metadata()
                .map_err(|error| at(&path, error))?
                .permissions()
                .mode();
            fs::set_permissions(&target, fs::Permissions::from_mode(mode | 0o200))
                .map_err(|error| at(&target, error))?;
        }
    }
    Ok(())
}

fn make(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| at(folder, error))
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn at(path: &Path, error: io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// bash, for what only it can read.
pub(super) fn bash() -> Command {
    let mut command = Command::new("/bin/bash");
    command.stdin(Stdio::null());
    command
}
