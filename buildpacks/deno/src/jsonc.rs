//! JSON with comments and commas at the ends of lists, as Deno reads its configuration.

use serde_json::Value;

/// Reads it; the error is serde's, with the line and column of the text as it is.
pub(crate) fn parse(text: &str) -> serde_json::Result<Value> {
    serde_json::from_str(&plain(text))
}

// Comments and such commas become blanks, so that places stay.
fn plain(text: &str) -> String {
    let mut out: Vec<char> = Vec::with_capacity(text.len());
    let chars: Vec<char> = text.chars().collect();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        match (c, chars.get(at + 1)) {
            ('"', _) => {
                let end = end_of_string(&chars, at);
                out.extend(&chars[at..end]);
                at = end;
                continue;
            }
            ('/', Some('/')) => {
                while chars.get(at).is_some_and(|c| *c != '\n') {
                    out.push(' ');
                    at += 1;
                }
                continue;
            }
            ('/', Some('*')) => {
                let is_end = |at: usize| chars.get(at) == Some(&'*') && chars.get(at + 1) == Some(&'/');
                let start = at;
                at += 2;
                while at < chars.len() && !is_end(at) {
                    at += 1;
                }
                at = (at + 2).min(chars.len());
                out.extend(
                    chars[start..at]
                        .iter()
                        .map(|c| if *c == '\n' { '\n' } else { ' ' }),
                );
                continue;
            }
            (']' | '}', _) => {
                if let Some(last) = out.iter().rposition(|c| !c.is_whitespace())
                    && out[last] == ','
                {
                    out[last] = ' ';
                }
                out.push(c);
            }
            _ => out.push(c),
        }
        at += 1;
    }
    out.into_iter().collect()
}

fn end_of_string(chars: &[char], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(c) = chars.get(at) {
        match c {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_last_commas_are_passed_over() {
        let text = "{ // one\n \"a//b\": \"x, /* y */ ]\\\" \", /* two\n */ \"list\": [1, 2,],\n}\n// end";
        assert_eq!(
            parse(text).unwrap(),
            serde_json::json!({ "a//b": "x, /* y */ ]\" ", "list": [1, 2] })
        );
        assert_eq!(parse("{\"ä\": [],}").unwrap(), serde_json::json!({ "ä": [] }));
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        let error = parse("{ // one\n \"a\": x }").unwrap_err();
        assert_eq!((error.line(), error.column()), (2, 7));
        assert!(parse("\"open").is_err() && parse("/* open").is_err() && parse("").is_err());
    }
}
