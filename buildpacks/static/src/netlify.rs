//! Netlify's `_redirects`, `_headers` and the same in `netlify.toml` (Cloudflare Pages reads the first two as well).
//!
//! They were written for another host: what can't be done here is warned of, and the site is served without it,
//! but for passwords, which a site is never served without.

use crate::{
    manifest::{HeaderRule, Rule},
    pattern,
    settings::Settings,
};
use buildpack_support::{Failure, Result};

// A rule, or why there is none.
type Read = std::result::Result<Rule, String>;

/// Reads `_redirects`: `FROM [NAME=VALUE...] TO [STATUS[!]] [CONDITION...]`.
pub(crate) fn redirects(text: &str, settings: &mut Settings) {
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let line = line.split(" #").next().unwrap_or_default().trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match redirect_line(line) {
            Ok(rule) => settings.config.rules.push(rule),
            Err(why) => settings.warn(format!("_redirects, line {}: {why}; it is left out.", index + 1)),
        }
    }
}

fn redirect_line(line: &str) -> Read {
    let mut words = line.split_whitespace().peekable();
    let from = words.next().unwrap_or_default();
    if words
        .peek()
        .is_some_and(|word| !is_target(word) && word.contains('='))
    {
        return Err("a condition on the query is not known here".into());
    }
    let Some(to) = words.next() else {
        return Err("it has no target".into());
    };
    let status = words.next().unwrap_or("301");
    if words.next().is_some() || status.contains('=') {
        return Err("a condition (of country, language, role) is not known here".into());
    }
    let (number, force) = match status.strip_suffix('!') {
        Some(number) => (number, true),
        None => (status, false),
    };
    let number = number.parse().map_err(|_| format!("{status:?} is no status"))?;
    rule(from, to, number, force)
}

fn is_target(word: &str) -> bool {
    word.starts_with('/') || word.contains("://")
}

fn rule(from: &str, to: &str, status: u16, force: bool) -> Read {
    if !from.starts_with('/') {
        return Err("a path begins with `/` (other domains are redirected by the server's settings)".into());
    }
    if !is_target(to) {
        return Err(format!("{to:?} is no path and no address"));
    }
    let is_redirect = matches!(status, 301 | 302 | 303 | 307 | 308);
    if !is_redirect && to.contains("://") {
        return Err("requests are not passed on to other servers".into());
    }
    if !is_redirect && !matches!(status, 200 | 404 | 410) {
        return Err(format!("{status} is no status of a redirect"));
    }
    if to.starts_with("/.netlify/") {
        return Err("functions do not run here".into());
    }
    let from = pattern::netlify(from);
    let to = pattern::target(to, &from);
    Ok(Rule {
        from,
        to,
        status,
        force,
        any_slash: true,
        keep_query: is_redirect,
    })
}

/// Reads `_headers`: a path, and below it indented `Name: value`.
pub(crate) fn headers(text: &str, settings: &mut Settings) -> Result<()> {
    let mut rules: Vec<(String, Vec<(String, String)>)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let text = line.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        if !line.starts_with([' ', '\t']) {
            rules.push((text.to_owned(), Vec::new()));
            continue;
        }
        let Some((_, set)) = rules.last_mut() else {
            settings.warn(format!(
                "_headers, line {}: no path before it; it is left out.",
                index + 1
            ));
            continue;
        };
        match text.split_once(':') {
            Some((name, value)) => set.push((name.trim().to_owned(), value.trim().to_owned())),
            None => settings.warn(format!(
                "_headers, line {}: it has no colon; it is left out.",
                index + 1
            )),
        }
    }
    for (path, set) in rules {
        add_headers(&path, set, "_headers", settings)?;
    }
    Ok(())
}

