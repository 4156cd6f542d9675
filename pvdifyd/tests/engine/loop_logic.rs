//! The loop on a fake engine: what a person sees of deploys, scaling, crashes and deletion.

use crate::{
    fake_state::{formation, release},
    harness::{Fault, Installation, until},
};
use pvdify_types::{ImageRef, Selection};
use pvdifyd::reconcile::{desired::Order, handle::InstanceState};
use std::time::{Duration, SystemTime};

pub(crate) fn image() -> ImageRef {
    format!("127.0.0.1:5000/demo@sha256:{}", "a".repeat(64))
        .parse()
        .unwrap()
}

pub(crate) const BOTH: [(&str, &str); 2] = [("web", "serve"), ("worker", "work")];

/// v1 serves, with one `web` and no `worker`.
async fn serving() -> Installation {
    let installation = Installation::start(None);
    installation.state.create(release(1, &image(), &BOTH), "web=1");
    until("v1 serves", || {
        installation
            .endpoints()
            .is_some_and(|endpoints| endpoints.len() == 1)
    })
    .await;
    installation
}

#[tokio::test]
async fn scaling_and_restarting_keep_the_app_answering() {
    let installation = Installation::start(None);
    installation
        .state
        .create(release(1, &image(), &BOTH), "web=1 worker=0");
    until("v1 serves", || {
        installation
            .endpoints()
            .is_some_and(|endpoints| endpoints.len() == 1)
    })
    .await;

    installation
        .state
        .change(|app| app.formation = formation("web=3 worker=1"));
    installation.wake();
    until("three serve", || {
        installation
            .endpoints()
            .is_some_and(|endpoints| endpoints.len() == 3)
    })
    .await;
    until("a worker runs", || {
        installation.engine.running().contains(&"worker.1 v1".to_owned())
    })
    .await;

    installation
        .state
        .change(|app| app.formation = formation("web=1 worker=0"));
    installation.wake();
    until("one is left", || installation.engine.running() == ["web.1 v1"]).await;

    let before = installation.endpoints().unwrap();
    installation.state.change(|app| {
        app.orders.push(Order {
            reach: Selection::All,
            restart_generation: Some(1),
            stopped_at: None,
        });
    });
    installation.wake();
    until("another serves", || {
        installation
            .endpoints()
            .is_some_and(|now| now != before && now.len() == 1)
    })
    .await;
    until("the old one is gone", || {
        installation.engine.running() == ["web.1 v1"]
    })
    .await;
    installation.faults.assert_unbroken();
}

#[tokio::test]
async fn a_candidate_that_exits_fails_and_the_old_release_serves_on() {
    let installation = serving().await;
    let before = installation.endpoints();
    let broken = [("web", "serve"), ("worker", "exit")];
    installation
        .state
        .deploy(release(2, &image(), &broken), "web=1 worker=1");
    installation.wake();
    until("v2 failed", || !installation.state.rows().failed.is_empty()).await;
    let (version, reason, _) = installation.state.rows().failed[0].clone();
    assert_eq!((version, reason.as_str()), (2, "worker.1 exited with status 7"));
    until("v2 is gone", || installation.engine.running() == ["web.1 v1"]).await;
    assert_eq!(installation.endpoints(), before);
    installation.faults.assert_unbroken();
}

#[tokio::test]
async fn a_release_command_that_fails_leaves_the_old_release_untouched() {
    let installation = serving().await;
    let before = installation.endpoints();
    let broken = [("web", "serve"), ("release", "exit")];
    installation.state.deploy(release(2, &image(), &broken), "web=1");
    installation.wake();
    until("v2 failed", || !installation.state.rows().failed.is_empty()).await;
    let (version, reason, _) = installation.state.rows().failed[0].clone();
    assert_eq!(
        (version, reason.as_str()),
        (2, "release.1001 exited with status 7")
    );
    until("its container is gone", || {
        installation.engine.world().containers.len() == 1
    })
    .await;
    assert_eq!(installation.endpoints(), before);
    let progress = installation.state.rows().progress.clone();
    assert!(progress.contains(&"v2: Running release.1001: exit".to_owned()));
    assert!(
        !progress.iter().any(|line| line.starts_with("v2: Starting")),
        "nothing else began"
    );
    installation.faults.assert_unbroken();
}

