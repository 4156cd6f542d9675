//! What an app's files say of its site: `static.json` (Heroku), `Staticfile` (Cloud Foundry), and Netlify's
//! `_headers`, `_redirects` and `netlify.toml`.
//!
//! What the server can't do is refused where leaving it out would do harm (a password that is not asked for), and
//! else warned of.

use crate::{
    manifest::{Config, HeaderRule, Token},
    netlify, static_json, staticfile,
};
use buildpack_support::{Failure, Result, files};
use std::{
    collections::BTreeMap,
    path::{Component, Path},
};

/// What is configured.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// The site's folder, from the app's.
    pub(crate) root: Option<String>,
    /// The charset of texts.
    pub(crate) charset: Option<String>,
    /// Whether an unknown path is the app's page, where that is said.
    pub(crate) single_page: Option<bool>,
    /// What the server is told.
    pub(crate) config: Config,
    /// What will not be as the files say.
    pub(crate) warnings: Vec<String>,
    /// Which file has been read, for the log.
    pub(crate) from: Vec<&'static str>,
}

impl Settings {
    /// A line of what will not be as configured.
    pub(crate) fn warn(&mut self, text: impl Into<String>) {
        self.warnings.push(text.into());
    }

    /// Adds headers for paths, without those that the server alone can set.
    pub(crate) fn add_headers(&mut self, rule: HeaderRule, file: &str) {
        let (set, refused): (Vec<_>, Vec<_>) = rule.set.into_iter().partition(|(name, _)| is_settable(name));
        for (name, _) in refused {
            self.warn(format!(
                "{file}: the header `{name}` is the server's own, and is left out."
            ));
        }
        let (set, broken): (Vec<_>, Vec<_>) =
            set.into_iter().partition(|(name, value)| is_header(name, value));
        for (name, _) in broken {
            self.warn(format!(
                "{file}: `{name}` is no header that can be sent, and is left out."
            ));
        }
        if !set.is_empty() {
            self.config.headers.push(HeaderRule { set, ..rule });
        }
    }
}

/// The settings of an app. What is in the site's folder is read by [`of_root`].
pub(crate) fn of_app(app: &Path) -> Result<Settings> {
    let mut settings = Settings::default();
    if let Some(text) = files::read(app, "static.json")? {
        static_json::read(&text, &mut settings)?;
        settings.from.push("static.json");
        users(app, ".htpasswd", &mut settings)?;
    } else if let Some(text) = files::read(app, "Staticfile")? {
        staticfile::read(&text, &mut settings)?;
        settings.from.push("Staticfile");
        if files::exists(app, "Staticfile.auth") {
            settings.config.basic_auth = true;
            users(app, "Staticfile.auth", &mut settings)?;
        }
    } else if let Some(text) = files::read(app, "netlify.toml")? {
        netlify::publish(&text, &mut settings);
    }
    if let Some(root) = &settings.root {
        check_root(root)?;
    }
    Ok(settings)
}

/// Adds what is configured in the site's folder, and Netlify's file in the app's.
pub(crate) fn of_root(app: &Path, root: &Path, settings: &mut Settings) -> Result<()> {
    if let Some(text) = files::read(root, "_redirects")? {
        netlify::redirects(&text, settings);
        settings.from.push("_redirects");
    }
    if let Some(text) = files::read(root, "_headers")? {
        netlify::headers(&text, settings)?;
        settings.from.push("_headers");
    }
    if let Some(text) = files::read(app, "netlify.toml")?
        && netlify::toml(&text, settings)?
    {
        settings.from.push("netlify.toml");
    }
    Ok(())
}

// Only where a password is asked for: such a file alone says nothing.
fn users(app: &Path, name: &'static str, settings: &mut Settings) -> Result<()> {
    if !settings.config.basic_auth {
        return Ok(());
    }
    let text = files::read(app, name)?.unwrap_or_default();
    let mut users = BTreeMap::new();
    for line in text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let Some((user, password)) = line.split_once(':') else {
            return Err(Failure::new(
                format!("{name} can't be read"),
                "A line of it has no colon.",
                "Write each line as NAME:PASSWORD, as `htpasswd -m` or `openssl passwd -apr1` gives it, and push again.",
            ));
        };
        if !password.starts_with("$apr1$") {
            return Err(Failure::new(
                format!("{name} has a password that can't be checked"),
                format!("The password of {user} is not in the form `$apr1$...`."),
                "Write it as `htpasswd -m` or `openssl passwd -apr1` gives it, and push again.",
            ));
        }
        users.insert(user.to_owned(), password.to_owned());
    }
    if users.is_empty() {
        settings.warn(
            "The site asks for a password: set BASIC_AUTH_USERNAME and BASIC_AUTH_PASSWORD as config of the app.",
        );
    }
    settings.config.users = users;
    Ok(())
}

