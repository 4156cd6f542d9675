//! A build whose server or whose Podman was killed.

use crate::harness::{Bench, has_build_process, request, until};
use pvdify_builder::{BuildError, Builder, Swept};

const SLEEPER: &[u8] = b"FROM pvdify/run:trixie\nRUN sleep 1000\n";

#[tokio::test]
async fn what_a_killed_podman_left_is_swept_and_what_is_not_ours_stays() {
    let mut bench = Bench::with_run_image(|_| {}).await;
    // Another installation's build, interrupted as well.
    let mut other = bench.config.clone();
    other.installation = format!("{}x", bench.config.installation).parse().unwrap();
    other.work_dir = bench.folder.path().join("other");
    let their_id = other.installation.clone();
    let theirs = Builder::new(other, bench.store.clone());
    let source = bench.source("theirs", &[("Dockerfile", SLEEPER)]);
    let (output, _) = tokio::sync::mpsc::channel(1);
    let (app, id) = ("demo".parse().unwrap(), "b2".parse().unwrap());

    let work_dir = bench.config.work_dir.clone();
    {
        let ours = bench.build("b1", &[("Dockerfile", SLEEPER)]);
        let theirs = theirs.build(request(&app, &id, &source), output);
        // Podman lists a container before it has written whose it is.
        let both_run = until("both builds run", async || {
            bench.has_build_process() && has_build_process(&their_id)
        });
        tokio::select! {
            (_, ended) = ours => panic!("{ended:?}"),
            ended = theirs => panic!("{ended:?}"),
            () = both_run => {}
        }
        // As after a kill: no destructor of a folder ran.
        std::fs::create_dir_all(work_dir.join("b1")).unwrap();
        std::fs::write(work_dir.join("b1/tag"), "localhost/pvdify-build/demo:b1").unwrap();
    }
    bench.podman.kill();
    bench.podman.start_again().await;
    let before = bench.build_containers().await;
    assert!(before >= 1, "the kill left something to sweep");

    let swept = bench.builder.sweep_interrupted().await.unwrap();
    assert_eq!(swept.builds, ["b1".parse().unwrap()]);
    assert_eq!(bench.build_containers().await, before - swept.containers);
    assert!(!bench.has_build_process());
    assert!(!bench.has_control_group());
    assert!(!work_dir.join("b1").exists());
    assert_eq!(std::fs::read_dir(work_dir.join("_cnb/gone")).unwrap().count(), 0);
    assert_eq!(bench.builder.sweep_interrupted().await.unwrap(), Swept::default());
    let theirs_left = theirs.sweep_interrupted().await.unwrap();
    assert_eq!(swept.containers + theirs_left.containers, before);
    assert_eq!(bench.build_containers().await, 0);
}

#[tokio::test]
async fn a_podman_that_goes_away_in_the_middle_is_no_fault_of_the_source() {
    let mut bench = Bench::with_run_image(|_| {}).await;
    let source = bench.source("b1", &[("Dockerfile", SLEEPER)]);
    let builder = bench.builder.clone();
    let (output, _lines) = tokio::sync::mpsc::channel(100);
    let build = tokio::spawn(async move {
        let (app, id) = ("demo".parse().unwrap(), "b1".parse().unwrap());
        builder.build(request(&app, &id, &source), output).await
    });
    until("the build runs", async || bench.has_build_process()).await;
    bench.podman.kill();
    let error = build.await.unwrap().unwrap_err();
    assert!(
        matches!(&error, BuildError::Unavailable(text) if text.starts_with("the build was interrupted: ")),
        "{error}"
    );
    until("no build process is left", async || !bench.has_build_process()).await;
    // The next build, with Podman still away.
    let (_, result) = bench.build("b2", &[("Dockerfile", b"FROM scratch\n")]).await;
    let error = result.unwrap_err();
    assert!(
        matches!(&error, BuildError::Unavailable(text) if text.contains("does not answer")),
        "{error}"
    );
}
