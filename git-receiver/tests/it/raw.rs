//! The protocol by hand, through the real ssh: what no git client would send.

use crate::{
    client::{Said, contents},
    control::Answer,
    rig::Rig,
};
use git_receiver::Limits;
use std::process::Stdio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(crate) const CAPABILITIES: &str = " report-status side-band-64k object-format=sha1";
const NULL: &str = "0000000000000000000000000000000000000000";

/// One command, its capabilities, and the flush after it.
pub(crate) fn command_line(old: &str, new: &str, name: &str, capabilities: &str) -> Vec<u8> {
    let line = format!("{old} {new} {name}\0{capabilities}\n");
    format!("{:04x}{line}0000", line.len() + 4).into_bytes()
}

/// A commit, and the pack of all its history.
async fn commit_and_pack(rig: &Rig) -> (String, Vec<u8>) {
    rig.client.init().await;
    rig.client.write("a", "content\n".repeat(100));
    let commit = rig.client.commit("one").await;
    (commit, pack(rig, b"HEAD\n").await)
}

async fn pack(rig: &Rig, revisions: &[u8]) -> Vec<u8> {
    rig.client
        .git_with_input(&["pack-objects", "--revs", "--stdout", "-q"], revisions)
        .await
        .must()
        .raw
}

async fn send(rig: &Rig, input: &[u8]) -> Said {
    rig.client
        .ssh_with_input(&["git-receive-pack '/demo.git'"], input)
        .await
}

fn sealed(mut pack: Vec<u8>) -> Vec<u8> {
    let hash = sha1(&pack);
    pack.extend_from_slice(&hash);
    pack
}

fn sha1(data: &[u8]) -> [u8; 20] {
    let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
    hasher.update(data);
    hasher.try_finalize().unwrap().as_slice().try_into().unwrap()
}

/// A pack's entry header: kind, then the size in base 128.
fn entry(kind: u8, mut size: u64) -> Vec<u8> {
    let mut out = vec![(kind << 4) | (size & 15) as u8];
    size >>= 4;
    while size > 0 {
        *out.last_mut().unwrap() |= 0x80;
        out.push((size & 127) as u8);
        size >>= 7;
    }
    out
}

fn pack_of(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut pack = b"PACK\0\0\0\x02".to_vec();
    pack.extend_from_slice(&u32::try_from(entries.len()).unwrap().to_be_bytes());
    entries.iter().for_each(|entry| pack.extend_from_slice(entry));
    sealed(pack)
}

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

fn zlib(data: &[u8]) -> Vec<u8> {
    // Stored blocks: no compressor is needed to make a valid stream.
    let mut out = vec![0x78, 0x01];
    for (index, chunk) in data.chunks(0xffff).enumerate() {
        let last = u8::from((index + 1) * 0xffff >= data.len());
        let length = u16::try_from(chunk.len()).unwrap();
        out.push(last);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(chunk);
    }
    let (mut a, mut b) = (1u32, 0u32);
    for byte in data {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    out.extend_from_slice(&((b << 16) | a).to_be_bytes());
    out
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

/// An ofs-delta's distance back to its base.
fn offset(mut distance: u64) -> Vec<u8> {
    let mut out = vec![(distance & 127) as u8];
    while distance >> 7 > 0 {
        distance = (distance >> 7) - 1;
        out.insert(0, 0x80 | (distance & 127) as u8);
    }
    out
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

/// The id of an object of this kind with this content.
fn object_id(kind: &str, content: &[u8]) -> [u8; 20] {
    let mut whole = format!("{kind} {}\0", content.len()).into_bytes();
    whole.extend_from_slice(content);
    sha1(&whole)
}

/// An object as a pack holds it.
fn packed(kind: u8, content: &[u8]) -> Vec<u8> {
    let mut out = entry(kind, content.len() as u64);
    out.extend_from_slice(&zlib(content));
    out
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
