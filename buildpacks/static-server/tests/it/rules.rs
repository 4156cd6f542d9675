//! Where paths lead: indexes, clean URLs, redirects, rewrites, headers, hosts, passwords.

use crate::harness::{Running, site};
use serde_json::{Value, json};

fn text(text: &str) -> Value {
    json!({ "text": text })
}

fn rest() -> Value {
    json!({ "rest": "splat" })
}

fn kept(name: &str) -> Value {
    json!({ "kept": name })
}

#[test]
fn a_folder_is_its_index_and_ends_with_a_slash() {
    let running = site()
        .page("index.html")
        .page("docs/index.html")
        .page("old/index.htm")
        .start();
    assert_eq!(running.get("/docs/", &[]).text(), "page docs/index.html");
    assert_eq!(running.get("/old/", &[]).text(), "page old/index.htm");
    assert_eq!(running.get("/docs?a=b", &[]).redirect(), (301, "/docs/?a=b"));
    assert_eq!(running.get("//docs", &[]).redirect(), (301, "/docs/"));
    assert_eq!(running.get("/index.html", &[]).status, 200);
    assert_eq!(running.get("/docs/index.html/", &[]).status, 404);
}

#[test]
fn clean_urls_leave_out_html() {
    let built = || {
        site()
            .page("about.html")
            .page("about/team.html")
            .page("a b/index.html")
    };
    let running = built().with("clean_urls", true.into()).start();
    assert_eq!(running.get("/about", &[]).text(), "page about.html");
    assert_eq!(running.get("/about.html", &[]).text(), "page about.html");
    assert_eq!(running.get("/about/team", &[]).text(), "page about/team.html");
    assert_eq!(running.get("/about/?x", &[]).redirect(), (301, "/about?x"));
    assert_eq!(running.get("/a%20b", &[]).redirect(), (301, "/a%20b/"));
    assert_eq!(built().start().get("/about", &[]).status, 404);
}

fn with_rules() -> Running {
    site()
        .page("index.html")
        .page("new/there.html")
        .page("gone.html")
        .with(
            "rules",
            json!([
                { "from": [text("/here")], "to": [text("/new/there.html")], "status": 302, "keep_query": true },
                { "from": [text("/old/"), rest()], "to": [text("/new/"), kept("splat")], "status": 301, "any_slash": true },
                { "from": [text("/ext/"), rest()], "to": [text("${TARGET}/"), kept("splat"), text("?from=here")],
                  "status": 307, "keep_query": true },
                { "from": [text("/gone.html")], "to": [text("/")], "status": 301, "force": true },
                { "from": [text("/new/there.html")], "to": [text("/")], "status": 301 },
                { "from": [text("/loop/"), rest()], "to": [text("/loop/"), kept("splat")], "status": 301 },
                { "from": [text("/view/"), { "segment": "name" }], "to": [text("/new/"), kept("name"), text(".html")], "status": 200 },
                { "from": [text("/secret/"), rest()], "to": [text("/gone.html")], "status": 404 },
                { "from": [text("/app/"), rest()], "to": [text("index.html")], "status": 200 },
            ]),
        )
        .variable("TARGET", "https://other.example")
        .start()
}

#[test]
fn redirects_are_followed_in_their_order() {
    let running = with_rules();
    assert_eq!(
        running.get("/here?a=1", &[]).redirect(),
        (302, "/new/there.html?a=1")
    );
    assert_eq!(running.get("/old/a/b", &[]).redirect(), (301, "/new/a/b"));
    assert_eq!(running.get("/old", &[]).redirect(), (301, "/new/"));
    assert_eq!(running.get("/ext/%C3%A4%0A?x", &[]).status, 400);
    assert_eq!(
        running.get("/ext/%C3%A4?x", &[]).redirect(),
        (307, "https://other.example/%C3%A4?from=here")
    );
    assert_eq!(running.get("/gone.html", &[]).redirect(), (301, "/"));
    // A file that is there is not redirected, unless by force.
    assert_eq!(running.get("/new/there.html", &[]).status, 200);
    assert_eq!(running.get("/loop/a", &[]).status, 404);
}

#[test]
fn rewrites_send_another_file_with_their_status() {
    let running = with_rules();
    assert_eq!(
        running.get("/view/there", &[]).shown(),
        (200, "page new/there.html".to_owned())
    );
    assert_eq!(running.get("/view/missing", &[]).status, 404);
    assert_eq!(
        running.get("/secret/x", &[]).shown(),
        (404, "page gone.html".to_owned())
    );
    assert_eq!(running.get("/app/any/where.js", &[]).text(), "page index.html");
}

