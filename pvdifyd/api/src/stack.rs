//! `POST /stack/rebase`, on the REST API and on the control socket: every app on the newest run image.

use pvdify_types::AppName;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One event of a rebase of all apps. The last is `done` or `failed`; a stream that ends without either means that
/// the server stopped: what was released stays released, ask again for the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum StackEvent {
    /// The run image that apps are put on.
    Published {
        /// Of its manifest.
        digest: String,
        /// Whether it was published only now.
        changed: bool,
    },
    /// What came of one app.
    App {
        #[schema(value_type = String)]
        /// Its name.
        app: AppName,
        /// What came of it.
        outcome: StackOutcome,
    },
    /// Still at work; keeps connections open.
    KeepAlive,
    /// There is no run image to put apps on; nothing was changed.
    Failed {
        /// What failed, and what to do.
        message: String,
    },
    /// All apps that serve were looked at.
    Done {
        /// Serve on the newest run image from now on.
        released: u32,
        /// Did so before.
        newest: u32,
        /// Have to be deployed anew for it.
        not_rebasable: u32,
        /// Serve as before.
        failed: u32,
    },
}

/// What came of an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StackOutcome {
    /// A release on the newest run image serves.
    Released {
        /// Its number.
        version: u64,
    },
    /// It stood on the newest run image.
    Newest,
    /// Its image does not stand on our run image in a way that lets it be replaced.
    NotRebasable {
        /// Why, and what to do.
        reason: String,
    },
    /// It serves as before.
    Failed {
        /// Why.
        reason: String,
    },
}
