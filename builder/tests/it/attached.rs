//! Standard streams both ways: a container's from before its start, a command's inside one.

use crate::harness::Bench;
use futures_util::TryStreamExt;
use pvdify_builder::podman::{
    Attached, AttachedOutput, ContainerSpec, ExecSpec, ExecState, Libpod, LogConfiguration, Namespace,
    OutputStream, Rlimit,
};
use pvdify_types::TerminalSize;

fn spec(script: &str, terminal: bool) -> ContainerSpec {
    ContainerSpec {
        image: "localhost/pvdify/run:trixie".into(),
        command: Some(["sh", "-c", script].map(str::to_owned).to_vec()),
        netns: Some(Namespace::none()),
        r_limits: vec![Rlimit::new("nofile", 1024), Rlimit::new("nproc", 1024)],
        log_configuration: Some(LogConfiguration {
            driver: "none".into(),
            size: None,
        }),
        stdin: true,
        terminal,
        ..ContainerSpec::default()
    }
}

/// Both outputs, to the end.
async fn read(output: AttachedOutput) -> (Vec<u8>, Vec<u8>) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let frames: Vec<_> = output.try_collect().await.unwrap();
    for frame in frames {
        match frame.stream {
            OutputStream::Stdout => out.extend_from_slice(&frame.bytes),
            OutputStream::Stderr => err.extend_from_slice(&frame.bytes),
        }
    }
    (out, err)
}

/// Reads on until the terminal shows this.
async fn until_shown(output: &mut AttachedOutput, shown: &mut String, expected: &str) {
    while !shown.contains(expected) {
        let frame = output.try_next().await.unwrap();
        let frame = frame.unwrap_or_else(|| panic!("{expected:?} does not come: {shown:?}"));
        shown.push_str(&String::from_utf8_lossy(&frame.bytes));
    }
}

