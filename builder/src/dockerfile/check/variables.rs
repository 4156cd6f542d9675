//! `ARG`s before the first `FROM`, which images may be named by.

use std::collections::BTreeMap;

/// Takes the defaults of `ARG a=1 b="2"`.
pub(super) fn note_defaults(global: &mut BTreeMap<String, String>, arguments: &str) {
    for word in arguments.split_whitespace() {
        if let Some((name, value)) = word.split_once('=') {
            let value = expand(value.trim_matches(['"', '\'']), global);
            global.insert(name.to_owned(), value);
        }
    }
}

/// Puts in `$name`, `${name}` and `${name:-default}` where known; what is not known stays.
pub(super) fn expand(text: &str, known: &BTreeMap<String, String>) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let (name, default, tail) =
            if let Some((inner, tail)) = after.strip_prefix('{').and_then(|braced| braced.split_once('}')) {
                let (name, default) = inner
                    .split_once(":-")
                    .map_or((inner, None), |(n, d)| (n, Some(d)));
                (name, default, tail)
            } else {
                let end = after
                    .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                    .unwrap_or(after.len());
                (&after[..end], None, &after[end..])
            };
        match known
            .get(name)
            .filter(|value| !value.is_empty())
            .map(String::as_str)
            .or(default)
        {
            Some(value) => expanded.push_str(value),
            None => {
                expanded.push('$');
                expanded.push_str(name);
            }
        }
        rest = tail;
    }
    expanded.push_str(rest);
    expanded
}
