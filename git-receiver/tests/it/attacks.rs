//! What an attacker with ssh tries: to be someone else, to get a shell, to leave the repository.
//!
//! The first story is real. A server remembered whose key was *offered*; the attacker offered the victim's
//! public key, which is no secret, then signed with their own, and was the victim.

use crate::{client::contents, floods::connect, rig::Rig};
use git_receiver::Limits;
use russh::ChannelMsg;
use std::{sync::Arc, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_key_is_refused() {
    let rig = Rig::start().await;
    let stranger = rig.stranger("ed25519").await;
    stranger.init().await;
    stranger.commit("one").await;
    let said = stranger.push("demo", &["main"]).await;
    assert!(
        !said.ok && said.err.contains("Permission denied (publickey)"),
        "{}",
        said.err
    );
    assert_eq!(rig.control.script().authorised.len(), 0);
    assert!(!rig.git_dir("demo").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_offered_but_not_signed_with_is_never_asked_about() {
    let rig = Rig::start().await;
    let stranger = rig.stranger("ed25519").await;
    let own = stranger.fingerprint().await;
    // Only the victim's public half: ssh offers it first, can't sign, and goes on to the stranger's own.
    let public = stranger.home.path().join("victim.pub");
    std::fs::copy(rig.client.key.with_extension("pub"), &public).unwrap();
    let victim = public.display().to_string();
    let identity = format!("-oIdentityFile={}", victim.trim_end_matches(".pub"));
    let said = stranger.ssh(&[&identity, "git-receive-pack '/demo.git'"]).await;
    assert!(
        !said.ok && said.err.contains("Permission denied (publickey)"),
        "{}",
        said.err
    );
    assert_eq!(
        rig.control.script().identified,
        std::slice::from_ref(&own),
        "the victim's key was asked about"
    );

    // With a key of their own they are themselves, whatever else they offer.
    rig.control
        .script()
        .keys
        .insert(own.clone(), "stranger".to_owned());
    stranger.init().await;
    stranger.commit("one").await;
    stranger.push("demo", &["main"]).await.must();
    assert_eq!(rig.control.builds()[0].fingerprint, own);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_are_not_taken() {
    let rig = Rig::start().await;
    let said = rig
        .client
        .ssh(&[
            "-oPreferredAuthentications=none,password,keyboard-interactive",
            "x",
        ])
        .await;
    assert!(
        !said.ok && said.err.contains("Permission denied (publickey)"),
        "{}",
        said.err
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sha_1_signatures_of_rsa_keys_are_not_taken() {
    let rig = Rig::start().await;
    let client = rig.stranger("rsa").await;
    rig.register(&client, "rsa").await;
    let said = client.ssh(&["-oPubkeyAcceptedAlgorithms=ssh-rsa", "x"]).await;
    assert!(
        !said.ok && said.err.contains("Permission denied (publickey)"),
        "{}",
        said.err
    );
    assert_eq!(rig.control.script().identified.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_is_no_shell_and_no_other_command() {
    let rig = Rig::start().await;
    let table: [(&[&str], &str); 8] = [
        (&[], "Pvdify takes git pushes only"),
        (&["bash"], "Pvdify takes git pushes only"),
        (
            &["git-upload-pack '/demo.git'"],
            "fetching and cloning are not supported",
        ),
        (
            &["git-receive-pack '/demo.git'; id"],
            "Pvdify takes git pushes only",
        ),
        (&["git-receive-pack '../../etc'"], "is no app's repository"),
        (&["git-receive-pack '/$(id)'"], "is no app's repository"),
        (&["git-receive-pack '-x'"], "is no app's repository"),
        (&["git-receive-pack '/a b.git'"], "is no app's repository"),
    ];
    for (args, line) in table {
        let said = rig.client.ssh(args).await;
        assert_eq!(said.code, Some(1), "{args:?} {}", said.err);
        assert!(said.err.contains(line), "{args:?} {}", said.err);
        assert_eq!(said.out, "", "{args:?}");
    }
    assert_eq!(rig.control.script().authorised.len(), 0);
    let clone = rig.client.git(&["clone", &rig.client.url("demo"), "x"]).await;
    assert!(
        !clone.ok && clone.err.contains("fetching and cloning are not supported"),
        "{}",
        clone.err
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terminals_subsystems_and_forwarding_are_refused() {
    let rig = Rig::start().await;
    let terminal = rig.client.ssh(&["-tt"]).await;
    assert!(
        terminal.err.contains("PTY allocation request failed"),
        "{}",
        terminal.err
    );
    assert!(!terminal.ok);
    let subsystem = rig.client.ssh(&["-s", "sftp"]).await;
    assert!(
        !subsystem.ok && subsystem.err.contains("subsystem request failed"),
        "{}",
        subsystem.err
    );
    let remote = rig
        .client
        .ssh(&["-oExitOnForwardFailure=yes", "-R0:127.0.0.1:1", "-N"])
        .await;
    assert!(
        !remote.ok && remote.err.contains("remote port forwarding failed"),
        "{}",
        remote.err
    );
    // Something listens there, so that only the refusal can explain the failure.
    let inside = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let local = rig
        .client
        .ssh(&[&format!("-W{}", inside.local_addr().unwrap())])
        .await;
    assert!(
        !local.ok && local.err.contains("stdio forwarding failed"),
        "{}",
        local.err
    );
    assert!(
        tokio::time::timeout(Duration::ZERO, inside.accept())
            .await
            .is_err(),
        "the server connected"
    );
}

/// What the ssh program asks only with an agent, an X server or a socket at hand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_x11_sockets_and_environment_are_refused() {
    let rig = Rig::start().await;
    let mut client = connect(&rig).await;
    let key = Arc::new(russh::keys::load_secret_key(&rig.client.key, None).unwrap());
    let key = russh::keys::PrivateKeyWithHashAlg::new(key, None);
    assert!(client.authenticate_publickey("git", key).await.unwrap().success());
    let mut channel = client.channel_open_session().await.unwrap();
    channel.agent_forward(true).await.unwrap();
    channel
        .request_x11(true, false, "MIT-MAGIC-COOKIE-1", "00", 0)
        .await
        .unwrap();
    channel.set_env(true, "GIT_PROTOCOL", "version=2").await.unwrap();
    channel.set_env(true, "LD_PRELOAD", "/tmp/x.so").await.unwrap();
    for what in ["agent", "X11", "environment", "environment"] {
        let answer = channel.wait().await;
        assert!(matches!(answer, Some(ChannelMsg::Failure)), "{what}: {answer:?}");
    }
    assert!(
        client
            .channel_open_direct_streamlocal("/run/podman/podman.sock")
            .await
            .is_err()
    );
    assert!(
        client
            .channel_open_direct_tcpip("127.0.0.1", 22, "127.0.0.1", 1)
            .await
            .is_err()
    );
    assert!(client.streamlocal_forward("/tmp/pvdify-test.sock").await.is_err());
    // The connection goes on for what it is there for.
    channel.exec(true, "git-upload-pack '/demo.git'").await.unwrap();
    let mut status = None;
    while let Some(message) = channel.wait().await {
        if let ChannelMsg::ExitStatus { exit_status } = message {
            status = Some(exit_status);
        }
    }
    assert_eq!(status, Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_user_is_git() {
    let mut rig = Rig::start().await;
    rig.client.user = "root";
    let said = rig.client.ssh(&["git-receive-pack '/demo.git'"]).await;
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("The SSH user is \"git\", not \"root\""),
        "{}",
        said.err
    );
    assert_eq!(rig.control.script().authorised.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trees_that_would_write_outside_or_into_dot_git_are_refused() {
    let rig = Rig::start().await;
    rig.client.init().await;
    rig.client.write("a", "1");
    rig.client.commit("one").await;
    rig.client.push("demo", &["main"]).await.must();
    let before = contents(&rig.repos());
    let blob = rig.client.git(&["rev-parse", "HEAD:a"]).await.must().out;
    let id: Vec<u8> = (0..20)
        .map(|n| u8::from_str_radix(&blob[2 * n..2 * n + 2], 16).unwrap())
        .collect();
    let entry = |mode: &str, name: &str| [format!("{mode} {name}\0").as_bytes(), &id[..]].concat();
    let file = |name: &str| entry("100644", name);
    let table = [
        ("parent", file("..")),
        ("self", file(".")),
        ("path", file("a/b")),
        ("absolute", file("/etc/passwd")),
        ("nameless", file("")),
        ("dot git", file(".git")),
        ("capital", file(".GIT")),
        ("short name", file("git~1")),
        ("ignorable", file(".g\u{200c}it")),
        ("stream", file(".git::$INDEX_ALLOCATION")),
        ("linked modules", entry("120000", ".gitmodules")),
        ("twice", [file("a"), file("a")].concat()),
        (
            "file and folder",
            [entry("120000", "a"), file("a.b"), entry("40000", "a")].concat(),
        ),
        ("unsorted", [file("b"), file("a")].concat()),
        ("cut off", file("a")[..10].to_vec()),
    ];
    for (case, tree) in table {
        let args = ["hash-object", "-t", "tree", "-w", "--stdin", "--literally"];
        let tree = rig.client.git_with_input(&args, &tree).await.must().out;
        let text =
            format!("tree {tree}author A <a@b> 1700000000 +0000\ncommitter A <a@b> 1700000000 +0000\n\nx\n");
        let args = ["hash-object", "-t", "commit", "-w", "--stdin", "--literally"];
        let commit = rig.client.git_with_input(&args, text.as_bytes()).await.must().out;
        // git would not walk some of these, so the pack is made of the objects by name.
        let list = format!("{}\n{}\n{}\n", commit.trim(), tree.trim(), blob.trim());
        let pack = rig
            .client
            .git_with_input(&["pack-objects", "--stdout", "-q"], list.as_bytes())
            .await
            .must()
            .raw;
        let mut wire = crate::wire::command_line(
            &"0".repeat(40),
            commit.trim(),
            "refs/heads/evil",
            crate::wire::CAPABILITIES,
        );
        wire.extend_from_slice(&pack);
        let said = rig
            .client
            .ssh_with_input(&["git-receive-pack '/demo.git'"], &wire)
            .await;
        assert!(
            said.out.contains("ng refs/heads/evil unpacker error"),
            "{case}: {} {}",
            said.out,
            said.err
        );
        assert!(
            said.out.contains(&format!("tree {}", tree.trim())),
            "{case}: {}",
            said.out
        );
        assert_eq!(contents(&rig.repos()), before, "{case}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_are_ended_and_keep_no_one_out() {
    let limits = Limits {
        unauthenticated_per_address: 3,
        login_grace: Duration::from_secs(5),
        ..Limits::default()
    };
    let rig = Rig::with(limits).await;
    let mut idle = Vec::new();
    for _ in 0..6 {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", rig.client.port))
            .await
            .unwrap();
        let mut greeting = [0; 16];
        stream.read_exact(&mut greeting).await.unwrap();
        assert!(greeting.starts_with(b"SSH-2.0-Pvdify"));
        idle.push(stream);
    }
    // The first were ended for the later ones' sake, well before the grace.
    for stream in &mut idle[..3] {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.ok();
    }
    let said = rig.client.ssh(&["git-upload-pack '/x.git'"]).await;
    assert_eq!(said.code, Some(1), "{}", said.err);
    // The rest end with the grace.
    for stream in &mut idle[3..] {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.ok();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_ssh_ends_the_connection_and_nothing_else() {
    let rig = Rig::start().await;
    for noise in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0xff; 100_000],
        &[b'A'; 1_000_000],
        b"SSH-2.0-x\r\n\0\0\0\x01\xff",
    ] {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", rig.client.port))
            .await
            .unwrap();
        stream.write_all(noise).await.ok();
        stream.shutdown().await.ok();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.ok();
    }
    assert_eq!(rig.client.ssh(&["git-upload-pack '/x.git'"]).await.code, Some(1));
}
