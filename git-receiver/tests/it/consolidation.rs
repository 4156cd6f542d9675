//! Many pushes' packs become one, and stock git finds every object as it was.

use crate::rig::Rig;
use git_receiver::Limits;
use std::path::PathBuf;

fn packs(rig: &Rig, extension: &str) -> Vec<PathBuf> {
    let listed = std::fs::read_dir(rig.git_dir("demo").join("objects/pack")).unwrap();
    let paths = listed.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect()
}

/// All that the repository holds: names, kinds and sizes.
async fn objects(rig: &Rig) -> String {
    let all = ["cat-file", "--batch-check", "--batch-all-objects"];
    rig.server_git("demo", &all).await.must().out
}

async fn push(rig: &Rig, number: usize) {
    // A long file with small changes: packs of deltas, thin ones among them.
    let lines = (0..500).map(|line| format!("line {line} of {}\n", if line == number { number } else { 0 }));
    rig.client.write("long", lines.collect::<String>());
    rig.client.write(&format!("d/{number}"), format!("{number}\n"));
    rig.client.commit("change").await;
    rig.client.push("demo", &["main"]).await.must();
}

async fn few() -> Rig {
    let limits = Limits {
        packs: 3,
        ..Limits::default()
    };
    let rig = Rig::with(limits).await;
    rig.client.init().await;
    rig
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_packs_of_many_pushes_become_one_that_holds_every_object() {
    let mut rig = few().await;
    for number in 0..6 {
        push(&rig, number).await;
    }
    assert_eq!(packs(&rig, "idx").len(), 6);
    let before = objects(&rig).await;
    rig.restart().await;
    Rig::eventually("one pack", async || packs(&rig, "pack").len() == 1).await;
    Rig::eventually("the quarantine goes", async || rig.quarantines().is_empty()).await;
    assert_eq!(packs(&rig, "idx").len(), 1);
    assert_eq!(objects(&rig).await, before);
    rig.server_git("demo", &["fsck", "--full", "--strict"])
        .await
        .must();

    // It goes on from there, and again.
    for number in 6..10 {
        push(&rig, number).await;
    }
    let before = objects(&rig).await;
    rig.restart().await;
    Rig::eventually("one pack again", async || packs(&rig, "pack").len() == 1).await;
    assert_eq!(objects(&rig).await, before);
    rig.server_git("demo", &["fsck", "--full", "--strict"])
        .await
        .must();
    let head = rig.client.head().await;
    assert_eq!(rig.server_ref("demo", "refs/heads/main").await, Some(head));
}

/// What a kill leaves: before the old packs go, between an old one's index and its pack, and in the new one's move.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_round_that_was_killed_anywhere_is_finished_by_the_next() {
    let mut rig = few().await;
    for number in 0..4 {
        push(&rig, number).await;
    }
    rig.stop_server().await;
    let folder = rig.git_dir("demo").join("objects/pack");
    let aside = rig.folder.path().join("aside");
    std::fs::create_dir(&aside).unwrap();
    let old: Vec<_> = packs(&rig, "idx")
        .into_iter()
        .chain(packs(&rig, "pack"))
        .collect();
    for path in &old {
        std::fs::copy(path, aside.join(path.file_name().unwrap())).unwrap();
    }
    let before = objects(&rig).await;
    rig.restart().await;
    Rig::eventually("one pack", async || packs(&rig, "pack").len() == 1).await;
    rig.stop_server().await;

    for path in &old {
        // All old ones are there still, one of them without its index, and a new one has just its pack.
        std::fs::copy(aside.join(path.file_name().unwrap()), path).unwrap();
    }
    std::fs::remove_file(old[0].with_extension("idx")).unwrap();
    std::fs::copy(old[0].with_extension("pack"), folder.join("pack-half.pack")).unwrap();
    assert_eq!((packs(&rig, "idx").len(), packs(&rig, "pack").len()), (4, 6));
    rig.restart().await;
    Rig::eventually("one pack", async || packs(&rig, "pack").len() == 1).await;
    assert_eq!(objects(&rig).await, before);
    rig.server_git("demo", &["fsck", "--full", "--strict"])
        .await
        .must();
}
