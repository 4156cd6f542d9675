//! The networks that builds run in.

use crate::harness::{Bench, until};
use pvdify_builder::podman::{Filters, ListedContainer, Network, forget_bridge};
use std::process::Command;

/// Names of the networks, and what keeps them open.
async fn there_is(bench: &Bench) -> (Vec<Network>, Vec<ListedContainer>) {
    let podman = bench.podman.client();
    let ours = Filters::label("pvdify.installation", &bench.config.installation);
    let networks = podman.networks(&ours).await.unwrap();
    (networks, podman.containers(&ours).await.unwrap())
}

fn bridge(network: &str) -> String {
    let format = "{{.NetworkInterface}}";
    let output = Command::new("podman")
        .args(["network", "inspect", "--format", format, network])
        .output();
    String::from_utf8(output.unwrap().stdout)
        .unwrap()
        .trim()
        .to_owned()
}

#[tokio::test]
async fn a_sandbox_stays_for_the_next_build_until_its_rules_or_its_server_are_gone() {
    let bench = Bench::start().await;
    assert_eq!(there_is(&bench).await.0, []);
    bench.builder.get_ready().await.unwrap();
    let (networks, containers) = there_is(&bench).await;
    let [first] = &networks[..] else {
        panic!("{networks:?}")
    };
    assert_eq!(containers.len(), 1);
    assert!(
        containers[0].started_at <= 0,
        "nothing ever ran in it: {containers:?}"
    );
    let podman = bench.podman.client();
    assert!(podman.is_isolated(&first.name).await.unwrap());

    bench.builder.get_ready().await.unwrap();
    assert_eq!(there_is(&bench).await, (networks.clone(), containers.clone()));

    forget_bridge(&bridge(&first.name));
    bench.builder.get_ready().await.unwrap();
    until("the one without rules is gone", async || {
        let (networks, containers) = there_is(&bench).await;
        networks.len() == 1 && networks[0] != *first && containers.len() == 1
    })
    .await;

    // As after a kill: another server begins.
    let swept = bench.builder.sweep_interrupted().await.unwrap();
    assert_eq!(swept.containers, 0, "no build was interrupted");
    assert_eq!(there_is(&bench).await, (Vec::new(), Vec::new()));
    // The builder that made it does not know.
    bench.builder.get_ready().await.unwrap();
    assert_eq!(there_is(&bench).await.0.len(), 1);
    bench.builder.sweep_interrupted().await.unwrap();
}
