//! Composer's syntax of versions, written in npm's, which support knows: they differ in `~1.2`, in single `|`
//! and in commas only.

/// `~8.2` of Composer is `>=8.2.0 <9.0.0` for npm. Nothing if it is no constraint.
pub(crate) fn to_npm(text: &str) -> Option<String> {
    let text = text.split('@').next()?.replace("||", "|");
    let parts: Option<Vec<String>> = text.split('|').map(one_of).collect();
    Some(parts?.join(" || "))
}

fn one_of(text: &str) -> Option<String> {
    if let Some((low, high)) = text.split_once(" - ") {
        return Some(format!("{} - {}", low.trim(), high.trim()));
    }
    // `>= 8.1` is one word.
    let joined = [">=", "<=", "!=", ">", "<", "^", "~", "="]
        .iter()
        .fold(text.replace(',', " "), |text, operator| {
            text.replace(&format!("{operator} "), operator)
        });
    let words: Option<Vec<String>> = joined.split_whitespace().map(word).collect();
    let words = words?;
    (!words.is_empty()).then(|| words.join(" "))
}

fn word(word: &str) -> Option<String> {
    let from = word
        .find(|c: char| c.is_ascii_digit() || c == '*' || c == 'v')
        .unwrap_or(word.len());
    let (operator, version) = word.split_at(from);
    let version = version.trim_start_matches('v').split('-').next()?;
    let is_version = !version.is_empty() && version.chars().all(|c| c.is_ascii_digit() || ".*x".contains(c));
    if !is_version {
        return None;
    }
    let numbers: Vec<u64> = version
        .split('.')
        .map_while(|number| number.parse().ok())
        .collect();
    match (operator, &numbers[..]) {
        ("~", [major]) => Some(format!(">={major}.0.0 <{}.0.0", major + 1)),
        ("~", [major, minor]) => Some(format!(">={major}.{minor}.0 <{}.0.0", major + 1)),
        ("~", [major, minor, ..]) => Some(format!(">={version} <{major}.{}.0", minor + 1)),
        // Nothing is left out for one patch.
        ("!=", _) => Some("*".to_owned()),
        ("" | "=" | "==" | "^" | ">" | ">=" | "<" | "<=", _) => {
            Some(format!("{}{version}", operator.replace("==", "=")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use buildpack_support::version::Requirement;

    #[test]
    fn constraints_match_as_composer_does() {
        for (constraint, version, expected) in [
            ("^8.1", "8.4.28", true),
            ("~8.2", "8.4.28", true),
            ("~8.2.0", "8.4.28", false),
            ("^7.4|^8.0", "8.4.28", true),
            ("^7.4 || ^8.0", "8.4.28", true),
            (">=7.4", "8.4.28", true),
            (">= 8.1", "8.4.28", true),
            (">=8.1,<8.4", "8.4.28", false),
            (">=8.1 <8.5", "8.4.28", true),
            ("8.*", "8.4.28", true),
            ("8.3.*", "8.4.28", false),
            ("*", "8.4.28", true),
            ("8.2 - 8.4", "8.4.28", true),
            ("^8.2@stable", "8.4.28", true),
            ("7.4.33", "8.4.28", false),
        ] {
            let npm = to_npm(constraint).unwrap();
            let requirement = Requirement::npm(&npm).unwrap();
            assert_eq!(requirement.matches(version), expected, "{constraint} is {npm}");
        }
        assert_eq!(to_npm("latest"), None);
        assert_eq!(to_npm(""), None);
    }
}
