//! Pushes that are refused leave the server as it was, and say why.

use crate::{client::contents, control::Answer, rig::Rig};
use axum::http::StatusCode;

async fn pushed(rig: &Rig) -> String {
    rig.client.init().await;
    rig.client.write("a", "1");
    let commit = rig.client.commit("one").await;
    rig.client.push("demo", &["main"]).await.must();
    commit
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_build_leaves_refs_and_objects_as_they_were() {
    let rig = Rig::start().await;
    pushed(&rig).await;
    let before = contents(&rig.repos());
    rig.client.write("b", "2");
    rig.client.commit("two").await;
    rig.control
        .answer(Answer::Fail("Could not find a Procfile.\nLooked in /."));
    let said = rig.client.push("demo", &["main", "main:refs/tags/t"]).await;
    assert!(!said.ok);
    let shown = said.shown();
    let words = "remote:  !     Could not find a Procfile.\nremote:  !     Looked in /.\nremote:  !     Push rejected.\n";
    assert!(shown.contains(words), "{shown}");
    assert!(
        shown.contains("! [remote rejected] main -> main (pre-receive hook declined)"),
        "{shown}"
    );
    assert!(
        shown.contains("! [remote rejected] main -> t (pre-receive hook declined)"),
        "{shown}"
    );
    assert_eq!(contents(&rig.repos()), before);

    // And the same push succeeds when the build does.
    rig.client.push("demo", &["main"]).await.must();
    rig.server_git("demo", &["fsck", "--strict", "--full"])
        .await
        .must();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_plane_that_dies_in_the_build_changes_nothing() {
    let rig = Rig::start().await;
    pushed(&rig).await;
    let before = contents(&rig.repos());
    rig.client.write("b", "2");
    rig.client.commit("two").await;
    rig.control.answer(Answer::Die);
    let said = rig.client.push("demo", &["main"]).await;
    assert!(
        !said.ok
            && said
                .err
                .contains("control plane stopped during the build; nothing was changed"),
        "{}",
        said.err
    );
    assert!(said.err.contains("pre-receive hook declined"), "{}", said.err);
    assert_eq!(contents(&rig.repos()), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_that_does_not_start_is_told_in_the_control_planes_words() {
    let rig = Rig::start().await;
    rig.client.init().await;
    rig.client.write("big", vec![7; 3_000_000]);
    rig.client.commit("one").await;
    rig.control.answer(Answer::Refuse(
        StatusCode::INSUFFICIENT_STORAGE,
        "The disk is full: 1 GB is free, 3 GB are needed.",
    ));
    let said = rig.client.push("demo", &["main"]).await;
    assert!(
        !said.ok
            && said
                .shown()
                .contains("remote:  !     The disk is full: 1 GB is free"),
        "{}",
        said.err
    );
    assert_eq!(rig.server_ref("demo", "main").await, None);
    rig.control.answer(Answer::FailUnread);
    let said = rig.client.push("demo", &["main"]).await;
    assert!(
        !said.ok && said.shown().contains("remote:  !     Push rejected."),
        "{}",
        said.err
    );
    rig.assert_no_quarantine();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_plane_that_is_away_is_told_from_a_wrong_key() {
    let rig = Rig::start().await;
    rig.client.init().await;
    rig.client.commit("one").await;
    rig.stop_control();
    let said = rig.client.push("demo", &["main"]).await;
    assert!(
        !said.ok && said.err.contains("control plane can't be reached"),
        "{}",
        said.err
    );
    assert!(!said.err.contains("Permission denied"), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_app_is_told_in_the_control_planes_words() {
    let rig = Rig::start().await;
    rig.client.init().await;
    rig.client.commit("one").await;
    let said = rig.client.push("missing", &["main"]).await;
    assert!(
        !said.ok && said.err.contains("There is no app \"missing\"."),
        "{}",
        said.err
    );
    assert!(said.err.contains("To see your apps: pvdify apps"), "{}", said.err);
    assert!(!rig.repos().join("id-missing.git").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_deploy_branch_stays() {
    let rig = Rig::start().await;
    let commit = pushed(&rig).await;
    let said = rig.client.push("demo", &["--delete", "main"]).await;
    assert!(
        !said.ok && said.err.contains("deletion of the deploy branch prohibited"),
        "{}",
        said.err
    );
    assert!(said.err.contains("pvdify apps:delete"), "{}", said.err);
    assert_eq!(rig.server_ref("demo", "main").await, Some(commit));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_deploy_branches_in_one_push_are_refused_before_any_build() {
    let rig = Rig::start().await;
    rig.client.init().await;
    rig.client.commit("one").await;
    let said = rig.client.push("demo", &["main", "main:master"]).await;
    assert!(!said.ok && said.err.contains("push one of them"), "{}", said.err);
    assert_eq!(rig.control.builds().len(), 0);
    assert_eq!(rig.server_git("demo", &["for-each-ref"]).await.must().out, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_atomic_push_with_one_bad_ref_moves_none() {
    let rig = Rig::start().await;
    pushed(&rig).await;
    rig.client.push("demo", &["main:refs/heads/a"]).await.must();
    rig.client.write("b", "2");
    rig.client.commit("two").await;
    let before = contents(&rig.repos());
    // `a/b` can't exist beside `a`: git on the client's side does not know, so the server has to.
    let refs = ["main:refs/tags/ok", "main:refs/heads/a/b"];
    let said = rig.client.push("demo", &["--atomic", refs[0], refs[1]]).await;
    assert!(
        !said.ok && said.err.contains("atomic push failed"),
        "{}",
        said.err
    );
    assert!(
        said.err.contains("the name conflicts with an existing ref"),
        "{}",
        said.err
    );
    assert_eq!(contents(&rig.repos()), before);
    let said = rig.client.push("demo", &[refs[0], refs[1]]).await;
    assert!(!said.ok, "{}", said.err);
    assert!(
        rig.server_ref("demo", "refs/tags/ok").await.is_some(),
        "without --atomic the good one moves"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shallow_clone_pushes_only_where_its_history_is_known() {
    let rig = Rig::start().await;
    pushed(&rig).await;
    rig.client.write("b", "2");
    rig.client.commit("two").await;
    let clone = rig.second_client().await;
    let from = format!("file://{}", rig.client.work().display());
    clone.git(&["clone", "-q", "--depth=1", &from, "."]).await.must();
    clone.write("c", "3");
    clone.commit("three").await;
    let said = clone.push("other", &["main"]).await;
    assert!(
        !said.ok && said.err.contains("shallow update not allowed"),
        "{}",
        said.err
    );
    assert_eq!(rig.server_git("other", &["for-each-ref"]).await.must().out, "");
    rig.client.push("demo", &["main"]).await.must();
    clone.push("demo", &["main"]).await.must();
    rig.server_git("demo", &["fsck", "--strict", "--full"])
        .await
        .must();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sha_256_repository_is_refused_by_name() {
    let rig = Rig::start().await;
    rig.client
        .git(&["init", "-q", "-b", "main", "--object-format=sha256"])
        .await
        .must();
    rig.client.commit("one").await;
    let said = rig.client.push("demo", &["main"]).await;
    assert!(
        !said.ok && said.err.contains("SHA-256 objects are not supported"),
        "{}",
        said.err
    );
}
