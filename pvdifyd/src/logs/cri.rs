//! One line of the Kubernetes (CRI) log format that conmon writes with the `k8s-file` driver:
//! `<RFC 3339 time> <stdout|stderr> <P|F> <content>`. `P` is a part whose line goes on.

use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

/// Which of its two outputs a process wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Out,
    Err,
}

/// A parsed line; the content is as the process wrote it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) time: OffsetDateTime,
    pub(super) stream: Stream,
    pub(super) partial: bool,
    pub(super) content: &'a [u8],
}

/// Reads a line without its line end; `None` when it is not of this format.
pub(super) fn parse(line: &[u8]) -> Option<Entry<'_>> {
    let mut fields = line.splitn(4, |byte| *byte == b' ');
    let time = std::str::from_utf8(fields.next()?).ok()?;
    let time = OffsetDateTime::parse(time, &Rfc3339)
        .ok()?
        .to_offset(UtcOffset::UTC);
    let stream = match fields.next()? {
        b"stdout" => Stream::Out,
        b"stderr" => Stream::Err,
        _ => return None,
    };
    let partial = match fields.next()? {
        b"P" => true,
        b"F" => false,
        _ => return None,
    };
    let content = fields.next().unwrap_or_default();
    Some(Entry {
        time,
        stream,
        partial,
        content,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_and_what_is_none() {
        let entry = parse(b"2026-11-23T12:47:31.729869184+00:00 stderr P a  b ").unwrap();
        assert_eq!(
            (entry.stream, entry.partial, entry.content),
            (Stream::Err, true, &b"a  b "[..])
        );
        assert_eq!(entry.time.nanosecond(), 729_869_184);
        assert_eq!(parse(b"2026-11-23T12:47:31Z stdout F ").unwrap().content, b"");
        for bad in [
            &b""[..],
            b"hello",
            b"2026-11-23T12:47:31Z stdin F x",
            b"2026-11-23T12:47:31Z stdout X x",
        ] {
            assert_eq!(parse(bad), None);
        }
    }
}
