//! The OpenAPI document: one row for each endpoint, bodies from the wire types themselves.
//!
//! The table is the contract: the server's tests read it to find endpoints that are not routed, not
//! documented, or not covered by a test of who may call them.

use crate::{
    ErrorBody, apps, bindings, buildpacks, config, domains, health, keys, logs, one_offs, ps, releases,
    stack, volumes,
};
use std::collections::BTreeMap;
use utoipa::{
    IntoParams, ToSchema,
    openapi::{
        Components, ContentBuilder, HeaderBuilder, HttpMethod, Info, OpenApi, OpenApiBuilder, Paths, Ref,
        RefOr, Required, ResponseBuilder, Schema,
        path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
        request_body::RequestBodyBuilder,
        schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, SchemaType, Type},
        security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    },
};

/// A body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// None.
    Empty,
    /// A named type.
    One(&'static str),
    /// The same, and it may be left out.
    Optional(&'static str),
    /// A JSON array of a named type.
    List(&'static str),
    /// A flat object of strings.
    Strings,
    /// The same, whose values may be null.
    NullableStrings,
    /// Server-sent events whose data is a named type.
    Events(&'static str),
    /// This document.
    Document,
}

/// One endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint {
    /// In lower case.
    pub method: &'static str,
    /// With `{name}` for what varies.
    pub path: &'static str,
    /// In one line.
    pub summary: &'static str,
    /// What is sent.
    pub request: Body,
    /// The status of success.
    pub status: u16,
    /// What comes back then.
    pub response: Body,
    /// Answers without a token.
    pub public: bool,
}

const fn endpoint(
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    request: Body,
    (status, response): (u16, Body),
) -> Endpoint {
    Endpoint {
        method,
        path,
        summary,
        request,
        status,
        response,
        public: false,
    }
}

const fn public(endpoint: Endpoint) -> Endpoint {
    Endpoint {
        public: true,
        ..endpoint
    }
}

use Body::{Document, Empty, Events, List, NullableStrings, One, Optional, Strings};

/// All of them.
#[rustfmt::skip]
pub const ENDPOINTS: &[Endpoint] = &[
    public(endpoint("get", "/health", "Whether the server answers", Empty, (200, One("Health")))),
    public(endpoint("get", "/api/v1/health", "Whether the server answers", Empty, (200, One("Health")))),
    public(endpoint("get", "/api/v1/openapi.json", "This document", Empty, (200, Document))),
    endpoint("get", "/api/v1/apps", "List all apps", Empty, (200, List("App"))),
    endpoint("post", "/api/v1/apps", "Make an app", One("CreateApp"), (201, One("App"))),
    endpoint("get", "/api/v1/apps/{name}", "See an app", Empty, (200, One("App"))),
    endpoint("patch", "/api/v1/apps/{name}", "Change an app's settings; what concerns how it runs makes a release", One("UpdateApp"), (200, One("App"))),
    endpoint("delete", "/api/v1/apps/{name}", "Delete an app and all that is its own", Empty, (204, Empty)),
    endpoint("get", "/api/v1/apps/{name}/releases", "List releases, newest first", Empty, (200, List("Release"))),
    endpoint("post", "/api/v1/apps/{name}/releases", "Release an image", One("CreateRelease"), (201, One("Release"))),
    endpoint("get", "/api/v1/apps/{name}/releases/{version}", "See a release", Empty, (200, One("Release"))),
    endpoint("get", "/api/v1/apps/{name}/releases/{version}/events", "Follow a release to its end", Empty, (200, Events("ReleaseEvent"))),
    endpoint("get", "/api/v1/apps/{name}/releases/{version}/output", "What a release's command wrote", Empty, (200, One("OneOff"))),
    endpoint("post", "/api/v1/apps/{name}/releases/{version}/cancel", "End a release that is under way, as failed", Empty, (200, One("Release"))),
    endpoint("post", "/api/v1/apps/{name}/rollback", "Release the image and config of an earlier release", Optional("Rollback"), (201, One("Release"))),
    endpoint("get", "/api/v1/apps/{name}/config", "See all config vars", Empty, (200, Strings)),
    endpoint("put", "/api/v1/apps/{name}/config", "Merge config vars; null removes", NullableStrings, (200, Strings)),
    endpoint("delete", "/api/v1/apps/{name}/config/{key}", "Remove a config var", Empty, (200, Strings)),
    endpoint("get", "/api/v1/apps/{name}/config/scopes", "See who sees each config var, its app's processes (run) or its builds too (build); no values", Empty, (200, Strings)),
    endpoint("put", "/api/v1/apps/{name}/config/scopes", "Change who sees config vars, run or build", Strings, (200, Strings)),
    endpoint("get", "/api/v1/apps/{name}/config/versions", "List the sets of config vars that there were, newest first; no values", Empty, (200, List("ConfigVersion"))),
    endpoint("get", "/api/v1/apps/{name}/config/diff", "See which config vars differ between two versions", Empty, (200, One("ConfigDiff"))),
    endpoint("get", "/api/v1/apps/{name}/domains", "List domains, the app's own first", Empty, (200, List("Domain"))),
    endpoint("post", "/api/v1/apps/{name}/domains", "Add a domain", One("AddDomain"), (201, One("Domain"))),
    endpoint("delete", "/api/v1/apps/{name}/domains/{domain}", "Remove a domain", Empty, (204, Empty)),
    endpoint("get", "/api/v1/apps/{name}/buildpacks", "See the buildpacks that an app was given", Empty, (200, One("Buildpacks"))),
    endpoint("put", "/api/v1/apps/{name}/buildpacks", "Give an app these buildpacks from its next build on; none: as the source says", One("SetBuildpacks"), (200, One("Buildpacks"))),
    endpoint("get", "/api/v1/apps/{name}/bindings", "List the services that an app is bound to, without what is in the entries", Empty, (200, List("Binding"))),
    endpoint("put", "/api/v1/apps/{name}/bindings/{binding}", "Bind an app to a service from its next release on", One("SetBinding"), (200, One("Binding"))),
    endpoint("delete", "/api/v1/apps/{name}/bindings/{binding}", "Unbind an app from its next release on", Empty, (204, Empty)),
    endpoint("get", "/api/v1/apps/{name}/volumes", "List volumes", Empty, (200, List("Volume"))),
    endpoint("post", "/api/v1/apps/{name}/volumes", "Make an empty volume", One("CreateVolume"), (201, One("Volume"))),
    endpoint("get", "/api/v1/apps/{name}/volumes/{volume}", "See a volume", Empty, (200, One("Volume"))),
    endpoint("delete", "/api/v1/apps/{name}/volumes/{volume}", "Destroy a volume with its snapshots; confirm is its name once more", Empty, (204, Empty)),
    endpoint("put", "/api/v1/apps/{name}/volumes/{volume}/mounts", "Mount a volume, which makes a release", One("MountVolume"), (200, One("Volume"))),
    endpoint("delete", "/api/v1/apps/{name}/volumes/{volume}/mounts", "Unmount a volume, which makes a release", Empty, (200, One("Volume"))),
    endpoint("get", "/api/v1/apps/{name}/volumes/{volume}/snapshots", "List snapshots, newest first", Empty, (200, List("Snapshot"))),
    endpoint("post", "/api/v1/apps/{name}/volumes/{volume}/snapshots", "Make a snapshot", Optional("CreateSnapshot"), (200, Events("VolumeEvent"))),
    endpoint("delete", "/api/v1/apps/{name}/volumes/{volume}/snapshots/{snapshot}", "Destroy a snapshot; confirm is its name once more", Empty, (204, Empty)),
    endpoint("post", "/api/v1/apps/{name}/volumes/{volume}/restore", "Put a snapshot in the data's place; what was there becomes a snapshot", One("RestoreVolume"), (200, Events("VolumeEvent"))),
    endpoint("get", "/api/v1/apps/{name}/ps", "List the processes of the current release", Empty, (200, List("Process"))),
    endpoint("post", "/api/v1/apps/{name}/ps/scale", "Set how many instances run; makes no release", One("Scale"), (200, List("Process"))),
    endpoint("post", "/api/v1/apps/{name}/ps/restart", "Replace instances, the new before the old; without a body, every one", Optional("Restart"), (200, List("Process"))),
    endpoint("post", "/api/v1/apps/{name}/ps/stop", "Stop instances, which then start again, or one-off processes, which do not", One("Stop"), (200, List("Process"))),
    endpoint("get", "/api/v1/apps/{name}/ps/run", "Run a command in a one-off process, over a WebSocket of the subprotocol pvdify.session.v1", Empty, (101, Empty)),
    endpoint("get", "/api/v1/apps/{name}/ps/{instance}/exec", "Run a command inside an instance, over a WebSocket of the subprotocol pvdify.session.v1", Empty, (101, Empty)),
    endpoint("get", "/api/v1/apps/{name}/one-offs", "List what ran or runs once, newest first", Empty, (200, List("OneOff"))),
    endpoint("post", "/api/v1/apps/{name}/one-offs", "Run a command once, on its own", One("RunOneOff"), (201, One("OneOff"))),
    endpoint("get", "/api/v1/apps/{name}/one-offs/{one_off}", "See what runs or ran once, and what it wrote", Empty, (200, One("OneOff"))),
    endpoint("get", "/api/v1/apps/{name}/logs", "The last log lines; with follow=true server-sent events", Empty, (200, List("LogLine"))),
    endpoint("get", "/api/v1/keys", "List SSH public keys", Empty, (200, List("SshKey"))),
    endpoint("post", "/api/v1/keys", "Add an SSH public key", One("AddKey"), (201, One("SshKey"))),
    endpoint("delete", "/api/v1/keys/{fingerprint}", "Remove an SSH public key", Empty, (204, Empty)),
    endpoint("post", "/api/v1/stack/rebase", "Put every app on the newest run image, without a build", Empty, (200, Events("StackEvent"))),
];

/// The document.
#[must_use]
pub fn document() -> OpenApi {
    let mut paths = Paths::new();
    for endpoint in ENDPOINTS {
        paths.add_path_operation(endpoint.path, vec![method(endpoint.method)], operation(endpoint));
    }
    let mut info = Info::new("Pvdify", env!("CARGO_PKG_VERSION"));
    info.description = Some("Each answer of 400 and above carries an ErrorBody.".to_owned());
    OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(components()))
        .build()
}

fn method(word: &str) -> HttpMethod {
    match word {
        "post" => HttpMethod::Post,
        "put" => HttpMethod::Put,
        "patch" => HttpMethod::Patch,
        "delete" => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}

fn operation(endpoint: &Endpoint) -> OperationBuilder {
    let mut operation = OperationBuilder::new()
        .summary(Some(endpoint.summary))
        .operation_id(Some(operation_id(endpoint)))
        .response(endpoint.status.to_string(), response(endpoint))
        .response("default", error_response());
    for name in endpoint.path.split(['{', '}']).skip(1).step_by(2) {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(string()));
        operation = operation.parameter(parameter);
    }
    for parameter in query(endpoint) {
        operation = operation.parameter(parameter);
    }
    if has_version(endpoint) && endpoint.method != "get" {
        let parameter = ParameterBuilder::new()
            .name("If-Match")
            .parameter_in(ParameterIn::Header)
            .description(Some(
                "The ETag of what the change is made from: when that is not the present version, the answer is 412, \
                 config_changed, and nothing is changed",
            ))
            .schema(Some(string()));
        operation = operation.parameter(parameter);
    }
    if let Some(schema) = schema(endpoint.request) {
        let required = match endpoint.request {
            Body::Optional(_) => Required::False,
            _ => Required::True,
        };
        let body = RequestBodyBuilder::new()
            .content(
                "application/json",
                ContentBuilder::new().schema(Some(schema)).build(),
            )
            .required(Some(required));
        operation = operation.request_body(Some(body.build()));
    }
    if !endpoint.public {
        operation = operation.security(SecurityRequirement::new("token", [] as [&str; 0]));
    }
    operation
}

fn query(endpoint: &Endpoint) -> Vec<Parameter> {
    let place = || Some(ParameterIn::Query);
    match (endpoint.method, endpoint.path.rsplit('/').next()) {
        ("get", Some("logs")) => logs::LogQuery::into_params(place),
        ("put", Some("config")) => config::ChangeQuery::into_params(place),
        ("get", Some("diff")) => config::DiffQuery::into_params(place),
        ("delete", Some("mounts")) => volumes::UnmountQuery::into_params(place),
        ("delete", Some("{volume}" | "{snapshot}")) => volumes::ConfirmQuery::into_params(place),
        _ => Vec::new(),
    }
}

/// Whether its answer has the version of the app's config vars as ETag.
fn has_version(endpoint: &Endpoint) -> bool {
    ["/config", "/config/{key}", "/config/scopes"]
        .iter()
        .any(|path| endpoint.path.ends_with(path))
}

/// As `get_apps_name_releases`.
fn operation_id(endpoint: &Endpoint) -> String {
    let words = endpoint.path.split(|c: char| !c.is_ascii_alphanumeric());
    let words = words.filter(|word| !word.is_empty() && !matches!(*word, "v1"));
    std::iter::once(endpoint.method)
        .chain(words)
        .collect::<Vec<_>>()
        .join("_")
}

fn response(endpoint: &Endpoint) -> ResponseBuilder {
    let mut response = ResponseBuilder::new().description("Done");
    if has_version(endpoint) {
        let header = HeaderBuilder::new()
            .description(Some("The version of the app's config vars"))
            .schema(Some(string()));
        response = response.header("ETag", header.build());
    }
    let content_type = match endpoint.response {
        Body::Events(_) => "text/event-stream",
        _ => "application/json",
    };
    match schema(endpoint.response) {
        Some(schema) => response.content(content_type, ContentBuilder::new().schema(Some(schema)).build()),
        None => response,
    }
}

fn error_response() -> ResponseBuilder {
    let content = ContentBuilder::new().schema(Some(reference("ErrorBody"))).build();
    ResponseBuilder::new()
        .description("What failed, on what, what to do next")
        .content("application/json", content)
}

fn schema(body: Body) -> Option<RefOr<Schema>> {
    let strings = |value: RefOr<Schema>| {
        let values = Some(AdditionalProperties::RefOr(value));
        RefOr::T(Schema::Object(
            ObjectBuilder::new().additional_properties(values).build(),
        ))
    };
    match body {
        Body::Empty => None,
        Body::One(name) | Body::Optional(name) | Body::Events(name) => Some(reference(name)),
        Body::List(name) => Some(RefOr::T(Schema::Array(
            ArrayBuilder::new().items(reference(name)).build(),
        ))),
        Body::Strings => Some(strings(string())),
        Body::NullableStrings => {
            let types = SchemaType::from_iter([Type::String, Type::Null]);
            Some(strings(RefOr::T(Schema::Object(
                ObjectBuilder::new().schema_type(types).build(),
            ))))
        }
        Body::Document => Some(RefOr::T(Schema::Object(ObjectBuilder::new().build()))),
    }
}

fn string() -> RefOr<Schema> {
    RefOr::T(Schema::Object(
        ObjectBuilder::new().schema_type(Type::String).build(),
    ))
}

fn reference(name: &str) -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(name))
}

