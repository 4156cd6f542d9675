//! When an instance that left the route table may be stopped. Pure; time comes in as an argument.
//!
//! Never while it is in the shown table; then once the router says that it serves a table without it and
//! has nothing open to it; at the latest after a limit, or soon when there is no router at all.

use pvdify_api::control::RouterReport;
use pvdify_types::{Generation, InstanceId, RouteTable};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

/// How long to wait for whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct DrainLimits {
    /// For open requests.
    pub(super) longest: Duration,
    /// For a first word of any router.
    pub(super) no_router: Duration,
}

/// Since when an instance is in no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Departure {
    generation: Generation,
    at: SystemTime,
}

/// Which instances are in the table, and which left it when.
#[derive(Debug, Default)]
pub(super) struct Departures {
    shown: bool,
    routed: BTreeSet<InstanceId>,
    left: BTreeMap<InstanceId, Departure>,
}

impl Departures {
    /// A table is shown from now on. Of the first one nobody knows what the table before held, so all other
    /// `web` instances that run count as having left it.
    pub(super) fn show(&mut self, table: &RouteTable, running_web: &[InstanceId], now: SystemTime) {
        let routed: BTreeSet<InstanceId> = table
            .routes
            .iter()
            .flat_map(|route| route.endpoints.iter().map(|endpoint| endpoint.instance.clone()))
            .collect();
        let before: Vec<&InstanceId> = if self.shown {
            self.routed.iter().collect()
        } else {
            running_web.iter().collect()
        };
        let departure = Departure {
            generation: table.generation,
            at: now,
        };
        for instance in before {
            if !routed.contains(instance) {
                self.left.insert(instance.clone(), departure);
            }
        }
        self.left.retain(|instance, _| !routed.contains(instance));
        self.routed = routed;
        self.shown = true;
    }

    /// Forgets instances that are gone.
    pub(super) fn retain(&mut self, present: &BTreeSet<InstanceId>) {
        self.left.retain(|instance, _| present.contains(instance));
    }

    /// Whether stopping it now loses no request that could be saved.
    pub(super) fn may_stop(
        &self,
        instance: &InstanceId,
        report: Option<&RouterReport>,
        limits: DrainLimits,
        now: SystemTime,
    ) -> bool {
        if !self.shown || self.routed.contains(instance) {
            return false;
        }
        let Some(departure) = self.left.get(instance) else {
            return true;
        };
        let waited = now.duration_since(departure.at).unwrap_or_default();
        if waited >= limits.longest {
            return true;
        }
        match report {
            None => waited >= limits.no_router,
            Some(report) => {
                let open = report
                    .draining
                    .iter()
                    .any(|draining| draining.instance == *instance && draining.in_flight > 0);
                report.generation >= departure.generation && !open
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::at;
    use super::*;
    use pvdify_api::control::Draining;
    use pvdify_types::{Endpoint, Route};

    const LIMITS: DrainLimits = DrainLimits {
        longest: Duration::from_secs(30),
        no_router: Duration::from_secs(3),
    };

    fn id(text: &str) -> InstanceId {
        text.parse().unwrap()
    }

    fn table(generation: u64, instances: &[&str]) -> RouteTable {
        let endpoints = instances.iter().map(|instance| Endpoint {
            address: "127.0.0.1:1".parse().unwrap(),
            instance: id(instance),
        });
        RouteTable {
            generation: Generation(generation),
            hosts: BTreeMap::new(),
            routes: vec![Route {
                app: "demo".parse().unwrap(),
                endpoints: endpoints.collect(),
                maintenance: false,
            }],
        }
    }

    fn report(generation: u64, in_flight: u64) -> RouterReport {
        RouterReport {
            generation: Generation(generation),
            draining: vec![Draining {
                instance: id("old"),
                in_flight,
            }],
        }
    }

    #[test]
    fn an_instance_stops_once_the_router_has_let_go_of_it() {
        let mut departures = Departures::default();
        let may = |departures: &Departures, report: Option<&RouterReport>, second| {
            departures.may_stop(&id("old"), report, LIMITS, at(second))
        };
        assert!(
            !may(&departures, None, 1000),
            "before the first table nothing is stopped"
        );
        departures.show(&table(1, &["old"]), &[id("old")], at(0));
        assert!(!may(&departures, Some(&report(9, 0)), 1000), "it is in the table");
        departures.show(&table(2, &["new"]), &[], at(0));
        let cases = [
            (None, 2, false, "a router may still come"),
            (None, 3, true, "there is no router"),
            (Some(report(1, 0)), 5, false, "it serves the table before"),
            (Some(report(2, 1)), 5, false, "a request is open"),
            (Some(report(2, 0)), 0, true, "nothing is open"),
            (Some(report(3, 0)), 0, true, "a later table is served"),
            (Some(report(2, 1)), 30, true, "it took too long"),
        ];
        for (report, second, expected, why) in cases {
            assert_eq!(may(&departures, report.as_ref(), second), expected, "{why}");
        }
        departures.show(&table(3, &["old"]), &[], at(1));
        assert!(!may(&departures, Some(&report(3, 0)), 40), "it came back");
    }

    #[test]
    fn after_a_restart_what_runs_outside_the_first_table_drains_too() {
        let mut departures = Departures::default();
        departures.show(&table(8, &["new"]), &[id("old"), id("new")], at(0));
        assert!(!departures.may_stop(&id("old"), Some(&report(7, 0)), LIMITS, at(1)));
        assert!(departures.may_stop(&id("old"), Some(&report(8, 0)), LIMITS, at(1)));
        assert!(departures.may_stop(&id("never-routed"), None, LIMITS, at(1)));
    }
}
