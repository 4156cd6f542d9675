//! The REST API with the dashboard, and the control socket: two routers, one application.
//!
//! `router` has every route on one page, `layers` what each request passes through. Handlers are thin: they
//! turn a request into one call of the application and its answer into a response.

mod admin_ui;
mod apps;
mod auth;
mod bindings;
mod buildpacks;
mod config;
mod control;
mod domains;
mod error;
mod extract;
mod health;
mod hosts;
mod json;
mod keys;
mod layers;
mod logs;
mod one_offs;
mod ps;
mod releases;
mod router;
mod session;
mod sse;
mod stack;
mod volumes;

pub use control::{bind_control, control_router, serve_control};
pub use router::api_router;

use crate::app::App;
use admin_ui::AdminUi;
use axum::Router;
use std::{io, net::SocketAddr, path::PathBuf, sync::Arc};
use tokio::net::TcpListener;

/// How the API is served.
#[derive(Clone, Debug, Default)]
pub struct HttpSettings {
    /// Loopback peers need no token, and it answers to loopback names alone.
    pub dev: bool,
    /// The names that it answers to without `dev`, besides `localhost` and addresses.
    pub names: Vec<String>,
    /// A dashboard in a folder instead of the built-in one.
    pub static_dir: Option<PathBuf>,
}

/// What handlers see.
#[derive(Clone)]
struct Web {
    app: App,
    settings: Arc<HttpSettings>,
    hosts: Arc<hosts::Hosts>,
    strangers: Arc<auth::Strangers>,
    ui: Arc<AdminUi>,
}

impl Web {
    fn new(app: App, settings: HttpSettings) -> Self {
        Self {
            app,
            hosts: Arc::new(hosts::Hosts::new(settings.dev, &settings.names)),
            ui: Arc::new(AdminUi::new(settings.static_dir.clone())),
            settings: Arc::new(settings),
            strangers: Arc::default(),
        }
    }
}

/// Serves the API until `shutdown`; the peer's address, which `--dev` trusts on loopback, comes from here.
/// Open streams end with [`App::close`].
///
/// # Errors
/// Of the listener.
pub async fn serve_api(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service)
        .with_graceful_shutdown(shutdown)
        .await
}
