//! The route table: one immutable value that says, for a generation, which host means which app and where it answers.
//!
//! The router holds one whole table at a time and swaps it whole; there are no deltas to lose. Matching is
//! here and pure, so that the control plane and the router can't disagree.

use crate::{id::InstanceId, name::AppName, version::Generation};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::SocketAddr};

/// Where one instance answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// Reached from the router's host.
    pub address: SocketAddr,
    /// Whose it is: drain is counted by instance, since a port may be used again.
    pub instance: InstanceId,
}

/// One app's place in the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The app.
    pub app: AppName,
    /// The ready instances of its `web` process; empty means that none runs.
    pub endpoints: Vec<Endpoint>,
    /// A person closed the app: the router answers 503 with the maintenance page.
    #[serde(default)]
    pub maintenance: bool,
}

/// The whole table of one generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTable {
    /// Grows with each change.
    pub generation: Generation,
    /// Lower-case host name without port -> index into `routes`.
    pub hosts: BTreeMap<String, usize>,
    /// A route for each app that has a host.
    pub routes: Vec<Route>,
}

impl Default for RouteTable {
    fn default() -> Self {
        Self {
            generation: Generation(0),
            hosts: BTreeMap::new(),
            routes: Vec::new(),
        }
    }
}

impl RouteTable {
    /// The route for a request's `Host` (RFC 9110 section 7.2), port and case ignored.
    #[must_use]
    pub fn resolve(&self, host: &str) -> Option<&Route> {
        self.resolve_index(host).and_then(|index| self.routes.get(index))
    }

    /// The place in `routes` of a request's route, for a holder that keeps its own state beside each route.
    #[must_use]
    pub fn resolve_index(&self, host: &str) -> Option<usize> {
        let name = host_without_port(host);
        let index = if name.bytes().any(|b| b.is_ascii_uppercase()) {
            self.hosts.get(&name.to_ascii_lowercase())
        } else {
            self.hosts.get(name)
        };
        index.copied().filter(|index| *index < self.routes.len())
    }

    /// Whether an instance is in the table.
    #[must_use]
    pub fn has_instance(&self, instance: &InstanceId) -> bool {
        self.routes.iter().any(|route| {
            route
                .endpoints
                .iter()
                .any(|endpoint| endpoint.instance == *instance)
        })
    }
}

/// Cuts `:port` and one trailing dot off a `Host` value.
#[must_use]
pub fn host_without_port(host: &str) -> &str {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    };
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> RouteTable {
        RouteTable {
            generation: Generation(1),
            hosts: [("demo.localhost".to_owned(), 0)].into(),
            routes: vec![Route {
                app: "demo".parse().unwrap(),
                endpoints: vec![],
                maintenance: false,
            }],
        }
    }

    #[test]
    fn a_host_is_matched_without_case_port_or_trailing_dot() {
        let table = table();
        for host in [
            "demo.localhost",
            "Demo.LocalHost",
            "demo.localhost:8080",
            "demo.localhost.",
            "demo.localhost.:80",
        ] {
            assert!(table.resolve(host).is_some(), "{host}");
        }
        for host in [
            "",
            "localhost",
            "x.demo.localhost",
            "demo.localhost.evil",
            "demo.localhost:80:80",
            "[::1]:80",
        ] {
            assert!(table.resolve(host).is_none(), "{host}");
        }
    }
}
