//! Every arrow of the plan, as text: what should run, what runs, then the steps and what retires.

use super::{
    super::{
        desired::{Candidate, Order, Readiness},
        testing::{app, at, formation, instance, key, observed, release},
    },
    *,
};
use crate::engine::{EngineNetwork, EngineState};
use pvdify_types::{Endpoint, Generation, Route, RouteTable};
use std::time::Duration;

mod exclusive;
mod one_off;

const LIMITS: DrainLimits = DrainLimits {
    longest: Duration::from_secs(30),
    no_router: Duration::from_secs(3),
};

/// A world in which all can be set; nothing is routed and nothing was before.
struct World {
    app: DesiredApp,
    observed: Observed,
    now: SystemTime,
    crashes: CrashHistory,
    departures: Departures,
    report: Option<RouterReport>,
    orphans: Orphans,
    busy: Busy,
}

impl World {
    fn new(app: DesiredApp, instances: Vec<Instance>) -> Self {
        let mut departures = Departures::default();
        departures.show(&RouteTable::default(), &[], at(0));
        Self {
            app,
            observed: observed(instances),
            now: at(20),
            crashes: CrashHistory::default(),
            departures,
            report: None,
            orphans: Orphans::default(),
            busy: Busy::default(),
        }
    }

    /// These were in the table that was shown last.
    fn routed(mut self, instances: &[&str]) -> Self {
        let endpoints = instances.iter().map(|instance| Endpoint {
            address: "127.0.0.1:3000".parse().unwrap(),
            instance: instance.parse().unwrap(),
        });
        let table = RouteTable {
            generation: Generation(1),
            routes: vec![Route {
                app: "demo".parse().unwrap(),
                endpoints: endpoints.collect(),
                maintenance: false,
            }],
            ..RouteTable::default()
        };
        self.departures.show(&table, &[], at(0));
        self
    }

    fn plan(&self) -> Plan {
        plan(&Input {
            desired: std::slice::from_ref(&self.app),
            observed: &self.observed,
            now: self.now,
            crashes: &self.crashes,
            departures: &self.departures,
            limits: LIMITS,
            report: self.report.as_ref(),
            orphans: &self.orphans,
            busy: &self.busy,
        })
    }

    /// The steps, one a line, then what retires.
    fn steps(&self) -> String {
        let plan = self.plan();
        let mut lines: Vec<String> = plan.steps.iter().map(ToString::to_string).collect();
        if !plan.retiring.is_empty() {
            let ids: Vec<_> = plan.retiring.iter().map(InstanceId::as_str).collect();
            lines.push(format!("retiring: {}", ids.join(" ")));
        }
        lines.join("\n")
    }
}

/// v1 serves with this formation.
fn serving(scaled: &str) -> DesiredApp {
    let mut app = app(scaled);
    app.current = Some(release(1, &app));
    app
}

/// v1 serves, v2 wants to; its deadline is at 60.
fn deploying(scaled: &str) -> DesiredApp {
    let mut app = serving(scaled);
    app.candidate = Some(Candidate {
        spec: release(2, &app),
        formation: formation(scaled),
        deadline: at(60),
        waits_for_command: false,
    });
    app
}

fn starting(id: &str, key: InstanceKey) -> Instance {
    Instance {
        ready: false,
        ..instance(id, key)
    }
}

fn exited(id: &str, key: InstanceKey, status: i64, finished: u64) -> Instance {
    let mut instance = starting(id, key);
    instance.engine.state = EngineState::Exited(status);
    instance.engine.finished_at = Some(at(finished));
    instance.last_exit = Some(status);
    instance
}

fn restarted(id: &str, key: InstanceKey, times: u32) -> Instance {
    let mut instance = starting(id, key);
    instance.engine.restarts = times;
    instance.last_exit = Some(1);
    instance
}

fn lost(id: &str, key: InstanceKey) -> Instance {
    let mut instance = instance(id, key);
    instance.engine.lost = true;
    instance
}

