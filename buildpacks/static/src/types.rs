//! The type of a file, by its name and by its first bytes where the name says nothing.

// Ending, type, whether it is worth compressing.
const TYPES: &[(&str, &str, bool)] = &[
    ("html", "text/html", true),
    ("htm", "text/html", true),
    ("xhtml", "application/xhtml+xml", true),
    ("css", "text/css", true),
    ("js", "text/javascript", true),
    ("mjs", "text/javascript", true),
    ("cjs", "text/javascript", true),
    ("json", "application/json", true),
    ("map", "application/json", true),
    ("jsonld", "application/ld+json", true),
    ("geojson", "application/geo+json", true),
    ("topojson", "application/json", true),
    ("gltf", "model/gltf+json", true),
    ("webmanifest", "application/manifest+json", true),
    ("txt", "text/plain", true),
    ("text", "text/plain", true),
    ("log", "text/plain", true),
    ("md", "text/markdown", true),
    ("csv", "text/csv", true),
    ("tsv", "text/tab-separated-values", true),
    ("ics", "text/calendar", true),
    ("vcf", "text/vcard", true),
    ("vtt", "text/vtt", true),
    ("srt", "text/plain", true),
    ("yaml", "text/yaml", true),
    ("yml", "text/yaml", true),
    ("toml", "text/plain", true),
    ("sh", "text/plain", true),
    ("xml", "application/xml", true),
    ("xsl", "application/xml", true),
    ("rss", "application/rss+xml", true),
    ("atom", "application/atom+xml", true),
    ("svg", "image/svg+xml", true),
    ("wasm", "application/wasm", true),
    ("ico", "image/x-icon", true),
    ("bmp", "image/bmp", true),
    ("ttf", "font/ttf", true),
    ("otf", "font/otf", true),
    ("eot", "application/vnd.ms-fontobject", true),
    ("glb", "model/gltf-binary", true),
    ("obj", "model/obj", true),
    ("stl", "model/stl", true),
    ("swf", "application/x-shockwave-flash", false),
    ("woff", "font/woff", false),
    ("woff2", "font/woff2", false),
    ("png", "image/png", false),
    ("apng", "image/apng", false),
    ("jpg", "image/jpeg", false),
    ("jpeg", "image/jpeg", false),
    ("jfif", "image/jpeg", false),
    ("gif", "image/gif", false),
    ("webp", "image/webp", false),
    ("avif", "image/avif", false),
    ("jxl", "image/jxl", false),
    ("heic", "image/heic", false),
    ("tif", "image/tiff", false),
    ("tiff", "image/tiff", false),
    ("mp4", "video/mp4", false),
    ("m4v", "video/mp4", false),
    ("webm", "video/webm", false),
    ("ogv", "video/ogg", false),
    ("mov", "video/quicktime", false),
    ("avi", "video/x-msvideo", false),
    ("mkv", "video/x-matroska", false),
    ("m3u8", "application/vnd.apple.mpegurl", true),
    ("mpd", "application/dash+xml", true),
    ("mp3", "audio/mpeg", false),
    ("m4a", "audio/mp4", false),
    ("aac", "audio/aac", false),
    ("ogg", "audio/ogg", false),
    ("oga", "audio/ogg", false),
    ("opus", "audio/ogg", false),
    ("flac", "audio/flac", false),
    ("wav", "audio/wav", false),
    ("mid", "audio/midi", false),
    ("pdf", "application/pdf", false),
    ("epub", "application/epub+zip", false),
    ("zip", "application/zip", false),
    ("gz", "application/gzip", false),
    ("tgz", "application/gzip", false),
    ("br", "application/octet-stream", false),
    ("zst", "application/zstd", false),
    ("bz2", "application/x-bzip2", false),
    ("xz", "application/x-xz", false),
    ("7z", "application/x-7z-compressed", false),
    ("tar", "application/x-tar", true),
    ("rtf", "application/rtf", true),
    ("doc", "application/msword", false),
    (
        "docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        false,
    ),
    ("xls", "application/vnd.ms-excel", false),
    (
        "xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        false,
    ),
    ("ppt", "application/vnd.ms-powerpoint", false),
    (
        "pptx",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        false,
    ),
    ("apk", "application/vnd.android.package-archive", false),
    ("ts", "video/mp2t", false),
    ("pbf", "application/x-protobuf", false),
];

