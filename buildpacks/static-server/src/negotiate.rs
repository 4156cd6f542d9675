//! What a request's headers choose: a content coding, and whether what the client has is what there is.

use crate::manifest::Coding;
use std::collections::BTreeMap;

/// The coding to send, or none: of those the client likes most, the smallest.
pub(crate) fn coding(header: Option<&str>, there: &BTreeMap<Coding, u64>) -> Option<Coding> {
    let header = header?;
    // Not named: only if nothing named is liked.
    let plain = quality(header, "identity").unwrap_or(0);
    there
        .iter()
        .filter_map(|(coding, size)| {
            let liked = quality(header, coding.name()).or_else(|| quality(header, "*"))?;
            (liked > 0 && liked >= plain).then_some((1000 - liked, *size, *coding))
        })
        .min()
        .map(|(_, _, coding)| coding)
}

// In thousandths; a name that is not there has none.
fn quality(header: &str, name: &str) -> Option<u32> {
    header.split(',').find_map(|item| {
        let mut parts = item.split(';').map(str::trim);
        let found = parts.next()?;
        let is_it =
            found.eq_ignore_ascii_case(name) || name == "gzip" && found.eq_ignore_ascii_case("x-gzip");
        is_it.then(|| {
            parts
                .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
                .map_or(1000, thousandths)
        })
    })
}

fn thousandths(text: &str) -> u32 {
    let value: f64 = text.trim().parse().unwrap_or(0.0);
    if value.is_finite() {
        (value.clamp(0.0, 1.0) * 1000.0) as u32
    } else {
        0
    }
}

/// Whether a list of `If-None-Match` names `etag` (with its quotes), weakly.
pub(crate) fn names_weakly(list: &str, etag: &str) -> bool {
    list.trim() == "*"
        || list
            .split(',')
            .any(|one| one.trim().trim_start_matches("W/") == etag)
}

/// Whether a list of `If-Match` or the one of `If-Range` names `etag`, strongly: a weak one never does.
pub(crate) fn names_strongly(list: &str, etag: &str) -> bool {
    list.split(',').any(|one| one.trim() == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> BTreeMap<Coding, u64> {
        BTreeMap::from([(Coding::Br, 30), (Coding::Zstd, 35), (Coding::Gzip, 40)])
    }

    #[test]
    fn the_smallest_of_the_most_liked_is_taken() {
        for (header, expected) in [
            ("gzip, deflate, br, zstd", Some(Coding::Br)),
            ("gzip, deflate", Some(Coding::Gzip)),
            ("GZIP", Some(Coding::Gzip)),
            ("x-gzip", Some(Coding::Gzip)),
            ("br;q=0.5, gzip;q=0.8", Some(Coding::Gzip)),
            ("br;q=0, gzip;q=0", None),
            ("br ; q=0.001", Some(Coding::Br)),
            ("*", Some(Coding::Br)),
            ("br;q=0, *", Some(Coding::Zstd)),
            ("identity", None),
            ("gzip;q=0.5, identity;q=1", None),
            ("gzip, identity;q=0", Some(Coding::Gzip)),
            ("deflate", None),
            ("", None),
            ("br;q=nan", None),
            ("br;q=9", Some(Coding::Br)),
            ("brotli", None),
        ] {
            assert_eq!(coding(Some(header), &all()), expected, "{header}");
        }
        assert_eq!(coding(None, &all()), None);
        let only = BTreeMap::from([(Coding::Zstd, 1)]);
        assert_eq!(coding(Some("gzip, br"), &only), None);
    }

    #[test]
    fn a_smaller_file_wins_over_the_usual_order() {
        let there = BTreeMap::from([(Coding::Br, 30), (Coding::Zstd, 25)]);
        assert_eq!(coding(Some("br, zstd"), &there), Some(Coding::Zstd));
    }

    #[test]
    fn etags_are_compared_weakly_for_caches_and_strongly_for_parts() {
        let etag = "\"abc\"";
        assert!(names_weakly("\"abc\"", etag) && names_weakly("\"x\", W/\"abc\"", etag));
        assert!(names_weakly("*", etag) && !names_weakly("\"abd\"", etag) && !names_weakly("abc", etag));
        assert!(names_strongly("\"x\",\"abc\"", etag) && !names_strongly("W/\"abc\"", etag));
        assert!(!names_strongly("Wed, 21 Oct 2015 07:28:00 GMT", etag));
    }
}
