//! One life of an app, from its first release to its deletion, with each call failing once, each call made
//! twice, and the reconciler killed before and after each change: always the same end, and on the way the
//! app answers without a gap, and its worker never has its volume twice.

use crate::{
    fake_state::release,
    harness::{Fault, Installation, until},
    loop_logic::{BOTH, image},
};
use pvdify_types::VolumeMount;
use pvdifyd::reconcile::desired::ReleaseSpec;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::task::JoinSet;

/// Every call that the loop makes of engine and database.
const CALLS: [&str; 14] = [
    "load",
    "list",
    "networks",
    "prepare",
    "start",
    "stop",
    "remove",
    "remove_network",
    "activate",
    "one_off_began",
    "one_off_ended",
    "forget",
    "save_generation",
    "last_generation",
];
const WITH_COMMAND: [(&str, &str); 3] = [("web", "serve"), ("worker", "work"), ("release", "migrate")];
/// Those that change something.
const CHANGES: [&str; 9] = [
    "start",
    "stop",
    "remove",
    "remove_network",
    "activate",
    "one_off_began",
    "one_off_ended",
    "forget",
    "save_generation",
];

/// A release whose worker has a volume to itself.
fn with_volume(version: u64, processes: &[(&str, &str)]) -> ReleaseSpec {
    let mount = VolumeMount {
        id: "v1".parse().unwrap(),
        volume: "data".parse().unwrap(),
        process: Some("worker".parse().unwrap()),
        path: "/data".parse().unwrap(),
        read_only: false,
        shared: false,
    };
    ReleaseSpec {
        mounts: vec![mount],
        ..release(version, &image(), processes)
    }
}

/// v1, then v2 with a release command, then deletion. From the first answer on there is always one, until it is deleted.
async fn life(fault: Option<Fault>) {
    let installation = Arc::new(Installation::start(fault));
    let what = |what: &str| format!("{what} ({fault:?})");
    installation.state.create(with_volume(1, &BOTH), "web=1 worker=1");
    installation.wake();
    until(&what("v1 serves"), || {
        installation
            .endpoints()
            .is_some_and(|endpoints| !endpoints.is_empty())
    })
    .await;

    let watched = Arc::new(AtomicBool::new(true));
    let watcher = tokio::spawn(watch(Arc::clone(&installation), Arc::clone(&watched)));
    installation
        .state
        .deploy(with_volume(2, &WITH_COMMAND), "web=1 worker=1");
    installation.wake();
    until(&what("only v2 runs"), || {
        installation.engine.running() == ["web.1 v2", "worker.1 v2"]
    })
    .await;
    until(&what("v2 serves"), || {
        installation
            .endpoints()
            .is_some_and(|endpoints| endpoints.len() == 1)
    })
    .await;
    watched.store(false, Ordering::Relaxed);
    watcher.await.unwrap();
    assert_eq!(installation.state.rows().activated, [1, 2], "{fault:?}");
    assert_eq!(
        installation.engine.world().ran_once,
        ["release.1001 v2"],
        "{fault:?}"
    );
    assert_eq!(installation.state.rows().ended.len(), 1, "{fault:?}");

    installation.state.change(|app| app.deleting = true);
    installation.wake();
    until(&what("the app is forgotten"), || {
        installation.state.rows().apps.is_empty()
    })
    .await;
    let world = installation.engine.world();
    assert!(
        world.containers.is_empty() && world.networks.is_empty(),
        "{fault:?}"
    );
    assert_eq!(installation.state.rows().failed, [], "{fault:?}");
    match fault {
        // The command has ended by then.
        Some(Fault::Fails("one_off_began", _) | Fault::DiesBefore("one_off_began", _)) => {}
        Some(Fault::Fails(call, 1) | Fault::DiesBefore(call, 1)) => {
            assert!(
                installation.faults.count(call) > 1,
                "{fault:?}: the call was made again"
            );
        }
        Some(Fault::DiesAfter(call, 1)) => assert!(installation.faults.count(call) > 0, "{fault:?}"),
        _ => {}
    }
    installation.faults.assert_unbroken();
}

/// What the router serves has an answer at any time.
async fn watch(installation: Arc<Installation>, watched: Arc<AtomicBool>) {
    while watched.load(Ordering::Relaxed) {
        let endpoints = installation.endpoints().unwrap();
        let all = endpoints
            .iter()
            .all(|address| installation.engine.answers(*address));
        installation
            .faults
            .check(!endpoints.is_empty() && all, "the app answers without a gap");
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

async fn lives(faults: impl IntoIterator<Item = Fault>) {
    let mut lives: JoinSet<()> = faults.into_iter().map(|fault| life(Some(fault))).collect();
    while let Some(life) = lives.join_next().await {
        life.unwrap();
    }
}

#[tokio::test]
async fn each_call_fails_once() {
    lives(
        CALLS
            .iter()
            .flat_map(|call| [1, 2, 3].map(|at| Fault::Fails(call, at))),
    )
    .await;
}

#[tokio::test]
async fn each_step_is_made_twice() {
    lives([Fault::Twice]).await;
    life(None).await;
}

#[tokio::test]
async fn the_reconciler_dies_before_each_change() {
    lives(
        CHANGES
            .iter()
            .flat_map(|call| [1, 2, 3, 4].map(|at| Fault::DiesBefore(call, at))),
    )
    .await;
}

#[tokio::test]
async fn the_reconciler_dies_after_each_change() {
    lives(
        CHANGES
            .iter()
            .flat_map(|call| [1, 2, 3, 4].map(|at| Fault::DiesAfter(call, at))),
    )
    .await;
}
