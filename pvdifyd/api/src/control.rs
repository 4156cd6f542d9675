//! The control socket: what git-receiver and the router ask of the control plane, also inside one process.
//!
//! HTTP/1.1 over a Unix socket of mode 0600; the control plane checks the peer's user id. Streams are
//! newline-delimited JSON, one value a line.

use pvdify_types::{AppId, AppName, Generation, InstanceId};
use serde::{Deserialize, Serialize};

/// `POST /control/v1/ssh-key`. Answers 200 with [`SshIdentity`], or 404 when no such key is registered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IdentifySshKey {
    /// `SHA256:...` of a key whose signature was verified.
    pub fingerprint: String,
}

/// Who a verified key is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshIdentity {
    /// The key's name, for the release's `user`.
    pub name: String,
    /// The key.
    pub fingerprint: String,
}

/// `POST /control/v1/push`. Answers 200 with [`PushGrant`]; 404 with an error body when the app does not
/// exist or is not this key's (the same text for both).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuthorisePush {
    /// Whose key.
    pub fingerprint: String,
    /// As typed in the URL; parsed by the control plane too.
    pub app: String,
}

/// Where to push.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PushGrant {
    /// Names the bare repository: a new app of an old name starts with an empty one.
    pub app_id: AppId,
    /// The app.
    pub app: AppName,
    /// The branches whose push deploys.
    pub deploy_branches: Vec<String>,
}

/// The query of `POST /control/v1/apps/{name}/builds`; the body is the source tree, an uncompressed tar.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BuildQuery {
    /// 40 hex digits.
    pub commit: String,
    /// Who pushed: authorised again here.
    pub fingerprint: String,
}

/// One line of the answer of a build. The last is `Released` or `Failed`; a stream that ends without
/// either means that the control plane died: nothing was changed, push again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum BuildEvent {
    /// A line for the pusher, as it should stand after `remote: `.
    Line {
        /// Without line end.
        text: String,
    },
    /// Still at work; keeps connections open through silent steps.
    KeepAlive,
    /// The release serves; the ref may move.
    Released {
        /// Its number.
        version: u64,
        /// Where it answers.
        url: String,
    },
    /// Nothing changed; the ref must not move.
    Failed {
        /// One line.
        message: String,
    },
}

/// `GET /control/v1/apps`: all living apps' ids, so that the repositories of deleted ones can go.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LivingApps {
    /// Every one.
    pub ids: Vec<AppId>,
}

/// The answer of `POST /control/v1/key/rotate`: nothing of a key but its name, and no value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRotated {
    /// The name of the key that seals everything now.
    pub key: String,
    /// How many values were sealed anew.
    pub values: u64,
    /// Whether a rotation that was broken off was finished, and none begun.
    pub finished: bool,
}

/// `POST /control/v1/routes/report`, by the router: after each applied table and whenever a count changes
/// to zero.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RouterReport {
    /// The table that is served.
    pub generation: Generation,
    /// Instances that left the table and still have requests or upgraded connections open.
    pub draining: Vec<Draining>,
}

/// One draining instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draining {
    /// Which.
    pub instance: InstanceId,
    /// Open requests and upgraded connections.
    pub in_flight: u64,
}
