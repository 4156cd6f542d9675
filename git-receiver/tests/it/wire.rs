//! The protocol by hand: requests and packs, byte by byte, and sending them through the real ssh.

use crate::{client::Said, rig::Rig};
use std::io::Write;

pub(crate) const CAPABILITIES: &str = " report-status side-band-64k object-format=sha1";
pub(crate) const NULL: &str = "0000000000000000000000000000000000000000";

/// One command, its capabilities, and the flush after it.
pub(crate) fn command_line(old: &str, new: &str, name: &str, capabilities: &str) -> Vec<u8> {
    let line = format!("{old} {new} {name}\0{capabilities}\n");
    format!("{:04x}{line}0000", line.len() + 4).into_bytes()
}

/// A commit, and the pack of all its history.
pub(crate) async fn commit_and_pack(rig: &Rig) -> (String, Vec<u8>) {
    rig.client.init().await;
    rig.client.write("a", "content\n".repeat(100));
    let commit = rig.client.commit("one").await;
    (commit, pack(rig, b"HEAD\n").await)
}

pub(crate) async fn pack(rig: &Rig, revisions: &[u8]) -> Vec<u8> {
    rig.client
        .git_with_input(&["pack-objects", "--revs", "--stdout", "-q"], revisions)
        .await
        .must()
        .raw
}

pub(crate) async fn send(rig: &Rig, input: &[u8]) -> Said {
    rig.client
        .ssh_with_input(&["git-receive-pack '/demo.git'"], input)
        .await
}

/// A pack's entry header: kind, then the size in base 128.
pub(crate) fn entry(kind: u8, mut size: u64) -> Vec<u8> {
    let mut out = vec![(kind << 4) | (size & 15) as u8];
    size >>= 4;
    while size > 0 {
        *out.last_mut().unwrap() |= 0x80;
        out.push((size & 127) as u8);
        size >>= 7;
    }
    out
}

/// An ofs-delta's distance back to its base.
pub(crate) fn offset(mut distance: u64) -> Vec<u8> {
    let mut out = vec![(distance & 127) as u8];
    while distance >> 7 > 0 {
        distance = (distance >> 7) - 1;
        out.insert(0, 0x80 | (distance & 127) as u8);
    }
    out
}

pub(crate) fn zlib(data: &[u8]) -> Vec<u8> {
    // Stored blocks: no compressor is needed to make a valid stream.
    let mut out = vec![0x78, 0x01];
    for (index, chunk) in data.chunks(0xffff).enumerate() {
        let last = u8::from((index + 1) * 0xffff >= data.len());
        let length = u16::try_from(chunk.len()).unwrap();
        out.push(last);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(chunk);
    }
    let (mut a, mut b) = (1u32, 0u32);
    for byte in data {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    out.write_all(&((b << 16) | a).to_be_bytes()).unwrap();
    out
}

/// An object as a pack holds it.
pub(crate) fn packed(kind: u8, content: &[u8]) -> Vec<u8> {
    let mut out = entry(kind, content.len() as u64);
    out.extend_from_slice(&zlib(content));
    out
}

pub(crate) fn pack_of(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut pack = b"PACK\0\0\0\x02".to_vec();
    pack.extend_from_slice(&u32::try_from(entries.len()).unwrap().to_be_bytes());
    entries.iter().for_each(|entry| pack.extend_from_slice(entry));
    sealed(pack)
}

pub(crate) fn sealed(mut pack: Vec<u8>) -> Vec<u8> {
    let hash = sha1(&pack);
    pack.extend_from_slice(&hash);
    pack
}

pub(crate) fn sha1(data: &[u8]) -> [u8; 20] {
    let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
    hasher.update(data);
    hasher.try_finalize().unwrap().as_slice().try_into().unwrap()
}

/// The id of an object of this kind with this content.
pub(crate) fn object_id(kind: &str, content: &[u8]) -> [u8; 20] {
    let mut whole = format!("{kind} {}\0", content.len()).into_bytes();
    whole.extend_from_slice(content);
    sha1(&whole)
}
