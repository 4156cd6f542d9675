//! What an image's config says about running it. Pure.

use crate::config::MIB;
use oci_spec::image::{Arch, ImageConfiguration, ImageManifest, Os};

/// The config's facts that the control plane and the import need.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The one TCP port that the image exposes; `None` for none and for several.
    pub(crate) exposed_port: Option<u16>,
    /// `linux/amd64`
    pub(crate) platform: String,
    /// Whether it has an entry point or a command.
    pub(crate) has_command: bool,
}

/// Reads an image's config.
pub(crate) fn read(json: &[u8]) -> Result<Facts, String> {
    let config: ImageConfiguration = serde_json::from_slice(json)
        .map_err(|error| format!("the image's config is not understood: {error}"))?;
    let exposed = config
        .config()
        .as_ref()
        .and_then(|config| config.exposed_ports().as_ref());
    let mut ports = exposed.into_iter().flatten().filter_map(|port| tcp_port(port));
    let exposed_port = match (ports.next(), ports.next()) {
        (Some(port), None) => Some(port),
        _ => None,
    };
    let section = config.config().as_ref();
    let is_given = |words: Option<&Vec<String>>| words.is_some_and(|words| !words.is_empty());
    let has_command = section
        .is_some_and(|section| is_given(section.entrypoint().as_ref()) || is_given(section.cmd().as_ref()));
    Ok(Facts {
        exposed_port,
        has_command,
        platform: platform(config.os(), config.architecture()),
    })
}

/// Refuses an image whose manifest announces more than `limit` bytes.
pub(crate) fn check_size(manifest: &[u8], limit: u64) -> Result<(), String> {
    let manifest: ImageManifest = serde_json::from_slice(manifest)
        .map_err(|error| format!("the image's manifest is not understood: {error}"))?;
    let blobs = std::iter::once(manifest.config()).chain(manifest.layers());
    let size = blobs.fold(0_u64, |sum, blob| sum.saturating_add(blob.size()));
    if size <= limit {
        return Ok(());
    }
    Err(format!(
        "the image has {} MiB, the most this server takes is {} MiB: make it smaller",
        size.div_ceil(MIB),
        limit / MIB
    ))
}

/// `8080`, `8080/tcp`; not `53/udp`.
fn tcp_port(text: &str) -> Option<u16> {
    let number = text.strip_suffix("/tcp").unwrap_or(text);
    number.parse().ok().filter(|port| *port != 0)
}

/// As images are named: `linux/amd64`.
pub(crate) fn platform(os: &Os, architecture: &Arch) -> String {
    format!("{os}/{architecture}")
}

/// What this server runs.
pub(crate) fn own_platform() -> String {
    platform(&Os::Linux, &Arch::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_exposed_tcp_port_is_the_port_and_several_are_none() {
        let port = |ports: &str| {
            let json = format!(
                r#"{{"architecture":"amd64","os":"linux","config":{{"ExposedPorts":{ports}}},"rootfs":{{"type":"layers","diff_ids":[]}},"history":[]}}"#
            );
            read(json.as_bytes()).unwrap().exposed_port
        };
        assert_eq!(port(r#"{"8080/tcp":{}}"#), Some(8080));
        assert_eq!(port(r#"{"80":{}}"#), Some(80));
        assert_eq!(port(r#"{"8080/tcp":{},"53/udp":{}}"#), Some(8080));
        for none in [
            "{}",
            "null",
            r#"{"1/tcp":{},"2/tcp":{}}"#,
            r#"{"53/udp":{}}"#,
            r#"{"0/tcp":{}}"#,
            r#"{"99999/tcp":{}}"#,
        ] {
            assert_eq!(port(none), None, "{none}");
        }
        assert!(read(b"{").is_err());
    }

    #[test]
    fn an_image_without_config_section_runs_on_its_platform() {
        let json = r#"{"architecture":"arm64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
        let facts = read(json.as_bytes()).unwrap();
        assert_eq!(
            (facts.platform.as_str(), facts.exposed_port),
            ("linux/arm64", None)
        );
        assert!(!facts.has_command);
        assert!(own_platform().starts_with("linux/"));
    }

    #[test]
    fn an_entry_point_or_a_command_is_something_to_run() {
        let has_command = |section: &str| {
            let json = format!(
                r#"{{"architecture":"amd64","os":"linux","config":{section},"rootfs":{{"type":"layers","diff_ids":[]}}}}"#
            );
            read(json.as_bytes()).unwrap().has_command
        };
        for yes in [r#"{"Cmd":["/x"]}"#, r#"{"Entrypoint":["/x"],"Cmd":null}"#] {
            assert!(has_command(yes), "{yes}");
        }
        for no in ["{}", r#"{"Cmd":null}"#, r#"{"Cmd":[],"Entrypoint":[]}"#] {
            assert!(!has_command(no), "{no}");
        }
    }
}
