//! What a build may use, and that nothing of it is left when it is over its limit.

use crate::harness::{Bench, until};
use pvdify_builder::BuildError;
use std::time::Duration;

const RUN: &str = "FROM pvdify/run:trixie\n";

fn dockerfile(steps: &str) -> Vec<u8> {
    format!("{RUN}{steps}\n").into_bytes()
}

#[tokio::test]
async fn a_build_that_takes_too_long_is_ended_with_all_its_processes() {
    let bench = Bench::with_run_image(|config| config.limits.timeout = Duration::from_secs(3)).await;
    let text = dockerfile("RUN sleep 1000 & sleep 1000\nRUN sleep 1000");
    let (_, result) = bench.build("b1", &[("Dockerfile", &text)]).await;
    let error = result.unwrap_err().to_string();
    assert_eq!(
        error,
        "the build took longer than 3 seconds and was stopped. It was at Dockerfile line 2: RUN sleep 1000 & sleep 1000"
    );
    until("no build process is left", async || !bench.has_build_process()).await;
    until("no build container is left", async || {
        bench.build_containers().await == 0
    })
    .await;
}

#[tokio::test]
async fn a_build_that_nobody_waits_for_any_more_is_ended() {
    let bench = Bench::with_run_image(|_| {}).await;
    let text = dockerfile("RUN sleep 1000\nRUN sleep 1000");
    let files: &[(&str, &[u8])] = &[("Dockerfile", &text)];
    let build = Box::pin(bench.build("b1", files));
    let started = Box::pin(until("the build runs", async || bench.has_build_process()));
    // The loser, which is the build, is dropped.
    let first = futures_util::future::select(build, started).await;
    assert!(matches!(first, futures_util::future::Either::Right(_)));
    drop(first);
    until("no build process is left", async || !bench.has_build_process()).await;
    until("no build container is left", async || {
        bench.build_containers().await == 0
    })
    .await;
    until("the build's folder is removed", async || {
        let work_dir = &bench.config.work_dir;
        let count = |folder: &std::path::Path| std::fs::read_dir(folder).unwrap().count();
        count(work_dir) == 1 && count(&work_dir.join("_cnb/gone")) == 0
    })
    .await;
}

#[tokio::test]
async fn too_much_memory_too_many_processes_and_too_much_output_are_stopped() {
    let bench = Bench::with_run_image(|config| {
        config.limits.memory_bytes = 64 * 1024 * 1024;
        config.limits.pids = 20;
        config.limits.log_bytes = 20_000;
    })
    .await;
    let text = dockerfile("RUN dd if=/dev/zero of=/dev/null bs=200M count=1");
    let (_, result) = bench.build("b1", &[("Dockerfile", &text)]).await;
    let error = result.unwrap_err();
    let wanted = "it was killed, most likely because the build used more than its 64 MiB of memory";
    assert!(
        matches!(&error, BuildError::Refused(text) if text.contains(wanted) || text.contains("exit status")),
        "{error}"
    );

    let text = dockerfile("RUN for n in $(seq 100); do sleep 5 & done; wait");
    let (log, result) = bench.build("b2", &[("Dockerfile", &text)]).await;
    assert!(
        result.is_err() || log.join("\n").contains("can't fork"),
        "{log:?}"
    );

    let text = dockerfile("RUN seq 100000\nRUN false");
    let (log, result) = bench.build("b3", &[("Dockerfile", &text)]).await;
    assert_eq!(
        log.last().unwrap(),
        "       ... the output is longer than 19 KiB: the rest is left out"
    );
    assert_eq!(
        result.unwrap_err().to_string(),
        "Dockerfile line 3: RUN false: exit status 1"
    );
}

#[tokio::test]
async fn a_build_can_not_reach_what_listens_on_the_hosts_loopback() {
    let bench = Bench::with_run_image(|_| {}).await;
    let registry = &bench.config.registry_address;
    let text = dockerfile(&format!("RUN wget -O- http://{registry}/v2/"));
    let (log, result) = bench.build("b1", &[("Dockerfile", &text)]).await;
    assert!(result.is_err());
    assert!(log.join("\n").contains("Connection refused"), "{log:?}");
}

#[tokio::test]
async fn a_nearly_full_disk_is_told_with_its_figures_before_anything_runs() {
    let bench = Bench::with(|config| config.limits.free_bytes = u64::MAX).await;
    let (log, result) = bench.build("b1", &[("Dockerfile", b"FROM scratch\n")]).await;
    let Err(BuildError::Unavailable(text)) = result else {
        panic!("{result:?}")
    };
    assert!(text.starts_with("the server's disk is nearly full: "), "{text}");
    assert_eq!(log, Vec::<String>::new());
}