#[test]
fn an_apps_page_stands_for_its_paths_but_not_for_missing_assets() {
    let running = site()
        .page("index.html")
        .page("404.html")
        .with("fallback", "index.html".into())
        .start();
    for path in ["/users/7", "/users/john.doe", "/a/b/"] {
        assert_eq!(
            running.get(path, &[]).shown(),
            (200, "page index.html".to_owned()),
            "{path}"
        );
    }
    for path in ["/assets/old.js", "/logo.PNG"] {
        assert_eq!(running.get(path, &[]).status, 404, "{path}");
    }
}

#[test]
fn a_site_has_its_own_page_for_what_is_not_there() {
    let running = site()
        .page("404.html")
        .with("not_found", "404.html".into())
        .start();
    let answer = running.get("/x", &["If-None-Match: *"]);
    assert_eq!(answer.shown(), (404, "page 404.html".to_owned()));
    assert_eq!(
        (answer.header("etag"), answer.header("cache-control")),
        (None, Some("no-cache"))
    );
    assert_eq!(running.get("/404.html", &[]).status, 200);
}

#[test]
fn headers_are_set_by_path_and_win_over_the_defaults() {
    let running = site()
        .page("index.html")
        .page("a/x.html")
        .with(
            "headers",
            json!([
                { "from": [rest()], "set": [["X-Frame-Options", "DENY"], ["Link", "a"], ["Link", "b"]] },
                { "from": [text("/a/"), rest()], "set": [["cache-control", "max-age=60"], ["X-Frame-Options", "SAMEORIGIN"]] },
                { "from": [text("/a")], "set": [["X-Folder", "yes"]], "any_slash": true },
            ]),
        )
        .start();
    let answer = running.get("/a/x.html", &[]);
    assert_eq!(answer.header("cache-control"), Some("max-age=60"));
    assert_eq!(answer.header("x-frame-options"), Some("SAMEORIGIN"));
    let links = |path: &str| {
        running
            .get(path, &[])
            .headers
            .iter()
            .filter(|(name, _)| name == "Link")
            .count()
    };
    assert_eq!(links("/"), 2);
    assert_eq!(
        running.get("/nothing", &[]).header("x-frame-options"),
        Some("DENY")
    );
    assert_eq!(running.get("/a/", &[]).header("x-folder"), Some("yes"));
    assert_eq!(
        running.get("/", &["If-None-Match: *"]).header("x-frame-options"),
        Some("DENY")
    );
}

#[test]
fn of_rules_that_stand_alone_only_the_last_counts() {
    let rule = |from: Value, name: &str| json!({ "from": [from], "set": [[name, "1"]], "alone": true });
    let running = site()
        .page("foo.html")
        .with(
            "headers",
            json!([rule(rest(), "X-All"), rule(text("/foo.html"), "X-Foo")]),
        )
        .start();
    let answer = running.get("/foo.html", &[]);
    assert_eq!(
        (answer.header("x-foo"), answer.header("x-all")),
        (Some("1"), None)
    );
}

#[test]
fn what_came_by_plain_http_or_another_name_is_sent_to_the_right_one() {
    let running = site()
        .page("index.html")
        .with("https_only", true.into())
        .with("canonical_host", "${HOST}".into())
        .variable("HOST", "www.example.com")
        .start();
    for proto in ["http", "https"] {
        let answer = running.get("/a%20b?c", &[&format!("X-Forwarded-Proto: {proto}")]);
        assert_eq!(
            answer.redirect(),
            (301, "https://www.example.com/a%20b?c"),
            "{proto}"
        );
    }
    // A check of health comes without a router.
    assert_eq!(running.get("/", &[]).status, 200);
    let running = site().page("index.html").with("https_only", true.into()).start();
    assert_eq!(
        running.get("/", &["X-Forwarded-Proto: http"]).redirect(),
        (301, "https://site.example/")
    );
    assert_eq!(running.get("/", &["X-Forwarded-Proto: https"]).status, 200);
}

#[test]
fn a_password_is_asked_for() {
    let running = site()
        .page("index.html")
        .variable("BASIC_AUTH_USERNAME", "me")
        .variable("BASIC_AUTH_PASSWORD", "pw")
        .start();
    let answer = running.get("/", &[]);
    assert_eq!((answer.status, answer.header("etag")), (401, None));
    assert_eq!(
        answer.header("www-authenticate"),
        Some("Basic realm=\"Restricted\", charset=\"UTF-8\"")
    );
    assert_eq!(running.get("/nothing", &[]).status, 401);
    assert_eq!(running.get("/", &["Authorization: Basic bWU6cHc="]).status, 200);
    assert_eq!(running.get("/", &["Authorization: Basic bWU6eA=="]).status, 401);
}
