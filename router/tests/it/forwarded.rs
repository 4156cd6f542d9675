//! Headers on their way through.

use crate::harness::{Backend, World, demo, get};

async fn seen_by_backend(world: &World, headers: &str) -> Vec<(String, String)> {
    let answer = world.send(&get("/path?query=1", headers)).await;
    assert_eq!(answer.status(), 200, "{answer:?}");
    let lines = answer
        .body()
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "));
    lines
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect()
}

fn values<'a>(headers: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    headers
        .iter()
        .filter(|(given, _)| given == name)
        .map(|(_, value)| value.as_str())
        .collect()
}

#[tokio::test]
async fn a_backend_learns_who_asked_and_what_for() {
    let backend = Backend::echoing().await;
    let world = World::demo(&[backend.address]).await;
    let seen = seen_by_backend(&world, "X-Custom: kept\r\nCookie: a=b\r\n").await;
    let port = world.router.address.port().to_string();
    for (name, value) in [
        ("host", "demo.test"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "demo.test"),
        ("x-forwarded-port", &port),
        ("via", "1.1 pvdify"),
        ("x-custom", "kept"),
        ("cookie", "a=b"),
    ] {
        assert_eq!(values(&seen, name), [value], "{name}");
    }
    assert_eq!(values(&seen, "x-request-id")[0].len(), 36);
    assert!(values(&seen, "x-request-start")[0].parse::<u64>().unwrap() > 1_600_000_000_000);
    assert!(values(&seen, "connection").is_empty());
}

const SPOOFED: &str = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n\
                       X-Forwarded-Port: 443\r\nX-Forwarded-Prefix: /evil\r\nX_Forwarded_For: 6.6.6.6\r\n\
                       Forwarded: for=6.6.6.6\r\nX-Real-Ip: 6.6.6.6\r\nProxy: evil\r\nX-Request-Start: 1\r\n\
                       X-Request-Id: short\r\n";

#[tokio::test]
async fn a_client_can_not_lie_about_itself() {
    let backend = Backend::echoing().await;
    let world = World::demo(&[backend.address]).await;
    let seen = seen_by_backend(&world, SPOOFED).await;
    let all = format!("{seen:?}");
    for lie in ["6.6.6.6", "evil", "short", "https"] {
        assert!(!all.contains(lie), "{lie} in {all}");
    }
    assert_eq!(
        values(&seen, "x-forwarded-port"),
        [world.router.address.port().to_string()]
    );
}

#[tokio::test]
async fn a_client_can_not_strip_what_the_router_says() {
    let backend = Backend::echoing().await;
    let world = World::demo(&[backend.address]).await;
    let tricks = "Connection: X-Forwarded-For, X-Request-Id, Via, Host, X-Custom\r\nX-Custom: gone\r\n";
    let seen = seen_by_backend(&world, tricks).await;
    assert_eq!(values(&seen, "x-forwarded-for"), ["127.0.0.1"]);
    for stays in ["x-request-id", "via", "host"] {
        assert_eq!(values(&seen, stays).len(), 1, "{stays}");
    }
    assert!(values(&seen, "x-custom").is_empty());
}

#[tokio::test]
async fn a_trusted_proxy_is_believed() {
    let backend = Backend::echoing().await;
    let trust = |config: &mut router::Config| config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let world = World::with(demo(1, &[backend.address]), trust).await;
    let seen = seen_by_backend(&world, SPOOFED).await;
    assert_eq!(values(&seen, "x-forwarded-for"), ["6.6.6.6, 127.0.0.1"]);
    assert_eq!(values(&seen, "x-forwarded-proto"), ["https"]);
    assert_eq!(values(&seen, "x-forwarded-host"), ["evil"]);
    assert!(values(&seen, "forwarded").is_empty());
}

#[tokio::test]
async fn a_good_request_id_is_kept() {
    let backend = Backend::echoing().await;
    let world = World::demo(&[backend.address]).await;
    let seen = seen_by_backend(&world, "X-Request-Id: 0123456789-ABC+/=_.xyz\r\n").await;
    assert_eq!(values(&seen, "x-request-id"), ["0123456789-ABC+/=_.xyz"]);
}

#[tokio::test]
async fn an_answer_loses_its_hop_by_hop_headers_and_keeps_the_rest() {
    let backend = Backend::answering(
        "HTTP/1.1 299 Curious\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: x\r\n\
         Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok",
    )
    .await;
    let world = World::demo(&[backend.address]).await;
    let answer = world.get("/").await;
    assert!(answer.0.starts_with("HTTP/1.1 299 Curious\r\n"), "{answer:?}");
    for gone in ["x-hop", "keep-alive", "proxy-authenticate"] {
        assert_eq!(answer.header(gone), None, "{gone}");
    }
    assert_eq!(answer.0.matches("set-cookie: ").count(), 2);
    assert_eq!(answer.header("via"), Some("1.1 pvdify"));
    assert_eq!(answer.body(), "ok");
}
