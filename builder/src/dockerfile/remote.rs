//! What `ADD` fetches from elsewhere: its words, and the host that each names.

use super::{Dockerfile, Instruction};

/// One address that the build fetches.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Remote<'a> {
    /// Of its ADD.
    pub(crate) line: usize,
    /// As it was written.
    pub(crate) word: &'a str,
    /// In lower case, without port and brackets.
    pub(crate) host: String,
}

impl Dockerfile {
    /// Every address of every ADD.
    pub(crate) fn remotes(&self) -> impl Iterator<Item = Remote<'_>> {
        let adds = self
            .instructions
            .iter()
            .filter(|instruction| instruction.keyword == "ADD");
        adds.flat_map(|add| {
            sources(add).filter_map(|word| {
                let authority = authority(&word.to_ascii_lowercase())?;
                let host = name(&authority).to_owned();
                let line = add.line;
                Some(Remote { line, word, host })
            })
        })
    }
}

/// An ADD's words but the last, which is where they go to.
pub(super) fn sources(add: &Instruction) -> impl Iterator<Item = &str> {
    let (_, rest) = add.flags();
    let mut words: Vec<&str> = rest
        .split(|c: char| c.is_whitespace() || matches!(c, '"' | ','))
        .filter(|word| !matches!(*word, "" | "[" | "]"))
        .collect();
    words.pop();
    words.into_iter()
}

/// The host, and perhaps port, of a lower-case word that is an address; `None` for a file of the source.
pub(super) fn authority(lower: &str) -> Option<String> {
    let rest = match lower.split_once("://") {
        Some((_, rest)) => rest,
        None => lower.strip_prefix("git@")?,
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    Some(authority.rsplit('@').next().unwrap_or_default().to_owned())
}

/// The host alone.
pub(super) fn name(authority: &str) -> &str {
    let name = if authority.starts_with('[') {
        authority
            .split_once(']')
            .map_or(authority, |(address, _)| &address[1..])
    } else {
        authority.split(':').next().unwrap_or_default()
    };
    name.trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_is_found_with_its_line_and_host() {
        let text = "FROM x\nADD a.txt https://Example.com:8443/a?b#c /d/\nRUN x\nADD [\"git@git.example.org:a/b\",\"/e\"]\n\
            ADD --chown=1 http://me@[2001:db8::1]:80/x \\\n  ssh://git@h.example./y /z\nCOPY a http://not.example/";
        let read = Dockerfile::parse(text.as_bytes()).unwrap();
        let found: Vec<_> = read
            .remotes()
            .map(|remote| (remote.line, remote.word, remote.host))
            .collect();
        assert_eq!(
            found,
            [
                (2, "https://Example.com:8443/a?b#c", "example.com".to_owned()),
                (4, "git@git.example.org:a/b", "git.example.org".to_owned()),
                (5, "http://me@[2001:db8::1]:80/x", "2001:db8::1".to_owned()),
                (5, "ssh://git@h.example./y", "h.example".to_owned()),
            ]
        );
    }
}
