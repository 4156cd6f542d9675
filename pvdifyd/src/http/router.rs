//! Every route of the API, on one page. `pvdify_api::openapi::ENDPOINTS` says the same from outside; a test
//! holds the two together.

use super::{
    HttpSettings, Web, admin_ui, apps, auth, bindings, buildpacks, config, domains, health, keys, layers,
    logs, one_offs, ps, releases, session, stack, volumes,
};
use crate::app::App;
use axum::{
    Router,
    middleware::from_fn_with_state,
    routing::{delete, get, post, put},
};

/// The whole API and the dashboard.
pub fn api_router(app: App, settings: HttpSettings) -> Router {
    let web = Web::new(app, settings);

    let open = Router::new()
        .route("/health", get(health::health))
        .route("/api/v1/health", get(health::health))
        .route("/api/v1/openapi.json", get(health::openapi));

    let guarded = Router::new()
        .route("/api/v1/apps", get(apps::list).post(apps::create))
        .route(
            "/api/v1/apps/{name}",
            get(apps::show).patch(apps::update).delete(apps::remove),
        )
        .route(
            "/api/v1/apps/{name}/releases",
            get(releases::list).post(releases::create),
        )
        .route("/api/v1/apps/{name}/releases/{version}", get(releases::show))
        .route(
            "/api/v1/apps/{name}/releases/{version}/events",
            get(releases::events),
        )
        .route(
            "/api/v1/apps/{name}/releases/{version}/output",
            get(releases::output),
        )
        .route(
            "/api/v1/apps/{name}/releases/{version}/cancel",
            post(releases::cancel),
        )
        .route("/api/v1/apps/{name}/rollback", post(releases::rollback))
        .route("/api/v1/apps/{name}/config", get(config::show).put(config::merge))
        .route(
            "/api/v1/apps/{name}/config/scopes",
            get(config::scopes)
                .put(config::set_scopes)
                .merge(config::removes("scopes")),
        )
        .route(
            "/api/v1/apps/{name}/config/versions",
            get(config::versions).merge(config::removes("versions")),
        )
        .route(
            "/api/v1/apps/{name}/config/diff",
            get(config::diff).merge(config::removes("diff")),
        )
        .route("/api/v1/apps/{name}/config/{key}", delete(config::remove))
        .route(
            "/api/v1/apps/{name}/domains",
            get(domains::list).post(domains::add),
        )
        .route("/api/v1/apps/{name}/domains/{domain}", delete(domains::remove))
        .route(
            "/api/v1/apps/{name}/buildpacks",
            get(buildpacks::show).put(buildpacks::set),
        )
        .route("/api/v1/apps/{name}/bindings", get(bindings::list))
        .route(
            "/api/v1/apps/{name}/bindings/{binding}",
            put(bindings::set)
                .layer(bindings::body_limit())
                .delete(bindings::remove),
        )
        .route(
            "/api/v1/apps/{name}/volumes",
            get(volumes::list).post(volumes::create),
        )
        .route(
            "/api/v1/apps/{name}/volumes/{volume}",
            get(volumes::show).delete(volumes::destroy),
        )
        .route(
            "/api/v1/apps/{name}/volumes/{volume}/mounts",
            put(volumes::mount).delete(volumes::unmount),
        )
        .route(
            "/api/v1/apps/{name}/volumes/{volume}/snapshots",
            get(volumes::snapshots).post(volumes::snapshot),
        )
        .route(
            "/api/v1/apps/{name}/volumes/{volume}/snapshots/{snapshot}",
            delete(volumes::destroy_snapshot),
        )
        .route(
            "/api/v1/apps/{name}/volumes/{volume}/restore",
            post(volumes::restore),
        )
        .route("/api/v1/apps/{name}/ps", get(ps::list))
        .route("/api/v1/apps/{name}/ps/scale", post(ps::scale))
        .route("/api/v1/apps/{name}/ps/restart", post(ps::restart))
        .route("/api/v1/apps/{name}/ps/stop", post(ps::stop))
        .route("/api/v1/apps/{name}/ps/run", get(session::run))
        .route("/api/v1/apps/{name}/ps/{instance}/exec", get(session::exec))
        .route(
            "/api/v1/apps/{name}/one-offs",
            get(one_offs::list).post(one_offs::run),
        )
        .route("/api/v1/apps/{name}/one-offs/{one_off}", get(one_offs::show))
        .route("/api/v1/apps/{name}/logs", get(logs::show))
        .route("/api/v1/keys", get(keys::list).post(keys::add))
        .route("/api/v1/keys/{fingerprint}", delete(keys::remove))
        .route("/api/v1/stack/rebase", post(stack::rebase))
        .route_layer(from_fn_with_state(web.clone(), auth::authenticate));

    let routes = open.merge(guarded).fallback(admin_ui::serve);
    layers::around(routes, &web).with_state(web)
}
