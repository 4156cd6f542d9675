//! A framework's configuration, which is a program: it is searched for what is usually written, not run.

use buildpack_support::files;
use std::path::Path;

/// The text of one, without its comments.
#[derive(Debug)]
pub(super) struct Configuration(String);

impl Configuration {
    /// The first of these files; nothing is said where there is none.
    pub(super) fn of(app: &Path, names: &[&str]) -> Self {
        let text = names
            .iter()
            .find_map(|name| files::read(app, name).unwrap_or_default())
            .unwrap_or_default();
        Self(without_comments(&text))
    }

    /// The text that a key has.
    pub(super) fn value(&self, key: &str) -> Option<String> {
        let after = self.after(key)?;
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'))?;
        let text = after[1..].split(quote).next()?;
        (!text.is_empty() && !text.contains("${")).then(|| text.to_owned())
    }

    /// Whether a key is `false`.
    pub(super) fn is_false(&self, key: &str) -> bool {
        self.after(key).is_some_and(|after| after.starts_with("false"))
    }

    /// Whether a key is `true`.
    pub(super) fn is_true(&self, key: &str) -> bool {
        self.after(key).is_some_and(|after| after.starts_with("true"))
    }

    /// Whether a key is there.
    pub(super) fn mentions(&self, key: &str) -> bool {
        self.after(key).is_some()
    }

    // What follows `key:`.
    fn after(&self, key: &str) -> Option<&str> {
        let mut rest = self.0.as_str();
        loop {
            let at = rest.find(key)?;
            let before = rest[..at].chars().next_back();
            let after = rest[at + key.len()..]
                .trim_start_matches(['"', '\''])
                .trim_start();
            rest = &rest[at + key.len()..];
            let is_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '.');
            if let Some(value) = after.strip_prefix(':').filter(|_| !is_word) {
                return Some(value.trim_start());
            }
        }
    }
}

fn without_comments(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    let mut quote = None;
    while let Some(c) = rest.chars().next() {
        if quote.is_none() && rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
            continue;
        }
        if quote.is_none() && rest.starts_with("/*") {
            rest = rest.find("*/").map_or("", |end| &rest[end + 2..]);
            continue;
        }
        match (quote, c) {
            (None, '"' | '\'' | '`') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            // A string in one or two quotes ends with its line; an apostrophe in a pattern does not end the search.
            (Some('"' | '\''), '\n') => quote = None,
            _ => {}
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_usually_written_is_found() {
        let config = Configuration(without_comments(
            "export default { // outDir: 'old'\n  \"outDir\": 'site', /* ssr: true, */ ssr: false, base: `${x}/y`, myroot: 'a' }",
        ));
        assert_eq!(config.value("outDir").as_deref(), Some("site"));
        assert_eq!((config.value("base"), config.value("root")), (None, None));
        assert!(config.is_false("ssr") && !config.is_true("ssr"));
        assert!(config.mentions("base") && !config.mentions("adapter"));
    }
}