fn add_headers(path: &str, set: Vec<(String, String)>, file: &str, settings: &mut Settings) -> Result<()> {
    if set
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("basic-auth"))
    {
        return Err(Failure::new(
            format!("{file} asks for a password for {path}"),
            "Passwords for parts of a site are Netlify's own: here they would not be asked for, and all could read it.",
            "Remove `Basic-Auth`, and set BASIC_AUTH_USERNAME and BASIC_AUTH_PASSWORD as config of the app: then the \
             whole site asks for them.",
        ));
    }
    if path.starts_with('/') {
        let from = pattern::netlify(path);
        settings.add_headers(
            HeaderRule {
                from,
                set,
                alone: false,
                any_slash: true,
            },
            file,
        );
    } else {
        settings.warn(format!("{file}: {path:?} is no path; its headers are left out."));
    }
    Ok(())
}

/// Takes the site's folder from `netlify.toml`.
pub(crate) fn publish(text: &str, settings: &mut Settings) {
    let table: toml::Table = text.parse().unwrap_or_default();
    let build = table.get("build").and_then(toml::Value::as_table);
    let word = |key: &str| {
        build?
            .get(key)?
            .as_str()
            .map(|text| text.trim_matches('/').to_owned())
    };
    // Of a part of a repository: all paths are from there, and so not ours.
    if word("base").is_none_or(|base| base.is_empty()) {
        settings.root = word("publish").filter(|folder| !folder.is_empty() && folder != ".");
    }
}

