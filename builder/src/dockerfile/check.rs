//! What a build must not do, refused with the line and the way out.
//!
//! Builds run code that is hostile by assumption, on a host that runs other people's apps, with a Buildah
//! that has known holes. Refused: what reads another app's image or the host's files, what joins the host's
//! network, and what this Buildah would fail on in words that nobody understands.

use super::{Dockerfile, DockerfileError, Instruction, mount::Mount};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr},
    path::PathBuf,
};

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

impl Dockerfile {
    /// Refuses what must not be built.
    pub(crate) fn check(
        &self,
        links: &BTreeSet<PathBuf>,
        foreign: &Foreign<'_>,
    ) -> Result<(), DockerfileError> {
        let mut stages = Vec::new();
        let mut global = BTreeMap::new();
        for instruction in &self.instructions {
            let refused = match instruction.keyword {
                "ARG" if stages.is_empty() => {
                    note_defaults(&mut global, &instruction.arguments);
                    None
                }
                "FROM" => {
                    let (image, name) = stage(instruction);
                    let expanded = expand(image, &global);
                    let refusal = image_refusal(&expanded, &stages, foreign);
                    stages.push(name.unwrap_or_default());
                    refusal
                }
                "RUN" => run_refusal(instruction, links),
                "COPY" | "ADD" => transfer_refusal(instruction, &stages, foreign),
                "ONBUILD" => {
                    Some("ONBUILD is not supported: write the instruction where it is used".to_owned())
                }
                _ => None,
            };
            if let Some(what) = refused {
                return Err(DockerfileError::new(instruction.line, what));
            }
        }
        Ok(())
    }
}

/// The image a stage begins from, and the name it is given.
fn stage(from: &Instruction) -> (&str, Option<String>) {
    let (_, rest) = from.flags();
    let words: Vec<&str> = rest.split_whitespace().collect();
    let name = match words.as_slice() {
        [_, keyword, name] if keyword.eq_ignore_ascii_case("as") => Some(name.to_ascii_lowercase()),
        _ => None,
    };
    (words.first().copied().unwrap_or_default(), name)
}

fn run_refusal(run: &Instruction, links: &BTreeSet<PathBuf>) -> Option<String> {
    let (flags, command) = run.flags();
    for flag in flags {
        if let Some(mount) = Mount::parse(flag) {
            if let Some(refusal) = mount.refusal(links) {
                return Some(refusal);
            }
        } else if !matches!(flag, "--network=none" | "--network=default") {
            return Some(format!("RUN {flag} is not allowed: remove it"));
        }
    }
    heredoc(command).then(|| {
        "here-documents (<<) are not supported: join the commands with && \\, or put them in a script file and COPY it"
            .to_owned()
    })
}

fn transfer_refusal(instruction: &Instruction, stages: &[String], foreign: &Foreign<'_>) -> Option<String> {
    let (flags, rest) = instruction.flags();
    for flag in flags {
        if let Some(image) = flag.strip_prefix("--from=") {
            if image.contains('$') {
                return Some("COPY --from= takes a stage's name or an image, without variables".to_owned());
            }
            let is_index = image.parse::<usize>().is_ok_and(|index| index < stages.len());
            if !is_index && let Some(refusal) = image_refusal(image, stages, foreign) {
                return Some(refusal);
            }
        }
    }
    if heredoc(rest) {
        return Some(format!(
            "here-documents (<<) are not supported: put the content in a file and {} it",
            instruction.keyword
        ));
    }
    if instruction.keyword == "ADD" {
        // The last is where it goes to.
        let mut words: Vec<&str> = rest
            .split(|c: char| c.is_whitespace() || matches!(c, '"' | ','))
            .filter(|word| !matches!(*word, "" | "[" | "]"))
            .collect();
        words.pop();
        return words.into_iter().find_map(address_refusal);
    }
    None
}