fn check_root(root: &str) -> Result<()> {
    let path = Path::new(root);
    let stays = path
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if stays {
        return Ok(());
    }
    Err(Failure::new(
        format!("The site's folder can't be {root}"),
        "It leads out of the app.",
        "Name a folder of the app as root, as in `dist`, and push again.",
    ))
}

// Sizes, codings and conditions are the server's: a wrong one breaks caches and clients.
fn is_settable(name: &str) -> bool {
    const OWN: [&str; 14] = [
        "accept-ranges",
        "connection",
        "content-encoding",
        "content-length",
        "content-range",
        "date",
        "etag",
        "keep-alive",
        "last-modified",
        "location",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    !OWN.contains(&name.to_ascii_lowercase().as_str())
}

fn is_header(name: &str, value: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
        && !value
            .bytes()
            .any(|byte| byte < b' ' && byte != b'\t' || byte == 0x7f)
}

/// A pattern for every path.
pub(crate) fn everywhere() -> Vec<Token> {
    vec![Token::Rest("all".to_owned())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use buildpack_support::files::write;

    fn app(tree: &[(&str, &str)]) -> Result<Settings> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in tree {
            write(&dir.path().join(name), text).unwrap();
        }
        let mut settings = of_app(dir.path())?;
        of_root(dir.path(), dir.path(), &mut settings)?;
        Ok(settings)
    }

    #[test]
    fn one_file_configures_the_site_and_netlifys_add_to_it() {
        let settings = app(&[
            ("static.json", r#"{"root":"dist","clean_urls":true}"#),
            ("Staticfile", "root: public"),
            ("_redirects", "/a /b"),
            ("_headers", "/*\n  X-A: b"),
            (
                "netlify.toml",
                "[build]\npublish = \"out\"\n[[redirects]]\nfrom = \"/c\"\nto = \"/d\"",
            ),
        ])
        .unwrap();
        assert_eq!(settings.root.as_deref(), Some("dist"));
        assert_eq!(
            settings.from,
            ["static.json", "_redirects", "_headers", "netlify.toml"]
        );
        assert_eq!(
            (settings.config.rules.len(), settings.config.headers.len()),
            (2, 1)
        );
    }

    #[test]
    fn a_password_that_is_asked_for_can_be_checked() {
        let hash = "$apr1$abcdefgh$uMJsB/b6/fpR1v.vUShbI0";
        let line = format!("me:{hash}\n");
        let settings = app(&[("Staticfile", ""), ("Staticfile.auth", &line)]).unwrap();
        assert!(settings.config.basic_auth);
        assert_eq!(settings.config.users["me"], hash);
        let settings = app(&[("static.json", "{}"), (".htpasswd", &line)]).unwrap();
        assert!(!settings.config.basic_auth && settings.config.users.is_empty());
        let text = |auth: &str| {
            app(&[("Staticfile", ""), ("Staticfile.auth", auth)])
                .unwrap_err()
                .text()
        };
        insta::assert_snapshot!(text("me:$2y$05$x"), @r"
        Staticfile.auth has a password that can't be checked

        The password of me is not in the form `$apr1$...`.

        Write it as `htpasswd -m` or `openssl passwd -apr1` gives it, and push again.
        ");
        insta::assert_snapshot!(text("me"), @r"
        Staticfile.auth can't be read

        A line of it has no colon.

        Write each line as NAME:PASSWORD, as `htpasswd -m` or `openssl passwd -apr1` gives it, and push again.
        ");
    }

    #[test]
    fn a_site_is_in_its_app() {
        for root in ["../other", "a/../../b"] {
            let failure = app(&[("static.json", &format!(r#"{{"root":"{root}"}}"#))]).unwrap_err();
            assert_eq!(failure.what(), format!("The site's folder can't be {root}"));
        }
        let failure = app(&[("Staticfile", "root: ..")]).unwrap_err();
        insta::assert_snapshot!(failure.text(), @r"
        The site's folder can't be ..

        It leads out of the app.

        Name a folder of the app as root, as in `dist`, and push again.
        ");
    }

    #[test]
    fn the_servers_own_headers_stay_its_own() {
        let settings = app(&[("_headers", "/*\n  Content-Length: 5\n  X-A: b\n  Bad Name: x")]).unwrap();
        assert_eq!(
            settings.config.headers[0].set,
            [("X-A".to_owned(), "b".to_owned())]
        );
        assert_eq!(
            settings.warnings,
            [
                "_headers: the header `Content-Length` is the server's own, and is left out.",
                "_headers: `Bad Name` is no header that can be sent, and is left out.",
            ]
        );
    }
}
