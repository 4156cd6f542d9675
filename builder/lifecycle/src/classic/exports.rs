//! `export`: a script that a classic buildpack leaves for those after it. What it does to the environment is learnt
//! by sourcing it in a shell of its own and comparing.

use super::build::bash;
use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Stdio},
};

/// Variables of the shell itself.
const SHELLS_OWN: [&str; 4] = ["_", "SHLVL", "PWD", "OLDPWD"];

/// The variables that the script sets or changes.
pub(super) fn read(script: &Path, app: &Path) -> Result<BTreeMap<String, String>, String> {
    let shown = script.display();
    let print = "exec env -0";
    let before = environment(bash().args(["-c", print]), app, &shown.to_string())?;
    // Its output is no variable.
    let source = format!("source \"$1\" >&2; {print}");
    let mut command = bash();
    command.args(["-c", &source, "export"]).arg(script);
    let after = environment(&mut command, app, &shown.to_string())?;
    Ok(changed(&before, after))
}

fn environment(command: &mut Command, app: &Path, shown: &str) -> Result<BTreeMap<String, String>, String> {
    let output = command
        .current_dir(app)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{shown} can't be sourced: {error}"))?;
    if !output.status.success() {
        return Err(format!("{shown} can't be sourced: {}", output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
    Ok(pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

fn changed(before: &BTreeMap<String, String>, after: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let is_name = |name: &str| {
        name.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
    };
    after
        .into_iter()
        .filter(|(name, value)| {
            is_name(name) && !SHELLS_OWN.contains(&name.as_str()) && before.get(name) != Some(value)
        })
        .collect()
}
