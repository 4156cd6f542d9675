//! Which file, or which other place, a path stands for.
//!
//! The order: forced rules, the file itself, clean URLs, a folder's index, the other rules, the app's page, the
//! page for what is not there. A path ends with `/` where its file is a folder's index, so that relative links
//! on the page mean the right thing.

use crate::{
    escape,
    manifest::{Piece, Rule},
    pattern,
    site::{Entry, Site},
};

/// What a path stands for.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// A file, sent with this status.
    File(&'a Entry, u16),
    /// Another place.
    Redirect(u16, String),
    /// Nothing, and there is no page to say so.
    Nothing,
}

/// What `path` (decoded, beginning with `/`) stands for.
pub(crate) fn route<'a>(site: &'a Site, path: &str, query: Option<&str>) -> Found<'a> {
    let other = pattern::other_slash(path);
    let forced = rules(site, path, &other, query, true);
    let found = forced
        .or_else(|| file(site, path, query))
        .or_else(|| rules(site, path, &other, query, false))
        .or_else(|| {
            let page = site.manifest.fallback.as_ref().filter(|_| !site.is_asset(path))?;
            Some(Found::File(site.entry(page)?, 200))
        });
    found.unwrap_or_else(
        || match site.manifest.not_found.as_ref().and_then(|page| site.entry(page)) {
            Some(page) => Found::File(page, 404),
            None => Found::Nothing,
        },
    )
}

fn file<'a>(site: &'a Site, path: &str, query: Option<&str>) -> Option<Found<'a>> {
    let name = path.strip_prefix('/')?;
    let found = |name: &str| site.entry(name).map(|entry| Found::File(entry, 200));
    let is_clean = site.manifest.clean_urls;
    if name.is_empty() || name.ends_with('/') {
        if let Some(index) =
            found(&format!("{name}index.html")).or_else(|| found(&format!("{name}index.htm")))
        {
            return Some(index);
        }
        let page = name.strip_suffix('/').filter(|_| is_clean)?;
        return site
            .entry(&format!("{page}.html"))
            .map(|_| Found::Redirect(301, location(&format!("/{page}"), query)));
    }
    if let Some(file) = found(name) {
        return Some(file);
    }
    if is_clean && let Some(page) = found(&format!("{name}.html")) {
        return Some(page);
    }
    let has_index = ["index.html", "index.htm"]
        .iter()
        .any(|index| site.entry(&format!("{name}/{index}")).is_some());
    has_index.then(|| Found::Redirect(301, location(&format!("{path}/"), query)))
}

fn rules<'a>(
    site: &'a Site,
    path: &str,
    other: &str,
    query: Option<&str>,
    forced: bool,
) -> Option<Found<'a>> {
    site.manifest
        .rules
        .iter()
        .filter(|rule| rule.force == forced)
        .find_map(|rule| {
            let kept = if rule.any_slash {
                pattern::matches_any_slash(&rule.from, path, other)?
            } else {
                pattern::matches(&rule.from, path)?
            };
            if (300..400).contains(&rule.status) {
                let location = redirect(rule, &kept, query);
                // A rule that leads to where one is already would never end.
                return (location.split('?').next() != Some(path))
                    .then_some(Found::Redirect(rule.status, location));
            }
            let target = rewrite(rule, &kept);
            match file(site, &target, None)? {
                Found::File(entry, _) => Some(Found::File(entry, rule.status)),
                found => Some(found),
            }
        })
}

fn kept_value<'a>(kept: &pattern::Kept<'a>, name: &str) -> &'a str {
    kept.iter()
        .find(|(of, _)| *of == name)
        .map_or("", |(_, value)| value)
}

fn redirect(rule: &Rule, kept: &pattern::Kept<'_>, query: Option<&str>) -> String {
    let mut out = String::new();
    for piece in &rule.to {
        match piece {
            Piece::Text(text) => written(text, &mut out),
            Piece::Kept(name) => escape::encode(kept_value(kept, name), &mut out),
        }
    }
    if rule.keep_query
        && !out.contains('?')
        && let Some(query) = query
    {
        out.push('?');
        written(query, &mut out);
    }
    out
}

fn rewrite(rule: &Rule, kept: &pattern::Kept<'_>) -> String {
    let mut out = String::new();
    for piece in &rule.to {
        out.push_str(match piece {
            Piece::Text(text) => text,
            Piece::Kept(name) => kept_value(kept, name),
        });
    }
    if out.starts_with('/') {
        out
    } else {
        format!("/{out}")
    }
}

fn location(path: &str, query: Option<&str>) -> String {
    let mut out = String::new();
    escape::encode(path, &mut out);
    if let Some(query) = query {
        out.push('?');
        written(query, &mut out);
    }
    out
}

// What is a URL's part already: only what would break the header goes.
fn written(text: &str, out: &mut String) {
    for c in text.chars() {
        if c.is_ascii_graphic() {
            out.push(c);
        } else {
            escape::encode(c.encode_utf8(&mut [0; 4]), out);
        }
    }
}
