//! A site, ready to be served: the manifest checked, and an opened or remembered content for each file.
//!
//! What always holds: every path that a file is opened by is below the site's folder, has no `..`, and no link is
//! followed in its last part; every header of a rule fits on one line. Contents never change while this runs.

use crate::{
    auth::Users,
    manifest::{Coding, File, Manifest, Piece, Rule, VERSION},
};
use rustix::fs::{Mode, OFlags, openat};
use std::{
    collections::{HashMap, HashSet},
    fmt, fs, io,
    os::fd::OwnedFd,
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// Files up to this size are remembered.
const SMALL: u64 = 64 * 1024;
/// Bytes remembered in all: an instance of the smallest size (64 MB) has room for this many times.
const MEMORY: u64 = 8 * 1024 * 1024;
/// Larger files that stay open; well below the usual limit of 1024 descriptors.
const OPEN: u64 = 256;

/// A site.
#[derive(Debug)]
pub struct Site {
    pub(crate) manifest: Manifest,
    pub(crate) users: Option<Users>,
    entries: HashMap<String, Entry>,
    /// Endings of names that are never a page of an app.
    assets: HashSet<String>,
    root: OwnedFd,
    memory: AtomicU64,
    open: AtomicU64,
}

/// A file with its contents.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) path: String,
    pub(crate) file: File,
    contents: [OnceLock<Content>; 4],
}

/// Bytes to send.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// In memory.
    Memory(Arc<[u8]>),
    /// In a file.
    File(Arc<OwnedFd>),
}

/// Why a site can't be served.
#[derive(Debug)]
pub struct Unusable(pub(crate) String);

impl fmt::Display for Unusable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Unusable {}

fn unusable(text: impl Into<String>) -> Unusable {
    Unusable(text.into())
}

impl Site {
    /// The site in `folder`, which has a `site.json`. `variable` gives the environment's values.
    pub fn load(folder: &Path, variable: impl Fn(&str) -> Option<String>) -> Result<Self, Unusable> {
        let file = folder.join("site.json");
        let text =
            fs::read(&file).map_err(|error| unusable(format!("can't read {}: {error}", file.display())))?;
        let mut manifest: Manifest = serde_json::from_slice(&text)
            .map_err(|error| unusable(format!("{} is no site: {error}", file.display())))?;
        check(&manifest)?;
        if let Some(host) = &mut manifest.canonical_host {
            *host = expand(host, &variable);
        }
        for rule in &mut manifest.rules {
            expand_rule(rule, &variable);
        }
        let users = Users::of(&manifest, &variable)?;
        let root = rustix::fs::open(
            folder,
            OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|error| unusable(format!("can't open {}: {error}", folder.display())))?;
        let entries: HashMap<_, _> = std::mem::take(&mut manifest.files)
            .into_iter()
            .map(|(path, file)| {
                (
                    path.clone(),
                    Entry {
                        path,
                        file,
                        contents: Default::default(),
                    },
                )
            })
            .collect();
        Ok(Self {
            assets: assets(entries.keys()),
            manifest,
            users,
            entries,
            root,
            memory: AtomicU64::new(0),
            open: AtomicU64::new(0),
        })
    }

    /// The file of this path (without a leading `/`).
    pub(crate) fn entry(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// Whether the last part of `path` is named like a script, a picture and so on.
    pub(crate) fn is_asset(&self, path: &str) -> bool {
        ending(path).is_some_and(|ending| self.assets.contains(&ending))
    }

    /// The bytes of a file in a coding, and how many they are.
    pub(crate) fn content(&self, entry: &Entry, coding: Option<Coding>) -> io::Result<(Content, u64)> {
        let size = match coding {
            Some(coding) => entry.file.codings.get(&coding).copied().unwrap_or(0),
            None => entry.file.size,
        };
        let place = &entry.contents[coding.map_or(3, |coding| coding as usize)];
        if let Some(content) = place.get() {
            return Ok((content.clone(), size));
        }
        let folder = coding.map_or("files", Coding::name);
        let file = openat(
            &self.root,
            format!("{folder}/{}", entry.path),
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        if rustix::fs::fstat(&file)?.st_size.unsigned_abs() != size {
            return Err(io::Error::other("the file is not as it was built"));
        }
        let fits = |used: &AtomicU64, more: u64, most: u64| {
            used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                (used + more <= most).then_some(used + more)
            })
            .is_ok()
        };
        let content = if size <= SMALL && fits(&self.memory, size, MEMORY) {
            let mut bytes = Vec::new();
            io::Read::read_to_end(&mut fs::File::from(file), &mut bytes)?;
            Content::Memory(bytes.into())
        } else if fits(&self.open, 1, OPEN) {
            Content::File(Arc::new(file))
        } else {
            return Ok((Content::File(Arc::new(file)), size));
        };
        // Another thread may have been quicker: then its content is as good.
        Ok((place.get_or_init(|| content).clone(), size))
    }
}

