//! Slices: parts of the app's folder that become layers of their own, chosen by patterns (buildpack.md,
//! "Slice Layers"). Pure.
//!
//! Each file is in one slice only, the first that matches it; a folder that matches takes all below it along.
//! The folders above are in each slice once more, since no layer may rely on another for them.

use super::walk::{Entry, Kind};
use std::path::{Component, Path};

/// Patterns that one build may give; more than any buildpack has use for.
const MAX_PATTERNS: usize = 1000;

/// A pattern of Go's `filepath.Match`; `**` is but `*` twice.
#[derive(Debug)]
struct Pattern(Vec<Token>);

#[derive(Debug)]
enum Token {
    /// `*`: any characters but `/`, also none.
    Some,
    /// `?`: one character but `/`.
    One,
    /// `[a-z]`, `[^a]`
    Class {
        is_negated: bool,
        ranges: Vec<(char, char)>,
    },
    /// Itself.
    Char(char),
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        let mut rest = text.chars().peekable();
        let mut tokens = Vec::new();
        while let Some(c) = rest.next() {
            tokens.push(match c {
                '*' => Token::Some,
                '?' => Token::One,
                '\\' => Token::Char(rest.next()?),
                '[' => {
                    let is_negated = rest.next_if_eq(&'^').is_some();
                    let mut ranges = Vec::new();
                    while ranges.is_empty() || rest.next_if_eq(&']').is_none() {
                        let low = class_char(&mut rest)?;
                        let high = match rest.next_if_eq(&'-') {
                            Some(_) => class_char(&mut rest)?,
                            None => low,
                        };
                        ranges.push((low, high));
                    }
                    Token::Class { is_negated, ranges }
                }
                c => Token::Char(c),
            });
        }
        Some(Self(tokens))
    }

    /// As Go does it: what came before a star is not tried again once the next star is reached.
    fn matches(&self, name: &[char]) -> bool {
        let (mut token, mut at) = (0, 0);
        let mut star = None;
        loop {
            match self.0.get(token) {
                Some(Token::Some) => {
                    star = Some((token, at));
                    token += 1;
                    continue;
                }
                Some(one) if name.get(at).is_some_and(|c| one.takes(*c)) => {
                    (token, at) = (token + 1, at + 1);
                    continue;
                }
                None if at == name.len() => return true,
                _ => {}
            }
            // The last star takes one character more.
            match star {
                Some((of, from)) if name.get(from).is_some_and(|c| *c != '/') => {
                    star = Some((of, from + 1));
                    (token, at) = (of + 1, from + 1);
                }
                _ => return false,
            }
        }
    }
}

impl Token {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Some => false,
            Self::One => c != '/',
            Self::Char(own) => c == *own,
            Self::Class { is_negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *is_negated
            }
        }
    }
}

fn class_char(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match rest.next()? {
        '-' | ']' => None,
        '\\' => rest.next(),
        c => Some(c),
    }
}

/// Without `.`, doubled slashes and one at the end; an absolute pattern within the app's folder made relative.
/// `None` for what leads out of it: it matches nothing.
fn clean(text: &str, app: &Path) -> Option<String> {
    let path = Path::new(text);
    let path = if path.is_absolute() {
        path.strip_prefix(app).ok()?
    } else {
        path
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => parts.push(name.to_str()?),
            Component::ParentDir => {
                parts.pop()?;
            }
            _ => {}
        }
    }
    Some(parts.join("/")).filter(|text| !text.is_empty())
}

/// Which entries each layer of the app's folder gets, by their places in `entries`: the slices in order, those
/// without any left out, then the rest.
pub(crate) fn slice(
    entries: &[Entry],
    slices: &[Vec<String>],
    app: &Path,
) -> Result<Vec<Vec<usize>>, String> {
    if slices.iter().map(Vec::len).sum::<usize>() > MAX_PATTERNS {
        return Err(format!("more than {MAX_PATTERNS} slice patterns"));
    }
    let family = Family::of(entries);
    let mut taken = vec![false; entries.len()];
    let mut layers = Vec::new();
    for slice in slices {
        let mut patterns = Vec::new();
        for text in slice {
            if let Some(cleaned) = clean(text, app) {
                let pattern =
                    Pattern::parse(&cleaned).ok_or_else(|| format!("{text:?} is no slice pattern"))?;
                patterns.push(pattern);
            }
        }
        layers.push(family.take(entries, &patterns, &mut taken));
    }
    layers.push((0..entries.len()).filter(|at| !taken[*at]).collect());
    layers.retain(|layer| !layer.is_empty());
    Ok(layers)
}

/// Who is above and below whom.
struct Family {
    /// The folder each entry is in; the root is in itself.
    parent: Vec<usize>,
    /// Where what is below each entry ends.
    end: Vec<usize>,
}

impl Family {
    fn of(entries: &[Entry]) -> Self {
        let mut family = Self {
            parent: vec![0; entries.len()],
            end: (1..=entries.len()).collect(),
        };
        let mut above: Vec<usize> = Vec::new();
        for (at, entry) in entries.iter().enumerate() {
            while above
                .last()
                .is_some_and(|last| !entry.path.starts_with(&entries[*last].path))
            {
                above.pop();
            }
            family.parent[at] = above.last().copied().unwrap_or(0);
            for folder in &above {
                family.end[*folder] = at + 1;
            }
            if entry.kind == Kind::Folder {
                above.push(at);
            }
        }
        family
    }

