//! Paths with wildcards as people write them: Heroku's (`*` within a segment, `**` anything) and Netlify's (`*` the
//! rest, `:name` a segment), and targets that name what a path kept.

use crate::manifest::{Piece, Token};

/// Heroku's form.
pub(crate) fn heroku(path: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('*') {
        text(&mut tokens, before);
        let name = tokens.len().to_string();
        rest = match after.strip_prefix('*') {
            Some(after) => {
                tokens.push(Token::Rest(name));
                after
            }
            None => {
                tokens.push(Token::Segment(name));
                after
            }
        };
    }
    text(&mut tokens, rest);
    tokens
}

/// Netlify's form.
pub(crate) fn netlify(path: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (index, segment) in path.split('/').enumerate() {
        if index > 0 {
            text(&mut tokens, "/");
        }
        if let Some(name) = segment.strip_prefix(':').filter(|name| is_name(name)) {
            tokens.push(Token::Segment(name.to_owned()));
            continue;
        }
        let mut rest = segment;
        while let Some((before, after)) = rest.split_once('*') {
            text(&mut tokens, before);
            tokens.push(Token::Rest("splat".to_owned()));
            rest = after;
        }
        text(&mut tokens, rest);
    }
    tokens
}

/// A target in Netlify's form, with the names that its path keeps.
pub(crate) fn target(target: &str, from: &[Token]) -> Vec<Piece> {
    let kept: Vec<&str> = from
        .iter()
        .filter_map(|token| match token {
            Token::Segment(name) | Token::Rest(name) => Some(name.as_str()),
            Token::Text(_) => None,
        })
        .collect();
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = target;
    while let Some((before, after)) = rest.split_once(':') {
        plain.push_str(before);
        let end = after
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(after.len());
        let name = &after[..end];
        if kept.contains(&name) {
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Kept(name.to_owned()));
            rest = &after[end..];
        } else {
            plain.push(':');
            rest = after;
        }
    }
    plain.push_str(rest);
    if !plain.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    pieces
}

// The server compares decoded paths; people copy them from where they are not.
fn text(tokens: &mut Vec<Token>, text: &str) {
    if text.is_empty() {
        return;
    }
    let decoded = decoded(text);
    match tokens.last_mut() {
        Some(Token::Text(last)) => last.push_str(&decoded),
        _ => tokens.push(Token::Text(decoded)),
    }
}

fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(tokens: &[Token]) -> String {
        tokens
            .iter()
            .map(|token| match token {
                Token::Text(text) => text.clone(),
                Token::Segment(name) => format!("<{name}>"),
                Token::Rest(name) => format!("<{name}..>"),
            })
            .collect()
    }

    #[test]
    fn both_forms_of_paths_are_read() {
        for (path, expected) in [
            ("/a", "/a"),
            ("/*.html", "/<1>.html"),
            ("/a/**", "/a/<1..>"),
            ("/**/x/*", "/<1..>/x/<3>"),
            ("/a%20b/%zz", "/a b/%zz"),
        ] {
            assert_eq!(shown(&heroku(path)), expected);
        }
        for (path, expected) in [
            ("/*", "/<splat..>"),
            ("/blog/:year/:slug", "/blog/<year>/<slug>"),
            ("/a:b/:", "/a:b/:"),
            ("/x/*.js", "/x/<splat..>.js"),
        ] {
            assert_eq!(shown(&netlify(path)), expected);
        }
    }

    #[test]
    fn a_target_names_what_its_path_keeps_and_no_more() {
        let to = |text: &str, path: &str| {
            let pieces = target(text, &netlify(path));
            let shown = |piece: &Piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Kept(name) => format!("<{name}>"),
            };
            pieces.iter().map(shown).collect::<String>()
        };
        assert_eq!(to("/new/:splat", "/old/*"), "/new/<splat>");
        assert_eq!(
            to("https://x.example:8080/:a/:b", "/:a"),
            "https://x.example:8080/<a>/:b"
        );
        assert_eq!(to(":splat", "/*"), "<splat>");
        assert_eq!(to("", "/*"), "");
    }
}
