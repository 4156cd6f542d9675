//! The `--mount=` flag of RUN: its fields, and which of them may reach outside the app's own build.
//!
//! Buildah 1.28, which Debian 12 has, follows a symbolic link in a bind mount's source and a `..` in a cache's
//! id out to the host (CVE-2024-1753, CVE-2024-9675). So sources go through no link, and cache ids are ours.

use std::{
    collections::BTreeSet,
    path::{Component, Path, PathBuf},
};

/// A mount's fields in order; a field without `=` has an empty value.
pub(super) struct Mount<'a>(pub(super) Vec<(&'a str, &'a str)>);

impl<'a> Mount<'a> {
    /// Reads a flag, if it is a mount.
    pub(super) fn parse(flag: &'a str) -> Option<Self> {
        let value = flag.strip_prefix("--mount=")?;
        let fields = value.split(',');
        Some(Self(
            fields
                .map(|field| field.split_once('=').unwrap_or((field, "")))
                .collect(),
        ))
    }

    pub(super) fn field(&self, names: &[&str]) -> Option<&'a str> {
        let mut found = self.0.iter().rev().filter(|(name, _)| names.contains(name));
        found.next().map(|(_, value)| *value)
    }

    pub(super) fn kind(&self) -> &'a str {
        self.field(&["type"]).unwrap_or("bind")
    }

    /// Why this mount is refused, if it is.
    pub(super) fn refusal(&self, links: &BTreeSet<PathBuf>) -> Option<String> {
        // Podman would read another field or path out of them than is read here.
        let is_plain_text = |text: &str| !text.contains(['$', '"', '\'', '\\']);
        if !self
            .0
            .iter()
            .all(|(name, value)| is_plain_text(name) && is_plain_text(value))
        {
            return Some("a mount is plain text, without variables, quotes and backslashes".to_owned());
        }
        if self.field(&["bind-propagation"]).is_some() {
            return Some("bind-propagation is not allowed: remove it from the mount".to_owned());
        }
        if self.field(&["from"]).is_some() {
            return Some("a mount from= another image is not allowed: use COPY --from= instead".to_owned());
        }
        match self.kind() {
            "ssh" => {
                Some("RUN --mount=type=ssh is not supported: there is no SSH agent in a build".to_owned())
            }
            "bind" => {
                let source = self.field(&["source", "src"]).unwrap_or(".");
                (!is_plain(source, links)).then(|| {
                    format!("the bind mount's source {source:?} is not a plain path in the source: use COPY instead")
                })
            }
            "cache" | "secret" | "tmpfs" => None,
            other => Some(format!("RUN --mount=type={other} is not supported")),
        }
    }

    /// What tells this cache from others: its id, else its target.
    pub(super) fn cache_name(&self) -> &'a str {
        self.field(&["id"])
            .or_else(|| self.field(&["target", "dst", "destination"]))
            .unwrap_or_default()
    }
}

/// Whether a path stays in the source and goes through none of its links.
fn is_plain(source: &str, links: &BTreeSet<PathBuf>) -> bool {
    let mut clean = PathBuf::new();
    for part in Path::new(source).components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => return false,
        }
        if links.contains(&clean) {
            return false;
        }
    }
    true
}
