//! A Procfile as it lies in the app's folder after bin/compile, which may have written it. Pure.

/// Process types and commands; lines that declare none are passed over, as Heroku does.
pub(super) fn parse(text: &str) -> Vec<(String, String)> {
    let declared = |line: &str| {
        let (name, command) = line.split_once(':')?;
        let (name, command) = (name.trim(), command.trim());
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let is_declared = !name.is_empty() && name.chars().all(is_name) && !command.is_empty();
        is_declared.then(|| (name.to_owned(), command.to_owned()))
    };
    text.lines().filter_map(declared).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_declares_a_process_counts() {
        let found = super::parse("# web: no\nweb: a: b\r\n\nworker :\nre-lease:x y\n bad name: z\n");
        let expected = [("web", "a: b"), ("re-lease", "x y")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(found, expected);
    }
}