    fn take(&self, entries: &[Entry], patterns: &[Pattern], taken: &mut [bool]) -> Vec<usize> {
        let mut layer = Vec::new();
        if patterns.is_empty() {
            return layer;
        }
        let mut at = 1;
        while at < entries.len() {
            let name: Vec<char> = entries[at].path.to_string_lossy().chars().collect();
            if taken[at] || !patterns.iter().any(|pattern| pattern.matches(&name)) {
                at += 1;
                continue;
            }
            let end = self.end[at];
            layer.extend((at..end).filter(|below| !taken[*below]));
            taken[at..end].fill(true);
            at = end;
        }
        self.add_parents(taken, &mut layer);
        layer
    }

    /// Adds the folders above; one of which all is taken now is taken, too.
    fn add_parents(&self, taken: &mut [bool], layer: &mut Vec<usize>) {
        let mut parents = std::collections::BTreeSet::new();
        let own: std::collections::HashSet<usize> = layer.iter().copied().collect();
        for entry in layer.iter() {
            let mut at = *entry;
            while at != 0 {
                at = self.parent[at];
                if !own.contains(&at) && !parents.insert(at) {
                    break;
                }
            }
        }
        // The deepest first: a folder stands before what is in it.
        for parent in parents.iter().rev() {
            let mut child = parent + 1;
            let mut is_whole = true;
            while child < self.end[*parent] {
                is_whole &= taken[child];
                child = self.end[child];
            }
            taken[*parent] = is_whole;
        }
        layer.extend(parents);
        layer.sort_unstable();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_those_of_go() {
        let table = [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^c]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("a???b", "a☺b", false),
            ("[a-ζ]*", "α", true),
            ("*[a-ζ]", "A", false),
            ("a?b", "a/b", false),
            ("a*b", "a/b", false),
            ("[\\]a]", "]", true),
            ("[\\-x]", "-", true),
            ("[x\\-]", "z", false),
            ("*x", "xxx", true),
            ("**/x", "a/x", true),
            ("**/x", "a/b/x", false),
            ("**", "a/b", false),
        ];
        for (pattern, name, expected) in table {
            let name: Vec<char> = name.chars().collect();
            assert_eq!(
                Pattern::parse(pattern).unwrap().matches(&name),
                expected,
                "{pattern} {name:?}"
            );
        }
        for bad in [
            "[]a]", "[-]", "[x-]", "[-x]", "\\", "[a-b-c]", "[", "[^", "[^bc", "a[", "a[\\",
        ] {
            assert!(Pattern::parse(bad).is_none(), "{bad}");
        }
    }

    /// The entries of an app's folder, from paths in walk order; those with a slash at the end are folders.
    fn entries(paths: &[&str]) -> Vec<Entry> {
        let entry = |path: &str| Entry {
            path: path.trim_end_matches('/').into(),
            kind: if path.ends_with('/') || path.is_empty() {
                Kind::Folder
            } else {
                Kind::File { size: 1 }
            },
            mode: 0o755,
        };
        std::iter::once("")
            .chain(paths.iter().copied())
            .map(entry)
            .collect()
    }

    fn sliced(paths: &[&str], slices: &[&[&str]]) -> Vec<String> {
        let entries = entries(paths);
        let slices: Vec<Vec<String>> = slices
            .iter()
            .map(|slice| slice.iter().map(|text| (*text).to_owned()).collect())
            .collect();
        let layers = slice(&entries, &slices, Path::new("/workspace")).unwrap();
        let name = |at: &usize| match entries[*at].path.to_str().unwrap() {
            "" => ".".to_owned(),
            path => path.to_owned(),
        };
        layers
            .iter()
            .map(|layer| layer.iter().map(name).collect::<Vec<_>>().join(" "))
            .collect()
    }

    #[test]
    fn without_slices_there_is_one_layer_of_all() {
        assert_eq!(sliced(&["a/", "a/b", "c"], &[]), [". a a/b c"]);
        assert_eq!(sliced(&[], &[]), ["."]);
    }

    #[test]
    fn a_file_is_in_the_first_slice_that_matches_and_folders_take_all_below_along() {
        let paths = [
            "dir/",
            "dir/deep/",
            "dir/deep/a.txt",
            "dir/deep/b.md",
            "dir/x.txt",
            "other/",
            "other/y.txt",
            "z.txt",
        ];
        assert_eq!(
            sliced(
                &paths,
                &[&["*.txt", "dir/*.txt"], &["dir"], &["dir/deep/a.txt", "*/*.txt"]]
            ),
            [
                ". dir dir/x.txt z.txt",
                ". dir dir/deep dir/deep/a.txt dir/deep/b.md",
                ". other other/y.txt",
            ],
            "all is taken, so there is no rest"
        );
        assert_eq!(
            sliced(&paths, &[&["dir/deep/*.md"], &["none", "../*"], &["other/"]]),
            [
                ". dir dir/deep dir/deep/b.md",
                ". other other/y.txt",
                ". dir dir/deep dir/deep/a.txt dir/x.txt z.txt",
            ],
            "a slice that matches nothing is no layer"
        );
    }

    #[test]
    fn patterns_are_cleaned_and_can_not_leave_the_app() {
        let paths = ["a/", "a/b", "c"];
        for pattern in ["a/b", "./a//b", "/workspace/a/b", "x/../a/b", "a/b/"] {
            assert_eq!(sliced(&paths, &[&[pattern]])[0], ". a a/b", "{pattern}");
        }
        for pattern in ["..", "../workspace/c", "/c", "/", "", ".", "/workspace"] {
            assert_eq!(sliced(&paths, &[&[pattern]]), [". a a/b c"], "{pattern:?}");
        }
        let refused = slice(&entries(&paths), &[vec!["[".to_owned()]], Path::new("/workspace"));
        assert_eq!(refused.unwrap_err(), "\"[\" is no slice pattern");
        let many = vec!["a".to_owned(); 1001];
        assert!(slice(&entries(&paths), &[many], Path::new("/workspace")).is_err());
    }
}
