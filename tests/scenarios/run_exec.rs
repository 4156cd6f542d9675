//! `run`, `exec` and `enter`: a process of the app's at one's own standard streams, and gone with them.

use pvdify_tests::{Platform, Pusher, Terminal, probe_with, run};
use std::{
    fs,
    time::{Duration, Instant},
};

const DOCKERFILE: &str = "FROM pvdify/run:trixie\nCOPY server version /\nWORKDIR /tmp\nCMD [\"/server\"]\n";
const PROCFILE: &str = "web: /server\nhello: echo \"hello $GREETING\"; exit 4\n";
const LIMIT: Duration = Duration::from_secs(60);

/// An app on the run image, with a config var.
async fn deployed(platform: &Platform) {
    let pusher = Pusher::new(platform, "demo").await;
    pusher.commit(|dir| probe_with(dir, "one", &[("Procfile", PROCFILE), ("Dockerfile", DOCKERFILE)]));
    pusher.push().await.ok();
    platform
        .cli(&["config:set", "demo", "GREETING=good day"])
        .await
        .ok();
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < LIMIT, "not within a minute: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// One-off containers, running or not.
fn one_offs(platform: &Platform) -> usize {
    let installation = format!("label=pvdify.installation={}", platform.installation().unwrap());
    let kind = "label=pvdify.kind=session";
    let listed = run(
        "podman",
        &["ps", "-aq", "--filter", &installation, "--filter", kind],
    );
    listed.lines().filter(|line| !line.is_empty()).count()
}

/// Processes of the host with these words in their command line.
fn processes(words: &str) -> usize {
    let all = fs::read_dir("/proc").unwrap();
    let lines = all.filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok());
    lines
        .filter(|line| String::from_utf8_lossy(line).replace('\0', " ").trim_end() == words)
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_one_off_has_the_apps_environment_and_its_streams_and_status_are_ours() {
    let platform = Platform::start().await;
    deployed(&platform).await;
    let run = async |command: &[&str]| {
        let all = [&["run", "demo", "--"], command].concat();
        platform.cli(&all).await
    };

    let ran = run(&["echo \"$GREETING from $DYNO\"; echo err >&2; exit 3"]).await;
    assert_eq!((ran.status, &*ran.stderr), (3, "err\n"));
    assert!(ran.stdout.starts_with("good day from run."), "{}", ran.stdout);
    assert_eq!(run(&["kill -9 $$"]).await.status, 137);
    assert_eq!(run(&["echo", "a  b", "$GREETING"]).await.ok(), "a  b $GREETING\n");
    let missing = run(&["no-such-program", "x"]).await;
    assert_eq!(
        (missing.status, &*missing.stderr),
        (127, "no-such-program: command not found\n")
    );
    assert_eq!(run(&["/tmp", "x"]).await.status, 126);
    let hello = platform.cli(&["run", "demo", "hello"]).await;
    assert_eq!((hello.status, &*hello.stdout), (4, "hello good day\n"));
    let set = [
        "run",
        "demo",
        "-e",
        "GREETING=hi",
        "-e",
        "X=1",
        "--",
        "echo $GREETING $X",
    ];
    assert_eq!(platform.cli(&set).await.ok(), "hi 1\n");
    for _ in 0..20 {
        assert_eq!(run(&["printf", "first"]).await.ok(), "first");
    }

    let piped = ["run", "demo", "--no-tty", "--", "cat"];
    assert_eq!(platform.cli_with_input(&piped, b"hi").await.1, b"hi");
    let bytes: Vec<u8> = (0..2_500_000_u32).flat_map(u32::to_le_bytes).collect();
    let (output, back) = platform.cli_with_input(&piped, &bytes).await;
    assert_eq!(output.status, 0, "{}", output.stderr);
    assert!(back == bytes, "{} of {} bytes", back.len(), bytes.len());
    let head = ["run", "demo", "--", "head", "-c", "5"];
    let (output, back) = platform.cli_with_input(&head, &bytes).await;
    assert_eq!((output.status, &*back), (0, &bytes[..5]));

    let log = platform
        .cli(&["logs", "demo", "-n", "500", "-p", "run"])
        .await
        .ok();
    let number = log
        .split("pvdify[run.")
        .nth(1)
        .and_then(|rest| rest.split(']').next())
        .unwrap();
    let of_first = log
        .lines()
        .filter(|line| line.contains(&format!("[run.{number}]")));
    let story: Vec<_> = of_first.filter_map(|line| line.split("]: ").nth(1)).collect();
    assert_eq!(
        story,
        [
            "Starting process with command `echo \"$GREETING from $DYNO\"; echo err >&2; exit 3` by dev",
            "State changed from starting to up",
            "Process exited with status 3",
            "State changed from up to complete",
        ]
    );
    until("nothing is left", || one_offs(&platform) == 0).await;
    let unknown = platform.cli(&["run", "nobody", "--", "ls"]).await;
    assert_eq!(
        (unknown.status, unknown.stderr.lines().next()),
        (1, Some("error: there is no app \"nobody\""))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_is_one_at_both_ends_and_is_given_back() {
    let platform = Platform::start().await;
    deployed(&platform).await;
    let mut terminal = platform.cli_in_terminal(&["run", "demo", "--", "bash", "--norc"], 97, 31);
    terminal.until("# ").await;
    assert!(!terminal.is_cooked(), "keys go there as they are");
    terminal.type_in("stty size; echo \"$COLUMNS $TERM\"\r");
    terminal.until("31 97\r\n97 xterm\r\n").await;
    terminal.resize(120, 40);
    terminal.type_in("sleep 1003\r");
    until("it runs", || processes("sleep 1003") == 1).await;
    let shown = platform.cli(&["ps", "demo"]).await.ok();
    assert!(
        shown.contains("=== run: one-off processes (1) running\nrun.") && shown.contains(": bash --norc\n"),
        "{shown}"
    );
    terminal.type_in("\x03");
    until("Ctrl-C ends it there", || processes("sleep 1003") == 0).await;
    terminal.type_in("stty size; exit 5\r");
    terminal.until("40 120\r\n").await;
    assert_eq!(terminal.end().await, 5);
    assert!(terminal.is_cooked());

    let mut killed = platform.cli_in_terminal(&["enter", "demo"], 80, 24);
    killed.until("# ").await;
    run("kill", &["-TERM", &killed.pid().to_string()]);
    assert_eq!(killed.end().await, 143);
    assert!(killed.is_cooked());
    until("nothing is left", || one_offs(&platform) == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_enters_an_instance_has_its_environment_also_where_buildpacks_make_it() {
    let platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "demo").await;
    let layer = "mkdir -p $CNB_LAYERS_DIR/own/env.launch\nprintf layered > $CNB_LAYERS_DIR/own/env.launch/LAYERED\n\
                 printf '[types]\\nlaunch = true\\n' > $CNB_LAYERS_DIR/own.toml\necho fine > facts\n";
    pusher.commit(|dir| crate::hostile::write(dir, layer));
    pusher.push().await.ok();
    platform
        .cli(&["config:set", "demo", "GREETING=good day"])
        .await
        .ok();
    let show = "echo $LAYERED $GREETING $DYNO $(pwd)";
    let exec = ["exec", "demo", "web.1", "--", show];
    assert_eq!(
        platform.cli(&exec).await.ok(),
        "layered good day web.1 /workspace\n"
    );
    let (_, entered) = platform
        .cli_with_input(&["enter", "demo"], format!("{show}\nexit 6\n").as_bytes())
        .await;
    assert_eq!(
        String::from_utf8_lossy(&entered),
        "layered good day web.1 /workspace\n"
    );
    let words = [
        "run",
        "demo",
        "--",
        "bash",
        "-c",
        "echo $LAYERED $GREETING; exit 7",
    ];
    let ran = platform.cli(&words).await;
    assert_eq!((ran.status, &*ran.stdout), (7, "layered good day\n"));
    let missing = platform
        .cli(&["exec", "demo", "web.1", "--", "nothing", "x"])
        .await;
    assert_eq!(missing.status, 82, "{}", missing.stderr);

    for instance in ["web.2", "worker.1"] {
        let unknown = platform.cli(&["exec", "demo", instance, "--", "ls"]).await;
        let error = format!("error: demo has no instance {instance:?} that runs");
        assert_eq!(
            (unknown.status, unknown.stderr.lines().next()),
            (1, Some(&*error))
        );
    }
}

/// Someone at a terminal whose one-off does nothing for so many seconds.
fn sleeping(platform: &Platform, seconds: &str) -> Terminal {
    platform.cli_in_terminal(&["run", "demo", "--", "sleep", seconds], 80, 24)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_gone_with_its_client_and_with_its_server() {
    let mut platform = Platform::start_with(&[("PVDIFY_MAX_SESSIONS", "2")]).await;
    deployed(&platform).await;
    let one = sleeping(&platform, "1004");
    until("it runs", || processes("sleep 1004") == 1).await;
    let two = platform.cli_in_terminal(&["exec", "demo", "web.1", "--", "sleep", "1005"], 80, 24);
    until("it runs", || processes("sleep 1005") == 1).await;
    let three = sleeping(&platform, "1006");
    until("it runs", || processes("sleep 1006") == 1).await;
    let refused = platform.cli(&["run", "demo", "--", "true"]).await;
    assert_eq!(
        (refused.status, refused.stderr.lines().next()),
        (
            1,
            Some("error: demo has 2 one-off processes already, and at most so many at a time")
        )
    );
    for terminal in [&one, &two] {
        run("kill", &["-KILL", &terminal.pid().to_string()]);
    }
    until("its client is gone, and so is it", || {
        processes("sleep 1004") == 0 && processes("sleep 1005") == 0 && one_offs(&platform) == 1
    })
    .await;
    // Its place is given back a moment after its container is gone.
    let begun = Instant::now();
    while platform.cli(&["run", "demo", "--", "true"]).await.status != 0 {
        assert!(begun.elapsed() < LIMIT, "its place is not given back");
    }

    let four = platform.cli_in_terminal(&["exec", "demo", "web.1", "--", "sleep", "1007"], 80, 24);
    until("it runs", || processes("sleep 1007") == 1).await;
    platform.kill();
    platform.boot().await;
    until("the next server ends what the killed one had", || {
        processes("sleep 1006") == 0 && processes("sleep 1007") == 0 && one_offs(&platform) == 0
    })
    .await;
    drop((three, four));

    let five = sleeping(&platform, "1008");
    until("it runs", || processes("sleep 1008") == 1).await;
    run("kill", &["-TERM", &platform.pid().to_string()]);
    until("a server that stops ends what it has", || {
        processes("sleep 1008") == 0 && one_offs(&platform) == 0
    })
    .await;
    drop(five);
    platform.kill();
    platform.boot().await;
    assert_eq!(
        platform
            .cli(&["exec", "demo", "web.1", "--", "echo up"])
            .await
            .ok(),
        "up\n"
    );
}
