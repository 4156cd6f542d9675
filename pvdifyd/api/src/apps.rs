//! `/apps`.

use pvdify_types::{AppName, AppStatus, Environment, Resources};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// An app.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct App {
    #[schema(value_type = String)]
    /// Its name.
    pub name: AppName,
    #[schema(value_type = String)]
    /// `production` or `staging`.
    pub environment: Environment,
    #[schema(value_type = String)]
    /// `created`, `running`, `stopped`, `failed` or `deleting`.
    pub status: AppStatus,
    /// The current release's image, pinned by digest.
    pub image: Option<String>,
    /// The current release's number.
    pub release: Option<u64>,
    /// The port `web` must listen on, given to it as `PORT`; `null` means the port the image exposes, else 8080.
    pub bind_port: Option<u16>,
    #[schema(value_type = Object)]
    /// What one instance may use.
    pub resources: Resources,
    /// How readiness is found out.
    pub healthcheck: Healthcheck,
    /// Where it answers.
    pub web_url: String,
    /// Where to push.
    pub git_url: String,
    #[serde(with = "time::serde::rfc3339")]
    /// When it was made.
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    /// When it or its releases last changed.
    pub updated_at: OffsetDateTime,
}

/// How a starting `web` instance is found ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Healthcheck {
    /// An HTTP path that must answer 200-399; `null`: a TCP connection is enough.
    #[serde(default)]
    pub path: Option<String>,
    /// Seconds until a start counts as failed, 1 to 3600.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u32,
}

fn default_timeout() -> u32 {
    60
}

impl Default for Healthcheck {
    fn default() -> Self {
        Self {
            path: None,
            timeout_seconds: default_timeout(),
        }
    }
}

/// `POST /apps`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateApp {
    /// Parsed as an app name; kept as text here so that the error names the rule that it broke.
    pub name: String,
    /// `production` (also when left out) or `staging`.
    #[serde(default)]
    pub environment: Option<String>,
}

/// `PATCH /apps/{name}`: what is left out stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateApp {
    /// `production` or `staging`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// 1-65535.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind_port: Option<u16>,
    #[schema(value_type = Option<Object>)]
    /// The whole of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// The whole of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
}
