//! The sample apps of tests/fixtures/apps, pushed as their author would: Python and Node.js on the base
//! images, and a static binary `FROM scratch`.

use pvdify_tests::{Platform, Pusher, repository_root};
use std::{fs, path::Path};

pub(crate) fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

async fn push_sample(platform: &Platform, sample: &str) {
    let pusher = Pusher::new(platform, sample).await;
    let source = repository_root().join("tests/fixtures/apps").join(sample);
    let commit = pusher.commit(|dir| copy_tree(&source, dir));
    pusher.push().await.ok();
    let (status, body) = platform.get(sample, "/").await;
    assert_eq!(status, 200, "{sample}: {body}");
    assert!(body.contains(&commit), "{sample}: {body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_sample_answers_with_its_commit() {
    push_sample(&Platform::start().await, "python").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_sample_answers_with_its_commit() {
    push_sample(&Platform::start().await, "node").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_static_sample_answers_with_its_commit() {
    push_sample(&Platform::start().await, "static").await;
}
