//! What runs in the image: process types, and the exec.d script that sizes them from the container's limits.
//!
//! The script runs before each process, in the container that runs it: memory and CPU are known only there. It
//! is POSIX sh, because that is in every run image. A variable that the app's config sets is never changed.

use crate::{Failure, Result, files};
use libcnb::data::launch::{Process, ProcessBuilder, ProcessType};
use std::{os::unix::fs::PermissionsExt, path::Path};

/// A process that a shell runs (`bash -c`), as a Procfile's line.
#[must_use]
pub fn shell(name: ProcessType, command: &str) -> Process {
    ProcessBuilder::new(name, ["bash", "-c", command]).build()
}

/// A process that is started directly, so that signals reach it.
#[must_use]
pub fn direct(name: ProcessType, command: impl IntoIterator<Item = impl Into<String>>) -> Process {
    ProcessBuilder::new(name, command).build()
}

/// The words of a command that needs no shell: no variables, quotes, operators or patterns in it.
#[must_use]
pub fn plain_words(command: &str) -> Option<Vec<String>> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,= ".contains(c);
    let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    // `NAME=value command` sets a variable for the command: a shell's work.
    let is_assignment = words.first()?.contains('=');
    (command.trim().chars().all(is_plain) && !is_assignment).then_some(words)
}

/// Sets before the formula: `$memory_mb` (the limit, or the machine's memory), `$is_limited` (`yes` or `no`) and
/// `$cpus` (whole, at least 1); `set_default NAME VALUE` gives a variable unless it is set already.
const PRELUDE: &str = r#"#!/bin/sh
# Sizes the app from the memory and CPU that its container has.
set -eu

read_number() {
  [ -r "$1" ] || return 1
  number=
  read -r number _ <"$1" || [ -n "$number" ] || return 1
  case "$number" in '' | *[!0-9]*) return 1 ;; esac
}

total_kb=$(while read -r key value _; do [ "$key" = MemTotal: ] && echo "$value"; done </proc/meminfo || true)
memory_mb=$((${total_kb:-524288} / 1024))
is_limited=no
# cgroup v2, then v1; without a limit v1 has a number near 2^63.
for file in /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes; do
  if read_number "$file" && [ "${#number}" -lt 16 ] && [ "$((number / 1048576))" -lt "$memory_mb" ]; then
    memory_mb=$((number / 1048576))
    is_limited=yes
    break
  fi
done

cpus=$(nproc 2>/dev/null || echo 1)
quota=
period=
if [ -r /sys/fs/cgroup/cpu.max ]; then
  read -r quota period </sys/fs/cgroup/cpu.max || true
elif read_number /sys/fs/cgroup/cpu/cpu.cfs_quota_us; then
  quota=$number
  if read_number /sys/fs/cgroup/cpu/cpu.cfs_period_us; then period=$number; fi
fi
case "$quota$period" in
'' | *[!0-9]*) ;;
*)
  limit=$(((quota + period - 1) / period))
  if [ "$limit" -ge 1 ] && [ "$limit" -lt "$cpus" ]; then cpus=$limit; fi
  ;;
esac

set_default() {
  eval "current=\${$1:-}"
  if [ -z "$current" ]; then
    printf '%s = "%s"\n' "$1" "$2" >&3
  fi
}

"#;

/// The whole script for a language's formula, which is a few lines of POSIX sh.
#[must_use]
pub fn exec_d_script(formula: &str) -> String {
    format!("{PRELUDE}{}\n", formula.trim())
}

/// Writes the script into a layer that is being made, as `exec.d/NAME`.
pub fn install_exec_d(layer: &Path, name: &str, formula: &str) -> Result<()> {
    let path = layer.join("exec.d").join(name);
    files::write(&path, exec_d_script(formula))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
        .map_err(|error| Failure::io("write", &path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    // `3>&1` is the launcher's part here.
    fn run(formula: &str, variables: &[(&str, &str)]) -> String {
        let dir = tempfile::tempdir().unwrap();
        install_exec_d(dir.path(), "size", formula).unwrap();
        let output = Command::new("sh")
            .args(["-c", "exec \"$0\" 3>&1"])
            .arg(dir.path().join("exec.d/size"))
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn the_script_gives_memory_and_cpus_as_toml() {
        let text = run(
            "set_default MB \"$memory_mb\"\nset_default CPUS \"$cpus\"\nset_default L $is_limited",
            &[],
        );
        let table: toml::Table = text.parse().unwrap();
        let number = |name: &str| table[name].as_str().unwrap().parse::<u64>().unwrap();
        assert!(number("MB") > 64 && number("CPUS") >= 1);
        assert!(["yes", "no"].contains(&table["L"].as_str().unwrap()));
    }

    #[test]
    fn what_the_app_sets_stays() {
        assert_eq!(
            run("set_default WEB_CONCURRENCY 4", &[("WEB_CONCURRENCY", "1")]),
            ""
        );
        assert_eq!(
            run("set_default WEB_CONCURRENCY 4", &[]),
            "WEB_CONCURRENCY = \"4\"\n"
        );
    }

    #[test]
    fn a_command_without_a_shells_work_is_its_words() {
        assert_eq!(
            plain_words("node  dist/server.js --port=1").unwrap(),
            ["node", "dist/server.js", "--port=1"]
        );
        for command in [
            "node $X",
            "a && b",
            "NODE_ENV=x node a",
            "node 'a b'",
            "node *.js",
            "",
            "a > b",
            "a; b",
            "~/a",
        ] {
            assert_eq!(plain_words(command), None, "{command}");
        }
    }
}
