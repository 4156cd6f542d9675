//! pkt-lines (gitprotocol-common): four hex digits of length, themselves included, then the data.

use std::io::{self, Read};

/// The longest packet: git's `LARGE_PACKET_MAX`.
pub(crate) const MAX_PACKET: usize = 65_520;
/// The data of one packet of a side-band: without the four digits and the band's byte.
pub(crate) const MAX_BAND_DATA: usize = MAX_PACKET - 5;
/// Ends a section.
pub(crate) const FLUSH: &[u8] = b"0000";

/// One packet as read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet {
    Data(Vec<u8>),
    Flush,
}

/// Reads one packet and no byte beyond it: a pack may follow. A line of text loses its line end.
pub(crate) fn read(input: &mut impl Read) -> io::Result<Packet> {
    let mut digits = [0; 4];
    input.read_exact(&mut digits)?;
    let length = std::str::from_utf8(&digits)
        .ok()
        .filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))
        .and_then(|text| usize::from_str_radix(text, 16).ok());
    match length {
        Some(0) => Ok(Packet::Flush),
        Some(length @ 4..=MAX_PACKET) => {
            let mut data = vec![0; length - 4];
            input.read_exact(&mut data)?;
            if data.last() == Some(&b'\n') {
                data.pop();
            }
            Ok(Packet::Data(data))
        }
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("bad line length {:?}", String::from_utf8_lossy(&digits)),
        )),
    }
}

/// Appends one packet. `data` is at most [`MAX_PACKET`] less four bytes; all callers bound what they pass.
pub(crate) fn push(out: &mut Vec<u8>, data: &[u8]) {
    debug_assert!(data.len() <= MAX_PACKET - 4);
    out.extend_from_slice(format!("{:04x}", data.len() + 4).as_bytes());
    out.extend_from_slice(data);
}

/// Appends `data` on a side-band, in as many packets as it takes; none for no data.
pub(crate) fn push_band(out: &mut Vec<u8>, band: u8, data: &[u8]) {
    for chunk in data.chunks(MAX_BAND_DATA) {
        out.extend_from_slice(format!("{:04x}", chunk.len() + 5).as_bytes());
        out.push(band);
        out.extend_from_slice(chunk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_reads_back_and_no_byte_more() {
        let mut wire = Vec::new();
        push(&mut wire, b"hello\n");
        push(&mut wire, b"");
        wire.extend_from_slice(FLUSH);
        wire.extend_from_slice(b"PACK");
        let mut input = &wire[..];
        assert_eq!(read(&mut input).unwrap(), Packet::Data(b"hello".to_vec()));
        assert_eq!(read(&mut input).unwrap(), Packet::Data(Vec::new()));
        assert_eq!(read(&mut input).unwrap(), Packet::Flush);
        assert_eq!(input, b"PACK");
    }

    #[test]
    fn a_bad_length_is_an_error_and_no_panic() {
        for wire in [
            &b"0001"[..],
            b"0002",
            b"0003",
            b"fff1x",
            b"zzzz",
            b"+004",
            b"00",
            b"",
            b"\xff\xff\xff\xff",
            b"0010abc",
        ] {
            assert!(read(&mut &wire[..]).is_err(), "{wire:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut_into_packets_that_git_takes() {
        let mut wire = Vec::new();
        push_band(&mut wire, 2, &vec![b'x'; MAX_BAND_DATA + 1]);
        assert_eq!(&wire[..5], b"fff0\x02");
        assert_eq!(&wire[MAX_PACKET..], b"0006\x02x");
    }
}
