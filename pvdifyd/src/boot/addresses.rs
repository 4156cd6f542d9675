//! `run/addresses.json`: where each part of this process really listens, for scripts and tests. Written when
//! all of them do, by rename, so that whoever finds it can connect. A process without the control plane writes
//! `run/addresses-router.json` or `run/addresses-git.json` instead.

use crate::config::Parts;
use serde::Serialize;
use std::{fs, io, net::SocketAddr, path::Path};

/// What listens; `None`: that part runs elsewhere.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Addresses {
    pub(super) api: Option<SocketAddr>,
    pub(super) http: Option<SocketAddr>,
    pub(super) ssh: Option<SocketAddr>,
    pub(super) registry: Option<SocketAddr>,
}

impl Addresses {
    pub(super) fn publish(&self, state_dir: &Path, parts: Parts) -> io::Result<()> {
        let name = if parts.control {
            "addresses.json".to_owned()
        } else {
            format!("addresses-{}.json", parts.names().join("-"))
        };
        let path = state_dir.join("run").join(name);
        let unfinished = path.with_extension("json.new");
        fs::write(&unfinished, serde_json::to_vec(self)?)?;
        fs::rename(unfinished, path)
    }
}