async fn inspect_ended(podman: &Libpod, exec: &str) -> ExecState {
    loop {
        let state = podman.inspect_exec(exec).await.unwrap();
        if !state.running {
            return state;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_goes_in_comes_out_byte_for_byte_and_the_end_of_the_input_is_one() {
    let bench = Bench::with_run_image(|_| {}).await;
    let podman = bench.podman.client();
    let id = podman
        .create_container(&spec("echo first >&2; cat; exit 3", false))
        .await
        .unwrap();
    let Attached { mut input, output } = podman.attach_both_ways(&id, false).await.unwrap();
    podman.start_container(&id).await.unwrap();
    // Every byte, those of Podman's detach keys (16, 17) one after the other among them; a number's digits in turn make
    // it differ all along.
    let sent: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let writing = async {
        input.write(&sent).await.unwrap();
        input.write(&[16, 17]).await.unwrap();
        input.close().await;
    };
    let ((), (out, err)) = tokio::join!(writing, read(output));
    assert_eq!(err, b"first\n");
    assert_eq!(out.len(), sent.len() + 2);
    assert!(out.starts_with(&sent) && out.ends_with(&[16, 17]));
    assert_eq!(podman.wait_container(&id).await.unwrap(), 3);
    podman.remove_container(&id).await.unwrap();
}

#[tokio::test]
async fn a_terminal_has_its_size_from_the_start_and_follows_it() {
    let bench = Bench::with_run_image(|_| {}).await;
    let podman = bench.podman.client();
    let size = |columns, rows| TerminalSize { columns, rows };
    let script = "stty size; trap 'stty size; exit 4' WINCH; echo ready; while true; do sleep 0.1; done";
    let id = podman.create_container(&spec(script, true)).await.unwrap();
    let Attached { input, mut output } = podman.attach_both_ways(&id, true).await.unwrap();
    podman.resize_container(&id, size(97, 31)).await.unwrap();
    podman.start_container(&id).await.unwrap();
    let mut shown = String::new();
    until_shown(&mut output, &mut shown, "ready\r\n").await;
    assert!(shown.starts_with("31 97\r\n"), "{shown:?}");
    podman.resize_container(&id, size(120, 40)).await.unwrap();
    until_shown(&mut output, &mut shown, "40 120\r\n").await;
    drop(input);
    assert_eq!(podman.wait_container(&id).await.unwrap(), 4);
    podman.remove_container(&id).await.unwrap();
}

#[tokio::test]
async fn a_command_inside_has_streams_a_terminal_and_a_status_of_its_own() {
    let bench = Bench::with_run_image(|_| {}).await;
    let podman = bench.podman.client();
    let id = podman.create_container(&spec("sleep 1000", false)).await.unwrap();
    podman.start_container(&id).await.unwrap();
    let exec = |script: &str, tty: bool| ExecSpec {
        env: vec!["GREETING=good day".into()],
        attach_stdin: true,
        tty,
        ..ExecSpec::new(&["sh", "-c", script].map(str::to_owned))
    };

    let piped = podman
        .create_exec(&id, &exec("echo $GREETING >&2; cat; exit 7", false))
        .await;
    let piped = piped.unwrap();
    let Attached { mut input, output } = podman.start_exec(&piped, false, None).await.unwrap();
    input.write(b"in\x10\x11put").await.unwrap();
    input.close().await;
    assert_eq!(
        read(output).await,
        (b"in\x10\x11put".to_vec(), b"good day\n".to_vec())
    );
    assert_eq!(inspect_ended(&podman, &piped).await.exit_code, 7);

    let script = "stty size; read line; stty size; echo \"got $line\"; exit 8";
    let shell = podman.create_exec(&id, &exec(script, true)).await.unwrap();
    let size = |columns, rows| TerminalSize { columns, rows };
    let started = podman.start_exec(&shell, true, Some(size(97, 31))).await.unwrap();
    let Attached {
        mut input,
        mut output,
    } = started;
    let mut shown = String::new();
    until_shown(&mut output, &mut shown, "31 97\r\n").await;
    assert!(podman.inspect_exec(&shell).await.unwrap().pid > 0);
    podman.resize_exec(&shell, size(120, 40)).await.unwrap();
    input.write(b"hello\r").await.unwrap();
    until_shown(&mut output, &mut shown, "40 120\r\ngot hello\r\n").await;
    assert_eq!(inspect_ended(&podman, &shell).await.exit_code, 8);

    let nothing = podman
        .create_exec(&id, &ExecSpec::new(&["/nothing".to_owned()]))
        .await;
    let nothing = nothing.unwrap();
    let Attached { output, .. } = podman.start_exec(&nothing, false, None).await.unwrap();
    let (_, err) = read(output).await;
    assert!(String::from_utf8_lossy(&err).contains("/nothing"), "{err:?}");
    assert_eq!(inspect_ended(&podman, &nothing).await.exit_code, 127);
    podman.remove_container(&id).await.unwrap();
}

#[tokio::test]
async fn an_input_that_is_not_read_harms_no_output() {
    let bench = Bench::with_run_image(|_| {}).await;
    let podman = bench.podman.client();
    for _ in 0..20 {
        let id = podman
            .create_container(&spec("dd bs=5 count=1 2>/dev/null; seq 1 2000", false))
            .await
            .unwrap();
        let Attached { mut input, output } = podman.attach_both_ways(&id, false).await.unwrap();
        podman.start_container(&id).await.unwrap();
        let writing = async move { while input.write(&[b'y'; 65536]).await.is_ok() {} };
        let ((), (out, err)) = tokio::join!(writing, read(output));
        let out = String::from_utf8(out).unwrap();
        assert!(
            out.starts_with("yyyyy1\n2\n") && out.ends_with("\n1999\n2000\n"),
            "{out}"
        );
        assert!(err.is_empty(), "{}", String::from_utf8_lossy(&err));
        podman.remove_container(&id).await.unwrap();
    }
}
