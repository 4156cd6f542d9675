//! The base images, and apps on the run image: it is in the registry, nobody but the server changes it there, and
//! apps are put on it without a build and without a failed request.

use pvdify_tests::{Load, Platform, Pusher, probe_with_dockerfile, write_probe};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(120);

/// The platform's registry as the bearer of a token sees it.
struct Registry<'a> {
    platform: &'a Platform,
    token: String,
}

impl Registry<'_> {
    async fn call(&self, method: Method, path: &str) -> (StatusCode, Vec<u8>) {
        let url = format!(
            "http://{}/v2/pvdify/run/{path}",
            self.platform.address("registry")
        );
        let client = Client::builder().no_proxy().build().unwrap();
        let request = client.request(method, url).basic_auth("me", Some(&self.token));
        let answer = request.send().await.unwrap();
        (answer.status(), answer.bytes().await.unwrap().to_vec())
    }

    async fn json(&self, path: &str) -> Option<Value> {
        let (status, body) = self.call(Method::GET, path).await;
        (status == StatusCode::OK).then(|| serde_json::from_slice(&body).unwrap())
    }

    /// The manifest of the run image, as soon as it is published.
    async fn run_image(&self) -> Value {
        let started = Instant::now();
        loop {
            if let Some(manifest) = self.json("manifests/trixie").await {
                return manifest;
            }
            assert!(
                started.elapsed() < LIMIT,
                "no run image:\n{}",
                self.platform.log()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn blob(descriptor: &Value) -> String {
    format!("blobs/{}", descriptor["digest"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_put_on_the_newest_run_image_without_a_build_and_without_a_failed_request() {
    // One image an app, and a collection every two seconds.
    let settings = [("PVDIFY_KEEP_IMAGES", "1"), ("PVDIFY_GARBAGE_MINUTES", "0.03")];
    let platform = Platform::start_with(&settings).await;
    let made = platform.on_host(&["stack", "build"]).await;
    assert_eq!(made.status, 0, "{}", made.stderr);
    assert!(made.stderr.contains("Base images are there"), "{}", made.stderr);

    let token = platform.on_host(&["token", "create", "ops"]).await.ok();
    let registry = Registry {
        platform: &platform,
        token: token.trim().to_owned(),
    };
    let manifest = registry.run_image().await;
    let config = registry.json(&blob(&manifest["config"])).await.unwrap();
    assert_eq!(config["config"]["User"], "10001:10001");
    assert_eq!(
        config["config"]["Labels"]["io.buildpacks.base.distro.version"],
        "13"
    );
    for (method, path) in [
        (Method::POST, "blobs/uploads/"),
        (Method::DELETE, "manifests/trixie"),
    ] {
        let (status, _) = registry.call(method, path).await;
        assert!(
            [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status),
            "{path}: {status}"
        );
    }

    // One app bears the labels that a build by buildpacks leaves, the other was made by a Dockerfile alone.
    let top = &config["rootfs"]["diff_ids"][0];
    let label = json!({"runImage": {"topLayer": top, "reference": "", "image": "pvdify/run:trixie"}});
    let dockerfile = format!(
        "FROM pvdify/run:trixie\nCOPY server version /\nENV CNB_PLATFORM_API=0.15\n\
         LABEL io.buildpacks.lifecycle.metadata='{label}'\nUSER 10001\nCMD [\"/server\"]\n"
    );
    let built = Pusher::new(&platform, "built").await;
    built.commit(|dir| probe_with_dockerfile(dir, "one", &dockerfile));
    built.push().await.ok();
    let plain = Pusher::new(&platform, "plain").await;
    plain.commit(|dir| write_probe(dir, "plain"));
    plain.push().await.ok();
    let before = platform.get("built", "/").await;
    let image = platform.api().app(&"built".parse().unwrap()).await.unwrap().image;

    let load = Load::start(&platform, "built", 50);
    let told = platform.on_host(&["stack", "rebase"]).await;
    assert_eq!(told.status, 0, "{}", told.stderr);
    assert!(
        told.stderr.contains("       built: released v2\n"),
        "{}",
        told.stderr
    );
    assert!(
        told.stderr.contains(" !     plain: plain can't be put on ")
            && told
                .stderr
                .contains("no buildpack built it. Deploy it again instead\n"),
        "{}",
        told.stderr
    );
    let report = load.stop().await;
    assert_eq!(report.failures, Vec::<String>::new());
    assert_eq!(platform.get("built", "/").await, before);
    let releases = platform.cli(&["releases", "built"]).await.ok();
    assert!(releases.contains("Stack update"), "{releases}");
    let told = platform.on_host(&["stack", "rebase"]).await;
    assert!(
        told.stderr.contains("       built: is on it already\n"),
        "{}",
        told.stderr
    );

    // The image of before goes, and with it nothing that others stand on.
    let digest = image.unwrap().rsplit_once('@').unwrap().1.to_owned();
    let hex = digest.strip_prefix("sha256:").unwrap();
    let stored = platform
        .state_dir()
        .join("registry/blobs/sha256")
        .join(&hex[..2])
        .join(hex);
    let started = Instant::now();
    while stored.exists() {
        assert!(
            started.elapsed() < LIMIT,
            "the image of before stays:\n{}",
            platform.log()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let kept = registry.run_image().await;
    assert_eq!(kept, manifest);
    for layer in kept["layers"].as_array().unwrap() {
        assert_eq!(registry.call(Method::HEAD, &blob(layer)).await.0, StatusCode::OK);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_there_is_nobody_to_ask_for_a_rebase() {
    let mut platform = Platform::start().await;
    platform.kill();
    let refused = platform.on_host(&["stack", "rebase"]).await;
    assert_eq!(refused.status, 1);
    let lines: Vec<&str> = refused.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{}", refused.stderr);
    assert!(
        lines[0].starts_with("error: no server answers at "),
        "{}",
        lines[0]
    );
}
