//! Which process runs, how, and where.

use crate::image::{Image, ended};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    process::Stdio,
};

#[test]
fn a_process_type_is_the_name_of_the_launcher() {
    let image = Image::new();
    assert_eq!(image.run("web", &[]).text(), "web: by default\n");
    assert_eq!(image.run("with.period", &[]).text(), "with a period\n");
    assert_eq!(
        image.run("web", &["given", "with  spaces"]).text(),
        "web: given with  spaces\n"
    );
}

#[test]
fn old_buildpacks_processes_run_through_a_shell() {
    let image = Image::new();
    image.write("layers/acme_old/layer/env/GREETING", "good day");
    let app = image.path("workspace");
    assert_eq!(
        image.run("script", &[]).text(),
        format!("script: good day\n{}\n", app.display())
    );
    assert_eq!(
        image.run("words", &[]).text(),
        "words: good day 'quoted' two  spaces\n"
    );
    assert_eq!(
        image.run("words", &["more $GREETING"]).text(),
        "words: good day 'quoted' two  spaces more good day\n"
    );
}

#[test]
fn a_command_of_the_users_runs_through_a_shell_or_after_dashes_as_it_is() {
    let image = Image::new();
    image.write("workspace/.profile", "export FROM_PROFILE=yes\n");
    image.program(
        "layers/acme_new/layer/bin/tool",
        "echo \"the tool $1 ${FROM_PROFILE:-no}\"",
    );
    assert_eq!(
        image.run_command(&["echo", "$FROM_PROFILE", "x"]).text(),
        "yes x\n"
    );
    assert_eq!(
        image.run_command(&["echo $FROM_PROFILE && echo more"]).text(),
        "yes\nmore\n"
    );
    assert_eq!(image.run_command(&["tool", "a"]).text(), "the tool a yes\n");
    assert_eq!(
        image.run_command(&["--", "tool", "$HOME"]).text(),
        "the tool $HOME no\n"
    );
}

#[test]
fn profile_scripts_run_in_order_and_only_those_of_the_process() {
    let image = Image::new();
    let profile = |path: &str, name: &str| image.write(path, &format!("echo \"{name} $0\"\n"));
    profile("layers/acme_old/b/profile.d/1.sh", "old b 1");
    profile("layers/acme_old/a/profile.d/2.sh", "old a 2");
    profile("layers/acme_old/a/profile.d/1.sh", "old a 1");
    profile("layers/acme_old/a/profile.d/script/0.sh", "of the process");
    profile("layers/acme_old/a/profile.d/other/0.sh", "of another process");
    profile("layers/acme_new/z/profile.d/1.sh", "new z 1");
    profile("layers/of_nobody/z/profile.d/1.sh", "of no buildpack");
    profile("workspace/.profile", "the app's");
    let own = "/cnb/process/script";
    let order = [
        "new z 1",
        "old a 1",
        "old a 2",
        "of the process",
        "old b 1",
        "the app's",
    ];
    let expected: String = order.iter().map(|name| format!("{name} {own}\n")).collect();
    assert!(image.run("script", &[]).text().starts_with(&expected));
    assert_eq!(
        image.run("with.period", &[]).text(),
        "with a period\n",
        "a direct process has no shell"
    );
}

#[test]
fn a_process_starts_in_its_own_folder() {
    let image = Image::new();
    let sub = format!("{}\n", image.path("workspace/sub").display());
    assert_eq!(image.run("elsewhere", &[]).text(), sub);
    std::fs::remove_dir_all(image.path("workspace/sub")).unwrap();
    let ended = image.run("elsewhere", &[]);
    let text = format!(
        "can't go to {}: No such file or directory (os error 2)",
        sub.trim_end()
    );
    assert_eq!(ended.failure(), (85, text.as_str()));
}

#[test]
fn the_process_has_the_launchers_id_and_gets_its_signals() {
    let image = Image::new();
    let script = "trap 'echo ended; exit 7' TERM; echo $$; while :; do read -t 1 || :; done";
    for arguments in [vec!["--", "bash", "-c", script], vec![script]] {
        let mut launcher = image.launcher("launcher");
        let mut child = launcher
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), child.id().to_string());
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), "ended");
        assert_eq!(child.wait().unwrap().code(), Some(7));
    }
    let killed = image
        .launcher("launcher")
        .args(["--", "sh", "-c", "kill -9 $$"])
        .status()
        .unwrap();
    assert_eq!(killed.signal(), Some(9));
}

#[test]
fn what_can_not_be_started_is_told_in_one_line() {
    let image = Image::new();
    let known = "web, with.period, script, words, elsewhere, env, tested";
    let text = format!(
        "no process type is the default, so a command is needed: run it with one, or run /cnb/process/TYPE ({known})"
    );
    assert_eq!(image.run_command(&[]).failure(), (81, text.as_str()));
    assert_eq!(
        image.run("tested", &[]).failure(),
        (
            81,
            "no process of type tested is for the execution environment production"
        )
    );
    assert_eq!(
        ended(image.launcher("tested").env("CNB_EXEC_ENV", "test")).text(),
        "tested\n"
    );
    assert_eq!(
        image.run_command(&["--", "no-such-program"]).failure(),
        (82, "no-such-program: no such program in PATH, or not executable")
    );
    assert_eq!(
        image.run_command(&["--", "./sub"]).failure().0,
        82,
        "a folder is no program"
    );
    image.program("workspace/odd", "");
    std::fs::write(image.path("workspace/odd"), "#!/no/such/interpreter\n").unwrap();
    assert_eq!(
        image.run_command(&["--", "./odd"]).failure(),
        (82, "./odd: its interpreter is not in the image")
    );
}

#[test]
fn images_for_another_launcher_are_refused() {
    let image = Image::new();
    let with_api = |api: &str| ended(image.launcher("web").env("CNB_PLATFORM_API", api));
    for bad in ["", "0.6", "0.16", "1", "x"] {
        assert_eq!(with_api(bad).failure().0, 11, "{bad}");
    }
    assert_eq!(with_api("0.7").text(), "web: by default\n");
    let metadata = std::fs::read_to_string(image.path("layers/config/metadata.toml")).unwrap();
    image.write(
        "layers/config/metadata.toml",
        &metadata.replace("api = \"0.8\"", "api = \"0.6\""),
    );
    assert_eq!(
        image.run("web", &[]).failure(),
        (
            12,
            "the buildpack acme/old speaks API 0.6, which this launcher does not: build the app anew"
        )
    );
    image.write("layers/config/metadata.toml", "[[");
    assert_eq!(image.run("web", &[]).failure().0, 80);
    std::fs::remove_file(image.path("layers/config/metadata.toml")).unwrap();
    assert_eq!(image.run("web", &[]).failure().0, 80);
}

#[test]
fn the_variable_of_old_platforms_is_answered_with_a_warning() {
    let image = Image::new();
    let ended = ended(image.launcher("web").env("CNB_PROCESS_TYPE", "worker"));
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(0), "web: by default\n")
    );
    assert!(
        ended
            .stderr
            .starts_with("launcher: CNB_PROCESS_TYPE=worker has no effect: run /cnb/process/TYPE")
    );
}
