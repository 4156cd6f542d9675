//! What Podman says of a failed build, in words for the person who pushed. Pure.

use crate::BuildError;

/// Where the build was when it failed.
pub(crate) struct Place {
    pub(crate) line: usize,
    /// The instruction, on one line.
    pub(crate) text: String,
    /// Its last lines of output.
    pub(crate) tail: Vec<String>,
}

/// Whether something that the build relied on was removed by another user of Podman's storage, which a second
/// try does not meet again.
pub(crate) fn storage_changed(message: &str) -> bool {
    const SIGNS: [&str; 4] = [
        "copier subprocess: changing to intended-new-root directory",
        "layer not known",
        "image not known",
        "container not known",
    ];
    // A command that ran and failed is at fault itself, whatever its text holds; so is an unknown base image.
    const NOT: [&str; 3] = ["while running runtime: ", "initializing source ", "short-name \""];
    let cause = without_step(message);
    SIGNS.iter().any(|sign| cause.contains(sign)) && !NOT.iter().any(|other| message.contains(other))
}

/// The message behind the instruction that it quotes.
fn without_step(message: &str) -> &str {
    message.split_once("\": ").map_or(message, |(_, rest)| rest)
}

/// Turns Podman's error into ours.
pub(crate) fn explain(message: &str, place: Option<&Place>, memory_bytes: u64) -> BuildError {
    let message = message.trim();
    if storage_changed(message) {
        return BuildError::Unavailable(
            "Podman's storage changed during the build: another program removes images there. Push again"
                .to_owned(),
        );
    }
    if is_disk_full(message) {
        return disk_full();
    }
    let cause = cause(message, memory_bytes);
    let Some(place) = place else {
        return BuildError::Refused(format!("the build failed: {cause}"));
    };
    let mut text = format!(
        "Dockerfile line {}: {}: {cause}",
        place.line,
        shortened(&place.text)
    );
    // Only a command's own output helps; of the others it is Podman's progress.
    if place.text.starts_with("RUN ") && !place.tail.is_empty() {
        text.push_str("\nIts last output:");
        for line in &place.tail {
            text.push_str("\n  ");
            text.push_str(line);
        }
    }
    BuildError::Refused(text)
}

/// Whether Podman found a disk full, or our registry told it so.
pub(crate) fn is_disk_full(message: &str) -> bool {
    const SIGNS: [&str; 2] = ["no space left on device", "507 Insufficient Storage"];
    SIGNS.iter().any(|sign| message.contains(sign))
}

/// For whoever pushed, wherever the full disk was met.
pub(crate) fn disk_full() -> BuildError {
    BuildError::Unavailable(
        "the server's disk is full: nothing was changed. Free space on it and deploy again".to_owned(),
    )
}

// A Dockerfile for other hosts often lies beside a source that needs none.
const WITHOUT: &str = ". With pvdify buildpacks:set the app is built without its Dockerfile";

fn cause(message: &str, memory_bytes: u64) -> String {
    if let Some(image) = between(message, "initializing source docker://", ": ") {
        return unreachable_image(image, message);
    }
    if let Some(image) = between(message, "short-name \"", "\"") {
        return format!(
            "the image {image} is not on this server, and its name says no registry: write it whole, as in docker.io/library/{image}{WITHOUT}"
        );
    }
    if let Some(status) = between(&format!("{message}\n"), "exit status ", "\n") {
        return match status.trim() {
            "137" => format!(
                "it was killed, most likely because the build used more than its {} MiB of memory",
                memory_bytes / 1024 / 1024
            ),
            status => format!("exit status {status}"),
        };
    }
    for marker in ["copier: stat: ", "copier: get: ", "while running runtime: "] {
        if let Some((_, rest)) = message.split_once(marker) {
            return without_host_paths(rest);
        }
    }
    without_host_paths(without_step(message))
}

