//! The route table that follows from what should run and what is ready. Pure.
//!
//! A living app's hosts are always there, so that a request for an app that is down is told so and not "no
//! such app". An endpoint is there when it is ready, of the current release, and not about to go.

use super::{desired::DesiredApp, handle::InstanceState, observe::Observed};
use pvdify_types::{Endpoint, Generation, InstanceId, Route, RouteTable};
use std::collections::{BTreeMap, BTreeSet};

/// The table, with generation 0: whoever shows it gives it its number.
pub(super) fn build(
    desired: &[DesiredApp],
    observed: &Observed,
    retiring: &BTreeSet<InstanceId>,
) -> RouteTable {
    let mut hosts = BTreeMap::new();
    let mut routes = Vec::new();
    let mut living: Vec<&DesiredApp> = desired.iter().filter(|app| !app.deleting).collect();
    living.sort_by(|one, other| one.name.cmp(&other.name));
    for app in living.into_iter().filter(|app| !app.hosts.is_empty()) {
        for host in &app.hosts {
            // The control plane gives no host twice; should it, the first app keeps it.
            hosts.entry(host.to_ascii_lowercase()).or_insert(routes.len());
        }
        routes.push(Route {
            app: app.name.clone(),
            endpoints: endpoints(app, observed, retiring),
            maintenance: false,
        });
    }
    RouteTable {
        generation: Generation(0),
        hosts,
        routes,
    }
}

fn endpoints(app: &DesiredApp, observed: &Observed, retiring: &BTreeSet<InstanceId>) -> Vec<Endpoint> {
    let Some(current) = &app.current else {
        return Vec::new();
    };
    let mut endpoints: Vec<Endpoint> = observed
        .instances
        .iter()
        .filter(|instance| instance.state() == InstanceState::Up)
        .map(|instance| &instance.engine)
        .filter(|engine| engine.key.app == app.id && engine.key.release == current.version)
        .filter(|engine| engine.key.process.is_web() && !retiring.contains(&engine.id))
        .filter_map(|engine| {
            Some(Endpoint {
                address: engine.endpoint?,
                instance: engine.id.clone(),
            })
        })
        .collect();
    endpoints.sort_by(|one, other| one.instance.cmp(&other.instance));
    endpoints
}

#[cfg(test)]
mod tests {
    use super::super::testing::{app, instance, key, observed, release};
    use super::*;

    fn shown(table: &RouteTable, host: &str) -> Option<Vec<String>> {
        let route = table.resolve(host)?;
        Some(
            route
                .endpoints
                .iter()
                .map(|endpoint| endpoint.instance.to_string())
                .collect(),
        )
    }

    #[test]
    fn only_what_is_ready_current_and_staying_is_routed() {
        let mut demo = app("web=2");
        demo.current = Some(release(2, &demo));
        let mut starting = instance("starting", key("web", 2, 2));
        starting.ready = false;
        let instances = vec![
            instance("up", key("web", 1, 2)),
            starting,
            instance("retiring", key("web", 3, 2)),
            instance("old", key("web", 1, 1)),
            instance("next", key("web", 1, 3)),
            instance("worker", key("worker", 1, 2)),
        ];
        let retiring = BTreeSet::from(["retiring".parse().unwrap()]);
        let table = build(&[demo], &observed(instances), &retiring);
        assert_eq!(shown(&table, "demo.localhost"), Some(vec!["up".to_owned()]));
    }

    #[test]
    fn an_app_that_is_down_keeps_its_hosts_and_a_deleted_one_does_not() {
        let mut gone = app("web=1");
        gone.deleting = true;
        assert_eq!(build(&[gone], &observed(vec![]), &BTreeSet::new()).hosts.len(), 0);
        let table = build(&[app("web=1")], &observed(vec![]), &BTreeSet::new());
        assert_eq!(shown(&table, "demo.localhost"), Some(vec![]));
    }
}