/// A type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kind {
    /// For `Content-Type`.
    pub(crate) header: String,
    /// It gets smaller by compressing.
    pub(crate) is_compressible: bool,
}

/// The type of the file `path`. A text that is UTF-8 says so; of another the page itself says what it is.
pub(crate) fn of(path: &str, content: &[u8], charset: &str) -> Kind {
    let name = path.rsplit('/').next().unwrap_or(path);
    let ending = name
        .rsplit_once('.')
        .map(|(_, ending)| ending.to_ascii_lowercase());
    let known = ending.and_then(|ending| TYPES.iter().find(|(of, ..)| *of == ending));
    let is_text = || std::str::from_utf8(content).is_ok() && !content.contains(&0);
    let (name, is_compressible) = match known {
        // TypeScript's sources have the ending of a video format.
        Some(("ts", ..)) if is_text() => ("text/plain", true),
        Some((_, name, is_compressible)) => (*name, *is_compressible),
        None if name == "apple-app-site-association" => ("application/json", true),
        None if !is_text() => ("application/octet-stream", false),
        None if is_page(content) => ("text/html", true),
        None => ("text/plain", true),
    };
    let has_charset = name.starts_with("text/");
    let is_right = !charset.eq_ignore_ascii_case("utf-8") || std::str::from_utf8(content).is_ok();
    let header = if has_charset && is_right {
        format!("{name}; charset={}", charset.to_ascii_lowercase())
    } else {
        name.to_owned()
    };
    Kind {
        header,
        is_compressible,
    }
}

fn is_page(content: &[u8]) -> bool {
    let start: Vec<u8> = content
        .trim_ascii_start()
        .iter()
        .take(14)
        .map(u8::to_ascii_lowercase)
        .collect();
    start.starts_with(b"<!doctype html") || start.starts_with(b"<html")
}

/// Whether a file's name has a hash of its content in it, as bundlers write it. Then it may be kept for ever.
///
/// A name that only looks like it would be kept too long, so in a site that no bundler made only plain
/// hexadecimal hashes count.
pub(crate) fn has_hash(path: &str, is_bundled: bool) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let Some((stem, ending)) = name.split_once('.').and_then(|_| name.rsplit_once('.')) else {
        return false;
    };
    if matches!(ending, "html" | "htm" | "json" | "xml" | "txt" | "webmanifest") {
        return false;
    }
    let folders = ["_app/immutable/", "_next/static/", "_astro/", "_nuxt/"];
    if is_bundled && folders.iter().any(|folder| path.starts_with(folder)) {
        // Next.js names a folder by its build, and two files in it stay named as they are.
        return true;
    }
    let stem = match ending {
        // `main.1a2b3c4d.js.map`, `main.1a2b3c4d.chunk.js`.
        "map" => stem
            .strip_suffix(".js")
            .or_else(|| stem.strip_suffix(".css"))
            .unwrap_or(stem),
        _ => stem,
    };
    let stem = stem
        .strip_suffix(".chunk")
        .or_else(|| stem.strip_suffix(".bundle"))
        .unwrap_or(stem);
    let Some(at) = stem.rfind(['.', '-', '_']) else {
        return is_bundled && is_hex_hash(stem, 20);
    };
    is_hex_hash(&stem[at + 1..], 8) || is_bundled && (is_mixed(&stem[at + 1..]) || ends_mixed(stem))
}

fn is_hex_hash(word: &str, least: usize) -> bool {
    (least..=64).contains(&word.len())
        && word
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        && word.bytes().any(|byte| byte.is_ascii_digit())
        && word.bytes().any(|byte| byte.is_ascii_lowercase())
}

// Base 32 or 64: letters of both cases and digits, or capitals with digits.
fn is_mixed(word: &str) -> bool {
    let has = |test: fn(&u8) -> bool| word.bytes().any(|byte| test(&byte));
    let digits = has(u8::is_ascii_digit);
    let (upper, lower) = (has(u8::is_ascii_uppercase), has(u8::is_ascii_lowercase));
    (8..=32).contains(&word.len())
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && (upper && digits
            || lower && digits && !word.ends_with(|c: char| c.is_ascii_digit())
            || upper && lower && is_scattered(word))
}

