//! Fetching a buildpack from a Git repository or a packed folder (`fetch-git URL REF`, `fetch-archive URL`), into
//! `tree` of the working directory. It runs in a container of its own: what is fetched may be hostile, and so may
//! the server that sends it. Git and curl are told what to do by their arguments; nothing goes through a shell.
//!
//! The last line on standard output says what came: a commit, or the archive's SHA-256.

use crate::failure::{Failure, code};
use std::{
    fs, io,
    path::Path,
    process::{Command, ExitCode, Stdio},
};

/// Before what came; the host reads it.
const CAME: &str = "pvdify-fetched: ";
/// Where it goes.
const TREE: &str = "tree";
/// The largest archive.
const MAX_ARCHIVE: &str = "536870912";

/// Runs a subcommand of this module, if the arguments name one.
pub(crate) fn asked(arguments: &[String]) -> Option<ExitCode> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let fetched = match arguments[..] {
        ["fetch-git", url, reference] => git(url, reference),
        ["fetch-archive", url] => archive(url),
        _ => return None,
    };
    Some(match fetched {
        Ok(came) => {
            println!("{CAME}{came}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("{}", Failure::new("fetch", code::SOURCE, message).line());
            ExitCode::from(code::SOURCE)
        }
    })
}

fn git(url: &str, reference: &str) -> Result<String, String> {
    fs::create_dir(TREE).map_err(|error| format!("{TREE}: {error}"))?;
    run(git_in_tree().args(["init", "--quiet"]))?;
    let wanted = if reference.is_empty() { "HEAD" } else { reference };
    let shallow =
        run(git_in_tree().args(["fetch", "--quiet", "--depth", "1", "--no-tags", "--", url, wanted]));
    let commit = match shallow {
        Ok(_) => "FETCH_HEAD".to_owned(),
        // A server that gives no part of its history, or not by a commit's name: all of it, then.
        Err(first) => {
            let all = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"];
            run(git_in_tree().args(["fetch", "--quiet", "--no-tags", "--", url, "HEAD"]))
                .map_err(|_| first.clone())?;
            if reference.is_empty() {
                "FETCH_HEAD".to_owned()
            } else {
                run(git_in_tree()
                    .args(["fetch", "--quiet", "--no-tags", "--", url])
                    .args(all))?;
                commit_of(reference).ok_or(first)?
            }
        }
    };
    run(git_in_tree().args(["checkout", "--quiet", "--detach", &commit]))?;
    let commit = run(git_in_tree().args(["rev-parse", "HEAD"]))?;
    if Path::new(TREE).join(".gitmodules").exists() {
        run(git_in_tree().args(["remote", "add", "origin", url]))?;
        run(git_in_tree().args(["submodule", "--quiet", "update", "--init", "--recursive"]))?;
    }
    fs::remove_dir_all(Path::new(TREE).join(".git")).map_err(|error| format!("{TREE}: {error}"))?;
    Ok(commit.trim().to_owned())
}

/// The commit that a branch, a tag or the beginning of a commit's name means.
fn commit_of(reference: &str) -> Option<String> {
    ["refs/remotes/origin/", "refs/tags/", ""]
        .iter()
        .find_map(|before| {
            let name = format!("{before}{reference}^{{commit}}");
            let found =
                run(git_in_tree().args(["rev-parse", "--verify", "--quiet", "--end-of-options", &name]));
            found.ok().map(|commit| commit.trim().to_owned())
        })
}

/// Git, in the tree, with nobody to ask and no settings of anybody's.
fn git_in_tree() -> Command {
    let mut git = Command::new("git");
    git.args([
        "-C",
        TREE,
        "-c",
        "init.defaultBranch=main",
        "-c",
        "advice.detachedHead=false",
    ])
    .env("GIT_TERMINAL_PROMPT", "0")
    .env("GIT_CONFIG_NOSYSTEM", "1")
    .env("GIT_CONFIG_GLOBAL", "/dev/null")
    .env("GIT_ALLOW_PROTOCOL", "https:http")
    .env("GIT_LFS_SKIP_SMUDGE", "1");
    git
}

fn archive(url: &str) -> Result<String, String> {
    fs::create_dir(TREE).map_err(|error| format!("{TREE}: {error}"))?;
    let limits = ["--max-redirs", "5", "--max-filesize", MAX_ARCHIVE, "--retry", "2"];
    let protocols = ["--proto", "=https,http", "--proto-redir", "=https,http"];
    run(Command::new("curl")
        .args(["--disable", "--fail", "--silent", "--show-error", "--location"])
        .args(limits)
        .args(protocols)
        .args(["--output", "archive", "--", url]))?;
    let sum = run(Command::new("sha256sum").args(["--", "archive"]))?;
    run(Command::new("tar").args([
        "--extract",
        "--file=archive",
        "--no-same-owner",
        "--no-same-permissions",
        "--directory",
        TREE,
    ]))?;
    fs::remove_file("archive").map_err(|error| format!("archive: {error}"))?;
    let sum = sum.split_whitespace().next().unwrap_or_default();
    Ok(format!("sha256:{sum}"))
}

/// Runs a program to its end; its output, or the last of what it complained of.
fn run(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().display().to_string();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => format!("{program} is missing in the build image"),
            _ => format!("{program}: {error}"),
        })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaints = String::from_utf8_lossy(&output.stderr);
    let last = complaints.lines().map(str::trim).rfind(|line| !line.is_empty());
    let last = last.map_or_else(|| output.status.to_string(), crate::log::quote);
    Err(format!("{program}: {last}"))
}
