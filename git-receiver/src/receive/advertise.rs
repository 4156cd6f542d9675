//! The first thing a pusher's git reads: our refs, and what we can do (gitprotocol-pack, version 0).

use super::{pktline, refs::Refs};
use gix::ObjectId;

/// Not offered on purpose: `push-options` (nothing reads them), `push-cert` (identity is the SSH key's),
/// `quiet` (the build's output is the point).
const CAPABILITIES: &str = concat!(
    "report-status report-status-v2 delete-refs side-band-64k ofs-delta atomic object-format=sha1 agent=pvdify/",
    env!("CARGO_PKG_VERSION")
);

/// All refs, the capabilities behind the first; an empty repository names none but still has them to say.
pub(crate) fn advertisement(refs: &Refs) -> Vec<u8> {
    let mut out = Vec::new();
    let mut capabilities = Some(CAPABILITIES);
    let mut line = |id: ObjectId, name: &[u8]| {
        let mut text = format!("{id} ").into_bytes();
        text.extend_from_slice(name);
        if let Some(capabilities) = capabilities.take() {
            text.push(0);
            text.extend_from_slice(capabilities.as_bytes());
        }
        text.push(b'\n');
        pktline::push(&mut out, &text);
    };
    for (name, id) in refs.iter() {
        line(id, name);
    }
    if refs.iter().next().is_none() {
        line(ObjectId::null(gix::hash::Kind::Sha1), b"capabilities^{}");
    }
    out.extend_from_slice(pktline::FLUSH);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_stand_behind_the_first_line_only() {
        let empty = String::from_utf8(advertisement(&Refs::default())).unwrap();
        assert!(empty.contains(" capabilities^{}\0report-status "), "{empty}");
        let mut refs = Refs::default();
        let id = ObjectId::empty_tree(gix::hash::Kind::Sha1);
        refs.set("refs/heads/a".into(), id);
        refs.set("refs/heads/b".into(), id);
        let text = String::from_utf8(advertisement(&refs)).unwrap();
        assert_eq!(text.matches("report-status ").count(), 1);
        assert!(text.ends_with(&format!("003a{id} refs/heads/b\n0000")), "{text}");
    }
}
