//! Which images a build may start or copy from: those of registries, but of no other app of this host.
//!
//! Podman reads a name in more ways than a person does: as a transport to the host's disk, as the beginning of an
//! image's id, through the registry's other names. What could be any of them is refused.

use super::address::host_is_private;

/// Where images of other apps lie; a build may not start from them.
pub(crate) struct Foreign<'a> {
    /// The own registry, as `127.0.0.1:5000`.
    pub(crate) registry: &'a str,
    /// The prefix of the builder's own tags in Podman's storage.
    pub(crate) local_prefix: &'a str,
}

/// Image names that are read from the host's disk or daemons rather than from a registry.
const TRANSPORTS: [&str; 8] = [
    "containers-storage:",
    "dir:",
    "docker-archive:",
    "docker-daemon:",
    "oci:",
    "oci-archive:",
    "ostree:",
    "sif:",
];

/// Why an image may not be used.
pub(super) fn image_refusal(image: &str, stages: &[String], foreign: &Foreign<'_>) -> Option<String> {
    let lower = image.to_ascii_lowercase();
    if lower == "scratch" || stages.contains(&lower) {
        return None;
    }
    let name = lower.strip_prefix("docker://").unwrap_or(&lower);
    let is_other_apps = name.starts_with(foreign.local_prefix)
        || name.starts_with(foreign.local_prefix.trim_start_matches("localhost/"))
        || name
            .strip_prefix(foreign.registry)
            .is_some_and(|rest| rest.starts_with('/'))
        || is_loopback(name);
    if is_other_apps {
        return Some(format!(
            "{image} belongs to this server's own registry: start from a public image"
        ));
    }
    if TRANSPORTS.iter().any(|transport| name.starts_with(transport)) {
        return Some(format!(
            "{image} is read from the host: start from an image of a registry"
        ));
    }
    // Podman would take a run of hex digits for the beginning of any image's id.
    let is_id = name.len() >= 3
        && name
            .trim_start_matches("sha256:")
            .bytes()
            .all(|b| b.is_ascii_hexdigit());
    if is_id {
        return Some(format!(
            "{image} may be an image id: write the image's whole name, as in docker.io/library/{image}"
        ));
    }
    if image.contains('$') {
        return Some(format!(
            "{image} can't be resolved: give its ARG a default before the first FROM"
        ));
    }
    // Quotes and backslashes would make Podman read another name than the one looked at here.
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@[]".contains(c);
    (!image.chars().all(plain)).then(|| format!("{image} is no image name"))
}

/// A registry of this host under another of its names.
fn is_loopback(name: &str) -> bool {
    let host = name.split('/').next().unwrap_or_default();
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    name.contains('/') && has_port && host_is_private(host)
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;

    #[test]
    fn other_apps_images_and_the_hosts_files_are_refused() {
        for image in [
            "127.0.0.1:5000/other@sha256:00",
            "localhost:5000/other",
            "[::1]:5000/other",
            "docker://127.0.0.1:5000/other",
            "localhost/pvdify-build/other:1",
            "pvdify-build/other:1",
            "oci-archive:/var/backup.tar",
            "containers-storage:x",
            "4e3c6f1b",
            "sha256:4e3c6f1b",
            "$UNKNOWN",
        ] {
            assert!(check(&format!("FROM {image}")).is_err(), "FROM {image}");
            assert!(
                check(&format!("FROM x\nCOPY --from={image} /a /b")).is_err(),
                "COPY {image}"
            );
        }
        for text in [
            "ARG H=127.0.0.1:5000\nFROM $H/other",
            "ARG H=127.0.0.1:5000\nARG I=${H}/other\nFROM $I",
            "FROM 127.0.0.1:50\\00/other",
            "FROM x\nCOPY --from=\"127.0.0.1:5000/other\" /a /b",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
    }
}
