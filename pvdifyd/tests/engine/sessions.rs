//! Sessions on a real Podman: one-offs and commands inside containers, to their ends.

use crate::{harness::until, podman::spec, sandbox::Sandbox};
use futures_util::TryStreamExt;
use pvdify_types::{InstanceId, TerminalSize};
use pvdifyd::engine::{
    Command, ExecSpec, InstanceEngine, InstanceKind, OutputStream, Session, SessionEngine, SessionSpec,
    podman::PodmanEngine,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

const GRACE: Duration = Duration::from_secs(10);

fn one_off(sandbox: &Sandbox, command: Command) -> SessionSpec {
    let mut instance = spec(sandbox, "run", "");
    instance.key.ordinal = 1234;
    instance.key.kind = InstanceKind::Session;
    instance.command = command;
    SessionSpec {
        instance,
        terminal: None,
        holder: "s1".into(),
        time_limit: Duration::from_secs(600),
    }
}

fn text(text: &str) -> Command {
    Command::Text(text.into())
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Closes the input and gives both outputs and the status.
async fn finish(session: Session) -> (String, String, i64) {
    let Session {
        input,
        output,
        process,
    } = session;
    input.close().await;
    let frames: Vec<_> = output.try_collect().await.unwrap();
    let of = |stream| {
        let frames = frames.iter().filter(|frame| frame.stream == stream);
        let bytes: Vec<u8> = frames.flat_map(|frame| frame.bytes.to_vec()).collect();
        String::from_utf8(bytes).unwrap()
    };
    let status = process.wait().await.unwrap();
    process.end(GRACE).await.unwrap();
    (of(OutputStream::Stdout), of(OutputStream::Stderr), status)
}

#[tokio::test]
async fn a_one_off_has_the_apps_environment_and_leaves_its_status_and_nothing_else() {
    let sandbox = Sandbox::new().await;
    let engine = sandbox.engine().await;
    let run = async |command: Command| {
        let session = engine.run_session(&one_off(&sandbox, command)).await.unwrap();
        finish(session).await
    };
    let greeting = run(text("echo $GREETING; echo err >&2; exit 3")).await;
    assert_eq!(greeting, ("s3cret word\n".into(), "err\n".into(), 3));
    let killed = run(text("kill -9 $$")).await;
    assert_eq!(killed.2, 137);
    let exact = run(Command::Words(words(&["echo", "a  b", "$GREETING"]))).await;
    assert_eq!(exact, ("a  b $GREETING\n".into(), String::new(), 0));
    let missing = run(Command::Words(words(&["nothing"]))).await;
    assert_eq!(
        missing,
        (String::new(), "nothing: command not found\n".into(), 127)
    );
    let folder = run(Command::Words(words(&["/bin"]))).await;
    assert_eq!(folder, (String::new(), "/bin: permission denied\n".into(), 126));
    assert!(engine.sessions().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_one_off_is_seen_apart_from_the_apps_processes_and_ends_when_it_is_ended() {
    let sandbox = Sandbox::new().await;
    let engine = sandbox.engine().await;
    for terminal in [None, Some(TerminalSize::default())] {
        let spec = SessionSpec {
            terminal,
            ..one_off(&sandbox, text("echo up; trap '' TERM; sleep 1000; sleep 1000"))
        };
        let mut session = engine.run_session(&spec).await.unwrap();
        session.output.try_next().await.unwrap().unwrap();
        assert!(engine.list().await.unwrap().is_empty());
        let there = engine.sessions().await.unwrap();
        let [there] = &there[..] else {
            panic!("one: {there:?}");
        };
        assert_eq!(
            (there.instance.key.dyno().as_str(), there.holder.as_str()),
            ("run.1234", "s1")
        );
        session.process.end(Duration::from_secs(1)).await.unwrap();
        assert!(engine.sessions().await.unwrap().is_empty());
    }
}

async fn app(sandbox: &Sandbox, engine: &Arc<PodmanEngine>) -> InstanceId {
    engine
        .start(&spec(sandbox, "worker", "exec sleep 1000"))
        .await
        .unwrap()
}

fn exec(command: &[&str], session: &str) -> ExecSpec {
    ExecSpec {
        command: words(command),
        env: BTreeMap::from([("TERM".to_owned(), "dumb".to_owned())]),
        terminal: None,
        session: session.to_owned(),
    }
}

#[tokio::test]
async fn a_command_inside_has_streams_and_a_status_of_its_own() {
    let sandbox = Sandbox::new().await;
    let engine = sandbox.engine().await;
    let id = app(&sandbox, &engine).await;
    let run = async |command: &[&str]| {
        let session = engine.exec_session(&id, &exec(command, "s1")).await.unwrap();
        finish(session).await
    };
    let ran = run(&["sh", "-c", "echo $GREETING $TERM; echo err >&2; exit 3"]).await;
    assert_eq!(ran, ("s3cret word dumb\n".into(), "err\n".into(), 3));
    let missing = run(&["nothing"]).await;
    assert_eq!(
        missing,
        (String::new(), "nothing: command not found\n".into(), 127)
    );
    let mut session = engine.exec_session(&id, &exec(&["cat"], "s1")).await.unwrap();
    session.input.write(b"hi").await.unwrap();
    assert_eq!(finish(session).await, ("hi".into(), String::new(), 0));
    engine.remove(&id).await.unwrap();
}

#[tokio::test]
async fn a_command_inside_that_is_ended_or_lost_is_gone_with_all_that_it_started() {
    let sandbox = Sandbox::new().await;
    let engine = sandbox.engine().await;
    let id = app(&sandbox, &engine).await;
    let script = "trap '' TERM; sleep 1001 & sleep 1002 & echo up; wait";
    let ours = || {
        let processes = std::fs::read_dir("/proc").unwrap();
        let environments =
            processes.filter_map(|entry| std::fs::read(entry.ok()?.path().join("environ")).ok());
        let mark = format!("PVDIFY_SESSION={}.", sandbox.installation);
        environments
            .filter(|environment| String::from_utf8_lossy(environment).contains(&mark))
            .count()
    };
    let start = async |session: &str| {
        let spec = exec(&["sh", "-c", script], session);
        let mut session = engine.exec_session(&id, &spec).await.unwrap();
        session.output.try_next().await.unwrap().unwrap();
        session
    };
    let ended = start("s1").await;
    ended.process.end(Duration::from_secs(1)).await.unwrap();
    assert_eq!(ended.process.wait().await.unwrap(), 137);
    until("it is gone", || ours() == 0).await;

    let lost = start("s1").await;
    drop(lost);
    let living = start("s2").await;
    engine.end_lost_execs("s2").await.unwrap();
    until("one of the two is left", || ours() == 3).await;
    living.process.end(Duration::ZERO).await.unwrap();
    until("it is gone", || ours() == 0).await;
    engine.remove(&id).await.unwrap();
}
