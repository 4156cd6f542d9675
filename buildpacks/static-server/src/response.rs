//! A request to its response: the head as bytes, the body as pieces of memory or of files. No socket here.

use crate::{
    manifest::Coding,
    negotiate, pattern,
    range::{self, Ranges},
    request::{Method, Request},
    route::{self, Found},
    segment::Segment,
    site::{Content, Entry, Site},
};
use std::{collections::VecDeque, fmt::Write, sync::Arc};

/// A response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Bytes of the body as the head gives them.
    pub(crate) length: u64,
    /// What to send, in order.
    pub(crate) segments: VecDeque<Segment>,
    /// The connection is used again afterwards.
    pub(crate) keep_alive: bool,
}

/// What every response needs to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now<'a> {
    /// The `Date` header.
    pub(crate) date: &'a str,
    /// The server ends: no connection is kept.
    pub(crate) stopping: bool,
}

/// The response to a request.
pub(crate) fn respond(site: &Site, request: &Request<'_>, now: Now<'_>) -> Response {
    let mut head = Head::new(now, request.keep_alive && !now.stopping);
    if let Some(location) = elsewhere(site, request) {
        return head.redirect(301, &location, request.method);
    }
    if site
        .users
        .as_ref()
        .is_some_and(|users| !users.allow(request.header("authorization")))
    {
        head.add(
            "WWW-Authenticate",
            "Basic realm=\"Restricted\", charset=\"UTF-8\"",
        );
        return head.message(401, request.method);
    }
    match request.method {
        Method::Get | Method::Head => {}
        Method::Options => {
            head.set(custom(site, &request.path));
            head.add("Allow", ALLOWED);
            return head.empty(204);
        }
        Method::Other => {
            head.add("Allow", ALLOWED);
            return head.message(405, request.method);
        }
    }
    head.set(custom(site, &request.path));
    match route::route(site, &request.path, request.query) {
        Found::File(entry, status) => file(site, request, head, entry, status),
        Found::Redirect(status, location) => head.redirect(status, &location, request.method),
        Found::Nothing => head.message(404, request.method),
    }
}

/// The response to what is no request.
pub(crate) fn refuse(status: u16, now: Now<'_>) -> Response {
    Head::new(now, false).message(status, Method::Get)
}

const ALLOWED: &str = "GET, HEAD, OPTIONS";

// HTTPS and the one host. A router says how a request came; without one it is a check of health.
fn elsewhere(site: &Site, request: &Request<'_>) -> Option<String> {
    let scheme = request.header("x-forwarded-proto")?.split(',').next()?.trim();
    let host = request.host;
    let site = &site.manifest;
    let right = site.canonical_host.as_deref().unwrap_or(host);
    let is_plain = site.https_only && !scheme.eq_ignore_ascii_case("https");
    if !is_plain && right.eq_ignore_ascii_case(host) || right.is_empty() || !request.target.starts_with('/') {
        return None;
    }
    let scheme = if site.https_only || scheme.eq_ignore_ascii_case("https") {
        "https"
    } else {
        "http"
    };
    Some(format!("{scheme}://{right}{}", request.target))
}

// The headers that the site's rules give for a path; a later one replaces an earlier one of its name.
fn custom<'a>(site: &'a Site, path: &str) -> Vec<&'a (String, String)> {
    let other = pattern::other_slash(path);
    let mut found: Vec<&(String, String)> = Vec::new();
    let matching = site.manifest.headers.iter().filter(|rule| {
        if rule.any_slash {
            pattern::matches_any_slash(&rule.from, path, &other).is_some()
        } else {
            pattern::matches(&rule.from, path).is_some()
        }
    });
    for rule in matching {
        if rule.alone {
            found.clear();
        }
        found.retain(|(name, _)| !rule.set.iter().any(|(new, _)| new.eq_ignore_ascii_case(name)));
        found.extend(&rule.set);
    }
    found
}

fn file(site: &Site, request: &Request<'_>, mut head: Head<'_>, entry: &Entry, status: u16) -> Response {
    let file = &entry.file;
    let coding = negotiate::coding(request.list("accept-encoding").as_deref(), &file.codings);
    let etag = match coding {
        Some(coding) => format!("\"{}-{}\"", file.etag, coding.name()),
        None => format!("\"{}\"", file.etag),
    };
    if !file.codings.is_empty() {
        head.add("Vary", "Accept-Encoding");
    }
    if status == 200 {
        head.add("ETag", &etag);
        head.default(
            "Cache-Control",
            if file.immutable { IMMUTABLE } else { REVALIDATE },
        );
        if request
            .list("if-match")
            .is_some_and(|list| list != "*" && !negotiate::names_strongly(&list, &etag))
        {
            return Head::new(head.now, head.keep_alive).message(412, request.method);
        }
        if request
            .list("if-none-match")
            .is_some_and(|list| negotiate::names_weakly(&list, &etag))
        {
            return head.empty(304);
        }
        head.add("Accept-Ranges", "bytes");
    } else {
        head.default("Cache-Control", "no-cache");
    }
    let (content, size) = match site.content(entry, coding) {
        Ok(found) => found,
        Err(error) => {
            eprintln!("can't read {}: {error}", entry.path);
            return Head::new(head.now, false).message(500, request.method);
        }
    };
    let wants_part = status == 200
        && request.method == Method::Get
        && request
            .header("if-range")
            .is_none_or(|one| negotiate::names_strongly(one, &etag));
    let ranges = range::ranges(request.header("range").filter(|_| wants_part), size);
    if let Some(coding) = coding {
        head.add("Content-Encoding", coding.name());
    }
    match ranges {
        Ranges::Whole => {
            head.default("Content-Type", &file.content_type);
            head.finish(status, size, request.method, [part(&content, 0, size)])
        }
        Ranges::Parts(parts) if parts.len() == 1 => {
            let (first, length) = parts[0];
            head.default("Content-Type", &file.content_type);
            head.add(
                "Content-Range",
                &format!("bytes {first}-{}/{size}", first + length - 1),
            );
            head.finish(206, length, request.method, [part(&content, first, length)])
        }
        Ranges::Parts(parts) => several(head, entry, coding, &content, size, &parts),
        Ranges::Outside => {
            // What was said of the file is not true of the message.
            let mut head = Head::new(head.now, head.keep_alive);
            head.add("Content-Range", &format!("bytes */{size}"));
            head.message(416, request.method)
        }
    }
}

