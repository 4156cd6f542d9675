//! Clients that vanish, servers that start again, apps that die.

use crate::{client::contents, control::Answer, rig::Rig};
use git_receiver::{Config, Error, Limits, Server};
use std::{os::unix::fs::PermissionsExt, process::Stdio};
use tokio::{io::AsyncWriteExt, sync::watch};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_vanishes_in_the_build_still_gets_its_ref() {
    let rig = Rig::start().await;
    rig.client.init().await;
    let commit = rig.client.commit("one").await;
    let (open, gate) = watch::channel(false);
    rig.control.answer(Answer::Hold(gate, Box::new(Answer::Release)));
    let url = rig.client.url("demo");
    let mut push = rig.client.git_command(&["push", &url, "main"]);
    let mut push = push
        .process_group(0)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    rig.control.until(|script| script.builds.len() == 1).await;
    kill_group(push.id().unwrap()).await;
    push.wait().await.unwrap();
    assert_eq!(rig.server_ref("demo", "main").await, None);
    open.send(true).unwrap();
    Rig::eventually("the ref moves", async || {
        rig.server_ref("demo", "main").await == Some(commit.clone())
    })
    .await;
    Rig::eventually("the quarantine goes", async || rig.quarantines().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_vanishes_in_the_pack_leaves_nothing() {
    let rig = Rig::start().await;
    rig.client.init().await;
    rig.client.write("a", "1");
    rig.client.commit("one").await;
    rig.client.push("demo", &["main"]).await.must();
    let before = contents(&rig.repos());

    // Many files, for the server writes whole objects.
    for file in 0..100u32 {
        let noise: Vec<u8> = (0..10_000)
            .flat_map(|n| (file * 10_000 + n).wrapping_pow(5).to_be_bytes())
            .collect();
        rig.client.write(&format!("noise-{file}"), noise);
    }
    let new = rig.client.commit("two").await;
    let old = rig.server_ref("demo", "main").await.unwrap();
    let pack = rig
        .client
        .git_with_input(&["pack-objects", "--revs", "--stdout", "-q"], b"HEAD\n")
        .await
        .must()
        .raw;
    let mut ssh = rig.client.ssh_command(&["git-receive-pack '/demo.git'"]);
    let mut ssh = ssh.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut stdin = ssh.stdin.take().unwrap();
    let command = crate::wire::command_line(&old, &new, "refs/heads/main", crate::wire::CAPABILITIES);
    stdin.write_all(&command).await.unwrap();
    stdin.write_all(&pack[..pack.len() / 2]).await.unwrap();
    stdin.flush().await.unwrap();
    Rig::eventually("the pack arrives", async || {
        rig.quarantines()
            .iter()
            .any(|path| contents(path).iter().any(|(_, bytes)| bytes.len() > 65_536))
    })
    .await;
    ssh.kill().await.unwrap();
    Rig::eventually("the quarantine goes", async || rig.quarantines().is_empty()).await;
    assert_eq!(contents(&rig.repos()), before);
    rig.client.push("demo", &["main"]).await.must();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_client_gives_the_apps_turn_up() {
    let limits = Limits {
        receive_idle: std::time::Duration::from_millis(300),
        ..Limits::default()
    };
    let rig = Rig::with(limits).await;
    rig.client.init().await;
    rig.client.commit("one").await;
    let mut ssh = rig.client.ssh_command(&["git-receive-pack '/demo.git'"]);
    let silent = ssh.stdin(Stdio::piped()).spawn().unwrap();
    Rig::eventually("it holds the turn", async || !rig.quarantines().is_empty()).await;
    rig.client.push("demo", &["main"]).await.must();
    let said: crate::client::Said = silent.wait_with_output().await.unwrap().into();
    assert_eq!(said.code, Some(1), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_sweeps_quarantines_and_dead_apps_and_keeps_the_rest() {
    let mut rig = Rig::start().await;
    rig.client.init().await;
    let commit = rig.client.commit("one").await;
    rig.client.push("demo", &["main"]).await.must();
    rig.client.push("other", &["main"]).await.must();
    rig.stop_server().await;
    let host_key = std::fs::read(rig.folder.path().join("ssh_host_key")).unwrap();
    let left = rig.repos().join("quarantine/id-demo-7");
    std::fs::create_dir_all(left.join("objects/pack")).unwrap();
    rig.control.script().apps.remove("other");
    rig.restart().await;
    assert!(!left.exists());
    Rig::eventually("the dead app's repository goes", async || {
        !rig.git_dir("other").exists() && rig.quarantines().is_empty()
    })
    .await;
    assert_eq!(rig.server_ref("demo", "main").await, Some(commit));
    assert_eq!(
        std::fs::read(rig.folder.path().join("ssh_host_key")).unwrap(),
        host_key
    );
    rig.client.commit("two").await;
    rig.client.push("demo", &["main"]).await.must();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_lets_the_push_under_way_end() {
    let mut rig = Rig::start().await;
    rig.client.init().await;
    let commit = rig.client.commit("one").await;
    let (open, gate) = watch::channel(false);
    rig.control.answer(Answer::Hold(gate, Box::new(Answer::Release)));
    let url = rig.client.url("demo");
    let push = rig.client.git_command(&["push", &url, "main"]).spawn().unwrap();
    rig.control.until(|script| script.builds.len() == 1).await;
    let opening = tokio::spawn(async move { open.send(true).unwrap() });
    rig.stop_server().await;
    opening.await.unwrap();
    let said: crate::client::Said = push.wait_with_output().await.unwrap().into();
    said.must();
    assert_eq!(rig.server_ref("demo", "main").await, Some(commit));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_on_the_same_folder_does_not_start() {
    let rig = Rig::start().await;
    let control =
        pvdify_client::Client::over_control_socket(&rig.folder.path().join("control.sock")).unwrap();
    let config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        repos: rig.repos(),
        host_key: rig.folder.path().join("ssh_host_key"),
        limits: Limits::default(),
    };
    assert!(matches!(
        Server::bind(config, control).await,
        Err(Error::InUse { .. })
    ));
    let mode = std::fs::metadata(rig.folder.path().join("ssh_host_key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

async fn kill_group(leader: u32) {
    let killed = tokio::process::Command::new("kill")
        .args(["-KILL", "--", &format!("-{leader}")])
        .status();
    assert!(killed.await.unwrap().success());
}
