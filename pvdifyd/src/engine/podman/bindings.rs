//! What an app is bound to, as its processes find it: files below `/bindings`, whatever image it is, and
//! `SERVICE_BINDING_ROOT` (servicebinding.io); certificates among it are trusted beside those that the image trusts.
//!
//! The files go into the container between its making and its start, and go with it: nothing is kept on the host
//! beside what Podman keeps of the container, whose config vars are there as well.

use super::during;
use crate::engine::{InstanceSpec, Result};
use pvdify_builder::{podman::Libpod, trust};
use pvdify_types::{Binding, InstanceId, binding};
use std::collections::BTreeMap;

/// Where bindings are, and the variable that says so.
const ROOT: &str = "/bindings";
const ROOT_VARIABLE: &str = "SERVICE_BINDING_ROOT";
/// The bundle of all that is trusted; not below the root, where each folder is a binding.
const CA_FILE: &str = "/.pvdify/ca.crt";
/// How each client is told of it.
const CA_VARIABLES: [&str; 5] = [
    "SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
];
/// Where images have what they trust.
const IMAGE_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
const MAX_BUNDLE: usize = 8 << 20;

/// Adds the variables to a container's; a config var that says where certificates are is left as it is.
pub(super) fn tell(bindings: &[Binding], env: &mut BTreeMap<String, String>) {
    if bindings.is_empty() {
        return;
    }
    env.insert(ROOT_VARIABLE.to_owned(), ROOT.to_owned());
    if bindings.iter().any(Binding::has_certificates) {
        for name in CA_VARIABLES {
            env.entry(name.to_owned()).or_insert_with(|| CA_FILE.to_owned());
        }
    }
}

/// Puts the files into a container that is not started yet.
pub(super) async fn put(libpod: &Libpod, container: &InstanceId, spec: &InstanceSpec) -> Result<()> {
    let bindings = &spec.bindings;
    if bindings.is_empty() {
        return Ok(());
    }
    let bundle = if bindings.iter().any(Binding::has_certificates) {
        let own = libpod
            .read_file(container.as_str(), IMAGE_BUNDLE, MAX_BUNDLE)
            .await;
        let own = own.map_err(during("read what the image trusts"))?;
        binding::bundle(bindings, || own.unwrap_or_else(trust::of_host))
    } else {
        None
    };
    let put = libpod
        .put_read_only(container.as_str(), &files(bindings, bundle.as_deref()))
        .await;
    put.map_err(during("put bindings"))
}

/// Each file's path and what is in it.
fn files<'a>(bindings: &'a [Binding], bundle: Option<&'a [u8]>) -> Vec<(String, &'a [u8])> {
    let mut files = Vec::new();
    for binding in bindings {
        let path = |name: &str| format!("{ROOT}/{}/{name}", binding.name());
        files.extend(binding.files().map(|(name, bytes)| (path(name), bytes)));
    }
    files.extend(bundle.map(|bundle| (CA_FILE.to_owned(), bundle)));
    files
}
