//! The table in force, swapped whole, and the instances that drain after a swap.
//!
//! Readers never wait: a request loads the present table once for each attempt. Instances live on from table
//! to table, so that counts, health and pooled connections survive a swap that does not concern them.

use crate::backend::{Backend, Instance, Lease};
use arc_swap::ArcSwap;
use pvdify_types::{AppName, Endpoint, Generation, InstanceId, RouteTable};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};
use tokio::sync::{Notify, watch};

/// One table with its backends; `backends[i]` belongs to `table.routes[i]`.
struct InForce {
    /// No table was ever heard of: nothing is known, which is not the same as "no such host".
    known: bool,
    table: RouteTable,
    backends: Vec<Backend>,
}

/// Why a host leads to no instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoRoute {
    NoTable,
    UnknownHost,
    Maintenance(AppName),
    NoInstance(AppName),
    /// All were tried.
    Exhausted(AppName),
}

pub(crate) struct Routes {
    in_force: ArcSwap<InForce>,
    /// Retired instances that may still be in use.
    draining: Mutex<Vec<Arc<Instance>>>,
    next_key: AtomicU64,
    turn: AtomicUsize,
    /// Wakes who reports: a retired instance is no longer in use.
    pub(crate) drained: Arc<Notify>,
    /// Wakes who keeps connections to instances that may be gone.
    swapped: watch::Sender<()>,
}

impl Routes {
    /// Begins with the saved table, if there is one.
    pub(crate) fn new(saved: Option<RouteTable>) -> Self {
        let empty = InForce {
            known: false,
            table: RouteTable::default(),
            backends: Vec::new(),
        };
        let routes = Self {
            in_force: ArcSwap::from_pointee(empty),
            draining: Mutex::default(),
            next_key: AtomicU64::new(1),
            turn: AtomicUsize::new(0),
            drained: Arc::default(),
            swapped: watch::Sender::new(()),
        };
        if let Some(table) = saved {
            routes.apply(table);
        }
        routes
    }

    /// Leases an instance for one attempt of a request to `host`, passing over those of `tried`.
    pub(crate) fn lease(&self, host: &str, tried: &[u64]) -> Result<(Lease, AppName), NoRoute> {
        loop {
            let now = self.in_force.load();
            if !now.known {
                return Err(NoRoute::NoTable);
            }
            let backend = now
                .table
                .resolve_index(host)
                .and_then(|index| now.backends.get(index));
            let backend = backend.ok_or(NoRoute::UnknownHost)?;
            let app = || backend.app.clone();
            if backend.maintenance {
                return Err(NoRoute::Maintenance(app()));
            }
            let turn = self.turn.fetch_add(1, Relaxed);
            match backend.choose(tried, turn) {
                Some(instance) => {
                    if let Some(lease) = Lease::take(instance) {
                        return Ok((lease, app()));
                    }
                    // Retired since the load, so a newer table is in force: a swap comes before its retirements.
                }
                None if tried.is_empty() || backend.instances.is_empty() => {
                    return Err(NoRoute::NoInstance(app()));
                }
                None => return Err(NoRoute::Exhausted(app())),
            }
        }
    }

    /// Puts a table in force.
    pub(crate) fn apply(&self, table: RouteTable) {
        let mut draining = self.draining.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.in_force.load_full();
        let mut living: HashMap<Endpoint, Arc<Instance>> = before
            .backends
            .iter()
            .flat_map(|backend| &backend.instances)
            .chain(draining.iter())
            .map(|instance| (endpoint_of(instance), Arc::clone(instance)))
            .collect();
        let backends: Vec<Backend> = table
            .routes
            .iter()
            .map(|route| Backend {
                app: route.app.clone(),
                instances: route
                    .endpoints
                    .iter()
                    .map(|endpoint| self.instance(&mut living, endpoint))
                    .collect(),
                maintenance: route.maintenance,
            })
            .collect();

        let now = Arc::new(InForce {
            known: true,
            table,
            backends,
        });
        let serving: Vec<u64> = instances_of(&now).map(|instance| instance.key).collect();
        for instance in instances_of(&now) {
            instance.set_retired(false);
        }
        self.in_force.store(Arc::clone(&now));
        draining.retain(|instance| !serving.contains(&instance.key));
        for instance in instances_of(&before).filter(|instance| !serving.contains(&instance.key)) {
            instance.set_retired(true);
            draining.push(Arc::clone(instance));
        }
        self.swapped.send_replace(());
    }

