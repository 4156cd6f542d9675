//! `Range` (RFC 9110, 14): which bytes of a file are asked for.

/// More ranges than this in one request are more likely an attack than a reader.
const MOST: usize = 16;

/// What a `Range` header comes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ranges {
    /// All of it: no range, or one that is not understood.
    Whole,
    /// These: first byte and length, in the order asked for.
    Parts(Vec<(u64, u64)>),
    /// None of them is in the file.
    Outside,
}

/// The ranges of `header` in a file of `size` bytes.
pub(crate) fn ranges(header: Option<&str>, size: u64) -> Ranges {
    let Some(list) = header.and_then(|header| unit(header)) else {
        return Ranges::Whole;
    };
    let mut parts = Vec::new();
    for (index, one) in list
        .split(',')
        .map(str::trim)
        .filter(|one| !one.is_empty())
        .enumerate()
    {
        if index == MOST {
            return Ranges::Whole;
        }
        match part(one, size) {
            Some(Some(part)) => parts.push(part),
            Some(None) => {}
            None => return Ranges::Whole,
        }
    }
    if parts.is_empty() {
        return Ranges::Outside;
    }
    // Ranges that overlap ask for more than there is: the whole is less.
    let mut sorted = parts.clone();
    sorted.sort_unstable();
    let overlaps = sorted.windows(2).any(|pair| pair[0].0 + pair[0].1 > pair[1].0);
    if overlaps {
        Ranges::Whole
    } else {
        Ranges::Parts(parts)
    }
}

fn unit(header: &str) -> Option<&str> {
    let (unit, list) = header.split_once('=')?;
    (unit.trim().eq_ignore_ascii_case("bytes") && list.contains('-')).then_some(list)
}

// Not understood, outside, or first and length.
fn part(text: &str, size: u64) -> Option<Option<(u64, u64)>> {
    let (first, last) = text.split_once('-')?;
    if first.is_empty() {
        let length = number(last)?.min(size);
        return Some((length > 0).then(|| (size - length, length)));
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if last < first {
        return None;
    }
    Some((first < size).then(|| (first, last.min(size - 1) - first + 1)))
}

// `+1` is no number here; one too large is as good as the largest.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        let parts = |list: &[(u64, u64)]| Ranges::Parts(list.to_vec());
        for (header, expected) in [
            ("bytes=0-0", parts(&[(0, 1)])),
            ("bytes=0-99", parts(&[(0, 10)])),
            ("bytes=5-", parts(&[(5, 5)])),
            ("bytes=-3", parts(&[(7, 3)])),
            ("bytes=-30", parts(&[(0, 10)])),
            ("Bytes = 2-3", parts(&[(2, 2)])),
            ("bytes=0-1,8-9", parts(&[(0, 2), (8, 2)])),
            ("bytes=8-9, 0-1", parts(&[(8, 2), (0, 2)])),
            ("bytes=0-1,20-30", parts(&[(0, 2)])),
            ("bytes=10-", Ranges::Outside),
            ("bytes=-0", Ranges::Outside),
            ("bytes=99999999999999999999999-", Ranges::Outside),
            ("bytes=20-30,40-50", Ranges::Outside),
            ("bytes=3-2", Ranges::Whole),
            ("bytes=a-b", Ranges::Whole),
            ("bytes=+1-2", Ranges::Whole),
            ("bytes=1", Ranges::Whole),
            ("lines=0-1", Ranges::Whole),
            ("bytes=0-5,3-9", Ranges::Whole),
            ("bytes=0-,0-,0-", Ranges::Whole),
        ] {
            assert_eq!(ranges(Some(header), 10), expected, "{header}");
        }
        assert_eq!(ranges(None, 10), Ranges::Whole);
        assert_eq!(ranges(Some("bytes=0-"), 0), Ranges::Outside);
    }

    #[test]
    fn a_heap_of_ranges_is_the_whole() {
        let list: Vec<String> = (0..40).map(|at| format!("{}-{}", at * 2, at * 2)).collect();
        assert_eq!(
            ranges(Some(&format!("bytes={}", list.join(","))), 1000),
            Ranges::Whole
        );
    }
}