fn check(manifest: &Manifest) -> Result<(), Unusable> {
    if manifest.version != VERSION {
        return Err(unusable(format!(
            "the site has format {}, this server reads {VERSION}: build the app again",
            manifest.version
        )));
    }
    for (path, file) in &manifest.files {
        let is_plain = !path.is_empty()
            && path
                .split('/')
                .all(|part| !part.is_empty() && part != "." && part != "..")
            && !path.bytes().any(|byte| byte == 0);
        if !is_plain {
            return Err(unusable(format!("{path:?} is no path of a file")));
        }
        if !fits_header(&file.content_type) || !fits_header(&file.etag) || file.etag.contains('"') {
            return Err(unusable(format!(
                "the type or etag of {path:?} can't stand in a header"
            )));
        }
    }
    for (name, value) in manifest.headers.iter().flat_map(|rule| &rule.set) {
        let is_name = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
        if !is_name || !fits_header(value) {
            return Err(unusable(format!("{name:?}: {value:?} is no header")));
        }
    }
    if let Some(rule) = manifest
        .rules
        .iter()
        .find(|rule| !(200..600).contains(&rule.status))
    {
        return Err(unusable(format!("{} is no status of a rule", rule.status)));
    }
    Ok(())
}

fn fits_header(value: &str) -> bool {
    !value
        .bytes()
        .any(|byte| byte < b' ' && byte != b'\t' || byte == 0x7f)
}

fn expand_rule(rule: &mut Rule, variable: impl Fn(&str) -> Option<String>) {
    for piece in &mut rule.to {
        if let Piece::Text(text) = piece {
            *text = expand(text, &variable);
        }
    }
}

// `${NAME}`; what is not set stays as it is, as on Heroku.
fn expand(text: &str, variable: &impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let Some((name, behind)) = after.split_once('}') else {
            out.push_str("${");
            rest = after;
            continue;
        };
        match variable(name) {
            Some(value) => out.push_str(&value),
            None => out.push_str(&format!("${{{name}}}")),
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

fn assets<'a>(paths: impl Iterator<Item = &'a String>) -> HashSet<String> {
    const USUAL: [&str; 24] = [
        "js",
        "mjs",
        "css",
        "map",
        "json",
        "xml",
        "txt",
        "ico",
        "png",
        "jpg",
        "jpeg",
        "gif",
        "svg",
        "webp",
        "avif",
        "woff",
        "woff2",
        "ttf",
        "mp4",
        "webm",
        "mp3",
        "pdf",
        "wasm",
        "webmanifest",
    ];
    let mut all: HashSet<String> = paths.filter_map(|path| ending(path)).collect();
    all.extend(USUAL.map(str::to_owned));
    for page in ["html", "htm"] {
        all.remove(page);
    }
    all
}

fn ending(path: &str) -> Option<String> {
    let name = path.rsplit('/').next()?;
    let (_, ending) = name.rsplit_once('.')?;
    (!ending.is_empty()).then(|| ending.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn site(json: &str) -> Result<Site, Unusable> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("site.json"), json).unwrap();
        Site::load(dir.path(), |_| None)
    }

    fn why(json: &str) -> String {
        site(json).unwrap_err().to_string()
    }

    #[test]
    fn a_site_that_could_leave_its_folder_is_refused() {
        for path in ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a\\u0000b"] {
            let json = format!(
                r#"{{"version":1,"files":{{"{path}":{{"size":1,"etag":"a","type":"text/plain"}}}}}}"#
            );
            assert!(why(&json).ends_with("is no path of a file"), "{path}");
        }
    }

    #[test]
    fn a_site_that_could_split_a_header_is_refused() {
        let json = r#"{"version":1,"files":{},"headers":[{"from":[],"set":[["X","a\r\nSet-Cookie: b"]]}]}"#;
        assert_eq!(why(json), r#""X": "a\r\nSet-Cookie: b" is no header"#);
        assert_eq!(
            why(r#"{"version":2,"files":{}}"#),
            "the site has format 2, this server reads 1: build the app again"
        );
        assert!(why(r#"{"version":1,"files":{},"clean":1}"#).contains("unknown field `clean`"));
    }

    #[test]
    fn variables_stand_for_their_values_and_unset_ones_for_themselves() {
        let variable = |name: &str| (name == "HOST").then(|| "www.example.com".to_owned());
        assert_eq!(
            expand("https://${HOST}/${NONE}${", &variable),
            "https://www.example.com/${NONE}${"
        );
    }

    #[test]
    fn a_link_is_not_followed_and_a_changed_file_not_sent() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("files")).unwrap();
        fs::write(dir.path().join("files/a"), "two").unwrap();
        symlink("/etc/hostname", dir.path().join("files/link")).unwrap();
        let one = r#"{"size":1,"etag":"a","type":"text/plain"}"#;
        let json = format!(r#"{{"version":1,"files":{{"a":{one},"link":{one}}}}}"#);
        fs::write(dir.path().join("site.json"), json).unwrap();
        let site = Site::load(dir.path(), |_| None).unwrap();
        for path in ["a", "link"] {
            assert!(site.content(site.entry(path).unwrap(), None).is_err(), "{path}");
        }
    }

    #[test]
    fn an_ending_tells_a_page_from_an_asset() {
        let site =
            site(r#"{"version":1,"files":{"a.glb":{"size":1,"etag":"a","type":"model/gltf-binary"}}}"#)
                .unwrap();
        for (path, is_asset) in [
            ("/app.js", true),
            ("/x/y.GLB", true),
            ("/about.html", false),
            ("/users/john.doe", false),
            ("/v1.2/page", false),
            ("/", false),
        ] {
            assert_eq!(site.is_asset(path), is_asset, "{path}");
        }
    }
}
