//! How long a push may take to come: a client that always has one more byte gives the app's turn up too.

use crate::{client::Said, rig::Rig, wire::command_line};
use git_receiver::Limits;
use std::{process::Stdio, time::Duration};
use tokio::io::AsyncWriteExt;

/// Sends `beginning`, and then a byte and another one until nobody takes them.
async fn trickle(rig: &Rig, beginning: &[u8], byte: u8) -> Said {
    let mut ssh = rig.client.ssh_command(&["git-receive-pack '/demo.git'"]);
    let ssh = ssh.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut ssh = ssh.stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = ssh.stdin.take().unwrap();
    stdin.write_all(beginning).await.unwrap();
    let trickling = tokio::spawn(async move {
        while stdin.write_all(&[byte]).await.is_ok() && stdin.flush().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let said = ssh.wait_with_output().await.unwrap().into();
    trickling.await.unwrap();
    said
}

async fn rig() -> Rig {
    let limits = Limits {
        receive_total: Duration::from_millis(1500),
        ..Limits::default()
    };
    let rig = Rig::with(limits).await;
    rig.client.init().await;
    rig
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pack_that_trickles_is_refused_in_one_line_and_the_next_push_has_its_turn() {
    let rig = rig().await;
    let commit = rig.client.commit("one").await;
    let mut beginning = command_line(&"0".repeat(40), &commit, "refs/heads/main", " report-status");
    // An object of 127 stored bytes, of which there will be ever more.
    beginning.extend_from_slice(b"PACK\0\0\0\x02\0\0\0\x01\xbf\x7f\x78\x01\x01\xff\xff\0\0");
    let said = trickle(&rig, &beginning, b'x').await;
    assert!(
        said.out
            .contains("the push was not here after 1 seconds; nothing was changed"),
        "{}{}",
        said.out,
        said.err
    );
    rig.client.push("demo", &["main"]).await.must();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_trickle_end_the_push_in_one_line() {
    let rig = rig().await;
    let said = trickle(&rig, b"fff0", b'a').await;
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains(" !     the push was not here after 1 seconds"),
        "{}",
        said.err
    );
    assert!(rig.quarantines().is_empty());
}
