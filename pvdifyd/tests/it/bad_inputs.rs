//! What no one should send, and the one line that each gets. Nothing of it changes a row, and the next good
//! request is served.

use crate::harness::{KEY, Server};
use pvdify_api::ErrorBody;
use reqwest::{Method, header};
use std::collections::BTreeMap;

const KEY_WEAK: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQCmMLMW1dTVCxH4ytt7A3bX44iC/zMLjehClItUCEurRT3FhbaF2Pa1wLWXz0urI2YF1uDu6ct86a/QaM3kIa1RbeUX6oxnpRiptgGr7e5k1vjJS2fLkMzKvwAfTsRWzBn0IabQpG265PwkNK/QNWqmPvawGB/p2prPUxAwKTTVYQ== weak";

struct Case {
    what: &'static str,
    method: Method,
    path: &'static str,
    body: Vec<u8>,
}

fn case(what: &'static str, method: Method, path: &'static str, body: impl Into<Vec<u8>>) -> Case {
    Case {
        what,
        method,
        path,
        body: body.into(),
    }
}

fn json(what: &'static str, method: Method, path: &'static str, body: &serde_json::Value) -> Case {
    case(what, method, path, body.to_string())
}

/// Sends each and gives `what: status code: error [hint]`.
async fn lines(server: &Server, cases: Vec<Case>) -> String {
    let http = reqwest::Client::new();
    let before = server.dump();
    let mut text = String::new();
    for case in cases {
        let url = format!("{}/api/v1{}", server.url, case.path);
        let request = http
            .request(case.method, url)
            .header(header::CONTENT_TYPE, "application/json");
        let response = request.body(case.body).send().await.unwrap();
        let status = response.status().as_u16();
        let kind = response.headers()[header::CONTENT_TYPE].clone();
        let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        let body: ErrorBody = response.json().await.unwrap();
        assert_eq!(kind, "application/json", "{}", case.what);
        assert_eq!(body.request_id, id, "{}", case.what);
        assert!(!body.error.contains('\n'), "{}: {}", case.what, body.error);
        assert_eq!(server.dump(), before, "{} changed something", case.what);
        let hint = if body.hint.is_empty() {
            String::new()
        } else {
            format!(" [{}]", body.hint)
        };
        text.push_str(&format!(
            "{}: {status} {}: {}{hint}\n",
            case.what, body.code, body.error
        ));
    }
    server.client().apps().await.unwrap();
    text
}

fn name(what: &'static str, name: &str) -> Case {
    json(what, Method::POST, "/apps", &serde_json::json!({ "name": name }))
}