    fn instance(&self, living: &mut HashMap<Endpoint, Arc<Instance>>, endpoint: &Endpoint) -> Arc<Instance> {
        let new = || {
            Instance::new(
                self.next_key.fetch_add(1, Relaxed),
                endpoint,
                Arc::clone(&self.drained),
            )
        };
        Arc::clone(living.entry(endpoint.clone()).or_insert_with(|| Arc::new(new())))
    }

    /// The table in force.
    pub(crate) fn table(&self) -> RouteTable {
        self.in_force.load().table.clone()
    }

    /// The generation in force, and the instances that left the table and are still in use, with their counts;
    /// forgets those that are not.
    pub(crate) fn standing(&self) -> (Generation, BTreeMap<InstanceId, u64>) {
        // A swap holds this lock too, so the counts belong to the generation.
        let mut draining = self.draining.lock().unwrap_or_else(PoisonError::into_inner);
        draining.retain(|instance| instance.in_flight() > 0);
        let mut counts = BTreeMap::new();
        for instance in draining.iter() {
            *counts.entry(instance.id.clone()).or_default() += instance.in_flight();
        }
        (self.in_force.load().table.generation, counts)
    }

    /// Changes with each table.
    pub(crate) fn swaps(&self) -> watch::Receiver<()> {
        self.swapped.subscribe()
    }
}

fn instances_of(table: &InForce) -> impl Iterator<Item = &Arc<Instance>> {
    table.backends.iter().flat_map(|backend| &backend.instances)
}

fn endpoint_of(instance: &Instance) -> Endpoint {
    Endpoint {
        address: instance.address,
        instance: instance.id.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pvdify_types::Route;

    fn table(generation: u64, instances: &[&str]) -> RouteTable {
        let endpoints = instances.iter().map(|id| Endpoint {
            address: ([127, 0, 0, 1], 80).into(),
            instance: id.parse().unwrap(),
        });
        RouteTable {
            generation: Generation(generation),
            hosts: [("demo.test".to_owned(), 0)].into(),
            routes: vec![Route {
                app: "demo".parse().unwrap(),
                endpoints: endpoints.collect(),
                maintenance: false,
            }],
        }
    }

    #[test]
    fn before_any_table_nothing_is_known() {
        let routes = Routes::new(None);
        assert_eq!(routes.lease("demo.test", &[]).err(), Some(NoRoute::NoTable));
        routes.apply(table(1, &[]));
        assert_eq!(
            routes.lease("demo.test", &[]).err(),
            Some(NoRoute::NoInstance("demo".parse().unwrap()))
        );
        assert_eq!(routes.lease("other.test", &[]).err(), Some(NoRoute::UnknownHost));
    }

    #[test]
    fn an_instance_that_left_the_table_drains_until_its_last_lease_is_gone() {
        let routes = Routes::new(Some(table(1, &["a"])));
        let (first, _) = routes.lease("demo.test", &[]).unwrap();
        let (second, _) = routes.lease("demo.test", &[]).unwrap();
        routes.apply(table(2, &["b"]));
        let a: InstanceId = "a".parse().unwrap();
        assert_eq!(routes.standing().1, [(a.clone(), 2)].into());
        drop(first);
        routes.apply(table(3, &["b", "c"]));
        assert_eq!(
            routes.standing().1,
            [(a, 1)].into(),
            "a further table does not forget it"
        );
        drop(second);
        assert!(routes.standing().1.is_empty());
    }

    #[test]
    fn an_instance_that_stays_or_comes_back_keeps_its_count() {
        let routes = Routes::new(Some(table(1, &["a"])));
        let (lease, _) = routes.lease("demo.test", &[]).unwrap();
        let key = lease.instance().key;
        routes.apply(table(2, &["a", "b"]));
        routes.apply(table(3, &["b"]));
        routes.apply(table(4, &["a"]));
        assert!(routes.standing().1.is_empty());
        assert!(!lease.instance().is_retired());
        let (again, _) = routes.lease("demo.test", &[]).unwrap();
        assert_eq!(again.instance().key, key);
        assert_eq!(again.instance().in_flight(), 2);
    }
}
