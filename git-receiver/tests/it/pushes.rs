//! Pushes that succeed, and what they leave on the server.

use crate::{client::Client, control::Answer, rig::Rig};
use std::{collections::BTreeMap, io::Read};
use tokio::sync::watch;

async fn first_push(rig: &Rig) -> String {
    rig.client.init().await;
    rig.client.write("Procfile", "web: ./run\n");
    rig.client.write("src/a.txt", "line\n".repeat(500));
    let commit = rig.client.commit("one").await;
    rig.client.push("demo", &["main"]).await.must();
    commit
}

/// Path to (kind and mode, content or link target), folders left out.
fn files(tar: &[u8]) -> BTreeMap<String, (String, Vec<u8>)> {
    let mut all = BTreeMap::new();
    for entry in tar::Archive::new(tar).entries().unwrap() {
        let mut entry = entry.unwrap();
        let kind = entry.header().entry_type();
        if kind.is_dir() || kind.is_pax_global_extensions() {
            continue;
        }
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let executable = !kind.is_symlink() && entry.header().mode().unwrap() & 0o100 != 0;
        let mut content = Vec::new();
        match entry.link_name_bytes() {
            Some(target) => content.extend_from_slice(&target),
            None => {
                entry.read_to_end(&mut content).unwrap();
            }
        }
        all.insert(path, (format!("{kind:?} {executable}"), content));
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_push_builds_then_moves_the_ref() {
    let rig = Rig::start().await;
    rig.client.init().await;
    rig.client.write("Procfile", "web: ./run\n");
    let commit = rig.client.commit("one").await;
    let said = rig.client.push("demo", &["main"]).await.must();
    let shown = said.shown();
    let expected =
        "remote: Building source:\nremote:\nremote: -----> Test app detected\nremote:        Released v1\n";
    assert!(shown.contains(expected), "{shown}");
    assert!(shown.contains("* [new branch]      main -> main"), "{shown}");
    assert_eq!(
        rig.server_ref("demo", "refs/heads/main").await,
        Some(commit.clone())
    );
    let builds = rig.control.builds();
    assert_eq!(builds.len(), 1);
    assert_eq!(
        (builds[0].app.as_str(), builds[0].commit.as_str()),
        ("demo", commit.as_str())
    );
    assert_eq!(builds[0].fingerprint, rig.fingerprint);
    rig.assert_no_quarantine();
    rig.server_git("demo", &["fsck", "--strict", "--full"])
        .await
        .must();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_push_is_thin_and_the_repository_stays_sound() {
    let rig = Rig::start().await;
    first_push(&rig).await;
    rig.client.write("src/a.txt", "line\n".repeat(500) + "more\n");
    let commit = rig.client.commit("two").await;
    let mut push = rig
        .client
        .git_command(&["push", "--thin", &rig.client.url("demo"), "main"]);
    let said: crate::client::Said = push.env("GIT_TRACE", "1").output().await.unwrap().into();
    let said = said.must();
    assert!(said.err.contains("--thin"), "{}", said.err);
    assert_eq!(rig.server_ref("demo", "main").await, Some(commit));
    rig.server_git("demo", &["fsck", "--strict", "--full"])
        .await
        .must();
    assert_eq!(
        rig.server_git("demo", &["rev-list", "--count", "main"])
            .await
            .must()
            .out
            .trim(),
        "2"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushing_again_is_up_to_date_and_builds_nothing() {
    let rig = Rig::start().await;
    first_push(&rig).await;
    let said = rig.client.push("demo", &["main"]).await.must();
    assert!(said.err.contains("Everything up-to-date"), "{}", said.err);
    assert_eq!(rig.control.builds().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_is_rewritten_with_force_only() {
    let rig = Rig::start().await;
    let old = first_push(&rig).await;
    rig.client
        .git(&["commit", "-q", "--amend", "-m", "rewritten"])
        .await
        .must();
    let new = rig.client.head().await;
    // git decides by the advertised ref, so it has to know that commit.
    let said = rig.client.push("demo", &["main"]).await;
    assert!(!said.ok && said.err.contains("rejected"), "{}", said.err);
    assert_eq!(rig.server_ref("demo", "main").await, Some(old));
    rig.client.push("demo", &["--force", "main"]).await.must();
    assert_eq!(rig.server_ref("demo", "main").await, Some(new));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_and_other_branches_are_stored_without_a_build() {
    let rig = Rig::start().await;
    let commit = first_push(&rig).await;
    rig.client.git(&["tag", "light"]).await.must();
    rig.client
        .git(&["tag", "-a", "v1", "-m", "annotated"])
        .await
        .must();
    rig.client.push("demo", &["--tags"]).await.must();
    assert_eq!(rig.server_ref("demo", "light").await, Some(commit.clone()));
    assert_eq!(rig.server_ref("demo", "v1^{commit}").await, Some(commit.clone()));

    let said = rig.client.push("demo", &["main:feature/x"]).await.must();
    assert!(said.err.contains("only main and master deploy"), "{}", said.err);
    assert!(
        said.err.contains("git push REMOTE feature/x:main"),
        "{}",
        said.err
    );
    assert_eq!(rig.server_ref("demo", "feature/x").await, Some(commit));
    assert_eq!(rig.control.builds().len(), 1);
    rig.server_git("demo", &["fsck", "--strict", "--full"])
        .await
        .must();

    rig.client
        .push("demo", &["--delete", "feature/x", "v1"])
        .await
        .must();
    assert_eq!(rig.server_ref("demo", "feature/x").await, None);
    assert_eq!(rig.server_ref("demo", "v1").await, None);
    assert!(rig.server_ref("demo", "light").await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn master_deploys_too_also_from_another_branch_name() {
    let rig = Rig::start().await;
    first_push(&rig).await;
    rig.client.push("demo", &["main:master"]).await.must();
    assert_eq!(
        rig.control.builds().len(),
        2,
        "a push without new objects builds as well"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_source_is_what_git_archive_makes() {
    let rig = Rig::start().await;
    let client = &rig.client;
    client.init().await;
    client.write("plain.txt", "text\n");
    client.write("empty", "");
    client.write("deep/er/and/deeper/still.txt", "x");
    client.write(&format!("{}/long.txt", "n".repeat(120)), "y");
    client.write("caf\u{e9} \u{1f980}.txt", "utf-8");
    client.write("binary", (0..=255u8).cycle().take(300_000).collect::<Vec<_>>());
    client.write("run", "#!/bin/sh\n");
    client.write("secret.txt", "left out");
    client.write("crlf.txt", "a\nb\n");
    client.write(
        ".gitattributes",
        "secret.txt export-ignore\ncrlf.txt text eol=crlf\n",
    );
    client
        .program("chmod")
        .args(["+x", "run"])
        .output()
        .await
        .unwrap();
    std::os::unix::fs::symlink("../plain.txt", client.work().join("deep/link")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", client.work().join("absolute")).unwrap();
    client.commit("all kinds of files").await;
    client.push("demo", &["main"]).await.must();
    let expected = client.git(&["archive", "--format=tar", "HEAD"]).await.must().raw;
    let (expected, got) = (
        files(&expected),
        files(rig.control.builds()[0].tar.as_ref().unwrap()),
    );
    assert_eq!(
        expected.keys().collect::<Vec<_>>(),
        got.keys().collect::<Vec<_>>()
    );
    assert_eq!(expected, got);
    assert!(!got.contains_key("secret.txt"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_has_its_own_repository_and_a_new_app_of_an_old_name_an_empty_one() {
    let rig = Rig::start().await;
    let commit = first_push(&rig).await;
    rig.client.push("other", &["main"]).await.must();
    assert_eq!(rig.server_ref("other", "main").await, Some(commit.clone()));
    rig.control
        .script()
        .apps
        .insert("demo".to_owned(), "id-reborn".to_owned());
    let said = rig.client.push("demo", &["main"]).await.must();
    assert!(said.err.contains("[new branch]"), "{}", said.err);
    assert_eq!(rig.server_ref("reborn", "main").await, Some(commit));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_push_to_an_app_waits_says_so_and_sees_the_firsts_end() {
    let rig = Rig::start().await;
    let commit = first_push(&rig).await;
    let (open, gate) = watch::channel(false);
    rig.control.answer(Answer::Hold(gate, Box::new(Answer::Release)));
    let second = rig.second_client().await;
    second
        .git(&["clone", "-q", &rig.client.work().display().to_string(), "."])
        .await
        .must();

    rig.client.write("new", "1");
    let first_commit = rig.client.commit("first").await;
    let (url, other_url) = (rig.client.url("demo"), rig.client.url("other"));
    let first = rig.client.git_command(&["push", &url, "main"]).spawn().unwrap();
    rig.control.until(|script| script.builds.len() == 2).await;

    second.write("other", "2");
    second.commit("second").await;
    let asked = rig.control.script().authorised.len();
    let waiting = second.git_command(&["push", &url, "main"]).spawn().unwrap();
    rig.control.until(|script| script.authorised.len() > asked).await;
    // Another app's push does not wait.
    rig.client
        .git(&["push", &other_url, &format!("{commit}:refs/heads/main")])
        .await
        .must();
    assert_eq!(rig.server_ref("demo", "main").await, Some(commit));

    open.send(true).unwrap();
    let first: crate::client::Said = first.wait_with_output().await.unwrap().into();
    first.must();
    let second: crate::client::Said = waiting.wait_with_output().await.unwrap().into();
    assert!(
        second.err.contains("Another push to demo is under way"),
        "{}",
        second.err
    );
    assert!(!second.ok && second.err.contains("fetch first"), "{}", second.err);
    assert_eq!(rig.server_ref("demo", "main").await, Some(first_commit));
    rig.server_git("demo", &["fsck", "--strict", "--full"])
        .await
        .must();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rsa_and_ecdsa_keys_push_as_well() {
    let rig = Rig::start().await;
    for kind in ["rsa", "ecdsa"] {
        let client: Client = rig.stranger(kind).await;
        rig.register(&client, kind).await;
        client.init().await;
        client.commit(kind).await;
        client.push("other", &["--force", "main"]).await.must();
    }
    assert_eq!(rig.control.builds().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_build_will_miss_is_said_before_it() {
    let rig = Rig::start().await;
    rig.client.init().await;
    rig.client.write(".gitattributes", "*.bin filter=lfs diff=lfs\n");
    let commit = rig.client.commit("one").await;
    let link = format!("160000,{commit},vendor/lib");
    rig.client
        .git(&["update-index", "--add", "--cacheinfo", &link])
        .await
        .must();
    rig.client.git(&["commit", "-q", "-m", "submodule"]).await.must();
    let said = rig.client.push("demo", &["main"]).await.must();
    assert!(
        said.err.contains("Submodules are not fetched: \"vendor/lib\""),
        "{}",
        said.err
    );
    assert!(said.err.contains("Git LFS is not supported"), "{}", said.err);
}

/// Paths and addresses for which git's own submodule code was patched more than once: here they are a file's text.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_gitmodules_is_a_file_like_any_other() {
    let rig = Rig::start().await;
    rig.client.init().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("git://{}/x.git", listener.local_addr().unwrap());
    let text = format!(
        "[submodule \"-u./run\"]\n\tpath = sub\n\turl = -u./run\n\
         [submodule \"../../hooks\"]\n\tpath = ../../hooks\n\turl = file:///etc\n\
         [submodule \"cr\"]\n\tpath = \"cr\r\"\n\turl = {url}\n\tupdate = !touch /tmp/x\n"
    );
    rig.client.write(".gitmodules", &text);
    let commit = rig.client.commit("one").await;
    for path in ["sub", "cr"] {
        let link = format!("160000,{commit},{path}");
        rig.client
            .git(&["update-index", "--add", "--cacheinfo", &link])
            .await
            .must();
    }
    rig.client.git(&["commit", "-q", "-m", "submodules"]).await.must();
    let said = rig.client.push("demo", &["main"]).await.must();
    assert!(
        said.err.contains("Submodules are not fetched: \"cr\" and 1 more"),
        "{}",
        said.err
    );
    let built = files(rig.control.builds()[0].tar.as_ref().unwrap());
    assert_eq!(built.keys().collect::<Vec<_>>(), [".gitmodules"]);
    assert_eq!(built[".gitmodules"].1, text.as_bytes());
    assert!(listener.accept().is_err(), "nobody was asked for a submodule");
}

/// Objects of a pack are looked up from several threads; an index that one thread is just loading must not
/// make another believe that an object is missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_small_pushes_find_every_object() {
    let rig = Rig::start().await;
    rig.client.init().await;
    for number in 0..40 {
        for file in 0..6 {
            rig.client
                .write(&format!("dir{file}/{number}.txt"), format!("{number} {file}\n"));
        }
        rig.client.commit(&format!("change {number}")).await;
        rig.client.push("demo", &["main:stored"]).await.must();
    }
}
