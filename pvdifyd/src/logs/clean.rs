//! Makes a line inert: what an app writes is shown in other people's terminals and browsers.

/// Heroku's limit of one line; a longer one is cut into several.
pub(super) const MAX_LINE_BYTES: usize = 10_000;

/// Replaces control characters but tab by their visible pictures (U+2400 and up), cuts what is too long.
pub(super) fn lines(message: &str) -> Vec<String> {
    let mut cleaned = String::with_capacity(message.len());
    let mut lines = Vec::with_capacity(1);
    for character in message.chars().map(inert) {
        if cleaned.len() + character.len_utf8() > MAX_LINE_BYTES {
            lines.push(std::mem::take(&mut cleaned));
        }
        cleaned.push(character);
    }
    lines.push(cleaned);
    lines
}

fn inert(character: char) -> char {
    match character {
        '\t' => character,
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(character)).unwrap_or(char::REPLACEMENT_CHARACTER),
        '\x7f' => '\u{2421}',
        '\u{80}'..='\u{9f}' => char::REPLACEMENT_CHARACTER,
        // A line separator would start a line that nobody wrote; overrides would turn one around.
        '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            char::REPLACEMENT_CHARACTER
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_show_and_do_nothing() {
        let table = [
            ("a\tb", "a\tb"),
            ("\x1b]52;c;eA==\x07", "\u{241b}]52;c;eA==\u{2407}"),
            ("a\rb\0", "a\u{240d}b\u{2400}"),
            ("\u{9b}2J", "\u{fffd}2J"),
            ("x\u{202e}y", "x\u{fffd}y"),
            ("gr\u{fc}n", "gr\u{fc}n"),
        ];
        for (given, shown) in table {
            assert_eq!(lines(given), [shown], "{given:?}");
        }
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let long = "\u{20ac}".repeat(MAX_LINE_BYTES);
        let cut = lines(&long);
        assert_eq!(cut.concat(), long);
        assert!(
            cut.iter()
                .all(|line| line.len() <= MAX_LINE_BYTES && !line.is_empty())
        );
        assert_eq!(lines(""), [""]);
    }
}