#[tokio::test]
async fn app_names() {
    let server = Server::start().await;
    server.create("taken").await;
    let cases = vec![
        name("1 empty", ""),
        name("2 64 characters", &"a".repeat(64)),
        name("3 upper case", "Foo"),
        name("4 shell", "a;id"),
        name("5 path", "../x"),
        name("6 option", "-rf"),
        name("7 punycode", "xn--e1a"),
        name("7 Cyrillic", "\u{430}pp"),
        name("8 reserved", "registry"),
        name("9 taken", "taken"),
        name("10 NUL", "a\0b"),
        name("10 newline", "a\nb"),
        json(
            "environment",
            Method::POST,
            "/apps",
            &serde_json::json!({"name": "a", "environment": "prod"}),
        ),
        case("18 unknown", Method::GET, "/apps/nobody", ""),
        case("18 no name at all", Method::GET, "/apps/a;id", ""),
        case("18 not UTF-8", Method::GET, "/apps/%ff", ""),
        case("18 traversal", Method::GET, "/apps/..%2f..%2fetc", ""),
    ];
    insta::assert_snapshot!(lines(&server, cases).await, @r#"
        1 empty: 422 invalid_params: an app name can't be empty
        2 64 characters: 422 invalid_params: an app name has at most 30 characters, this one has 64
        3 upper case: 422 invalid_params: an app name is lower case: try "foo"
        4 shell: 422 invalid_params: an app name holds only a-z, 0-9 and hyphens, not ';'
        5 path: 422 invalid_params: an app name holds only a-z, 0-9 and hyphens, not '.'
        6 option: 422 invalid_params: an app name starts with a letter a-z, not with '-'
        7 punycode: 422 invalid_params: an app name can't start with "xn--": that prefix marks internationalised names
        7 Cyrillic: 422 invalid_params: an app name holds only a-z, 0-9 and hyphens, not 'а'
        8 reserved: 422 invalid_params: the name "registry" is reserved: choose another
        9 taken: 409 taken: the name "taken" is taken [choose another name]
        10 NUL: 422 invalid_params: an app name holds only a-z, 0-9 and hyphens, not '\0'
        10 newline: 422 invalid_params: an app name holds only a-z, 0-9 and hyphens, not '\n'
        environment: 422 invalid_params: an environment is production or staging, not "prod"
        18 unknown: 404 not_found: there is no app "nobody" [list the apps with pvdify apps]
        18 no name at all: 404 not_found: there is no app "a;id" [list the apps with pvdify apps]
        18 not UTF-8: 404 not_found: there is no app "" [list the apps with pvdify apps]
        18 traversal: 404 not_found: there is no app "../../etc" [list the apps with pvdify apps]
        "#);
}

#[tokio::test]
async fn bodies() {
    let server = Server::start().await;
    server.create("demo").await;
    let post = |what, body: &str| case(what, Method::POST, "/apps", body);
    let cases = vec![
        post("11 malformed", "{\"name\":\n  demo}"),
        post("11 empty", ""),
        post("11 cut off", "{\"name\": \"x\""),
        post("11 two values", "{\"name\": \"x\"} {}"),
        post("12 unknown field", "{\"name\": \"x\", \"colour\": 1}"),
        post("13 wrong type", "{\"name\": 7}"),
        post("13 an array", "[\"x\"]"),
        post("13 null", "null"),
        post("13 field left out", "{}"),
        case("14 too large", Method::POST, "/apps", vec![b' '; 10 << 20]),
        post("15 deep", &"[".repeat(10_000)),
        post("16 twice", "{\"name\": \"x\", \"name\": \"y\"}"),
        case(
            "16 config twice",
            Method::PUT,
            "/apps/demo/config",
            "{\"A\": \"1\", \"A\": \"2\"}",
        ),
        case(
            "16 scale twice",
            Method::POST,
            "/apps/demo/ps/scale",
            "{\"processes\": {\"web\": 1, \"web\": 2}}",
        ),
        case(
            "35 not UTF-8",
            Method::PUT,
            "/apps/demo/config",
            b"{\"A\": \"\xff\"}".to_vec(),
        ),
        case("21 method", Method::PUT, "/apps", ""),
        case("no such endpoint", Method::GET, "/nothing", ""),
        case(
            "13 version no number",
            Method::POST,
            "/apps/demo/rollback",
            "{\"version\": -1}",
        ),
        case("release no number", Method::GET, "/apps/demo/releases/latest", ""),
        case(
            "release too high",
            Method::GET,
            "/apps/demo/releases/18446744073709551615",
            "",
        ),
    ];
    insta::assert_snapshot!(lines(&server, cases).await, @r#"
        11 malformed: 400 invalid_json: the body is no JSON: expected value at line 2 column 3
        11 empty: 400 invalid_json: the body is empty [send a JSON object]
        11 cut off: 400 invalid_json: the body is no JSON: EOF while parsing an object at line 1 column 12
        11 two values: 400 invalid_json: the body is no JSON: trailing characters at line 1 column 15
        12 unknown field: 422 invalid_params: the body does not fit: unknown field `colour`, expected `name` or `environment` at line 1 column 22
        13 wrong type: 422 invalid_params: the body does not fit: invalid type: integer `7`, expected a string at line 1 column 10
        13 an array: 422 invalid_params: the body is a JSON object
        13 null: 422 invalid_params: the body is a JSON object
        13 field left out: 422 invalid_params: the body does not fit: missing field `name` at line 1 column 2
        14 too large: 413 too_large: the body has more than 1 MiB
        15 deep: 400 invalid_json: the body is no JSON: recursion limit exceeded at line 1 column 128
        16 twice: 422 invalid_params: the body does not fit: "name" is given twice at line 1 column 26
        16 config twice: 422 invalid_params: the body does not fit: "A" is given twice at line 1 column 20
        16 scale twice: 422 invalid_params: the body does not fit: "web" is given twice at line 1 column 34
        35 not UTF-8: 400 invalid_json: the body is no JSON: invalid unicode code point at line 1 column 8
        21 method: 405 method_not_allowed: /api/v1/apps does not take PUT
        no such endpoint: 404 not_found: there is no /api/v1/nothing
        13 version no number: 422 invalid_params: the body does not fit: invalid value: integer `-1`, expected u64 at line 1 column 14
        release no number: 404 not_found: demo has no release latest [list them with pvdify releases demo]
        release too high: 404 not_found: demo has no release 18446744073709551615 [list them with pvdify releases demo]
        "#);

    let url = format!("{}/api/v1/apps", server.url);
    let http = reqwest::Client::new();
    let allow = http.put(&url).send().await.unwrap().headers()[header::ALLOW].clone();
    assert_eq!(allow, "GET,HEAD,POST");
    for kind in ["text/plain", "application/x-www-form-urlencoded", ""] {
        let request = http
            .post(&url)
            .header(header::CONTENT_TYPE, kind)
            .body("{\"name\":\"x\"}");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 415, "{kind}");
        let body: ErrorBody = response.json().await.unwrap();
        assert_eq!(
            (body.code.as_str(), body.hint.as_str()),
            ("unsupported_media_type", "send Content-Type: application/json")
        );
    }
}

#[tokio::test]
async fn settings_and_images() {
    let server = Server::start().await;
    server.create("demo").await;
    let patch = |what, body: &str| case(what, Method::PATCH, "/apps/demo", body);
    let image = |what, image: &str| {
        json(
            what,
            Method::POST,
            "/apps/demo/releases",
            &serde_json::json!({ "image": image }),
        )
    };
    let cases = vec![
        patch("port 0", "{\"bind_port\": 0}"),
        patch("port too high", "{\"bind_port\": 65536}"),
        patch(
            "38 memory in words",
            "{\"resources\": {\"memory_bytes\": \"12 bananas\"}}",
        ),
        patch("memory too little", "{\"resources\": {\"memory_bytes\": 1}}"),
        patch(
            "no processes",
            "{\"resources\": {\"memory_bytes\": 536870912, \"pids\": 0}}",
        ),
        patch("no CPU", "{\"resources\": {\"cpu_millis\": 0}}"),
        patch("timeout 0", "{\"healthcheck\": {\"timeout_seconds\": 0}}"),
        patch("path is no path", "{\"healthcheck\": {\"path\": \"up\"}}"),
        patch(
            "path splits the request",
            "{\"healthcheck\": {\"path\": \"/ HTTP/1.1\\r\\nX: y\"}}",
        ),
        patch("new name", "{\"name\": \"other\"}"),
        image("image empty", ""),
        image("image an option", "--privileged"),
        image("image shell", "x; id"),
        image("image URL", "https://example.com/x"),
        image("image too long", &"x".repeat(1000)),
        image("image upper case", "Team/Tool"),
        image("image empty tag", "x:"),
        image("image two tags", "x:1:2"),
        image("image half a digest", "x@sha256:abc"),
        image("image traversal", "registry.example.com/../x"),
        image("image empty part", "a//b"),
        image("image port", "registry.example.com:99999/x"),
        json(
            "image unknown app",
            Method::POST,
            "/apps/nobody/releases",
            &serde_json::json!({"image": "x"}),
        ),
        case("nothing to return to", Method::POST, "/apps/demo/rollback", ""),
        case("nothing to restart", Method::POST, "/apps/demo/ps/restart", ""),
        json(
            "nothing to scale",
            Method::POST,
            "/apps/demo/ps/scale",
            &serde_json::json!({"processes": {"web": 1}}),
        ),
    ];
    insta::assert_snapshot!(lines(&server, cases).await, @r#"
        port 0: 422 invalid_params: bind_port is 1 to 65535, not 0
        port too high: 422 invalid_params: the body does not fit: invalid value: integer `65536`, expected u16 at line 1 column 19
        38 memory in words: 422 invalid_params: the body does not fit: invalid type: string "12 bananas", expected u64 at line 1 column 43
        memory too little: 422 invalid_params: resources.memory_bytes is 16777216 to 1099511627776, not 1
        no processes: 422 invalid_params: resources.pids is 16 to 32768, not 0
        no CPU: 422 invalid_params: resources.cpu_millis is 10 to 1000000, not 0
        timeout 0: 422 invalid_params: healthcheck.timeout_seconds is 1 to 3600, not 0
        path is no path: 422 invalid_params: healthcheck.path starts with / and has at most 1024 printable ASCII characters without spaces, not "up"
        path splits the request: 422 invalid_params: healthcheck.path starts with / and has at most 1024 printable ASCII characters without spaces, not "/ HTTP/1.1\r\nX: y"
        new name: 422 invalid_params: the body does not fit: unknown field `name`, expected one of `environment`, `bind_port`, `resources`, `healthcheck` at line 1 column 7
        image empty: 400 invalid_image: an image name can't be empty [name it as registry.example.com/team/tool:1.2]
        image an option: 400 invalid_image: an image name starts with a letter or digit, not with '-' [name it as registry.example.com/team/tool:1.2]
        image shell: 400 invalid_image: an image name can't hold ';' [name it as registry.example.com/team/tool:1.2]
        image URL: 400 invalid_image: an image name has no scheme: leave out "https://" [name it as registry.example.com/team/tool:1.2]
        image too long: 400 invalid_image: an image name has at most 456 characters, this one has 1000 [name it as registry.example.com/team/tool:1.2]
        image upper case: 400 invalid_image: a repository is lower case: try "team/tool" [name it as registry.example.com/team/tool:1.2]
        image empty tag: 400 invalid_image: "" is no tag: it has 1 to 128 letters, digits, '_', '.' and '-', and starts with neither '.' nor '-' [name it as registry.example.com/team/tool:1.2]
        image two tags: 400 invalid_image: "x:1" is no part of a repository: it holds a-z and 0-9, joined by '.', '_', '__' or hyphens [name it as registry.example.com/team/tool:1.2]
        image half a digest: 400 invalid_image: a digest is "sha256:" and 64 lower-case hex digits [name it as registry.example.com/team/tool:1.2]
        image traversal: 400 invalid_image: ".." is no part of a repository: it holds a-z and 0-9, joined by '.', '_', '__' or hyphens [name it as registry.example.com/team/tool:1.2]
        image empty part: 400 invalid_image: "a//b" has an empty part beside a slash [name it as registry.example.com/team/tool:1.2]
        image port: 400 invalid_image: "registry.example.com:99999" is no registry: give a host name or an IP address, and a port where it has one [name it as registry.example.com/team/tool:1.2]
        image unknown app: 404 not_found: there is no app "nobody" [list the apps with pvdify apps]
        nothing to return to: 409 conflict: demo has no earlier release to return to [name one: pvdify rollback demo VERSION]
        nothing to restart: 409 nothing_deployed: nothing was deployed to demo yet [push with git, or give an image: pvdify deploy demo --image IMAGE]
        nothing to scale: 409 nothing_deployed: nothing was deployed to demo yet [push with git, or give an image: pvdify deploy demo --image IMAGE]
        "#);
}

#[tokio::test]
async fn config_vars_and_scale() {
    let server = Server::start().await;
    server.serving("demo", "worker").await;
    let set = |what, key: &str, value: &str| {
        let body = BTreeMap::from([("FINE", "x"), (key, value)]);
        json(what, Method::PUT, "/apps/demo/config", &serde_json::json!(body))
    };
    let many: BTreeMap<_, _> = (0..5).map(|n| (format!("K{n}"), "x".repeat(60_000))).collect();
    let scale = |what, process: &str, count: i64| {
        let body = serde_json::json!({"processes": {"web": 2, process: count}});
        json(what, Method::POST, "/apps/demo/ps/scale", &body)
    };
    let cases = vec![
        set("32 digit first", "1A", "x"),
        set("32 hyphen", "A-B", "x"),
        set("32 equals", "A=B", "x"),
        set("32 newline", "A\n", "x"),
        set("32 empty", "", "x"),
        set("33 PORT", "PORT", "1"),
        set("33 ours", "PVDIFY_TOKEN", "x"),
        set("34 value too long", "A", &"x".repeat(64 * 1024 + 1)),
        set("34 NUL", "A", "a\0b"),
        json(
            "36 too much together",
            Method::PUT,
            "/apps/demo/config",
            &serde_json::json!(many),
        ),
        case(
            "13 value a number",
            Method::PUT,
            "/apps/demo/config",
            "{\"A\": 1}",
        ),
        case("32 unset", Method::DELETE, "/apps/demo/config/A-B", ""),
        scale("37 negative", "web", -1),
        scale("37 too many", "worker", 101),
        scale("37 far too many", "worker", 1_000_000_000),
        scale("37 unknown", "clock", 1),
        scale("37 no name", "a/b", 1),
        scale("10 newline", "web\nx", 1),
        json(
            "37 nothing",
            Method::POST,
            "/apps/demo/ps/scale",
            &serde_json::json!({"processes": {}}),
        ),
        case(
            "37 a fraction",
            Method::POST,
            "/apps/demo/ps/scale",
            "{\"processes\": {\"web\": 1.5}}",
        ),
        case(
            "20 lines too many",
            Method::GET,
            "/apps/demo/logs?lines=1000000000",
            "",
        ),
        case("20 lines 0", Method::GET, "/apps/demo/logs?lines=0", ""),
        case("lines a word", Method::GET, "/apps/demo/logs?lines=all", ""),
        case("source", Method::GET, "/apps/demo/logs?source=x", ""),
        case("since", Method::GET, "/apps/demo/logs?since=yesterday", ""),
        case("unknown parameter", Method::GET, "/apps/demo/logs?colour=red", ""),
    ];
    insta::assert_snapshot!(lines(&server, cases).await, @r#"
        32 digit first: 422 invalid_params: a config key starts with a letter or _, not with '1'
        32 hyphen: 422 invalid_params: a config key holds only letters, digits and _, not '-'
        32 equals: 422 invalid_params: a config key holds only letters, digits and _, not '='
        32 newline: 422 invalid_params: a config key holds only letters, digits and _, not '\n'
        32 empty: 422 invalid_params: a config key can't be empty
        33 PORT: 422 invalid_params: PORT is set by Pvdify itself and can't be a config var
        33 ours: 422 invalid_params: PVDIFY_TOKEN is set by Pvdify itself and can't be a config var
        34 value too long: 422 invalid_params: A: a config value has at most 64 KiB, this one has 65537 bytes
        34 NUL: 422 invalid_params: A: a config value can't hold a NUL byte
        36 too much together: 422 invalid_params: an app's config vars have at most 256 KiB together, these would have 300010 bytes
        13 value a number: 422 invalid_params: "A" is neither a string nor null [a config value is a string; null removes it]
        32 unset: 422 invalid_params: a config key holds only letters, digits and _, not '-'
        37 negative: 422 invalid_params: web: a count is 0 to 100, not -1
        37 too many: 422 invalid_params: worker: a count is 0 to 100, not 101
        37 far too many: 422 invalid_params: worker: a count is 0 to 100, not 1000000000
        37 unknown: 422 invalid_params: demo has no process type "clock" [it has web, worker]
        37 no name: 422 invalid_params: a process type holds only letters, digits, - and _ and starts with a letter or digit, not with or holding '/'
        10 newline: 422 invalid_params: a process type holds only letters, digits, - and _ and starts with a letter or digit, not with or holding '\n'
        37 nothing: 422 invalid_params: no process type is named [name at least one, as in web=2]
        37 a fraction: 422 invalid_params: the body does not fit: invalid type: floating point `1.5`, expected i64 at line 1 column 25
        20 lines too many: 422 invalid_params: lines is 1 to 10000, not 1000000000
        20 lines 0: 422 invalid_params: lines is 1 to 10000, not 0
        lines a word: 422 invalid_params: the query does not fit: lines: invalid digit found in string
        source: 422 invalid_params: source is app or pvdify, not "x"
        since: 422 invalid_params: since is a time as 2026-01-31T12:00:00Z, not "yesterday"
        unknown parameter: 422 invalid_params: the query does not fit: colour: unknown field `colour`, expected one of `lines`, `follow`, `process`, `source`, `since`
        "#);
}

#[tokio::test]
async fn domains_and_keys() {
    let server = Server::start().await;
    let demo = server.create("demo").await;
    let other = server.create("other").await;
    let add = |domain: &str| pvdify_api::domains::AddDomain {
        domain: domain.into(),
    };
    server
        .client()
        .add_domain(&other, &add("theirs.example.com"))
        .await
        .unwrap();
    server
        .client()
        .add_domain(&demo, &add("ours.example.com"))
        .await
        .unwrap();
    server.add_key().await;
    let domain = |what, domain: &str| {
        json(
            what,
            Method::POST,
            "/apps/demo/domains",
            &serde_json::json!({ "domain": domain }),
        )
    };
    let key = |what, key: &str| {
        json(
            what,
            Method::POST,
            "/keys",
            &serde_json::json!({ "public_key": key }),
        )
    };
    let private = "-----BEGIN OPENSSH PRIVATE KEY-----\nxxx\n-----END OPENSSH PRIVATE KEY-----";
    let cases = vec![
        domain("42 scheme", "http://x.com"),
        domain("42 path", "x.com/path"),
        domain("42 port", "x.com:80"),
        domain("42 IPv4", "127.0.0.1"),
        domain("42 IPv6", "::1"),
        domain("42 wildcard", "*.com"),
        domain("42 254 characters", &format!("{}.com", "a.".repeat(125))),
        domain("42 underscore", "a_b.com"),
        domain("42 one part", "x"),
        domain("42 empty", ""),
        domain("10 newline", "a.com\nb.com"),
        domain("10 NUL", "a\0.com"),
        domain("43 of another app", "THEIRS.example.com"),
        domain("43 twice", "ours.example.com"),
        domain("own host", "demo.localhost"),
        domain("host of another app", "other.localhost"),
        domain("host of an app to be", "future.localhost"),
        case(
            "remove another's",
            Method::DELETE,
            "/apps/demo/domains/theirs.example.com",
            "",
        ),
        case("remove none", Method::DELETE, "/apps/demo/domains/x%20y", ""),
        case(
            "remove own host",
            Method::DELETE,
            "/apps/demo/domains/Demo.localhost",
            "",
        ),
        key("key empty", ""),
        key("key no key", "hello"),
        key("key private", private),
        key("key two lines", &format!("{KEY}\n{KEY}")),
        key("key weak", KEY_WEAK),
        key("key twice", KEY),
        json(
            "key name",
            Method::POST,
            "/keys",
            &serde_json::json!({"public_key": KEY, "name": "a\u{1b}[31m"}),
        ),
        case("key unknown", Method::DELETE, "/keys/SHA256:x%2Fy", ""),
    ];
    insta::assert_snapshot!(lines(&server, cases).await, @r#"
        42 scheme: 422 invalid_params: a domain is a host name alone: leave out the "http://" part
        42 path: 422 invalid_params: a domain is a host name alone: leave out the path after it
        42 port: 422 invalid_params: a domain is a host name alone: leave out the port
        42 IPv4: 422 invalid_params: a domain is a name, not an IP address
        42 IPv6: 422 invalid_params: a domain is a name, not an IP address
        42 wildcard: 422 invalid_params: wildcard domains are not supported: add each host name
        42 254 characters: 422 invalid_params: a domain has at most 253 characters, this one has 254
        42 underscore: 422 invalid_params: a domain holds only letters, digits, hyphens and dots, not '_'
        42 one part: 422 invalid_params: a domain needs at least two parts, as in app.example.com
        42 empty: 422 invalid_params: a domain can't be empty
        10 newline: 422 invalid_params: a domain holds only letters, digits, hyphens and dots, not '\n'
        10 NUL: 422 invalid_params: a domain holds only letters, digits, hyphens and dots, not '\0'
        43 of another app: 409 domain_taken: the domain theirs.example.com is in use [remove it from the app that has it first]
        43 twice: 409 domain_taken: the domain ours.example.com is already one of this app's
        own host: 409 domain_taken: the domain demo.localhost is already one of this app's
        host of another app: 409 conflict: other.localhost can't be added: hosts right below localhost belong to the apps of that name [create an app of that name, or use another domain]
        host of an app to be: 409 conflict: future.localhost can't be added: hosts right below localhost belong to the apps of that name [create an app of that name, or use another domain]
        remove another's: 404 not_found: demo has no domain "theirs.example.com" [list them with pvdify domains demo]
        remove none: 404 not_found: demo has no domain "x y" [list them with pvdify domains demo]
        remove own host: 409 conflict: demo.localhost is the app's own host and can't be removed
        key empty: 422 invalid_params: this is no OpenSSH public key: it is empty [give the one line of the .pub file, as in ~/.ssh/id_ed25519.pub]
        key no key: 422 invalid_params: this is no OpenSSH public key: it can't be read [give the one line of the .pub file, as in ~/.ssh/id_ed25519.pub]
        key private: 422 invalid_params: this is a private key; it was not stored [it has left your machine: make a new pair with ssh-keygen, and give the .pub file]
        key two lines: 422 invalid_params: this is no OpenSSH public key: it has more than one line [give the one line of the .pub file, as in ~/.ssh/id_ed25519.pub]
        key weak: 422 invalid_params: an RSA key has at least 2048 bits, this one has 1024 [make one with ssh-keygen -t ed25519]
        key twice: 409 taken: this SSH key is registered already, as "ada@example.com"
        key name: 422 invalid_params: a name has 1 to 100 characters and no control characters
        key unknown: 404 not_found: there is no SSH key "SHA256:x/y" [list them with pvdify keys]
        "#);
}

#[tokio::test]
async fn a_change_of_a_version_that_is_not_there_is_not_made() {
    let server = Server::start().await;
    server.create("demo").await;
    let before = server.dump();
    let url = format!("{}/api/v1/apps/demo/buildpacks", server.url);
    let set = |tags: &'static str| {
        let request = reqwest::Client::new().put(&url).header(header::IF_MATCH, tags);
        request
            .json(&serde_json::json!({"buildpacks": ["pvdify/go"]}))
            .send()
    };
    for stale in ["\"abc\"", "W/\"1\", \"2\"", "x"] {
        let response = set(stale).await.unwrap();
        assert_eq!(response.status(), 412, "{stale}");
        let body: ErrorBody = response.json().await.unwrap();
        assert_eq!(body.code, "precondition_failed");
        assert_eq!(server.dump(), before, "{stale}");
    }
    assert_eq!(set("*").await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_thousand_domains_are_enough() {
    let server = Server::start().await;
    let demo = server.create("demo").await;
    let fill = server.store.write(|tx| {
        let app = pvdifyd::store::apps::by_name(tx, &"demo".parse().unwrap())?.unwrap();
        for n in 0..1000 {
            let host = format!("h{n}.example.com").parse().unwrap();
            pvdifyd::store::domains::insert(tx, &app.id, &host, 0)?;
        }
        Ok::<_, pvdifyd::store::Error>(())
    });
    fill.await.unwrap();
    let body = pvdify_api::domains::AddDomain {
        domain: "one.more.com".into(),
    };
    let error = server.client().add_domain(&demo, &body).await.unwrap_err();
    assert_eq!(
        (error.status(), error.to_string()),
        (Some(409), "an app has at most 1000 domains".into())
    );
}