fn components() -> Components {
    let mut schemas: BTreeMap<String, RefOr<Schema>> = BTreeMap::new();
    fn add<T: ToSchema>(schemas: &mut BTreeMap<String, RefOr<Schema>>) {
        let mut inner = Vec::new();
        T::schemas(&mut inner);
        schemas.extend(inner);
        schemas.insert(T::name().into_owned(), T::schema());
    }
    add::<ErrorBody>(&mut schemas);
    add::<health::Health>(&mut schemas);
    add::<apps::App>(&mut schemas);
    add::<apps::CreateApp>(&mut schemas);
    add::<apps::UpdateApp>(&mut schemas);
    add::<releases::Release>(&mut schemas);
    add::<releases::CreateRelease>(&mut schemas);
    add::<releases::Rollback>(&mut schemas);
    add::<releases::ReleaseEvent>(&mut schemas);
    add::<one_offs::OneOff>(&mut schemas);
    add::<one_offs::RunOneOff>(&mut schemas);
    add::<ps::Restart>(&mut schemas);
    add::<ps::Stop>(&mut schemas);
    add::<config::ConfigVersion>(&mut schemas);
    add::<config::ConfigDiff>(&mut schemas);
    add::<domains::Domain>(&mut schemas);
    add::<domains::AddDomain>(&mut schemas);
    add::<bindings::Binding>(&mut schemas);
    add::<bindings::SetBinding>(&mut schemas);
    add::<buildpacks::Buildpacks>(&mut schemas);
    add::<buildpacks::SetBuildpacks>(&mut schemas);
    add::<ps::Process>(&mut schemas);
    add::<ps::Scale>(&mut schemas);
    add::<logs::LogLine>(&mut schemas);
    add::<keys::SshKey>(&mut schemas);
    add::<keys::AddKey>(&mut schemas);
    add::<stack::StackEvent>(&mut schemas);
    add::<volumes::Volume>(&mut schemas);
    add::<volumes::CreateVolume>(&mut schemas);
    add::<volumes::MountVolume>(&mut schemas);
    add::<volumes::Snapshot>(&mut schemas);
    add::<volumes::CreateSnapshot>(&mut schemas);
    add::<volumes::RestoreVolume>(&mut schemas);
    add::<volumes::VolumeEvent>(&mut schemas);
    let mut components = Components::new();
    components.schemas = schemas;
    let token = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    components.add_security_scheme("token", token);
    components
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_somewhere() {
        let document = serde_json::to_value(document()).unwrap();
        let text = document.to_string();
        let names = text.split("#/components/schemas/").skip(1);
        let names: std::collections::BTreeSet<_> = names.filter_map(|rest| rest.split('"').next()).collect();
        assert!(names.len() >= 15, "{names:?}");
        for name in names {
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
    }

    #[test]
    fn every_endpoint_is_in_the_document_once() {
        let document = serde_json::to_value(document()).unwrap();
        for endpoint in ENDPOINTS {
            assert!(
                document["paths"][endpoint.path][endpoint.method].is_object(),
                "{endpoint:?}"
            );
        }
        let ids: std::collections::BTreeSet<_> = ENDPOINTS.iter().map(operation_id).collect();
        assert_eq!(ids.len(), ENDPOINTS.len());
    }
}