// Vite's eight characters may hold `-` and `_`.
fn ends_mixed(stem: &str) -> bool {
    let Some(at) = stem.len().checked_sub(9) else {
        return false;
    };
    let (Some(before), Some(word)) = (stem.as_bytes().get(at), stem.get(at + 1..)) else {
        return false;
    };
    let letters: String = word.chars().filter(char::is_ascii_alphanumeric).collect();
    let has = |test: fn(&u8) -> bool| letters.bytes().any(|byte| test(&byte));
    matches!(before, b'-' | b'.')
        && word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        && has(u8::is_ascii_uppercase)
        && (has(u8::is_ascii_digit) || has(u8::is_ascii_lowercase) && is_scattered(&letters))
}

// `DiwRgtDa` is a hash, `JavaScript` are words (`DiwrgTda` could be, and is asked for again): capitals that begin
// words are followed by two small letters.
fn is_scattered(word: &str) -> bool {
    let bytes = word.as_bytes();
    bytes.iter().enumerate().any(|(at, byte)| {
        byte.is_ascii_uppercase()
            && !bytes
                .get(at + 1..at + 3)
                .is_some_and(|next| next.iter().all(u8::is_ascii_lowercase))
    }) || bytes.first().is_some_and(u8::is_ascii_lowercase)
        && bytes.iter().filter(|byte| byte.is_ascii_uppercase()).count() > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_by_name_and_else_by_content() {
        for (path, content, expected) in [
            ("index.html", "x", "text/html; charset=utf-8"),
            ("a/b.JS", "x", "text/javascript; charset=utf-8"),
            ("a.json", "{}", "application/json"),
            ("a.svg", "<svg/>", "image/svg+xml"),
            ("a.woff2", "x", "font/woff2"),
            ("LICENSE", "MIT", "text/plain; charset=utf-8"),
            ("about", "\n<!DOCTYPE HTML><p>", "text/html; charset=utf-8"),
            ("data", "a\0b", "application/octet-stream"),
            ("x.unknown", "text", "text/plain; charset=utf-8"),
            (".well-known/apple-app-site-association", "{}", "application/json"),
            ("src/main.ts", "let x;", "text/plain; charset=utf-8"),
            ("video/1.ts", "G\0", "video/mp2t"),
        ] {
            assert_eq!(of(path, content.as_bytes(), "UTF-8").header, expected, "{path}");
        }
    }

    #[test]
    fn a_page_in_another_charset_is_not_called_utf_8() {
        assert_eq!(of("a.html", b"<p>\xe4", "UTF-8").header, "text/html");
        assert_eq!(
            of("a.html", b"<p>\xe4", "ISO-8859-1").header,
            "text/html; charset=iso-8859-1"
        );
    }

    #[test]
    fn a_hash_in_a_name_is_seen() {
        for path in [
            "style.3f2a1b4c.css",
            "static/js/main.8a3f2b1c.js",
            "static/js/2.a1b2c3d4.chunk.js",
            "static/js/main.8a3f2b1c.js.map",
            "photo-0a1b2c3d4e5f.jpg",
        ] {
            assert!(has_hash(path, false) && has_hash(path, true), "{path}");
        }
        for path in [
            "assets/index-DiwRgtDa.js",
            "assets/index-BfX3kq2D.css",
            "assets/index-B-x3_q2D.js",
            "main-5DEGHLN2.js",
            "_next/static/abc/_buildManifest.js",
            "_app/immutable/entry/start.x.js",
            "0123456789abcdef0123.js",
            "chunk-6SXGBMSC.js",
        ] {
            assert!(has_hash(path, true), "{path}");
            assert!(!has_hash(path, false), "{path}");
        }
    }

    #[test]
    fn a_name_of_words_and_numbers_is_no_hash() {
        for path in [
            "index.html",
            "app.js",
            "jquery-3.7.1.min.js",
            "photo-20240131.jpg",
            "my-JavaScript.js",
            "my-important.css",
            "defaced.css",
            "a-facade.js",
            "logo-192x192.png",
            "report-deadbeef.pdf",
            "index-1f2e3d4c.html",
            "lib/jquery-minified.js",
            "icon-android2.png",
            "LICENSE-APACHE.txt",
            "favicon-32x32.png",
        ] {
            assert!(!has_hash(path, false), "{path}");
            assert!(!has_hash(path, true), "{path}");
        }
    }
}