fn several(
    mut head: Head<'_>,
    entry: &Entry,
    coding: Option<Coding>,
    content: &Content,
    size: u64,
    parts: &[(u64, u64)],
) -> Response {
    // It must not occur in the file: a hash of the file is not found in it.
    let boundary = format!("{}{}", entry.file.etag, coding.map_or("", Coding::name));
    let mut segments = Vec::new();
    let mut total = 0;
    for (first, length) in parts {
        let text = format!(
            "\r\n--{boundary}\r\nContent-Type: {}\r\nContent-Range: bytes {first}-{}/{size}\r\n\r\n",
            entry.file.content_type,
            first + length - 1
        );
        total += text.len() as u64 + length;
        segments.push(Segment::Own(text.into_bytes(), 0));
        segments.push(part(content, *first, *length));
    }
    let end = format!("\r\n--{boundary}--\r\n");
    total += end.len() as u64;
    segments.push(Segment::Own(end.into_bytes(), 0));
    head.add(
        "Content-Type",
        &format!("multipart/byteranges; boundary={boundary}"),
    );
    head.finish(206, total, Method::Get, segments)
}

fn part(content: &Content, first: u64, length: u64) -> Segment {
    match content {
        Content::Memory(bytes) => {
            let from = usize::try_from(first).unwrap_or(0).min(bytes.len());
            let to = usize::try_from(first + length).unwrap_or(0).min(bytes.len());
            Segment::Shared(Arc::clone(bytes), from, to)
        }
        Content::File(file) => Segment::File(Arc::clone(file), first, length),
    }
}

const IMMUTABLE: &str = "public, max-age=31536000, immutable";
const REVALIDATE: &str = "public, max-age=0, must-revalidate";

/// A response's head while it is made: what the site's rules say of a header wins over the default.
struct Head<'a> {
    now: Now<'a>,
    keep_alive: bool,
    headers: String,
    custom: Vec<&'a (String, String)>,
}

impl<'a> Head<'a> {
    fn new(now: Now<'a>, keep_alive: bool) -> Self {
        Self {
            now,
            keep_alive,
            headers: String::with_capacity(512),
            custom: Vec::new(),
        }
    }

    fn set(&mut self, custom: Vec<&'a (String, String)>) {
        self.custom = custom;
    }

    fn add(&mut self, name: &str, value: &str) {
        // Never for the reader, so a failure can't be.
        for text in [name, ": ", value, "\r\n"] {
            self.headers.push_str(text);
        }
    }

    fn default(&mut self, name: &str, value: &str) {
        if !self.custom.iter().any(|(set, _)| set.eq_ignore_ascii_case(name)) {
            self.add(name, value);
        }
    }

    fn redirect(mut self, status: u16, location: &str, method: Method) -> Response {
        self.add("Location", location);
        self.message(status, method)
    }

    fn message(mut self, status: u16, method: Method) -> Response {
        let text = format!(
            "<!doctype html><meta charset=utf-8><title>{status} {0}</title><h1>{status} {0}</h1>\n",
            reason(status)
        );
        self.custom
            .retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
        if status >= 400 {
            self.default("Cache-Control", "no-cache");
        }
        self.add("Content-Type", "text/html; charset=utf-8");
        let length = text.len() as u64;
        self.finish(status, length, method, [Segment::Own(text.into_bytes(), 0)])
    }

    // Neither has a body, nor a length of one.
    fn empty(self, status: u16) -> Response {
        self.write(status, None, Vec::new())
    }

    fn finish(
        self,
        status: u16,
        length: u64,
        method: Method,
        body: impl IntoIterator<Item = Segment>,
    ) -> Response {
        let body = if method == Method::Head {
            Vec::new()
        } else {
            body.into_iter().collect()
        };
        self.write(status, Some(length), body)
    }

    fn write(mut self, status: u16, length: Option<u64>, body: Vec<Segment>) -> Response {
        self.default("X-Content-Type-Options", "nosniff");
        for (name, value) in std::mem::take(&mut self.custom) {
            self.add(name, value);
        }
        let mut head = String::with_capacity(self.headers.len() + 128);
        let connection = if self.keep_alive { "keep-alive" } else { "close" };
        // A String takes all.
        let written = write!(
            head,
            "HTTP/1.1 {status} {}\r\nDate: {}\r\n",
            reason(status),
            self.now.date
        )
        .and_then(|()| length.map_or(Ok(()), |length| write!(head, "Content-Length: {length}\r\n")))
        .and_then(|()| write!(head, "{}Connection: {connection}\r\n\r\n", self.headers));
        debug_assert!(written.is_ok());
        let mut segments = VecDeque::with_capacity(body.len() + 1);
        segments.push_back(Segment::Own(head.into_bytes(), 0));
        segments.extend(body);
        Response {
            status,
            length: length.unwrap_or(0),
            segments,
            keep_alive: self.keep_alive,
        }
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        410 => "Gone",
        412 => "Precondition Failed",
        414 => "URI Too Long",
        416 => "Range Not Satisfiable",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Response",
    }
}
