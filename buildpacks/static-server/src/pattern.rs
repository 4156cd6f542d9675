//! Paths against patterns. Each place in pattern and path is tried once, so no pattern takes long on any path.

use crate::manifest::Token;

/// What the named parts of a pattern kept.
pub(crate) type Kept<'a> = Vec<(&'a str, &'a str)>;

/// The named parts, if the whole of `path` matches. A part takes as little as it can.
pub(crate) fn matches<'a>(tokens: &'a [Token], path: &'a str) -> Option<Kept<'a>> {
    // Most rules are told apart by how they begin.
    if let Some(Token::Text(first)) = tokens.first()
        && !path.starts_with(first.as_str())
    {
        return None;
    }
    let mut failed = vec![false; (tokens.len() + 1) * (path.len() + 1)];
    let mut kept = Vec::new();
    find(tokens, path, 0, 0, &mut failed, &mut kept).then(|| {
        kept.reverse();
        kept
    })
}

fn find<'a>(
    tokens: &'a [Token],
    path: &'a str,
    at: usize,
    from: usize,
    failed: &mut [bool],
    kept: &mut Kept<'a>,
) -> bool {
    let Some(token) = tokens.get(at) else {
        return from == path.len();
    };
    let place = at * (path.len() + 1) + from;
    if failed[place] {
        return false;
    }
    let rest = &path[from..];
    let (name, longest) = match token {
        Token::Text(text) => {
            let found = rest.starts_with(text.as_str())
                && find(tokens, path, at + 1, from + text.len(), failed, kept);
            failed[place] = !found;
            return found;
        }
        Token::Segment(name) => (name, rest.find('/').unwrap_or(rest.len())),
        Token::Rest(name) => (name, rest.len()),
    };
    for length in 0..=longest {
        if rest.is_char_boundary(length) && find(tokens, path, at + 1, from + length, failed, kept) {
            kept.push((name, &rest[..length]));
            return true;
        }
    }
    // Where a rest found no end, it finds none further on.
    let hopeless = if matches!(token, Token::Rest(_)) {
        place + rest.len()
    } else {
        place
    };
    failed[place..=hopeless].fill(true);
    false
}

/// As [`matches`], where a slash at the end makes no difference.
pub(crate) fn matches_any_slash<'a>(tokens: &'a [Token], path: &'a str, other: &'a str) -> Option<Kept<'a>> {
    matches(tokens, path).or_else(|| matches(tokens, other))
}

/// The path with a slash at its end, or without if it has one; `/` stays.
pub(crate) fn other_slash(path: &str) -> String {
    match path.strip_suffix('/') {
        Some("") => path.to_owned(),
        Some(without) => without.to_owned(),
        None => format!("{path}/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Token {
        Token::Text(text.to_owned())
    }

    fn segment(name: &str) -> Token {
        Token::Segment(name.to_owned())
    }

    fn rest() -> Token {
        Token::Rest("splat".to_owned())
    }

    #[test]
    fn patterns_match_whole_paths_and_keep_their_parts() {
        let post = [
            text("/blog/"),
            segment("year"),
            text("/"),
            segment("name"),
            text(".html"),
        ];
        assert_eq!(
            matches(&post, "/blog/2024/a.b.html").unwrap(),
            [("year", "2024"), ("name", "a.b")]
        );
        assert_eq!(matches(&post, "/blog/2024/x/a.html"), None);
        assert_eq!(
            matches(&[text("/old/"), rest()], "/old/a/b").unwrap(),
            [("splat", "a/b")]
        );
        assert_eq!(
            matches(&[text("/old/"), rest()], "/old/").unwrap(),
            [("splat", "")]
        );
        assert_eq!(matches(&[text("/old/"), rest()], "/old"), None);
        assert_eq!(matches(&[text("/a")], "/ab"), None);
        assert_eq!(matches(&[rest()], "/ä/ö").unwrap(), [("splat", "/ä/ö")]);
    }

    #[test]
    fn a_pattern_of_many_wildcards_is_tried_in_little_time() {
        let mut tokens = Vec::new();
        for _ in 0..20 {
            tokens.extend([rest(), text("a")]);
        }
        tokens.push(text("b"));
        // By trying all ways this would not end.
        assert_eq!(matches(&tokens, &"a".repeat(2000)), None);
    }

    #[test]
    fn a_slash_at_the_end_makes_no_difference_where_said_so() {
        let tokens = [text("/old/"), rest()];
        assert!(matches_any_slash(&tokens, "/old", &other_slash("/old")).is_some());
        assert_eq!(other_slash("/a/"), "/a");
        assert_eq!(other_slash("/"), "/");
    }
}
