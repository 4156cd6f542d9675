//! `static.json` as Heroku's own buildpack serves it: the same sites, the same answers.

use crate::served::{Served, serve, site};

fn heroku(json: &str, pages: &[(&str, &str)]) -> Served {
    with(json, pages, &[])
}

fn with(json: &str, pages: &[(&str, &str)], variables: &[(&str, &str)]) -> Served {
    let mut app = site().file("static.json", json);
    for (path, text) in pages {
        app = app.file(&format!("public_html/{path}"), text);
    }
    drop(app.build().passed());
    let mut served = serve(&app, variables);
    served.app = Some(app);
    served
}

fn ok(text: &str) -> (u16, String) {
    (200, text.to_owned())
}

fn to(status: u16, place: &str) -> (u16, String) {
    (status, place.to_owned())
}

#[test]
fn public_html_is_the_default() {
    let served = heroku(
        "{}",
        &[
            ("index.html", "Hello World"),
            ("foo.json", "{}"),
            ("foo.html", "foo"),
        ],
    );
    assert_eq!(served.page("/"), ok("Hello World"));
    assert_eq!(
        served.get("/foo.json", &[]).header("content-type"),
        Some("application/json")
    );
    assert_eq!(served.page("/foo").0, 404);
}

#[test]
fn clean_urls() {
    let pages = [
        ("foo.html", "foobar"),
        ("foo/bar.html", "bar"),
        ("bar/index.html", "index of bar"),
    ];
    let served = heroku(r#"{"clean_urls": true}"#, &pages);
    assert_eq!(served.page("/foo"), ok("foobar"));
    assert_eq!(served.page("/foo/bar"), ok("bar"));
    assert_eq!(served.redirect("/bar"), to(301, "/bar/"));
    assert_eq!(served.page("/bar/"), ok("index of bar"));
}

#[test]
fn routes_after_files_and_redirects() {
    let json = r#"{
        "routes": {"/assets/*": "/assets/", "/*.page": "index.html", "/route/**": "bar/baz.html", "/**": "index.html"},
        "redirects": {"/old/gone": {"url": "/gone.html", "status": 302}, "/gone.html": {"url": "/"}}
    }"#;
    let pages = [
        ("index.html", "index"),
        ("bar/baz.html", "baz"),
        ("gone.html", "gone"),
        ("assets/app.js", "{}"),
    ];
    let served = heroku(json, &pages);
    assert_eq!(served.page("/assets/app.js"), ok("{}"));
    assert_eq!(served.page("/x.page"), ok("index"));
    assert_eq!(served.page("/route/foo/bar"), ok("baz"));
    assert_eq!(served.page("/any/thing.js"), ok("index"));
    assert_eq!(served.redirect("/old/gone"), to(302, "/gone.html"));
    assert_eq!(served.page("/gone.html"), ok("gone"));
}

#[test]
fn redirects_with_values_of_the_environment() {
    let json = r#"{"redirects": {"/old": {"url": "${NEW}/here"}}, "canonical_host": "${HOST}"}"#;
    let served = with(
        json,
        &[("index.html", "")],
        &[("NEW", "https://new.example"), ("HOST", "www.example.com")],
    );
    assert_eq!(served.redirect("/old"), to(301, "https://new.example/here"));
    let answer = served.get("/a", &["X-Forwarded-Proto: http"]);
    assert_eq!(answer.header("location"), Some("http://www.example.com/a"));
}

#[test]
fn https_comes_before_redirects() {
    let json = r#"{"https_only": true, "redirects": {"/old": {"url": "/"}}}"#;
    let served = heroku(json, &[("index.html", "")]);
    let answer = served.get("/old", &["X-Forwarded-Proto: http"]);
    assert_eq!(
        (answer.status, answer.header("location")),
        (301, Some("https://site.example/old"))
    );
    let answer = served.get("/old", &["X-Forwarded-Proto: https"]);
    assert_eq!(answer.header("location"), Some("/"));
}

#[test]
fn an_error_page() {
    let served = heroku(
        r#"{"error_page": "errors/error.html"}"#,
        &[("errors/error.html", "not found")],
    );
    assert_eq!(served.page("/ewat"), (404, "not found".to_owned()));
}

#[test]
fn headers_do_not_add_up() {
    let json = r#"{
        "headers": {
            "/": {"Cache-Control": "no-cache"},
            "/**": {"X-Foo": "false", "X-Bar": "blah"},
            "/foo.html": {"X-Foo": "true"},
            "/overlap": {"X-Header": "present"},
            "/cache/*": {"Cache-Control": "max-age=38400"}
        },
        "redirects": {"/overlap": {"url": "/", "status": 302}}
    }"#;
    let served = heroku(
        json,
        &[
            ("foo.html", "foo"),
            ("index.html", "i"),
            ("cache/index.html", "cached"),
        ],
    );
    let headers = |path: &str| {
        let answer = served.get(path, &[]);
        ["x-foo", "x-bar", "x-header", "cache-control"].map(|name| answer.header(name).map(str::to_owned))
    };
    let some = |text: &str| Some(text.to_owned());
    let usual = || some("public, max-age=0, must-revalidate");
    assert_eq!(headers("/foo.html"), [some("true"), None, None, usual()]);
    assert_eq!(headers("/"), [some("false"), some("blah"), None, usual()]);
    assert_eq!(headers("/overlap")[2], some("present"));
    assert_eq!(headers("/cache/")[3], some("max-age=38400"));
}

#[test]
fn a_password() {
    let variables = [
        ("BASIC_AUTH_USERNAME", "test"),
        ("BASIC_AUTH_PASSWORD", "$apr1$abcdefgh$uMJsB/b6/fpR1v.vUShbI0"),
    ];
    let served = with("{}", &[("index.html", "")], &variables);
    assert_eq!(served.page("/").0, 401);
    // test:a long password of 32 characters
    let header = "Authorization: Basic dGVzdDphIGxvbmcgcGFzc3dvcmQgb2YgMzIgY2hhcmFjdGVycw==";
    assert_eq!(served.get("/", &[header]).status, 200);
}
