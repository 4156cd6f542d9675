//! A server for an app whose framework has none of its own and that installs none: without one nothing answers.
//!
//! Flask and Django bring servers, for development at least; FastAPI and its kind are called by a server only.

use std::collections::BTreeSet;

const FRAMEWORKS: [&str; 3] = ["fastapi", "starlette", "litestar"];
const SERVERS: [&str; 4] = ["uvicorn", "hypercorn", "granian", "daphne"];

/// What is installed besides.
pub(crate) const SERVER: &str = "uvicorn";

/// The framework that has no server among the installed packages.
pub(crate) fn without_server(packages: &BTreeSet<String>) -> Option<&'static str> {
    if SERVERS.iter().any(|name| packages.contains(*name)) {
        return None;
    }
    FRAMEWORKS.into_iter().find(|name| packages.contains(*name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_missing_where_a_framework_has_none() {
        for (packages, expected) in [
            (vec!["fastapi", "starlette", "pydantic"], Some("fastapi")),
            (vec!["starlette"], Some("starlette")),
            (vec!["fastapi", "starlette", "uvicorn"], None),
            (vec!["litestar", "granian"], None),
            (vec!["flask"], None),
            (vec![], None),
        ] {
            let packages = packages.into_iter().map(str::to_owned).collect();
            assert_eq!(without_server(&packages), expected, "{packages:?}");
        }
    }
}