/// Whether a word begins a here-document, as BuildKit reads it. A JSON command has none.
fn heredoc(command: &str) -> bool {
    let begins = |word: &str| {
        let word = word.trim_start_matches(|c: char| c.is_ascii_digit());
        let name = word
            .strip_prefix("<<")
            .map(|rest| rest.trim_start_matches(['-', '"', '\'']));
        name.is_some_and(|name| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'))
    };
    !command.starts_with('[') && command.split_whitespace().any(begins)
}

fn image_refusal(image: &str, stages: &[String], foreign: &Foreign<'_>) -> Option<String> {
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

/// Why a file may not be fetched from there.
fn address_refusal(word: &str) -> Option<String> {
    let lower = word.to_ascii_lowercase();
    let rest = match lower.split_once("://") {
        Some((_, rest)) => rest,
        None => match lower.strip_prefix("git@") {
            Some(rest) => rest,
            None => return hidden_address(word),
        },
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    (host.contains(['$', '\\']) || host_is_private(host)).then(|| {
        format!("ADD {word} is not allowed: files are fetched from public addresses only; use RUN with curl instead")
    })
}

/// A variable that could make an address of what is none yet.
fn hidden_address(word: &str) -> Option<String> {
    let (before, _) = word.split_once('$')?;
    let before = before.to_ascii_lowercase();
    ["http://", "https://", "git://", "git@", "ssh://"]
        .iter()
        .any(|scheme| scheme.starts_with(&before))
        .then(|| format!("ADD {word} may be any address: write it out, or use COPY for a file of the source"))
}

/// Whether a host, perhaps with a port, is this machine, its private network or its cloud's metadata service.
fn host_is_private(host: &str) -> bool {
    let name = if host.starts_with('[') {
        host.split_once(']').map_or(host, |(address, _)| &address[1..])
    } else {
        host.split(':').next().unwrap_or_default()
    };
    let name = name.trim_end_matches('.');
    match name.parse::<IpAddr>() {
        Ok(IpAddr::V4(v4)) => !is_public_v4(v4),
        Ok(IpAddr::V6(v6)) => !is_public_v6(v6),
        // 0x7f.1, 2130706433: other spellings of an address, which no name of a host is.
        Err(_) => {
            let last = name.rsplit('.').next().unwrap_or_default();
            let numeric =
                last.starts_with("0x") || (!last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()));
            numeric
                || name == "localhost"
                || [".localhost", ".internal", ".local"]
                    .iter()
                    .any(|end| name.ends_with(end))
        }
    }
}

fn is_public_v4(v4: std::net::Ipv4Addr) -> bool {
    let shared = v4.octets()[0] == 100 && (64..128).contains(&v4.octets()[1]);
    !(v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified() || shared)
}

fn is_public_v6(v6: Ipv6Addr) -> bool {
    match v6.to_ipv4() {
        // An address that holds an IPv4 address goes where that one goes.
        Some(v4) => is_public_v4(v4) && !v6.is_loopback(),
        None => !(v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_unspecified()),
    }
}

/// Takes the defaults of `ARG a=1 b="2"`.
fn note_defaults(global: &mut BTreeMap<String, String>, arguments: &str) {
    for word in arguments.split_whitespace() {
        if let Some((name, value)) = word.split_once('=') {
            let value = expand(value.trim_matches(['"', '\'']), global);
            global.insert(name.to_owned(), value);
        }
    }
}

/// Puts in `$name`, `${name}` and `${name:-default}` where known; what is not known stays.
fn expand(text: &str, known: &BTreeMap<String, String>) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let (name, default, tail) =
            if let Some((inner, tail)) = after.strip_prefix('{').and_then(|braced| braced.split_once('}')) {
                let (name, default) = inner
                    .split_once(":-")
                    .map_or((inner, None), |(n, d)| (n, Some(d)));
                (name, default, tail)
            } else {
                let end = after
                    .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                    .unwrap_or(after.len());
                (&after[..end], None, &after[end..])
            };
        match known
            .get(name)
            .filter(|value| !value.is_empty())
            .map(String::as_str)
            .or(default)
        {
            Some(value) => expanded.push_str(value),
            None => {
                expanded.push('$');
                expanded.push_str(name);
            }
        }
        rest = tail;
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), String> {
        let foreign = Foreign {
            registry: "127.0.0.1:5000",
            local_prefix: "localhost/pvdify-build/",
        };
        let links = BTreeSet::from([PathBuf::from("link")]);
        let read = Dockerfile::parse(text.as_bytes()).unwrap();
        read.check(&links, &foreign).map_err(|error| error.to_string())
    }

    #[test]
    fn ordinary_dockerfiles_pass() {
        for text in [
            "FROM pvdify/run:trixie\nRUN apt-get update && x <<<y; echo $((1<<2))",
            "FROM scratch\nCOPY a /b",
            "ARG V=3\nARG N\nFROM node:${V:-1} AS build\nFROM x:${N:-y}\nCOPY --from=build /a /b\nCOPY --from=0 /a /b\nCOPY --from=nginx:1 /a /b",
            "FROM x\nRUN --mount=type=cache,target=/root/.npm,sharing=locked npm ci\nRUN --mount=type=bind,source=pkg,target=/p --network=none ls",
            "FROM x\nRUN [\"sh\", \"-c\", \"cat <<EOF\"]\nADD https://example.com/a.tgz /a\nADD file.tar /",
            "FROM docker.io/library/dead:1\nFROM quay.io/a/b@sha256:00",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_reaches_out_of_the_build_is_refused_with_its_line() {
        let refused = |lines: &[&str]| -> String {
            let show = |line: &&str| check(&format!("FROM a/b AS s\n{line}")).unwrap_err();
            lines.iter().map(show).collect::<Vec<_>>().join("\n")
        };
        insta::assert_snapshot!(refused(&[
            "RUN --mount=type=bind,from=other,source=/,target=/x ls",
            "RUN --mount=type=cache,from=other,target=/x ls",
            "RUN --mount=type=ssh git clone",
            "RUN --mount=type=bind,source=.,target=/x,bind-propagation=rshared ls",
            "RUN --mount=source=link/deep,target=/x ls",
            "RUN --mount=type=bind,src=../..,target=/x ls",
            "RUN --mount=type=bind,src=$A,target=/x ls",
            "RUN --mount=type=cache,id=$A,target=/x ls",
            "RUN --mount=type=devpts,target=/x ls",
            "RUN --network=host curl",
            "RUN --security=insecure x",
            "RUN cat <<EOF > /x",
            "RUN <<-'EOF'",
            "COPY <<EOF /x",
            "ONBUILD RUN x",
        ]), @r#"
        Dockerfile line 2: a mount from= another image is not allowed: use COPY --from= instead
        Dockerfile line 2: a mount from= another image is not allowed: use COPY --from= instead
        Dockerfile line 2: RUN --mount=type=ssh is not supported: there is no SSH agent in a build
        Dockerfile line 2: bind-propagation is not allowed: remove it from the mount
        Dockerfile line 2: the bind mount's source "link/deep" is not a plain path in the source: use COPY instead
        Dockerfile line 2: the bind mount's source "../.." is not a plain path in the source: use COPY instead
        Dockerfile line 2: a mount is plain text, without variables, quotes and backslashes
        Dockerfile line 2: a mount is plain text, without variables, quotes and backslashes
        Dockerfile line 2: RUN --mount=type=devpts is not supported
        Dockerfile line 2: RUN --network=host is not allowed: remove it
        Dockerfile line 2: RUN --security=insecure is not allowed: remove it
        Dockerfile line 2: here-documents (<<) are not supported: join the commands with && \, or put them in a script file and COPY it
        Dockerfile line 2: here-documents (<<) are not supported: join the commands with && \, or put them in a script file and COPY it
        Dockerfile line 2: here-documents (<<) are not supported: put the content in a file and COPY it
        Dockerfile line 2: ONBUILD is not supported: write the instruction where it is used
        "#);
    }

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

    #[test]
    fn files_are_added_from_public_addresses_only() {
        for source in [
            "git://10.0.0.1/x",
            "git@localhost:x/y",
            "ssh://git@127.0.0.1/x",
            "$URL",
            "${A}tp://10.0.0.1/",
            "http:/$A",
            "http://localh\\ost/",
        ] {
            assert!(check(&format!("FROM x\nADD {source} /b")).is_err(), "{source}");
        }
        assert_eq!(check("FROM x\nADD dist/$V.tar $HOME/x"), Ok(()));
        for host in [
            "169.254.169.254",
            "127.0.0.1:9443",
            "10.0.0.1",
            "localhost",
            "[::1]",
            "[::ffff:10.0.0.1]",
            "0x7f.1",
            "2130706433",
            "me@192.168.1.1",
            "metadata.google.internal",
            "$H",
            "0.0.0.0",
        ] {
            assert!(
                check(&format!("FROM x\nADD http://{host}/a /b")).is_err(),
                "{host}"
            );
            assert!(
                check(&format!("FROM x\nADD [\"HTTPS://{host}/a\",\"/b\"]")).is_err(),
                "{host}"
            );
        }
    }
}
