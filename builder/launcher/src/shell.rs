//! A process that runs through bash: profile scripts first, then the command in a shell of its own. Pure.

use crate::process::Start;
use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// The shell that becomes the process. `own_name` is `$0` for the profile scripts.
pub(crate) fn start(start: &Start, own_name: &OsStr, app: &Path, profiles: &[PathBuf]) -> Start {
    let mut script = OsString::new();
    for profile in profiles {
        script.push("source ");
        script.push(quoted(profile.as_os_str()));
        script.push("\n");
    }
    script.push("cd ");
    script.push(quoted(start.folder(app).as_os_str()));
    script.push("\n");
    script.push(if start.command.len() > 1 {
        words(start.command.len())
    } else {
        // One text: a script as it stands.
        r#"exec bash -c "$@""#.to_owned()
    });
    let shell = ["/bin/bash".into(), "-c".into(), script, own_name.to_owned()];
    Start {
        command: shell.into_iter().chain(start.command.iter().cloned()).collect(),
        is_direct: true,
        working_dir: PathBuf::new(),
        process_type: start.process_type.clone(),
    }
}

/// A command that evaluates each of its words once more, as text between double quotes, and runs them as one program
/// and its arguments.
fn words(count: usize) -> String {
    let word = |number: usize| format!(r#""$(eval "printf %s \"${{{number}}}\"")""#);
    let words: Vec<String> = (0..count).map(word).collect();
    format!(r#"exec bash -c '{}' "$@""#, words.join(" "))
}

fn quoted(text: &OsStr) -> OsString {
    let mut quoted = b"'".to_vec();
    for byte in text.as_bytes() {
        match byte {
            b'\'' => quoted.extend(br"'\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    OsStr::from_bytes(&quoted).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(command: &[&str], working_dir: &str, profiles: &[&str]) -> String {
        let start = Start {
            command: command.iter().map(OsString::from).collect(),
            is_direct: false,
            working_dir: working_dir.into(),
            process_type: None,
        };
        let profiles: Vec<PathBuf> = profiles.iter().map(PathBuf::from).collect();
        let shell = super::start(&start, OsStr::new("web"), Path::new("/workspace"), &profiles);
        let words: Vec<String> = shell
            .command
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        words.join("\n")
    }

    #[test]
    fn profiles_come_first_and_one_text_is_a_script() {
        insta::assert_snapshot!(script(&["run && x"], "", &["/layers/a/profile.d/1", "/layers/it's/2"]), @r#"
        /bin/bash
        -c
        source '/layers/a/profile.d/1'
        source '/layers/it'\''s/2'
        cd '/workspace'
        exec bash -c "$@"
        web
        run && x
        "#);
        insta::assert_snapshot!(script(&["run", "$A", "b c"], "sub", &[]), @r#"
        /bin/bash
        -c
        cd '/workspace/sub'
        exec bash -c '"$(eval "printf %s \"${0}\"")" "$(eval "printf %s \"${1}\"")" "$(eval "printf %s \"${2}\"")"' "$@"
        web
        run
        $A
        b c
        "#);
    }
}