#[test]
fn what_is_missing_is_started_and_what_is_there_left_alone() {
    let world = World::new(serving("web=2 worker=1"), vec![instance("c1", key("web", 1, 1))]);
    insta::assert_snapshot!(world.steps(), @"
    start web.2 v1 of demo
    start worker.1 v1 of demo
    ");
    let all = vec![
        instance("c1", key("web", 1, 1)),
        instance("c2", key("web", 2, 1)),
        instance("c3", key("worker", 1, 1)),
    ];
    assert_eq!(World::new(serving("web=2 worker=1"), all).steps(), "");
}

#[test]
fn what_is_being_started_is_not_started_twice() {
    let mut world = World::new(serving("web=1"), vec![]);
    world.busy.starting.insert(key("web", 1, 1));
    assert_eq!(world.steps(), "");
    world.observed.instances.push(Instance {
        engine: crate::engine::EngineInstance {
            state: EngineState::Created,
            ..instance("c1", key("web", 1, 1)).engine
        },
        ..starting("c1", key("web", 1, 1))
    });
    assert_eq!(world.steps(), "", "half made, but not abandoned");
    world.busy.starting.clear();
    insta::assert_snapshot!(world.steps(), @"remove web.1 v1 of demo (c1): Dead");
}

#[test]
fn scaling_down_drains_the_highest_ordinals() {
    let instances = || {
        (1..=3)
            .map(|n| instance(&format!("c{n}"), key("web", n, 1)))
            .collect::<Vec<_>>()
    };
    let mut world = World::new(serving("web=1"), instances()).routed(&["c1", "c2", "c3"]);
    insta::assert_snapshot!(world.steps(), @"retiring: c2 c3");
    world = world.routed(&["c1"]);
    world.now = at(1);
    insta::assert_snapshot!(world.steps(), @"retiring: c2 c3");
    world.now = at(3);
    insta::assert_snapshot!(world.steps(), @"
    stop web.2 v1 of demo (c2)
    stop web.3 v1 of demo (c3)
    retiring: c2 c3
    ");
}

#[test]
fn scaled_to_zero_all_goes() {
    let instances = vec![
        instance("c1", key("web", 1, 1)),
        instance("c2", key("worker", 1, 1)),
    ];
    insta::assert_snapshot!(World::new(serving("web=0"), instances).steps(), @"
    stop web.1 v1 of demo (c1)
    stop worker.1 v1 of demo (c2)
    retiring: c1 c2
    ");
}

fn order(reach: &str, restart_generation: Option<u64>, stopped_at: Option<u64>) -> Order {
    Order {
        reach: reach.parse().unwrap(),
        restart_generation,
        stopped_at: stopped_at.map(at),
    }
}

#[test]
fn a_restart_of_one_leaves_the_others() {
    let mut app = serving("web=2 worker=1");
    app.orders = vec![order("web.2", Some(3), None)];
    let all = ["web", "worker"].into_iter().flat_map(|process| {
        let count = if process == "web" { 1..=2 } else { 1..=1 };
        count.map(move |ordinal| instance(&format!("{process}-{ordinal}"), key(process, ordinal, 1)))
    });
    insta::assert_snapshot!(World::new(app, all.collect()).steps(), @"start web.2 v1 of demo");
}

#[test]
fn what_is_stopped_leaves_the_table_is_stopped_and_started_again() {
    let mut app = serving("web=2");
    app.orders = vec![order("web.1", None, Some(10))];
    let both = || vec![instance("c1", key("web", 1, 1)), instance("c2", key("web", 2, 1))];
    let mut world = World::new(app, both()).routed(&["c1", "c2"]);
    insta::assert_snapshot!(world.steps(), @"retiring: c1");
    let mut world_unrouted = World::new(world.app.clone(), both());
    insta::assert_snapshot!(world_unrouted.steps(), @"
    stop web.1 v1 of demo (c1)
    retiring: c1
    ");
    world_unrouted.observed = observed(vec![instance("c2", key("web", 2, 1))]);
    insta::assert_snapshot!(world_unrouted.steps(), @"start web.1 v1 of demo");
    let mut later = instance("c3", key("web", 1, 1));
    later.engine.started_at = Some(at(11));
    world_unrouted.observed.instances.push(later);
    assert_eq!(
        world_unrouted.steps(),
        "",
        "who started after the order has obeyed it"
    );
    world.app.orders = vec![order("web", None, Some(99))];
    assert_eq!(world.steps(), "", "an order of a clock that was set back");
}

#[test]
fn a_restart_replaces_new_before_old() {
    let mut app = serving("web=1");
    let old = instance("old", key("web", 1, 1));
    app.orders = vec![order("web", Some(1), None)];
    let mut world = World::new(app, vec![old]).routed(&["old"]);
    insta::assert_snapshot!(world.steps(), @"start web.1 v1 of demo");
    let new = InstanceKey {
        restart_generation: 1,
        ..key("web", 1, 1)
    };
    world.observed.instances.push(starting("new", new));
    assert_eq!(world.steps(), "", "both run until the new one is ready");
    world.observed.instances[1].ready = true;
    insta::assert_snapshot!(world.steps(), @"retiring: old");
    let world = world.routed(&["new"]);
    insta::assert_snapshot!(world.steps(), @"
    stop web.1 v1 of demo (old)
    retiring: old
    ");
}

#[test]
fn a_changed_spec_of_the_same_release_replaces_too() {
    let mut app = serving("web=1");
    if let Some(release) = &mut app.current {
        release.resources.memory_bytes *= 2;
    }
    insta::assert_snapshot!(World::new(app, vec![instance("old", key("web", 1, 1))]).steps(), @"start web.1 v1 of demo");
}

#[test]
fn a_candidate_starts_all_its_types_beside_the_old() {
    let world = World::new(
        deploying("web=1 worker=1"),
        vec![
            instance("c1", key("web", 1, 1)),
            instance("c2", key("worker", 1, 1)),
        ],
    );
    insta::assert_snapshot!(world.steps(), @"
    start web.1 v2 of demo
    start worker.1 v2 of demo
    ");
}

#[test]
fn a_candidate_takes_over_when_all_of_it_is_ready() {
    let mut world = World::new(
        deploying("web=1 worker=1"),
        vec![
            instance("c1", key("web", 1, 1)),
            instance("c2", key("worker", 1, 1)),
            instance("c3", key("web", 1, 2)),
            starting("c4", key("worker", 1, 2)),
        ],
    );
    assert_eq!(world.steps(), "");
    world.observed.instances[3].ready = true;
    insta::assert_snapshot!(world.steps(), @"activate v2 of a1");
}

#[test]
fn a_candidate_without_instances_takes_over_at_once() {
    insta::assert_snapshot!(World::new(deploying("web=0"), vec![]).steps(), @"activate v2 of a1");
}

#[test]
fn after_the_takeover_the_old_release_leaves_the_table_and_drains() {
    let mut app = serving("web=1");
    app.current = Some(release(2, &app));
    let instances = vec![
        instance("old", key("web", 1, 1)),
        instance("new", key("web", 1, 2)),
    ];
    let world = World::new(app, instances).routed(&["old"]);
    assert_eq!(world.steps(), "retiring: old", "the shown table still has it");
    let mut world = world.routed(&["new"]);
    world.now = at(0);
    world.report = Some(RouterReport {
        generation: Generation(1),
        draining: vec![],
    });
    insta::assert_snapshot!(world.steps(), @"
    stop web.1 v1 of demo (old)
    retiring: old
    ");
    world.busy.ending.insert("old".parse().unwrap());
    assert_eq!(world.steps(), "retiring: old", "once is enough");
}

#[test]
fn a_candidate_instance_that_exits_or_restarts_fails_it_and_leaves_the_old_alone() {
    let with = |instance: Instance| {
        World::new(
            deploying("web=1"),
            vec![super::super::testing::instance("c1", key("web", 1, 1)), instance],
        )
    };
    let table = [
        with(exited("c2", key("web", 1, 2), 1, 19)),
        with(restarted("c2", key("web", 1, 2), 1)),
        with(Instance {
            last_exit: None,
            ..restarted("c2", key("web", 1, 2), 1)
        }),
        // Also when it came up meanwhile.
        with(Instance {
            ready: true,
            ..restarted("c2", key("web", 1, 2), 1)
        }),
    ];
    let all: Vec<String> = table.iter().map(World::steps).collect();
    insta::assert_snapshot!(all.join("\n"), @"
    fail v2 of a1: web.1 exited with status 1
    fail v2 of a1: web.1 exited with status 1
    fail v2 of a1: web.1 exited
    fail v2 of a1: web.1 exited with status 1
    ");
}

#[test]
fn a_candidate_that_is_not_ready_in_time_fails_with_what_was_waited_for() {
    let mut worlds = vec![];
    let mut web = World::new(deploying("web=1"), vec![starting("c2", key("web", 1, 2))]);
    web.now = at(59);
    assert_eq!(web.steps(), "start web.1 v1 of demo", "a second is left");
    web.now = at(60);
    let failure = match &web.plan().steps[..] {
        [_, Step::Fail(_, _, failure)] => failure.clone(),
        other => panic!("{other:?}"),
    };
    worlds.push(web.steps());
    insta::assert_snapshot!(failure.platform_line.unwrap(), @"Error R10 (Boot timeout) -> Web process failed to bind to $PORT within 60 seconds of launch");
    if let Some(candidate) = &mut web.app.candidate {
        candidate.spec.readiness = Readiness::Http("/up".into());
    }
    worlds.push(web.steps());
    let mut worker = World::new(
        deploying("web=1 worker=1"),
        vec![
            instance("c2", key("web", 1, 2)),
            starting("c3", key("worker", 1, 2)),
        ],
    );
    worker.now = at(60);
    worlds.push(worker.steps());
    let mut none = World::new(deploying("web=1"), vec![]);
    none.now = at(60);
    worlds.push(none.steps());
    none.crashes
        .start_failed(&key("web", 1, 2), false, "no answer".into(), at(30));
    worlds.push(none.steps());
    insta::assert_snapshot!(worlds.join("\n"), @"
    start web.1 v1 of demo
    fail v2 of a1: web.1 did not listen on port 8080 within 60 seconds
    start web.1 v1 of demo
    fail v2 of a1: web.1 did not answer GET /up on port 8080 with a status of 200 to 399 within 60 seconds
    start web.1 v1 of demo
    start worker.1 v1 of demo
    fail v2 of a1: worker.1 did not run in time
    start web.1 v1 of demo
    fail v2 of a1: web.1 was not started in time
    start web.1 v1 of demo
    fail v2 of a1: web.1 could not be started in time: no answer
    ");
}

#[test]
fn a_candidate_that_the_engine_refuses_three_times_fails() {
    let mut world = World::new(deploying("web=1"), vec![instance("c1", key("web", 1, 1))]);
    for _ in 0..2 {
        world
            .crashes
            .start_failed(&key("web", 1, 2), true, "no such image".into(), at(0));
    }
    insta::assert_snapshot!(world.steps(), @"start web.1 v2 of demo");
    world
        .crashes
        .start_failed(&key("web", 1, 2), true, "no such image".into(), at(0));
    insta::assert_snapshot!(world.steps(), @"fail v2 of a1: web.1 could not be started: no such image");
}

#[test]
fn instances_of_a_failed_release_are_stopped_without_a_wait() {
    let instances = vec![
        instance("c1", key("web", 1, 1)),
        starting("c2", key("web", 1, 2)),
        exited("c3", key("worker", 1, 2), 1, 19),
    ];
    insta::assert_snapshot!(World::new(serving("web=1"), instances).routed(&["c1"]).steps(), @"
    stop web.1 v2 of demo (c2)
    stop worker.1 v2 of demo (c3)
    retiring: c2 c3
    ");
}

#[test]
fn a_crash_loop_is_taken_from_the_engine_and_waits() {
    let mut world = World::new(serving("web=1"), vec![restarted("c1", key("web", 1, 1), 2)]);
    assert_eq!(world.steps(), "", "the engine restarts it");
    world.observed = observed(vec![restarted("c1", key("web", 1, 1), 3)]);
    insta::assert_snapshot!(world.steps(), @"remove web.1 v1 of demo (c1): Looping");
    world
        .crashes
        .crashed(&key("web", 1, 1), &"c1".parse().unwrap(), at(20));
    world.observed = observed(vec![]);
    world.now = at(29);
    assert_eq!(world.steps(), "");
    world.now = at(30);
    insta::assert_snapshot!(world.steps(), @"start web.1 v1 of demo");
}

#[test]
fn what_lost_its_monitor_is_removed_and_then_started_anew() {
    let mut world = World::new(serving("web=1"), vec![lost("c1", key("web", 1, 1))]);
    insta::assert_snapshot!(world.steps(), @"remove web.1 v1 of demo (c1): Lost");
    world.observed = observed(vec![]);
    insta::assert_snapshot!(world.steps(), @"start web.1 v1 of demo");
}

#[test]
fn what_stays_exited_is_removed_and_started_anew() {
    let mut world = World::new(serving("web=1"), vec![exited("c1", key("web", 1, 1), 0, 18)]);
    assert_eq!(world.steps(), "", "the engine may be about to restart it");
    world.now = at(21);
    insta::assert_snapshot!(world.steps(), @"remove web.1 v1 of demo (c1): Dead");
}

#[test]
fn a_deleted_app_ends_with_its_networks_and_is_then_forgotten() {
    let mut app = serving("web=1");
    app.deleting = true;
    let mut world = World::new(
        app,
        vec![instance("c1", key("web", 1, 1)), lost("c2", key("worker", 1, 1))],
    );
    insta::assert_snapshot!(world.steps(), @"
    stop web.1 v1 of demo (c1)
    remove worker.1 v1 of demo (c2): Lost
    retiring: c1 c2
    ");
    world.observed = observed(vec![]);
    world.observed.networks = None;
    assert_eq!(world.steps(), "", "its networks were not looked at");
    world.observed.networks = Some(vec![
        EngineNetwork {
            name: "net-a1".into(),
            app: Some("a1".parse().unwrap()),
        },
        EngineNetwork {
            name: "net-a2".into(),
            app: Some("a2".parse().unwrap()),
        },
    ]);
    world.busy.starting.insert(key("web", 1, 1));
    assert_eq!(world.steps(), "", "a start is still under way");
    world.busy.starting.clear();
    insta::assert_snapshot!(world.steps(), @"remove network net-a1");
    world.observed.networks = Some(vec![]);
    insta::assert_snapshot!(world.steps(), @"forget a1");
}

#[test]
fn an_unknown_apps_leftovers_go_after_a_while() {
    let mut stranger = instance("c9", key("worker", 1, 1));
    stranger.engine.key.app = "a9".parse().unwrap();
    let mut world = World::new(serving("web=0"), vec![stranger]);
    world
        .orphans
        .observe(std::slice::from_ref(&world.app), &world.observed, at(20));
    world.now = at(29);
    assert_eq!(world.steps(), "");
    world.now = at(30);
    insta::assert_snapshot!(world.steps(), @"
    stop worker.1 v1 of demo (c9)
    retiring: c9
    ");
    world.observed = observed(vec![]);
    world.observed.networks = Some(vec![EngineNetwork {
        name: "net-a9".into(),
        app: Some("a9".parse().unwrap()),
    }]);
    insta::assert_snapshot!(world.steps(), @"remove network net-a9");
}
