//! Every path, once; server and clients use these.
//!
//! The functions take names that were parsed, so nothing here needs escaping.

use pvdify_types::{
    AppName, BindingName, ConfigKey, Hostname, OneOffName, ProcessType, ReleaseVersion, SnapshotName,
    VolumeName,
};

/// Everything but `/health` lives below this.
pub const API: &str = "/api/v1";
/// Answers without a token, at the root and below [`API`].
pub const HEALTH: &str = "/health";
/// The OpenAPI document.
pub const OPENAPI: &str = "/api/v1/openapi.json";
/// Below this, only the control socket answers.
pub const CONTROL: &str = "/control/v1";

/// `/api/v1/apps`
#[must_use]
pub fn apps() -> String {
    format!("{API}/apps")
}
/// `/api/v1/apps/{name}`
#[must_use]
pub fn app(name: &AppName) -> String {
    format!("{API}/apps/{name}")
}
/// `/api/v1/apps/{name}/releases`
#[must_use]
pub fn releases(name: &AppName) -> String {
    format!("{API}/apps/{name}/releases")
}
/// `/api/v1/apps/{name}/releases/{version}`
#[must_use]
pub fn release(name: &AppName, version: ReleaseVersion) -> String {
    format!("{API}/apps/{name}/releases/{}", version.0)
}
/// `/api/v1/apps/{name}/releases/{version}/events`: the release's progress as server-sent events.
#[must_use]
pub fn release_events(name: &AppName, version: ReleaseVersion) -> String {
    format!("{API}/apps/{name}/releases/{}/events", version.0)
}
/// `/api/v1/apps/{name}/releases/{version}/output`: what its release command wrote.
#[must_use]
pub fn release_output(name: &AppName, version: ReleaseVersion) -> String {
    format!("{API}/apps/{name}/releases/{}/output", version.0)
}
/// `/api/v1/apps/{name}/releases/{version}/cancel`: POST, ends one that is under way.
#[must_use]
pub fn release_cancel(name: &AppName, version: ReleaseVersion) -> String {
    format!("{API}/apps/{name}/releases/{}/cancel", version.0)
}
/// `/api/v1/apps/{name}/rollback`
#[must_use]
pub fn rollback(name: &AppName) -> String {
    format!("{API}/apps/{name}/rollback")
}
/// `/api/v1/apps/{name}/config`
#[must_use]
pub fn config(name: &AppName) -> String {
    format!("{API}/apps/{name}/config")
}
/// `/api/v1/apps/{name}/config/{key}`
#[must_use]
pub fn config_key(name: &AppName, key: &ConfigKey) -> String {
    format!("{API}/apps/{name}/config/{key}")
}
/// `/api/v1/apps/{name}/config/scopes`
#[must_use]
pub fn config_scopes(name: &AppName) -> String {
    format!("{API}/apps/{name}/config/scopes")
}
/// `/api/v1/apps/{name}/config/versions`
#[must_use]
pub fn config_versions(name: &AppName) -> String {
    format!("{API}/apps/{name}/config/versions")
}
/// `/api/v1/apps/{name}/config/diff`
#[must_use]
pub fn config_diff(name: &AppName) -> String {
    format!("{API}/apps/{name}/config/diff")
}
/// `/api/v1/apps/{name}/domains`
#[must_use]
pub fn domains(name: &AppName) -> String {
    format!("{API}/apps/{name}/domains")
}
/// `/api/v1/apps/{name}/domains/{domain}`
#[must_use]
pub fn domain(name: &AppName, domain: &Hostname) -> String {
    format!("{API}/apps/{name}/domains/{domain}")
}
/// `/api/v1/apps/{name}/bindings`
#[must_use]
pub fn bindings(name: &AppName) -> String {
    format!("{API}/apps/{name}/bindings")
}
/// `/api/v1/apps/{name}/bindings/{binding}`
#[must_use]
pub fn binding(name: &AppName, binding: &BindingName) -> String {
    format!("{API}/apps/{name}/bindings/{binding}")
}
/// `/api/v1/apps/{name}/buildpacks`
#[must_use]
pub fn buildpacks(name: &AppName) -> String {
    format!("{API}/apps/{name}/buildpacks")
}
/// `/api/v1/apps/{name}/volumes`
#[must_use]
pub fn volumes(name: &AppName) -> String {
    format!("{API}/apps/{name}/volumes")
}
/// `/api/v1/apps/{name}/volumes/{volume}`
#[must_use]
pub fn volume(name: &AppName, volume: &VolumeName) -> String {
    format!("{API}/apps/{name}/volumes/{volume}")
}
/// `/api/v1/apps/{name}/volumes/{volume}/mounts`
#[must_use]
pub fn volume_mounts(name: &AppName, volume: &VolumeName) -> String {
    format!("{API}/apps/{name}/volumes/{volume}/mounts")
}
/// `/api/v1/apps/{name}/volumes/{volume}/snapshots`
#[must_use]
pub fn snapshots(name: &AppName, volume: &VolumeName) -> String {
    format!("{API}/apps/{name}/volumes/{volume}/snapshots")
}
/// `/api/v1/apps/{name}/volumes/{volume}/snapshots/{snapshot}`
#[must_use]
pub fn snapshot(name: &AppName, volume: &VolumeName, snapshot: &SnapshotName) -> String {
    format!("{API}/apps/{name}/volumes/{volume}/snapshots/{snapshot}")
}
/// `/api/v1/apps/{name}/volumes/{volume}/restore`
#[must_use]
pub fn restore(name: &AppName, volume: &VolumeName) -> String {
    format!("{API}/apps/{name}/volumes/{volume}/restore")
}
/// `/api/v1/apps/{name}/ps`
#[must_use]
pub fn ps(name: &AppName) -> String {
    format!("{API}/apps/{name}/ps")
}
/// `/api/v1/apps/{name}/ps/scale`
#[must_use]
pub fn ps_scale(name: &AppName) -> String {
    format!("{API}/apps/{name}/ps/scale")
}
/// `/api/v1/apps/{name}/ps/restart`
#[must_use]
pub fn ps_restart(name: &AppName) -> String {
    format!("{API}/apps/{name}/ps/restart")
}
/// `/api/v1/apps/{name}/ps/stop`
#[must_use]
pub fn ps_stop(name: &AppName) -> String {
    format!("{API}/apps/{name}/ps/stop")
}
/// `/api/v1/apps/{name}/one-offs`
#[must_use]
pub fn one_offs(name: &AppName) -> String {
    format!("{API}/apps/{name}/one-offs")
}
/// `/api/v1/apps/{name}/one-offs/{one_off}`
#[must_use]
pub fn one_off(name: &AppName, one_off: OneOffName) -> String {
    format!("{API}/apps/{name}/one-offs/{one_off}")
}
/// `/api/v1/apps/{name}/ps/run`: a session ([`crate::session`]) with a one-off process.
#[must_use]
pub fn ps_run(name: &AppName) -> String {
    format!("{API}/apps/{name}/ps/run")
}
/// `/api/v1/apps/{name}/ps/{instance}/exec`: a session with a command inside `web.1`.
#[must_use]
pub fn ps_exec(name: &AppName, process: &ProcessType, ordinal: u32) -> String {
    format!("{API}/apps/{name}/ps/{process}.{ordinal}/exec")
}
/// `/api/v1/apps/{name}/logs`
#[must_use]
pub fn logs(name: &AppName) -> String {
    format!("{API}/apps/{name}/logs")
}
/// `/api/v1/keys`
#[must_use]
pub fn keys() -> String {
    format!("{API}/keys")
}
/// `/api/v1/keys/{fingerprint}`; the `/` and `+` of base64 are percent-encoded.
#[must_use]
pub fn key(fingerprint: &str) -> String {
    let encoded = fingerprint
        .replace('%', "%25")
        .replace('/', "%2F")
        .replace('+', "%2B");
    format!("{API}/keys/{encoded}")
}
/// `/api/v1/stack/rebase`: POST, every app on the newest run image; the answer is server-sent events.
#[must_use]
pub fn stack_rebase() -> String {
    format!("{API}/stack/rebase")
}
/// `/control/v1/ssh-key`: POST, is this key known?
#[must_use]
pub fn control_ssh_key() -> String {
    format!("{CONTROL}/ssh-key")
}
/// `/control/v1/push`: POST, may this key push to this app?
#[must_use]
pub fn control_push() -> String {
    format!("{CONTROL}/push")
}
/// `/control/v1/apps`: GET, the ids of all living apps.
#[must_use]
pub fn control_apps() -> String {
    format!("{CONTROL}/apps")
}
/// `/control/v1/apps/{name}/builds`: POST, a source tree as tar; the answer streams the build's events.
#[must_use]
pub fn control_builds(name: &AppName) -> String {
    format!("{CONTROL}/apps/{name}/builds")
}
/// `/control/v1/stack/rebase`: POST, the same as [`stack_rebase`]; the answer streams one event a line.
#[must_use]
pub fn control_stack_rebase() -> String {
    format!("{CONTROL}/stack/rebase")
}
/// `/control/v1/key/rotate`: POST, a new sealing key in place of the one that is there.
#[must_use]
pub fn control_key_rotate() -> String {
    format!("{CONTROL}/key/rotate")
}
/// `/control/v1/routes`: GET, a stream of whole route tables.
#[must_use]
pub fn control_routes() -> String {
    format!("{CONTROL}/routes")
}
/// `/control/v1/routes/report`: POST, what the router applied and what still drains.
#[must_use]
pub fn control_routes_report() -> String {
    format!("{CONTROL}/routes/report")
}
