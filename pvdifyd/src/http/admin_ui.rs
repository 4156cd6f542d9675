//! The dashboard: static files, built into the binary or from a folder.
//!
//! It is one page with its own routes: what is no file and asks for HTML gets `index.html`. Files below
//! `_app/immutable/` have a hash in their name and are kept for ever; all others are asked for again by
//! ETag. A page may run its own scripts alone: inline ones are allowed by their hash.

use super::{
    Web,
    error::{Answer, Refusal},
};
use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};
use std::path::{Component, Path, PathBuf};

#[derive(RustEmbed)]
#[folder = "../admin-ui/build"]
#[allow_missing = true]
struct Built;

/// Where the files are.
pub(super) struct AdminUi {
    dir: Option<PathBuf>,
}

impl AdminUi {
    pub(super) fn new(dir: Option<PathBuf>) -> Self {
        Self { dir }
    }

    async fn file(&self, path: &str) -> Option<Bytes> {
        // `..`, an absolute path or a drive could leave the folder.
        let plain = Path::new(path)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if path.is_empty() || !plain {
            return None;
        }
        match &self.dir {
            Some(dir) => tokio::fs::read(dir.join(path)).await.ok().map(Bytes::from),
            None => Built::get(path).map(|file| Bytes::from(file.data.into_owned())),
        }
    }
}

/// All that no route took.
pub(super) async fn serve(State(web): State<Web>, request: Request) -> Answer<Response> {
    let path = request.uri().path().trim_start_matches('/').to_owned();
    if path == "api" || path.starts_with("api/") || path == "control" || path.starts_with("control/") {
        return Ok(StatusCode::NOT_FOUND.into_response());
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok((StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response());
    }
    if let Some(file) = web.ui.file(&path).await {
        return Ok(respond(&path, file, request.headers()));
    }
    let wants_page = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    if !path.is_empty() && !wants_page {
        return Ok(StatusCode::NOT_FOUND.into_response());
    }
    match web.ui.file("index.html").await {
        Some(page) => Ok(respond("index.html", page, request.headers())),
        None => Err(Refusal::new(
            StatusCode::NOT_FOUND,
            "no_dashboard",
            "this server was built without its dashboard",
        )
        .hint("build admin-ui first (make build), or set PVDIFY_STATIC_DIR; the API is at /api/v1")),
    }
}

fn respond(path: &str, content: Bytes, asked: &HeaderMap) -> Response {
    let etag = format!("\"{}\"", hex::encode(&Sha256::digest(&content)[..16]));
    let caching = if path.starts_with("_app/immutable/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let common = [
        (header::ETAG, etag.clone()),
        (header::CACHE_CONTROL, caching.to_owned()),
    ];
    let known = asked
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok());
    if known.is_some_and(|known| {
        known
            .split(',')
            .any(|tag| tag.trim().trim_start_matches("W/") == etag)
    }) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let is_page = Path::new(path)
        .extension()
        .is_some_and(|extension| extension == "html");
    let policy = policy(if is_page { &content } else { &[] });
    let headers = [
        (header::CONTENT_TYPE, media_type(path).to_owned()),
        (header::CONTENT_SECURITY_POLICY, policy),
    ];
    (common, headers, Body::from(content)).into_response()
}

/// The types that a built dashboard holds.
fn media_type(path: &str) -> &'static str {
    match Path::new(path)
        .extension()
        .and_then(|extension| extension.to_str())
    {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("webp") => "image/webp",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}

fn policy(page: &[u8]) -> String {
    let hashes: String = inline_scripts(&String::from_utf8_lossy(page))
        .map(|script| {
            format!(
                " 'sha256-{}'",
                BASE64_STANDARD.encode(Sha256::digest(script.as_bytes()))
            )
        })
        .collect();
    format!(
        "default-src 'self'; script-src 'self'{hashes}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
         connect-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    )
}

/// What stands between `<script>` tags that have no `src`.
fn inline_scripts(page: &str) -> impl Iterator<Item = &str> {
    page.split("<script").skip(1).filter_map(|rest| {
        let (attributes, rest) = rest.split_once('>')?;
        let (script, _) = rest.split_once("</script")?;
        (!attributes.contains("src=")).then_some(script)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_scripts_are_found_and_those_of_files_left_alone() {
        let page =
            "<script>a()</script><script src=\"x.js\"></script><script type=\"module\">\nb()\n</script>";
        assert_eq!(inline_scripts(page).collect::<Vec<_>>(), ["a()", "\nb()\n"]);
    }

    #[tokio::test]
    async fn no_path_leaves_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("secret"), "x").unwrap();
        let inside = dir.path().join("ui");
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(inside.join("a.js"), "x").unwrap();
        let ui = AdminUi::new(Some(inside));
        assert!(ui.file("a.js").await.is_some());
        for bad in ["../secret", "x/../../secret", "/etc/passwd", "", ".."] {
            assert!(ui.file(bad).await.is_none(), "{bad}");
        }
    }
}
