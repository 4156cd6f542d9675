//! Go and PHP as their authors would push them, without a file of ours: they answer, as nobody's user, and what a
//! change does not touch comes from the build before.
//!
//! Both on one platform and at the same time, and without packages: what takes long here is fetching a toolchain.

use pvdify_tests::{Platform, Pusher, repository_root};
use std::{fs, path::Path};

// The files of a fixture, with the word that the app says.
fn write_app(language: &str, word: &str, dir: &Path) {
    let fixture = repository_root().join("tests/fixtures/languages").join(language);
    for entry in fs::read_dir(fixture).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap().replace("one", word);
        fs::write(dir.join(path.file_name().unwrap()), text).unwrap();
    }
}

// Pushes a version; gives the log of its build.
async fn push(platform: &Platform, pusher: &Pusher, language: &str, word: &str) -> String {
    pusher.commit(|dir| write_app(language, word, dir));
    let log = pusher.push().await.ok();
    let (status, body) = platform.get(language, "/").await;
    assert_eq!((status, body), (200, format!("{word} 10001")), "{log}");
    log
}

// The logs of a first push and of one that changes the code.
async fn push_twice(platform: &Platform, language: &str) -> (String, String) {
    let pusher = Pusher::new(platform, language).await;
    let first = push(platform, &pusher, language, "one").await;
    let second = push(platform, &pusher, language, "two").await;
    assert!(first.contains(&format!("pvdify/{language}")), "{first}");
    assert!(
        second.contains("unchanged, kept") && !second.contains("downloaded"),
        "{second}"
    );
    (first, second)
}

#[tokio::test(flavor = "multi_thread")]
async fn go_and_php_answer_and_a_change_of_code_is_all_that_is_built_again() {
    let platform = Platform::start().await;
    let ((_, go), (_, php)) = tokio::join!(push_twice(&platform, "go"), push_twice(&platform, "php"));
    // The program and its source; the scripts alone.
    assert!(go.contains("Layers: 2 added"), "{go}");
    assert!(php.contains("Layers: 1 added"), "{php}");
}
