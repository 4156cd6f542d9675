//! What a build must not do, refused with the line and the way out.
//!
//! Builds run code that is hostile by assumption, on a host that runs other people's apps, with a Buildah
//! that has known holes. Refused: what reads another app's image ([`image`]) or the host's files, what joins
//! the host's network or fetches from it ([`address`]), and what this Buildah would fail on in words that nobody
//! understands.

mod address;
mod image;
mod variables;

pub(crate) use image::Foreign;

use super::{Dockerfile, DockerfileError, Instruction, mount::Mount, remote};
use address::address_refusal;
use image::image_refusal;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};
use variables::{expand, note_defaults};

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
        return remote::sources(instruction).find_map(address_refusal);
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

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn check(text: &str) -> Result<(), String> {
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
}
