//! Which CA bundle a build or an app is given: the server's, the host's own, and the certificates that an app was
//! bound to.

use crate::BuildError;
use pvdify_types::{Binding, binding};
use std::{fs, path::Path};

/// Where distributions keep the bundle made of all that a host trusts.
const PLACES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What this host trusts; empty where it has no bundle.
#[must_use]
pub fn of_host() -> Vec<u8> {
    let mut read = PLACES.iter().filter_map(|place| fs::read(place).ok());
    read.next().unwrap_or_default()
}

/// What a build trusts; `None`: what its image does.
pub(crate) fn of_build(build_ca: Option<&Path>, bindings: &[Binding]) -> Result<Option<Vec<u8>>, BuildError> {
    let Some(path) = build_ca else {
        return Ok(binding::bundle(bindings, of_host));
    };
    let own = fs::read(path).map_err(|error| {
        BuildError::unavailable(format!("the build CA {} can't be read: {error}", path.display()))
    })?;
    Ok(Some(binding::bundle(bindings, || own.clone()).unwrap_or(own)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";

    #[test]
    fn a_build_trusts_the_servers_bundle_or_the_hosts_and_what_it_is_bound_to() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("own.crt");
        fs::write(&own, "own\n").unwrap();
        let entries = [("ca".parse().unwrap(), PEM.as_bytes().to_vec())].into();
        let kind = "ca-certificates".parse().unwrap();
        let bound = [Binding::new("ca".parse().unwrap(), kind, None, entries).unwrap()];
        assert_eq!(of_build(None, &[]).unwrap(), None);
        assert_eq!(of_build(Some(&own), &[]).unwrap().unwrap(), b"own\n");
        let both = of_build(Some(&own), &bound).unwrap().unwrap();
        assert_eq!(String::from_utf8(both).unwrap(), format!("own\n{PEM}\n"));
        let hosts = of_build(None, &bound).unwrap().unwrap();
        assert!(hosts.starts_with(&of_host()) && hosts.ends_with(format!("{PEM}\n").as_bytes()));
        let error = of_build(Some(&dir.path().join("gone")), &bound).unwrap_err();
        assert!(error.to_string().contains("can't be read"), "{error}");
    }
}
