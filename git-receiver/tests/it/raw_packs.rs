//! Packs that no git client would send: damaged, bombs, or without what they need.

use crate::{
    client::contents,
    control::Answer,
    rig::Rig,
    wire::{
        CAPABILITIES, NULL, command_line, commit_and_pack, entry, object_id, offset, pack, pack_of, packed,
        send, zlib,
    },
};
use git_receiver::Limits;
use std::process::Stdio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_packs_are_refused_and_leave_nothing() {
    let rig = Rig::start().await;
    let (commit, pack) = commit_and_pack(&rig).await;
    rig.client.push("demo", &["main:refs/heads/base"]).await.must();
    let before = contents(&rig.repos());
    let mut flipped = pack.clone();
    flipped[pack.len() / 2] ^= 0x55;
    let mut bad_sum = pack.clone();
    *bad_sum.last_mut().unwrap() ^= 1;
    let mut huge_header = entry(3, 6 << 30);
    huge_header.extend_from_slice(b"x\x9c\x03\0\0\0\0\x01");
    let mut absent_base = entry(7, 4);
    absent_base.extend_from_slice(&[0x42; 20]);
    absent_base.extend_from_slice(&zlib(b"\x01\x01\x01x"));
    let mut self_base = entry(6, 4);
    self_base.push(0);
    self_base.extend_from_slice(&zlib(b"\x01\x01\x01x"));
    let cases = [
        ("half", pack[..pack.len() / 2].to_vec()),
        ("one byte short", pack[..pack.len() - 1].to_vec()),
        ("none", Vec::new()),
        ("flipped", flipped),
        ("checksum", bad_sum),
        (
            "no pack",
            b"this is no pack at all, but long enough to be taken for one".to_vec(),
        ),
        ("count", {
            let mut lying = pack.clone();
            lying[11] += 1;
            lying
        }),
        ("version", {
            let mut old = pack.clone();
            old[7] = 9;
            old
        }),
        ("6 GiB in its header", pack_of(&[huge_header])),
        ("a byte more", [&pack[..], b"x"].concat()),
        ("much more", [&pack[..], &vec![b'x'; 300_000]].concat()),
        ("a second pack", [&pack[..], &pack[..]].concat()),
        (
            "a pack behind an empty one",
            [pack_of(&[]), pack.clone()].concat(),
        ),
        ("a base that is nowhere", pack_of(&[absent_base])),
        ("a delta upon itself", pack_of(&[self_base])),
    ];
    for (case, pack) in cases {
        let mut wire = command_line(NULL, &commit, "refs/heads/x", CAPABILITIES);
        wire.extend_from_slice(&pack);
        let said = send(&rig, &wire).await;
        assert!(
            said.out.contains("ng refs/heads/x unpacker error"),
            "{case}: {} {}",
            said.out,
            said.err
        );
        assert!(
            said.out.contains("nothing was changed") || said.out.contains("larger than"),
            "{case}: {}",
            said.out
        );
        assert!(!said.out.contains("unpack ok"), "{case}: {}", said.out);
        Rig::eventually("quarantines go", async || rig.quarantines().is_empty()).await;
        assert_eq!(contents(&rig.repos()), before, "{case}");
    }
    rig.client.push("demo", &["main:refs/heads/x"]).await.must();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zlib_bomb_hits_the_objects_limit_and_a_delta_bomb_too() {
    let limits = Limits {
        object_bytes: 1 << 20,
        ..Limits::default()
    };
    let rig = Rig::with(limits).await;
    rig.client.init().await;
    rig.client.write("zeros", vec![0; 8 << 20]);
    rig.client.commit("bomb").await;
    let said = rig.client.push("demo", &["main"]).await;
    assert!(
        !said.ok && said.err.contains("an object is larger than 1 MiB"),
        "{}",
        said.err
    );

    // 64 copies of a 1 MiB base: 64 MiB from a few bytes.
    let base = vec![7; 1 << 20];
    let mut delta = vec![0x80, 0x80, 0x40, 0x80, 0x80, 0x80, 0x20];
    (0..64).for_each(|_| delta.extend_from_slice(&[0b1111_0000 | 0x80, 0, 0, 0x10]));
    let mut first = entry(3, base.len() as u64);
    first.extend_from_slice(&zlib(&base));
    let mut second = entry(6, delta.len() as u64);
    second.extend_from_slice(&offset(first.len() as u64));
    second.extend_from_slice(&zlib(&delta));
    let mut wire = command_line(NULL, &"1".repeat(40), "refs/heads/x", CAPABILITIES);
    wire.extend_from_slice(&pack_of(&[first, second]));
    let said = send(&rig, &wire).await;
    assert!(
        said.out.contains("ng refs/heads/x unpacker error"),
        "{} {}",
        said.out,
        said.err
    );
    Rig::eventually("quarantines go", async || rig.quarantines().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pack_beyond_its_limit_is_cut_off() {
    let rig = Rig::with(Limits {
        pack_bytes: 1 << 20,
        ..Limits::default()
    })
    .await;
    rig.client.init().await;
    let noise: Vec<u8> = (0..1_000_000u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes())
        .collect();
    rig.client.write("noise", noise);
    rig.client.commit("big").await;
    let said = rig.client.push("demo", &["main"]).await;
    assert!(
        !said.ok && said.err.contains("the pack is larger than 1 MiB"),
        "{}",
        said.err
    );
    Rig::eventually("quarantines go", async || rig.quarantines().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tree_bomb_hits_the_sources_limit() {
    let limits = Limits {
        source_files: 1_000,
        source_bytes: 1 << 20,
        ..Limits::default()
    };
    let rig = Rig::with(limits).await;
    rig.client.init().await;
    let blob = rig
        .client
        .git_with_input(&["hash-object", "-w", "--stdin"], b"bomb")
        .await
        .must()
        .out;
    let mut id = format!("100644 blob {}", blob.trim());
    for _ in 0..12 {
        let entries: String = (0..10).map(|n| format!("{id}\t{n}\n")).collect();
        let tree = rig
            .client
            .git_with_input(&["mktree"], entries.as_bytes())
            .await
            .must()
            .out;
        id = format!("040000 tree {}", tree.trim());
    }
    let tree = id.rsplit(' ').next().unwrap();
    let commit = rig
        .client
        .git(&["commit-tree", tree, "-m", "bomb"])
        .await
        .must()
        .out;
    let said = rig
        .client
        .push("demo", &[&format!("{}:refs/heads/main", commit.trim())])
        .await;
    assert!(
        !said.ok && said.err.contains("more than 1000 files"),
        "{}",
        said.err
    );

    rig.client.write("big", vec![0; 2 << 20]);
    rig.client.commit("big").await;
    let said = rig.client.push("demo", &["main"]).await;
    assert!(
        !said.ok && said.err.contains("larger than 1 MiB together"),
        "{}",
        said.err
    );
    assert_eq!(rig.control.builds().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_that_need_what_was_not_sent_are_refused() {
    let rig = Rig::start().await;
    rig.client.init().await;
    rig.client.write("a", "1");
    rig.client.commit("one").await;
    rig.client.write("b", "2");
    let second = rig.client.commit("two").await;
    // Not thin: whole objects, but without the first commit's.
    let partial = pack(&rig, b"HEAD\n^HEAD~1\n").await;
    let mut wire = command_line(NULL, &second, "refs/heads/main", CAPABILITIES);
    wire.extend_from_slice(&partial);
    let said = send(&rig, &wire).await;
    assert!(said.out.contains("which was not sent"), "{}", said.out);
    assert!(
        said.out.contains("ng refs/heads/main unpacker error"),
        "{}",
        said.out
    );
    assert_eq!(rig.server_git("demo", &["for-each-ref"]).await.must().out, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tree_of_fifty_thousand_floors_is_refused_and_the_server_goes_on() {
    let rig = Rig::start().await;
    let (commit, whole) = commit_and_pack(&rig).await;
    let mut entries = vec![packed(3, b"bottom")];
    let (mut below, mut mode) = (object_id("blob", b"bottom"), "100644");
    for _ in 0..50_000 {
        let mut tree = format!("{mode} d\0").into_bytes();
        tree.extend_from_slice(&below);
        entries.push(packed(2, &tree));
        (below, mode) = (object_id("tree", &tree), "40000");
    }
    let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let text = format!(
        "tree {}\nauthor A <a@example.com> 0 +0000\ncommitter A <a@example.com> 0 +0000\n\ndeep\n",
        hex(&below)
    );
    entries.push(packed(1, text.as_bytes()));
    let deep = hex(&object_id("commit", text.as_bytes()));
    let mut wire = command_line(NULL, &deep, "refs/heads/main", CAPABILITIES);
    wire.extend_from_slice(&pack_of(&entries));
    let said = send(&rig, &wire).await;
    assert!(
        said.out.contains("ng refs/heads/main"),
        "{} {}",
        said.out,
        said.err
    );

    let mut wire = command_line(NULL, &commit, "refs/heads/x", CAPABILITIES);
    wire.extend_from_slice(&whole);
    let said = send(&rig, &wire).await;
    assert!(said.out.contains("ok refs/heads/x"), "{} {}", said.out, said.err);
}

/// As most clients but git do it: whoever waited for their input's end would wait for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_keeps_its_side_open_gets_its_report_and_what_it_sends_later_changes_nothing() {
    let rig = Rig::start().await;
    let (commit, pack) = commit_and_pack(&rig).await;
    let (open, gate) = tokio::sync::watch::channel(false);
    rig.control.answer(Answer::Hold(gate, Box::new(Answer::Release)));
    let mut ssh = rig.client.ssh_command(&["git-receive-pack '/demo.git'"]);
    let mut ssh = ssh.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = ssh.stdin.take().unwrap();
    let mut wire = command_line(NULL, &commit, "refs/heads/main", " report-status");
    wire.extend_from_slice(&pack);
    stdin.write_all(&wire).await.unwrap();
    rig.control.until(|script| script.builds.len() == 1).await;
    let mut later = command_line(NULL, &commit, "refs/heads/later", " report-status");
    later.extend_from_slice(&pack);
    stdin.write_all(&later).await.unwrap();
    open.send(true).unwrap();
    let mut report = Vec::new();
    ssh.stdout.take().unwrap().read_to_end(&mut report).await.unwrap();
    let report = String::from_utf8_lossy(&report);
    assert!(
        report.ends_with("000eunpack ok\n0017ok refs/heads/main\n0000"),
        "{report}"
    );
    let refs = rig.server_git("demo", &["for-each-ref"]).await.must().out;
    assert_eq!(refs, format!("{commit} commit\trefs/heads/main\n"));
    rig.server_git("demo", &["fsck", "--strict", "--full"])
        .await
        .must();
    rig.assert_no_quarantine();
    drop(stdin);
}