/// Takes redirects and headers from `netlify.toml`; whether there were any.
pub(crate) fn toml(text: &str, settings: &mut Settings) -> Result<bool> {
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(_) => {
            settings.warn("netlify.toml is no TOML; its redirects and headers are left out.");
            return Ok(false);
        }
    };
    let list = |key: &str| {
        table
            .get(key)
            .and_then(toml::Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(toml::Value::as_table)
    };
    let mut found = false;
    for redirect in list("redirects") {
        found = true;
        let word = |key: &str| {
            redirect
                .get(key)
                .and_then(toml::Value::as_str)
                .unwrap_or_default()
        };
        let status = redirect
            .get("status")
            .and_then(toml::Value::as_integer)
            .unwrap_or(301);
        let force = redirect
            .get("force")
            .and_then(toml::Value::as_bool)
            .unwrap_or_default();
        let has_condition = ["query", "conditions", "signed"]
            .iter()
            .any(|key| redirect.contains_key(*key));
        let made = if has_condition {
            Err("a condition is not known here".to_owned())
        } else {
            rule(
                word("from"),
                word("to"),
                u16::try_from(status).unwrap_or(0),
                force,
            )
        };
        match made {
            Ok(rule) => settings.config.rules.push(rule),
            Err(why) => {
                settings.warn(format!(
                    "netlify.toml, redirect from {:?}: {why}; it is left out.",
                    word("from")
                ));
            }
        }
    }
    for header in list("headers") {
        found = true;
        let path = header
            .get("for")
            .and_then(toml::Value::as_str)
            .unwrap_or_default();
        let values = header.get("values").and_then(toml::Value::as_table);
        let set = values
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.trim().replace('\n', " "))))
            .collect();
        add_headers(path, set, "netlify.toml", settings)?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(redirect_lines: &str, header_lines: &str) -> Settings {
        let mut settings = Settings::default();
        redirects(redirect_lines, &mut settings);
        headers(header_lines, &mut settings).unwrap();
        settings
    }

    #[test]
    fn redirects_are_read() {
        let settings = read(
            "# moved\n/home              /\n/blog/* /posts/:splat 302 # now\n/a/:id https://x.example/:id 301!\n/* /index.html 200\n",
            "",
        );
        assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
        insta::assert_snapshot!(serde_json::to_string(&settings.config.rules).unwrap().replace("},{\"from", "},\n{\"from"), @r#"
        [{"from":[{"text":"/home"}],"to":[{"text":"/"}],"status":301,"any_slash":true,"keep_query":true},
        {"from":[{"text":"/blog/"},{"rest":"splat"}],"to":[{"text":"/posts/"},{"kept":"splat"}],"status":302,"any_slash":true,"keep_query":true},
        {"from":[{"text":"/a/"},{"segment":"id"}],"to":[{"text":"https://x.example/"},{"kept":"id"}],"status":301,"force":true,"any_slash":true,"keep_query":true},
        {"from":[{"text":"/"},{"rest":"splat"}],"to":[{"text":"/index.html"}],"status":200,"any_slash":true}]
        "#);
    }

    #[test]
    fn what_can_not_be_done_is_warned_of_with_its_line() {
        let settings = read(
            "/api/* https://api.example.com/:splat 200\n/store id=:id /blog/:id 301\n/ /de 302 Language=de\n\
             https://old.example/* /x\n/x\n/f /.netlify/functions/f 200\n/y /z abc\n/z z",
            "  X: y\n/*\n  nothing\nexample.com/*\n  A: b",
        );
        assert!(settings.config.rules.is_empty() && settings.config.headers.is_empty());
        insta::assert_snapshot!(settings.warnings.join("\n"), @r#"
        _redirects, line 1: requests are not passed on to other servers; it is left out.
        _redirects, line 2: a condition on the query is not known here; it is left out.
        _redirects, line 3: a condition (of country, language, role) is not known here; it is left out.
        _redirects, line 4: a path begins with `/` (other domains are redirected by the server's settings); it is left out.
        _redirects, line 5: it has no target; it is left out.
        _redirects, line 6: functions do not run here; it is left out.
        _redirects, line 7: "abc" is no status; it is left out.
        _redirects, line 8: "z" is no path and no address; it is left out.
        _headers, line 1: no path before it; it is left out.
        _headers, line 3: it has no colon; it is left out.
        _headers: "example.com/*" is no path; its headers are left out.
        "#);
    }

    #[test]
    fn headers_are_read() {
        let settings = read(
            "",
            "/*\n  X-Frame-Options: DENY\n  Link: </a.css>; rel=preload\n\n/a/:b\n\tX-B: c: d\n",
        );
        insta::assert_snapshot!(serde_json::to_string(&settings.config.headers).unwrap(), @r#"[{"from":[{"text":"/"},{"rest":"splat"}],"set":[["X-Frame-Options","DENY"],["Link","</a.css>; rel=preload"]],"any_slash":true},{"from":[{"text":"/a/"},{"segment":"b"}],"set":[["X-B","c: d"]],"any_slash":true}]"#);
    }

    #[test]
    fn a_password_is_never_passed_over() {
        let failure = headers("/admin/*\n  Basic-Auth: me:pw", &mut Settings::default()).unwrap_err();
        insta::assert_snapshot!(failure.text(), @r"
        _headers asks for a password for /admin/*

        Passwords for parts of a site are Netlify's own: here they would not be asked for, and all could read it.

        Remove `Basic-Auth`, and set BASIC_AUTH_USERNAME and BASIC_AUTH_PASSWORD as config of the app: then the whole site asks for them.
        ");
    }

    #[test]
    fn netlify_toml_says_the_same() {
        let text = r#"
            [build]
            publish = "site/"
            [[redirects]]
            from = "/a"
            to = "/b"
            status = 302
            force = true
            [[redirects]]
            from = "/c"
            to = "/d"
            conditions = { Country = ["us"] }
            [[headers]]
            for = "/*"
            [headers.values]
            X-A = "b"
        "#;
        let mut settings = Settings::default();
        publish(text, &mut settings);
        assert!(toml(text, &mut settings).unwrap());
        assert_eq!(settings.root.as_deref(), Some("site"));
        assert_eq!(
            (settings.config.rules[0].status, settings.config.rules[0].force),
            (302, true)
        );
        assert_eq!(settings.config.headers.len(), 1);
        assert_eq!(
            settings.warnings,
            ["netlify.toml, redirect from \"/c\": a condition is not known here; it is left out."]
        );
        let mut settings = Settings::default();
        publish("[build]\nbase = \"web\"\npublish = \"dist\"", &mut settings);
        assert_eq!(settings.root, None);
    }
}
