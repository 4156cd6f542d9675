//! Types that have a volume to themselves.

use super::*;
use crate::reconcile::spec;
use pvdify_types::VolumeMount;

/// Both releases mount a volume in this type, to itself or shared.
fn with_volume(app: &mut DesiredApp, process: &str, shared: bool) {
    let mount = VolumeMount {
        id: "v1".parse().unwrap(),
        volume: "data".parse().unwrap(),
        process: Some(process.parse().unwrap()),
        path: "/data".parse().unwrap(),
        read_only: false,
        shared,
    };
    let candidate = app.candidate.as_mut().map(|candidate| &mut candidate.spec);
    for release in app.current.iter_mut().chain(candidate) {
        release.mounts.push(mount.clone());
    }
}

/// The key that an instance of this app's release has.
fn key_in(app: &DesiredApp, process: &str, version: u64) -> InstanceKey {
    let candidate = app.candidate.as_ref().map(|candidate| &candidate.spec);
    let mut releases = app.current.iter().chain(candidate);
    let release = releases.find(|release| release.version.0 == version).unwrap();
    let keys = spec::wanted(app, release, &formation("web=1 worker=1"));
    keys.into_iter()
        .find(|key| key.process.as_str() == process)
        .unwrap()
}

/// Nothing but that this one's image and volumes were there.
fn prepared(key: InstanceKey) -> Busy {
    Busy {
        prepared: [key].into(),
        ..Busy::default()
    }
}

/// v1 serves, v2 wants to, and `worker` of both has a volume to itself.
fn handing_over() -> DesiredApp {
    let mut app = deploying("web=1 worker=1");
    with_volume(&mut app, "worker", false);
    app
}

