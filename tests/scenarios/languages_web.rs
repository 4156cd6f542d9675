//! The fixtures of tests/fixtures/languages: sources with nothing of Pvdify in them, each in its language's usual
//! form, pushed side by side to one server. A second push keeps what the first one installed.

use crate::samples::copy_tree;
use pvdify_tests::{Platform, Pusher, repository_root};
use std::fs;

/// Pushes a fixture twice; `answer` says what `path` answers when says.txt holds a word.
async fn push_twice(platform: &Platform, name: &str, path: &str, answer: impl Fn(&str) -> String) -> String {
    let pusher = Pusher::new(platform, name).await;
    let source = repository_root().join("tests/fixtures/languages").join(name);
    pusher.commit(|dir| copy_tree(&source, dir));
    let first = pusher.push().await.ok();
    let (status, body) = platform.get(name, path).await;
    assert_eq!((status, body), (200, answer("one")), "{first}");

    pusher.commit(|dir| fs::write(dir.join("says.txt"), "two\n").unwrap());
    let second = pusher.push().await.ok();
    let (status, body) = platform.get(name, path).await;
    assert_eq!((status, body), (200, answer("two")), "{second}");
    assert!(!second.contains("downloaded"), "{second}");
    second
}

#[tokio::test(flavor = "multi_thread")]
async fn node_python_and_static_sources_answer_and_a_second_push_keeps_what_was_installed() {
    let platform = Platform::start().await;
    let (node, python, _) = tokio::join!(
        push_twice(&platform, "node", "/", |word| {
            format!("{word} 3600000 production uid=10001")
        }),
        push_twice(&platform, "python", "/", |word| {
            format!("{word} 0.13.4 uid=10001")
        }),
        push_twice(&platform, "static", "/says.txt", |word| format!("{word}\n")),
    );
    assert!(
        node.contains("Production dependencies: unchanged, kept"),
        "{node}"
    );
    assert!(
        python.contains("unchanged, kept") && !python.contains("Installed "),
        "{python}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn python_packages_that_the_newest_python_can_not_build_get_the_former_one() {
    let platform = Platform::start().await;
    let second = push_twice(&platform, "python-former", "/", |word| {
        format!("{word} 2.9.9 on 3.11")
    })
    .await;
    assert!(
        second.contains("as an earlier build found") && !second.contains("Installed "),
        "{second}"
    );
}