/// One line for the many ways in which a registry does not give an image.
fn unreachable_image(image: &str, message: &str) -> String {
    let image = image.trim_start_matches("//");
    let lower = message.to_ascii_lowercase();
    let why =
        if lower.contains("unauthorized") || lower.contains("denied") || lower.contains("authentication") {
            "it is private or does not exist"
        } else if lower.contains("manifest unknown") || lower.contains("not found") {
            "its registry does not have it"
        } else if lower.contains("no such host") || lower.contains("server misbehaving") {
            "its registry's host name is not known"
        } else if lower.contains("x509") || lower.contains("certificate") {
            "its registry's certificate is not trusted"
        } else {
            "its registry can't be reached"
        };
    format!("the image {image} can't be fetched: {why}{WITHOUT}")
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

/// Podman's temporary folders mean nothing to the person.
fn without_host_paths(text: &str) -> String {
    let words: Vec<&str> = text
        .split_whitespace()
        .filter(|word| !word.contains("/var/tmp/") && !word.contains("/libpod_builder"))
        .collect();
    words.join(" ")
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_says_where_and_why() {
        let place = |text: &str, tail: &[&str]| Place {
            line: 4,
            text: text.to_owned(),
            tail: tail.iter().map(|line| (*line).to_owned()).collect(),
        };
        let show =
            |message: &str, place: Option<Place>| explain(message, place.as_ref(), 1 << 30).to_string();
        let all = [
            show(
                "building at STEP \"RUN false\": while running runtime: exit status 1\n",
                Some(place("RUN false", &[])),
            ),
            show(
                "building at STEP \"RUN make\": while running runtime: exit status 2\n",
                Some(place("RUN make", &["a", "b"])),
            ),
            show(
                "building at STEP \"RUN x\": while running runtime: exit status 137",
                Some(place("RUN x", &[])),
            ),
            show(
                "building at STEP \"COPY nothere /x\": checking on sources under \"/var/tmp/libpod_builder35/build\": copier: stat: \"/nothere\": no such file or directory\n",
                Some(place("COPY nothere /x", &["Trying to pull"])),
            ),
            show(
                "creating build container: initializing source docker://no.invalid/x:1: pinging container registry no.invalid: Get \"https://no.invalid/v2/\": dial tcp: lookup no.invalid on 10.0.0.53:53: no such host\n",
                Some(place("FROM no.invalid/x:1", &[])),
            ),
            show(
                "creating build container: initializing source docker://a/x:1: reading manifest 1 in docker.io/a/x: requested access to the resource is denied",
                Some(place("FROM a/x:1", &[])),
            ),
            show(
                "creating build container: short-name \"foo\" did not resolve to an alias and no unqualified-search registries are defined in \"/etc/containers/registries.conf\"\n",
                Some(place("FROM foo", &[])),
            ),
            show("writing: no space left on device", None),
            show("something new", None),
        ];
        insta::assert_snapshot!(all.join("\n"), @r#"
        Dockerfile line 4: RUN false: exit status 1
        Dockerfile line 4: RUN make: exit status 2
        Its last output:
          a
          b
        Dockerfile line 4: RUN x: it was killed, most likely because the build used more than its 1024 MiB of memory
        Dockerfile line 4: COPY nothere /x: "/nothere": no such file or directory
        Dockerfile line 4: FROM no.invalid/x:1: the image no.invalid/x:1 can't be fetched: its registry's host name is not known. With pvdify buildpacks:set the app is built without its Dockerfile
        Dockerfile line 4: FROM a/x:1: the image a/x:1 can't be fetched: it is private or does not exist. With pvdify buildpacks:set the app is built without its Dockerfile
        Dockerfile line 4: FROM foo: the image foo is not on this server, and its name says no registry: write it whole, as in docker.io/library/foo. With pvdify buildpacks:set the app is built without its Dockerfile
        the server's disk is full: nothing was changed. Free space on it and deploy again
        the build failed: something new
        "#);
    }

    #[test]
    fn a_full_disk_is_told_wherever_podman_met_it() {
        for message in [
            "reading blob sha256:66: write /srv/run/podman-tmp/9298: no space left on device",
            "writing blob: uploading layer chunked: received unexpected HTTP status: 507 Insufficient Storage",
        ] {
            let error = BuildError::from(crate::podman::PodmanError::Refused {
                status: http::StatusCode::INTERNAL_SERVER_ERROR,
                cause: String::new(),
                message: message.to_owned(),
            });
            assert_eq!(error, disk_full(), "{message}");
        }
    }

    #[test]
    fn only_a_storage_that_changed_is_worth_a_second_build() {
        let table = [
            (
                "building at STEP \"COPY server version /\": copier subprocess: changing to intended-new-root directory \"/var/lib/containers/storage/overlay/1/merged\": chdir: no such file or directory",
                true,
            ),
            (
                "committing container for step {Env:[] Command:run}: copying layers and metadata: layer not known",
                true,
            ),
            (
                "creating build container: locating image \"a64a\": image not known",
                true,
            ),
            (
                "building at STEP \"COPY a /\": mounting new container: container not known",
                true,
            ),
            // What people write and what their commands end with is no sign.
            (
                "building at STEP \"RUN echo layer not known\": while running runtime: exit status 1",
                false,
            ),
            (
                "building at STEP \"RUN x\": while running runtime: exit status 1: image not known",
                false,
            ),
            (
                "building at STEP \"COPY image not known\": copier: stat: \"/image\": no such file or directory",
                false,
            ),
            (
                "creating build container: initializing source docker://a/x:1: image not known",
                false,
            ),
            (
                "creating build container: short-name \"foo\" did not resolve: image not known",
                false,
            ),
            ("writing: no space left on device", false),
        ];
        for (message, expected) in table {
            assert_eq!(storage_changed(message), expected, "{message}");
        }
        let twice = explain("layer not known", None, 1);
        assert!(matches!(twice, BuildError::Unavailable(text) if text.ends_with("Push again")));
    }
}
