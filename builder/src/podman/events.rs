//! What happened to containers, as it happens or from Podman's own record.

use super::{Filters, Libpod, PodmanError, Query, empty_body, json_lines};
use futures_util::{Stream, TryStreamExt};
use http::{HeaderMap, Method};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Event {
    /// As in `start`, `died`, `exec`.
    #[serde(rename = "Action", default)]
    pub action: String,
    /// To what.
    #[serde(rename = "Actor", default)]
    pub actor: EventActor,
}

/// What an event is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct EventActor {
    /// The container's or image's id.
    #[serde(rename = "ID", default)]
    pub id: String,
    /// Its name, labels and, for `died`, `containerExitCode`.
    #[serde(rename = "Attributes", default)]
    pub attributes: BTreeMap<String, String>,
}

impl Libpod {
    /// What happens from now on. Nothing is asked before the stream is first polled; it ends or fails when
    /// Podman goes away.
    pub fn events(
        &self,
        filters: &Filters,
    ) -> impl Stream<Item = Result<Event, PodmanError>> + Send + 'static {
        let query = Query::default().with("stream", true).with("filters", filters);
        self.clone().read_events(query.on("/libpod/events"))
    }

    /// What happened, as far back as Podman's record goes.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn past_events(&self, filters: &Filters) -> Result<Vec<Event>, PodmanError> {
        let query = Query::default()
            .with("stream", false)
            .with("since", 0)
            .with("filters", filters);
        let limit = self.limit;
        let events = self.clone().read_events(query.on("/libpod/events")).try_collect();
        super::transport::limited(limit, &Method::GET, "/libpod/events", events).await
    }

    fn read_events(self, path: String) -> impl Stream<Item = Result<Event, PodmanError>> + Send + 'static {
        let answer = async move {
            let answer = self.request(Method::GET, &path, HeaderMap::new(), empty_body());
            Ok::<_, PodmanError>(json_lines(answer.await?))
        };
        futures_util::TryFutureExt::try_flatten_stream(answer)
    }
}
