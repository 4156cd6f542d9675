//! What a process finds in its environment.

use crate::image::{Image, ended};
use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::fs::symlink,
    process::{Command, Stdio},
};

/// The variables of a process that prints them.
fn variables(command: &mut Command) -> BTreeMap<String, String> {
    let lines = ended(command);
    let pairs = lines.text().lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn the_launchers_own_variables_stay_its_own() {
    let image = Image::new();
    let own = variables(
        image
            .launcher("env")
            .env("MINE", "a b")
            .env("CNB_EXEC_ENV", "production"),
    );
    let expected = [
        ("CNB_EXEC_ENV", "production"),
        ("MINE", "a b"),
        ("PATH", "/usr/bin:/bin"),
    ];
    assert_eq!(
        own,
        expected
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    );
}

#[test]
fn layers_add_their_folders_and_variables_in_order() {
    let image = Image::new();
    image.program("layers/acme_new/a/bin/tool", "");
    image.write("layers/acme_new/a/lib/x.so", "");
    image.write("layers/acme_new/a/env/SET", "by env\n");
    image.write("layers/acme_new/a/env.launch/SET", "by env.launch");
    image.write("layers/acme_new/a/env.build/SET", "by env.build");
    image.write("layers/acme_new/a/env.launch/OF_ONE", "of all");
    image.write("layers/acme_new/a/env.launch/env/OF_ONE", "of env");
    image.write("layers/acme_new/a/env.launch/web/OF_ONE", "of web");
    image.write("layers/acme_new/b/bin/tool", "");
    image.write("layers/acme_old/c/env/LIST.append", "c");
    image.write("layers/acme_old/c/env/LIST.delim", ":");
    image.write("layers/acme_old/c/env/GIVEN.default", "not taken");
    image.write("layers/acme_old/c/env/PATH.prepend", "first:");
    image.write("shared/link", "linked");
    symlink(
        image.path("shared/link"),
        image.path("layers/acme_old/c/env/LINKED"),
    )
    .unwrap();
    symlink(image.path("shared"), image.path("layers/acme_old/link")).unwrap();
    let all = variables(image.launcher("env").env("LIST", "user").env("GIVEN", "user"));
    let layers = image.path("layers/acme_new");
    let layers = layers.display();
    assert_eq!(
        all["PATH"],
        format!("first:{layers}/b/bin:{layers}/a/bin:/usr/bin:/bin")
    );
    assert_eq!(all["LD_LIBRARY_PATH"], format!("{layers}/a/lib"));
    assert_eq!(all["SET"], "by env.launch");
    assert_eq!(all["OF_ONE"], "of env");
    assert_eq!((all["LIST"].as_str(), all["GIVEN"].as_str()), ("user:c", "user"));
    assert_eq!(all["LINKED"], "linked");
    assert!(!all.contains_key("LIBRARY_PATH"));
    let of_command = variables(image.launcher("launcher").args(["--", "env"]));
    assert_eq!(of_command["OF_ONE"], "of all");
}

#[test]
fn exec_d_programs_see_what_those_before_them_gave() {
    let image = Image::new();
    let give = |path: &str, name: &str| {
        image.program(
            path,
            &format!("echo \"SEEN = \\\"$SEEN {name}\\\"\" >&3; echo \"WHERE = \\\"$PWD\\\"\" >&3"),
        );
    };
    image.write("layers/acme_new/a/env/SEEN", "layer");
    give("layers/acme_new/a/exec.d/2", "a2");
    give("layers/acme_new/a/exec.d/1", "a1");
    give("layers/acme_new/a/exec.d/env/1", "of env");
    give("layers/acme_new/a/exec.d/web/1", "of web");
    give("layers/acme_new/b/exec.d/1", "b1");
    give("layers/acme_old/a/exec.d/1", "old");
    let all = variables(&mut image.launcher("env"));
    assert_eq!(all["SEEN"], "layer a1 a2 of env b1 old");
    assert_eq!(all["WHERE"], image.path("workspace").display().to_string());
    assert!(!all.contains_key("CNB_LAYERS_DIR"));
}

#[test]
fn exec_d_comes_before_profile_scripts_and_its_output_is_the_processes() {
    let image = Image::new();
    image.program(
        "layers/acme_old/a/exec.d/1",
        "echo to stdout; echo 'GREETING = \"by exec.d\"' >&3",
    );
    image.write(
        "layers/acme_old/a/profile.d/1",
        "export GREETING=\"$GREETING, then profile\"\n",
    );
    let ended = image.run("script", &[]);
    assert!(
        ended
            .text()
            .starts_with("to stdout\nscript: by exec.d, then profile\n")
    );
}

#[test]
fn an_exec_d_program_that_fails_ends_the_launch() {
    let image = Image::new();
    let path = "layers/acme_new/a/exec.d/1";
    let text = |rest: &str| format!("{}: {rest}", image.path(path).display());
    image.program(path, "echo 'GOOD = \"x\"' >&3; exit 3");
    assert_eq!(
        image.run("env", &[]).failure(),
        (84, text("failed: exit status: 3").as_str())
    );
    image.program(path, "echo 'no toml' >&3");
    assert!(
        image
            .run("env", &[])
            .failure()
            .1
            .starts_with(&text("wrote no TOML of variables: "))
    );
    image.program(path, "echo 'A = 1' >&3");
    assert!(
        image
            .run("env", &[])
            .failure()
            .1
            .starts_with(&text("wrote no TOML of variables: "))
    );
    image.program(path, "head -c 3000000 /dev/zero >&3 2>/dev/null; exit 0");
    assert_eq!(
        image.run("env", &[]).failure(),
        (84, text("wrote more than 1024 KiB").as_str())
    );
    std::fs::write(image.path(path), "").unwrap();
    assert!(
        image
            .run("env", &[])
            .failure()
            .1
            .starts_with(&text("can't be run: "))
    );
    image.program(path, "");
    assert!(
        ended(&mut image.launcher("env"))
            .text()
            .contains("PATH=/usr/bin:/bin")
    );
}

#[test]
fn no_file_of_the_launchers_is_left_open_for_the_process() {
    let image = Image::new();
    image.program("layers/acme_new/a/exec.d/1", "echo 'A = \"1\"' >&3");
    let names = |text: &str| {
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<BTreeSet<_>>()
    };
    let launched = image.run_command(&["--", "ls", "/proc/self/fd"]);
    // What this test itself was given, its children have, too.
    let without = ended(Command::new("ls").arg("/proc/self/fd").stdin(Stdio::null()));
    assert_eq!(names(launched.text()), names(without.text()));
}

#[test]
fn an_exec_d_programs_place_to_write_that_is_taken_is_told() {
    let image = Image::new();
    image.program("layers/acme_new/a/exec.d/1", "echo 'A = \"1\"' >&3");
    // The shell gives the launcher a file descriptor 3.
    let program = env!("CARGO_BIN_EXE_pvdify-launcher");
    let mut shell = Command::new("bash");
    shell.args(["-c", &format!("exec -a env {program} 3</dev/null")]);
    shell.env_clear().envs(
        image
            .launcher("env")
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let ended = ended(&mut shell);
    assert!(
        ended
            .failure()
            .1
            .ends_with("file descriptor 3, to which it would write, is in use")
    );
}
