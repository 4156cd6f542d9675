//! `Staticfile`, as Cloud Foundry's buildpack reads it (and Railpack, with `index_fallback`): lines of `key: value`.

use crate::{
    manifest::HeaderRule,
    settings::{Settings, everywhere},
};
use buildpack_support::{Failure, Result};

/// Reads it into `settings`.
pub(crate) fn read(text: &str, settings: &mut Settings) -> Result<()> {
    for (index, line) in text.lines().enumerate() {
        let line = line.split(" #").next().unwrap_or_default().trim();
        if line.is_empty() || line.starts_with('#') || line == "---" {
            continue;
        }
        let Some((key, value)) = line.split_once(':') else {
            return Err(wrong(index + 1, &format!("{line:?} has no colon.")));
        };
        let value = value.trim().trim_matches(['"', '\'']);
        one(key.trim(), value, index + 1, settings)?;
    }
    Ok(())
}

fn one(key: &str, value: &str, number: usize, settings: &mut Settings) -> Result<()> {
    let is_on = matches!(
        value.to_ascii_lowercase().as_str(),
        "true" | "enabled" | "visible" | "yes" | "on"
    );
    match key {
        "root" => {
            settings.root = Some(value.trim_matches('/').to_owned()).filter(|root| !root.is_empty());
        }
        "pushstate" | "index_fallback" => settings.single_page = Some(is_on),
        "force_https" => settings.config.https_only = is_on,
        "http_strict_transport_security" if is_on => hsts(settings, "max-age=31536000"),
        "http_strict_transport_security_include_subdomains" if is_on => {
            hsts(settings, "max-age=31536000; includeSubDomains");
        }
        "http_strict_transport_security_preload" if is_on => {
            hsts(settings, "max-age=31536000; includeSubDomains; preload");
        }
        "directory" | "ssi" | "host_dot_files" if is_on => {
            return Err(Failure::new(
                format!("Staticfile asks for `{key}`"),
                "The server does not list folders, run includes in pages or show dot files.",
                "Remove the line, or serve the app by a server of its own (a Procfile with `web`), and push again.",
            ));
        }
        "location_include" => settings.warn(format!(
            "Staticfile, line {number}: `{key}` includes a file for nginx, which does not run here; it is left out."
        )),
        "directory" | "ssi" | "host_dot_files" | "enable_http2" => {}
        key if key.starts_with("http_strict_transport_security") => {}
        _ => settings.warn(format!("Staticfile, line {number}: `{key}` is not known, and is passed over.")),
    }
    Ok(())
}

// The last and strongest of them counts.
fn hsts(settings: &mut Settings, value: &str) {
    let set = vec![("Strict-Transport-Security".to_owned(), value.to_owned())];
    settings.add_headers(
        HeaderRule {
            from: everywhere(),
            set,
            ..HeaderRule::default()
        },
        "Staticfile",
    );
}

fn wrong(number: usize, why: &str) -> Failure {
    Failure::new(
        format!("Staticfile, line {number}, can't be read"),
        why,
        "A line is a key, a colon and a value, as in `root: public`. Correct it, commit and push again.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Settings> {
        let mut settings = Settings::default();
        read(text, &mut settings).map(|()| settings)
    }

    #[test]
    fn its_keys_are_taken() {
        let settings = settings(
            "---\n# a site\nroot: \"public/site\" # here\npushstate: enabled\nforce_https: true\nssi: disabled\nlocation_include: x/*.conf\n\
             http_strict_transport_security: true\nwhat: ever\n",
        )
        .unwrap();
        assert_eq!(settings.root.as_deref(), Some("public/site"));
        assert_eq!(
            (settings.single_page, settings.config.https_only),
            (Some(true), true)
        );
        assert_eq!(settings.config.headers[0].set[0].1, "max-age=31536000");
        assert_eq!(
            settings.warnings,
            [
                "Staticfile, line 7: `location_include` includes a file for nginx, which does not run here; it is left out.",
                "Staticfile, line 9: `what` is not known, and is passed over.",
            ]
        );
    }

    #[test]
    fn an_empty_file_says_only_that_there_is_a_site() {
        let settings = settings("").unwrap();
        assert_eq!((settings.root, settings.single_page), (None, None));
    }

    #[test]
    fn what_can_not_be_is_refused() {
        insta::assert_snapshot!(settings("directory: visible").unwrap_err().text(), @r"
        Staticfile asks for `directory`

        The server does not list folders, run includes in pages or show dot files.

        Remove the line, or serve the app by a server of its own (a Procfile with `web`), and push again.
        ");
        insta::assert_snapshot!(settings("root: a\npublic").unwrap_err().text(), @r#"
        Staticfile, line 2, can't be read

        "public" has no colon.

        A line is a key, a colon and a value, as in `root: public`. Correct it, commit and push again.
        "#);
    }
}
