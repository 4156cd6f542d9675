//! What runs once, and the release that waits for its command.

use super::*;
use crate::reconcile::{desired::OneOff, spec};
use std::sync::Arc;

/// `serving` with a candidate v2 whose release command, `release.1001`, has until 60.
fn commanding(is_running: bool) -> DesiredApp {
    let mut app = deploying("web=1");
    app.one_offs = vec![OneOff {
        name: "release.1001".parse().unwrap(),
        spec: Arc::new(release(2, &app)),
        command: "migrate".into(),
        is_running,
        deadline: at(60),
        timeout: Duration::from_secs(40),
    }];
    if let Some(candidate) = &mut app.candidate {
        candidate.waits_for_command = true;
    }
    app
}

/// That command's container, in this state.
fn command(state: EngineState) -> Instance {
    let app = commanding(true);
    let key = spec::one_off_key(&app, &app.one_offs[0]);
    let mut instance = instance("c9", key);
    instance.engine.state = state;
    instance
}

fn command_world(is_running: bool, container: Option<Instance>) -> World {
    let mut world = World::new(commanding(is_running), vec![instance("c1", key("web", 1, 1))]);
    world.observed.one_offs.extend(container);
    world
}

#[test]
fn a_release_command_is_started_once_and_nothing_of_its_release_before_it_ended() {
    let steps = |is_running, container| command_world(is_running, container).steps();
    insta::assert_snapshot!(steps(false, None), @"start release.1001 v2 of demo");
    insta::assert_snapshot!(steps(false, Some(command(EngineState::Created))), @"start release.1001 v2 of demo");
    insta::assert_snapshot!(steps(false, Some(command(EngineState::Running))), @"release.1001 of demo began");
    assert_eq!(steps(true, Some(command(EngineState::Running))), "");
    insta::assert_snapshot!(steps(true, Some(command(EngineState::Exited(0)))), @"release.1001 of demo ended");
    insta::assert_snapshot!(steps(false, Some(command(EngineState::Exited(3)))), @"release.1001 of demo failed: exited with status 3");
    insta::assert_snapshot!(steps(true, Some(command(EngineState::Exited(137)))), @"release.1001 of demo failed: was killed (status 137), most likely because it used more than its 512 MiB of memory");
}

#[test]
fn a_command_that_is_late_lost_or_refused_ends_as_failed() {
    let mut late = command_world(true, Some(command(EngineState::Running)));
    late.now = at(60);
    insta::assert_snapshot!(late.steps(), @"halt release.1001 of demo (c9)");
    late.busy.ending.insert("c9".parse().unwrap());
    assert_eq!(late.steps(), "", "it is being stopped");
    late.busy.ending.clear();
    late.observed.one_offs = vec![command(EngineState::Exited(143))];
    insta::assert_snapshot!(late.steps(), @"release.1001 of demo failed: took longer than 40 s");

    let gone = command_world(true, None);
    insta::assert_snapshot!(gone.steps(), @"release.1001 of demo failed: was lost: its container is gone");
    let mut unwatched = command(EngineState::Running);
    unwatched.engine.lost = true;
    insta::assert_snapshot!(command_world(true, Some(unwatched)).steps(), @"release.1001 of demo failed: was lost: its monitor is gone");

    let mut refused = command_world(false, None);
    let key = command(EngineState::Created).engine.key;
    refused.busy.starting.insert(key.clone());
    assert_eq!(refused.steps(), "", "it is being started");
    refused.busy.starting.clear();
    for _ in 0..3 {
        refused
            .crashes
            .start_failed(&key, true, "no such image".into(), at(0));
    }
    insta::assert_snapshot!(refused.steps(), @"release.1001 of demo failed: could not be started: no such image");
}

#[test]
fn what_ran_once_and_is_no_longer_wanted_is_stopped() {
    let mut world = command_world(true, Some(command(EngineState::Running)));
    world.app = serving("web=1");
    insta::assert_snapshot!(world.steps(), @"
    stop release.1001 v2 of demo (c9)
    retiring: c9
    ");
    world.app.deleting = true;
    insta::assert_snapshot!(world.steps(), @"
    stop web.1 v1 of demo (c1)
    stop release.1001 v2 of demo (c9)
    retiring: c1 c9
    ");
}
