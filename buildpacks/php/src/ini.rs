//! PHP's settings: Debian's for production, with what differs in a container.

/// Of `php.ini`: `extensions` is the folder of the extensions' files.
pub(crate) fn php_ini(production: &str, extensions: &str) -> String {
    let mut text = production.to_owned();
    text.push_str("\n; What differs in a container.\n");
    for (name, value) in [
        ("extension_dir", format!("\"{extensions}\"").as_str()),
        ("expose_php", "Off"),
        // All variables of the environment are in $_ENV, as on Heroku.
        ("variables_order", "\"EGPCS\""),
        ("log_errors", "On"),
        ("display_errors", "Off"),
        ("error_log", ""),
        ("date.timezone", "\"UTC\""),
        ("session.save_path", "\"/tmp\""),
        ("opcache.enable", "1"),
        ("opcache.interned_strings_buffer", "16"),
        ("opcache.max_accelerated_files", "20000"),
        ("realpath_cache_size", "4096K"),
    ] {
        text.push_str(&format!("{name} = {value}\n"));
    }
    text.replace("\nerror_log = \n", "\n")
}

/// The name under which an extension's settings are read, by the priority in them: `20-mbstring.ini`.
pub(crate) fn ordered_name(file: &str, text: &str) -> String {
    let priority = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("; priority="))
        .unwrap_or("20");
    format!("{}-{file}", priority.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_extensions_have_their_order() {
        assert_eq!(
            ordered_name("pdo.ini", "; priority=10\nextension=pdo.so"),
            "10-pdo.ini"
        );
        assert_eq!(ordered_name("x.ini", "extension=x.so"), "20-x.ini");
    }

    #[test]
    fn what_differs_comes_last() {
        let text = php_ini("[PHP]\nexpose_php = On\n", "/layers/php/ext");
        assert!(text.rfind("expose_php = Off") > text.find("expose_php = On"));
        assert!(text.contains("extension_dir = \"/layers/php/ext\"\n"));
    }
}
