//! Networks: each app has its own.

use super::{Filters, Libpod, PodmanError, Query, error::found, isolation, percent_encode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What makes a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NetworkSpec {
    /// Its name.
    pub name: String,
    /// Found again by these.
    pub labels: BTreeMap<String, String>,
    /// Of the driver, such as `isolate` with `true`: no packets to and from other networks.
    pub options: BTreeMap<String, String>,
    /// Whether containers find each other by name.
    pub dns_enabled: bool,
}

/// A network that is there.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// Its labels.
    #[serde(default, deserialize_with = "super::images::or_default")]
    pub labels: BTreeMap<String, String>,
}

impl Libpod {
    /// Makes a bridge network. One of this name that is there already is a
    /// [conflict](PodmanError::is_conflict).
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn create_network(&self, network: &NetworkSpec) -> Result<(), PodmanError> {
        #[derive(Serialize)]
        struct Request<'a> {
            driver: &'static str,
            #[serde(flatten)]
            network: &'a NetworkSpec,
        }
        let request = Request {
            driver: "bridge",
            network,
        };
        self.post("/libpod/networks/create", &request).await.map(|_| ())
    }

    /// Whether there is a network of this name.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn network_exists(&self, name: &str) -> Result<bool, PodmanError> {
        let path = format!("/libpod/networks/{}/exists", percent_encode(name));
        let asked = self.call(http::Method::GET, &path, None::<&()>).await;
        Ok(found(asked)?.is_some())
    }

    /// The networks that pass the filters.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn networks(&self, filters: &Filters) -> Result<Vec<Network>, PodmanError> {
        let query = Query::default().with("filters", filters);
        self.get(&query.on("/libpod/networks/json")).await
    }

    /// Makes a network that is cut off from others, as far as the host can.
    ///
    /// # Errors
    /// As [`Libpod::create_network`].
    pub async fn create_isolated_network(&self, mut spec: NetworkSpec) -> Result<(), PodmanError> {
        spec.options.insert("isolate".to_owned(), "true".to_owned());
        match self.create_network(&spec).await {
            // Older network backends do not know the option: there, our own rules are all there is.
            Err(PodmanError::Refused { message, .. }) if message.contains("isolate") => {
                spec.options.remove("isolate");
                self.create_network(&spec).await
            }
            made => made,
        }
    }

    /// Cuts a network off from other networks and from cloud metadata, as far as the host can: to be called before
    /// each start of a container in it.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn isolate_network(&self, name: &str) -> Result<(), PodmanError> {
        if let Some(bridge) = self.bridge(name).await? {
            isolation::close(bridge).await;
        }
        Ok(())
    }

    /// Whether the rules of [`Libpod::isolate_network`] are there.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn is_isolated(&self, name: &str) -> Result<bool, PodmanError> {
        Ok(match self.bridge(name).await? {
            Some(bridge) => isolation::is_closed(bridge).await,
            None => false,
        })
    }

    /// Removes a network that no container uses; one that is gone is no error.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn remove_network(&self, name: &str) -> Result<(), PodmanError> {
        let bridge = self.bridge(name).await?;
        if let Some(bridge) = bridge.clone() {
            isolation::forget(bridge).await;
        }
        let path = format!("/libpod/networks/{}", percent_encode(name));
        let removed = self.delete(&path).await;
        if let (Err(_), Some(bridge)) = (&removed, bridge) {
            // It is there still, and in use.
            isolation::close(bridge).await;
        }
        removed
    }

    /// The host's interface of a network; `None` when there is no such network.
    async fn bridge(&self, name: &str) -> Result<Option<String>, PodmanError> {
        #[derive(Deserialize)]
        struct Answer {
            network_interface: Option<String>,
        }
        let path = format!("/libpod/networks/{}/json", percent_encode(name));
        let answer: Option<Answer> = found(self.get(&path).await)?;
        Ok(answer.and_then(|answer| answer.network_interface))
    }
}