#[tokio::test]
async fn a_release_command_past_its_time_is_stopped_and_fails_the_release() {
    let installation = serving().await;
    let endless = [("web", "serve"), ("release", "work")];
    installation.state.deploy(release(2, &image(), &endless), "web=1");
    installation.wake();
    until("it runs", || !installation.state.rows().began.is_empty()).await;
    installation
        .state
        .change(|app| app.one_offs[0].deadline = SystemTime::now());
    installation.wake();
    until("v2 failed", || !installation.state.rows().failed.is_empty()).await;
    assert_eq!(
        installation.state.rows().failed[0].1,
        "release.1001 took longer than 60 s"
    );
    until("its container is gone", || {
        installation.engine.world().containers.len() == 1
    })
    .await;
}

#[tokio::test]
async fn a_candidate_past_its_deadline_fails() {
    let installation = Installation::start(None);
    installation
        .state
        .create(release(1, &image(), &[("web", "deaf")]), "web=1");
    installation.state.change(|app| {
        if let Some(candidate) = &mut app.candidate {
            candidate.deadline = SystemTime::now() + Duration::from_secs(2);
        }
    });
    until("v1 failed", || !installation.state.rows().failed.is_empty()).await;
    let reason = installation.state.rows().failed[0].1.clone();
    assert!(
        reason.starts_with("web.1 did not listen on port 8080 within "),
        "{reason}"
    );
    until("nothing is left", || installation.engine.running().is_empty()).await;
    assert_eq!(
        installation.endpoints(),
        Some(vec![]),
        "the host is known, nothing answers"
    );
}

#[tokio::test]
async fn a_candidate_fails_in_time_though_the_engine_is_gone() {
    let installation = Installation::start(Some(Fault::FailsFrom("list", 1)));
    installation.state.create(release(1, &image(), &BOTH), "web=1");
    installation.state.change(|app| {
        if let Some(candidate) = &mut app.candidate {
            candidate.deadline = SystemTime::now() + Duration::from_secs(1);
        }
    });
    until("v1 failed", || !installation.state.rows().failed.is_empty()).await;
    let reason = installation.state.rows().failed[0].1.clone();
    assert_eq!(
        reason,
        "the container engine does not answer: list fails for good"
    );
}

#[tokio::test]
async fn a_crash_loop_is_shown_as_crashed_and_left_alone() {
    let installation = serving().await;
    for container in installation.engine.world().containers.values_mut() {
        container.instance.restarts = 3;
    }
    installation.wake();
    until("it is taken away", || installation.engine.running().is_empty()).await;
    until("it is shown as crashed", || {
        let observation = installation.handle.lock().unwrap().observation();
        observation
            .instances
            .iter()
            .any(|instance| instance.state == InstanceState::Crashed)
    })
    .await;
    until("it is out of the table", || {
        installation.endpoints() == Some(vec![])
    })
    .await;
    assert!(
        installation.engine.running().is_empty(),
        "it waits for its next start"
    );

    installation.state.deploy(release(2, &image(), &BOTH), "web=1");
    installation.wake();
    until("a new release does not wait", || {
        installation.engine.running() == ["web.1 v2"]
    })
    .await;
    until("it serves", || {
        installation
            .endpoints()
            .is_some_and(|endpoints| endpoints.len() == 1)
    })
    .await;
}

#[tokio::test]
async fn what_lost_its_monitor_is_made_anew() {
    let installation = serving().await;
    let before = installation.endpoints();
    for container in installation.engine.world().containers.values_mut() {
        container.instance.lost = true;
    }
    installation.wake();
    until("another serves", || {
        installation
            .endpoints()
            .is_some_and(|now| now.len() == 1 && Some(now) != before)
    })
    .await;
}
