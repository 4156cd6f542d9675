//! Networks: one for each app, cut off from the others where the host can do that.

use super::during;
use crate::engine::{EngineNetwork, INSTALLATION, Result, labels::APP, network_name};
use pvdify_builder::podman::{Filters, Libpod, NetworkSpec};
use pvdify_types::{AppId, AppName, InstallationId};

/// The app's own network, made when it is not there.
pub(super) async fn ensure(
    libpod: &Libpod,
    installation: &InstallationId,
    app: &AppId,
    name: &AppName,
) -> Result<String> {
    let network = network_name(installation, app, name);
    let there = libpod.network_exists(&network).await;
    if !there.map_err(during("look for network"))? {
        make(libpod, installation, app, &network).await?;
    }
    let isolated = libpod.isolate_network(&network).await;
    isolated.map_err(during("isolate network")).map(|()| network)
}

async fn make(libpod: &Libpod, installation: &InstallationId, app: &AppId, network: &str) -> Result<()> {
    let spec = NetworkSpec {
        name: network.to_owned(),
        labels: [
            (INSTALLATION.to_owned(), installation.to_string()),
            (APP.to_owned(), app.to_string()),
        ]
        .into(),
        options: [].into(),
        dns_enabled: true,
    };
    match libpod.create_isolated_network(spec).await {
        // Another call was faster.
        Err(error) if error.is_conflict() => Ok(()),
        made => made.map_err(during("create network")),
    }
}

/// All of an installation.
pub(super) async fn list(libpod: &Libpod, installation: &InstallationId) -> Result<Vec<EngineNetwork>> {
    let filters = Filters::label(INSTALLATION, installation);
    let networks = libpod.networks(&filters).await.map_err(during("list networks"))?;
    Ok(networks
        .into_iter()
        .filter(|network| network.labels.get(INSTALLATION).map(String::as_str) == Some(installation.as_str()))
        .map(|network| EngineNetwork {
            app: network.labels.get(APP).and_then(|app| app.parse().ok()),
            name: network.name,
        })
        .collect())
}
