//! Requests that no git client would send.

use crate::{
    client::contents,
    rig::Rig,
    wire::{CAPABILITIES, NULL, command_line, commit_and_pack, send},
};
use git_receiver::Limits;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_commands_are_refused_by_name() {
    let rig = Rig::start().await;
    let (commit, pack) = commit_and_pack(&rig).await;
    rig.client.push("demo", &["main"]).await.must();
    let before = contents(&rig.repos());
    let table = [
        ("refs/heads/-x", commit.as_str(), "funny refname"),
        ("refs/heads/../../x", &commit, "funny refname"),
        ("refs/heads/a..b", &commit, "funny refname"),
        ("refs/heads/a.lock", &commit, "funny refname"),
        ("HEAD", &commit, "funny refname"),
        ("refs/heads/x", &"1".repeat(40), "missing necessary objects"),
        ("refs/heads/main", &commit, "stale info"),
    ];
    for (name, new, reason) in table {
        let mut wire = command_line(NULL, new, name, CAPABILITIES);
        wire.extend_from_slice(&pack);
        let said = send(&rig, &wire).await;
        assert!(
            said.out.contains(&format!("ng {name} {reason}")),
            "{name}: {} {}",
            said.out,
            said.err
        );
        assert_eq!(contents(&rig.repos()), before, "{name}");
    }
    let blob = rig.client.git(&["rev-parse", "HEAD:a"]).await.must().out;
    let mut wire = command_line(&commit, blob.trim(), "refs/heads/main", CAPABILITIES);
    wire.extend_from_slice(&pack);
    assert!(
        send(&rig, &wire)
            .await
            .out
            .contains("ng refs/heads/main a branch must point to a commit")
    );
    assert_eq!(rig.control.builds().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_request_ends_the_session_with_a_reason() {
    let rig = Rig::with(Limits {
        commands: 3,
        ..Limits::default()
    })
    .await;
    let many: Vec<u8> = (0..4)
        .flat_map(|n| {
            let line = format!("{NULL} {} refs/tags/t{n}\n", "1".repeat(40));
            format!("{:04x}{line}", line.len() + 4).into_bytes()
        })
        .chain(*b"0000")
        .collect();
    let sha256 = command_line(
        &"0".repeat(64),
        &"1".repeat(64),
        "refs/heads/x",
        "object-format=sha256",
    );
    let certificate = b"0013push-cert\0abcd\n".to_vec();
    let cases: [(&[u8], &str); 6] = [
        (b"GET / HTTP/1.1\r\n\r\n", "bad line length"),
        (b"0001", "bad line length"),
        (b"000fnonsense..\n0000", "protocol error: expected old/new/ref"),
        (&many, "updates at most 3 refs"),
        (&sha256, "SHA-256"),
        (&certificate, "signed pushes are not supported"),
    ];
    for (wire, reason) in cases {
        let said = send(&rig, wire).await;
        assert_eq!(said.code, Some(1), "{reason}: {}", said.err);
        assert!(said.err.contains(reason), "{reason}: {}", said.err);
    }
    let said = send(&rig, b"0000").await;
    assert_eq!(said.code, Some(0), "nothing to push is no error: {}", said.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_without_side_band_gets_a_plain_report() {
    let rig = Rig::start().await;
    let (commit, pack) = commit_and_pack(&rig).await;
    let mut wire = command_line(NULL, &commit, "refs/heads/main", " report-status");
    wire.extend_from_slice(&pack);
    let said = send(&rig, &wire).await.must();
    assert!(
        said.out.ends_with("000eunpack ok\n0017ok refs/heads/main\n0000"),
        "{}",
        said.out
    );
    assert!(said.err.contains("-----> Test app detected"), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_refs_in_one_push_are_refused_with_the_limit() {
    let rig = Rig::start().await;
    rig.client.init().await;
    let commit = rig.client.commit("one").await;
    let refs: String = (0..5_000)
        .map(|n| format!("create refs/tags/t{n} {commit}\n"))
        .collect();
    rig.client
        .git_with_input(&["update-ref", "--stdin"], refs.as_bytes())
        .await
        .must();
    let said = rig.client.push("demo", &["--tags"]).await;
    assert!(
        !said.ok
            && said
                .err
                .contains("one push updates at most 1000 refs: push them in parts"),
        "{}",
        said.err
    );
    assert_eq!(rig.server_git("demo", &["for-each-ref"]).await.must().out, "");
    Rig::eventually("quarantines go", async || rig.quarantines().is_empty()).await;
    rig.client.push("demo", &["main"]).await.must();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_offered_is_not_taken() {
    let rig = Rig::start().await;
    let (commit, pack) = commit_and_pack(&rig).await;
    let said = rig.client.push("demo", &["-o", "deploy=no", "main"]).await;
    assert!(
        !said.ok && said.err.contains("does not support push options"),
        "{}",
        said.err
    );
    // Words that are no capability of ours say nothing; what would follow by one of them is no pack.
    let words = format!("{CAPABILITIES} no-such-thing push-options=x");
    let mut wire = command_line(NULL, &commit, "refs/heads/x", &words);
    let mut with_options = command_line(
        NULL,
        &commit,
        "refs/heads/y",
        &format!("{CAPABILITIES} push-options"),
    );
    with_options.extend_from_slice(b"000ddeploy=no0000");
    for wire in [&mut wire, &mut with_options] {
        wire.extend_from_slice(&pack);
    }
    let said = send(&rig, &with_options).await;
    assert!(
        said.out.contains("ng refs/heads/y unpacker error"),
        "{}",
        said.out
    );
    assert_eq!(rig.server_git("demo", &["for-each-ref"]).await.must().out, "");
    let said = send(&rig, &wire).await;
    assert!(said.out.contains("ok refs/heads/x"), "{}", said.out);
}