#[test]
fn what_has_a_volume_to_itself_gives_way_once_all_else_is_ready_and_is_gone_before_its_successor_starts() {
    let app = handing_over();
    let of = |process, version| key_in(&app, process, version);
    let old = || vec![instance("c1", of("web", 1)), instance("c2", of("worker", 1))];
    let with = |more: Vec<Instance>| World::new(app.clone(), [old(), more].concat());
    insta::assert_snapshot!(with(vec![]).steps(), @"start web.1 v2 of demo");
    assert_eq!(with(vec![starting("c3", of("web", 2))]).steps(), "", "not yet");
    let mut world = with(vec![instance("c3", of("web", 2))]);
    insta::assert_snapshot!(world.steps(), @"prepare worker.1 v2 of demo");
    world.busy.preparing.insert(of("worker", 2));
    assert_eq!(world.steps(), "", "once is enough");
    world.busy = prepared(of("worker", 2));
    insta::assert_snapshot!(world.steps(), @"
    stop worker.1 v1 of demo (c2) for v2
    retiring: c2
    ");
    world.busy.ending.insert("c2".parse().unwrap());
    assert_eq!(world.steps(), "retiring: c2", "it takes a while");
    let mut gone = World::new(
        app.clone(),
        vec![instance("c1", of("web", 1)), instance("c3", of("web", 2))],
    );
    gone.busy = prepared(of("worker", 2));
    insta::assert_snapshot!(gone.steps(), @"start worker.1 v2 of demo");
    gone.busy.starting.insert(of("worker", 1));
    assert_eq!(
        gone.steps(),
        "",
        "one that was being started when the release came"
    );
    gone.busy.starting.clear();
    gone.observed.instances.push(instance("c4", of("worker", 2)));
    insta::assert_snapshot!(gone.steps(), @"activate v2 of a1");
}

#[test]
fn a_web_process_with_a_volume_leaves_the_table_before_it_stops() {
    let mut app = deploying("web=1");
    with_volume(&mut app, "web", false);
    let old = instance("c1", key_in(&app, "web", 1));
    let ready = prepared(key_in(&app, "web", 2));
    let mut world = World::new(app, vec![old]).routed(&["c1"]);
    world.busy = ready;
    insta::assert_snapshot!(world.steps(), @"retiring: c1");
    insta::assert_snapshot!(world.routed(&[]).steps(), @"
    stop web.1 v1 of demo (c1) for v2
    retiring: c1
    ");
}

#[test]
fn a_candidate_that_fails_gives_the_volume_back() {
    let mut app = handing_over();
    let (web, worker) = (key_in(&app, "web", 2), key_in(&app, "worker", 2));
    let old = instance("c1", key_in(&app, "web", 1));
    let failed = vec![old, instance("c3", web), exited("c4", worker, 1, 19)];
    let mut world = World::new(app.clone(), failed);
    insta::assert_snapshot!(world.steps(), @"fail v2 of a1: worker.1 exited with status 1; v1, which had stopped for it because of a volume, starts again");
    app.candidate = None;
    world.app = app;
    insta::assert_snapshot!(world.steps(), @"
    stop web.1 v2 of demo (c3)
    stop worker.1 v2 of demo (c4)
    retiring: c3 c4
    ");
    world.observed.instances.truncate(1);
    insta::assert_snapshot!(world.steps(), @"start worker.1 v1 of demo");
}

#[test]
fn what_can_not_be_started_stops_nothing() {
    let mut app = deploying("web=1");
    with_volume(&mut app, "web", false);
    let (old, new) = (instance("c1", key_in(&app, "web", 1)), key_in(&app, "web", 2));
    let mut world = World::new(app, vec![old]);
    for _ in 0..3 {
        world
            .crashes
            .start_failed(&new, true, "its volume is not there".into(), at(0));
    }
    insta::assert_snapshot!(world.steps(), @"fail v2 of a1: web.1 could not be started: its volume is not there");
}

#[test]
fn a_failure_before_anything_gave_way_is_no_interruption() {
    let app = handing_over();
    let failed = exited("c3", key_in(&app, "web", 2), 1, 19);
    let old = [("c1", "web"), ("c2", "worker")].map(|(id, process)| instance(id, key_in(&app, process, 1)));
    let world = World::new(app, [old.to_vec(), vec![failed]].concat());
    insta::assert_snapshot!(world.steps(), @"fail v2 of a1: web.1 exited with status 1");
}

#[test]
fn a_shared_volume_changes_nothing() {
    let mut app = deploying("web=1 worker=1");
    with_volume(&mut app, "worker", true);
    let old = [("c1", "web"), ("c2", "worker")].map(|(id, process)| instance(id, key_in(&app, process, 1)));
    insta::assert_snapshot!(World::new(app, old.to_vec()).steps(), @"
    start web.1 v2 of demo
    start worker.1 v2 of demo
    ");
}

#[test]
fn a_first_volume_waits_for_nobody_and_one_that_is_given_up_stops_nobody() {
    let mut app = deploying("worker=1");
    with_volume(&mut app, "worker", false);
    if let Some(current) = &mut app.current {
        current.mounts.clear();
    }
    let old = instance("c1", key_in(&app, "worker", 1));
    let mut first = World::new(app.clone(), vec![old]);
    first.busy = prepared(key_in(&app, "worker", 2));
    insta::assert_snapshot!(first.steps(), @"start worker.1 v2 of demo");
    with_volume(&mut app, "worker", false);
    if let Some(candidate) = &mut app.candidate {
        candidate.spec.mounts.clear();
    }
    let old = instance("c1", key_in(&app, "worker", 1));
    insta::assert_snapshot!(World::new(app, vec![old]).steps(), @"start worker.1 v2 of demo");
}

#[test]
fn a_restart_of_what_has_a_volume_to_itself_stops_first() {
    let mut app = serving("web=3");
    with_volume(&mut app, "web", false);
    let old = instance("c1", key_in(&app, "web", 1));
    app.orders = vec![order("web", Some(1), None)];
    let mut world = World::new(app, vec![old]);
    insta::assert_snapshot!(world.steps(), @"
    stop web.1 v1 of demo (c1)
    retiring: c1
    ");
    world.observed.instances.clear();
    assert_eq!(
        world.steps(),
        "start web.1 v1 of demo",
        "one, whatever the formation says"
    );
}
