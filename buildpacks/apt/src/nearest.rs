//! Names that a person may have meant.

/// The names nearest to `wanted`, at most five, the nearest first: by the letters that differ, where another
/// number (`libicu72` for `libicu76`) counts little.
pub(crate) fn names<'a>(wanted: &str, all: &'a [String]) -> Vec<&'a str> {
    let stem = without_numbers(wanted);
    let mut found: Vec<(usize, &str)> = all
        .iter()
        .filter(|name| name.len().abs_diff(wanted.len()) <= 8)
        .filter_map(|name| {
            let letters = distance(&stem, &without_numbers(name));
            let far = letters * 4 + distance(wanted, name).min(9);
            // A third of the letters wrong is another name.
            let begins = name.starts_with(wanted) || wanted.starts_with(name.as_str()) && name.len() > 3;
            (letters * 3 <= stem.len() || begins).then_some((far, name.as_str()))
        })
        .collect();
    found.sort_unstable();
    // What is much farther than the nearest is not meant.
    let farthest = found.first().map_or(0, |(far, _)| far + 4);
    found.retain(|(far, _)| *far <= farthest);
    found.into_iter().take(5).map(|(_, name)| name).collect()
}

fn without_numbers(name: &str) -> String {
    name.chars()
        .filter(|c| !c.is_ascii_digit() && *c != '.')
        .collect()
}

// The letters to change, add or remove.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut above = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = above + usize::from(x != *y);
            above = row[j + 1];
            row[j + 1] = change.min(above + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_and_an_old_number_lead_to_the_right_name() {
        let all: Vec<String> = [
            "libicu76",
            "libicu-dev",
            "imagemagick",
            "libxml2",
            "libxml2-dev",
            "libxslt1.1",
            "ffmpeg",
            "libpq5",
            "zip",
            "libgtk-3-0t64",
        ]
        .map(str::to_owned)
        .into();
        assert_eq!(names("libicu66", &all)[0], "libicu76");
        assert_eq!(names("imagemagik", &all), ["imagemagick"]);
        assert_eq!(names("libxml2-devel", &all)[0], "libxml2-dev");
        assert_eq!(names("ffmepg", &all), ["ffmpeg"]);
        assert_eq!(names("libgtk-3-0", &all)[0], "libgtk-3-0t64");
        assert!(names("qqqqqqqq", &all).is_empty());
    }

    #[test]
    fn distances_are_counted() {
        for (a, b, expected) in [
            ("", "", 0),
            ("abc", "abc", 0),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), expected);
        }
    }
}
