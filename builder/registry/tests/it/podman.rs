//! The real Podman pushes an image and pulls it again, with storage of its own that goes with the test.

use crate::harness::{PASSWORD, Server, USER, repository};
use std::path::Path;
use tokio::process::Command;

async fn podman(storage: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("podman")
        .arg("--root")
        .arg(storage.join("root"))
        .arg("--runroot")
        .arg(storage.join("run"))
        .args(["--storage-driver", "vfs"])
        .args(arguments)
        .output()
        .await
        .map_err(|error| format!("podman is not installed: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

#[tokio::test]
async fn podman_pushes_and_pulls_the_same_image() {
    let server = Server::start().await;
    let storage = tempfile::tempdir().unwrap();
    let tar = storage.path().join("root.tar");
    let packed = Command::new("tar")
        .arg("-cf")
        .arg(&tar)
        .args(["-C", env!("CARGO_MANIFEST_DIR"), "Cargo.toml"])
        .status();
    assert!(packed.await.unwrap().success());
    let credentials = format!("{USER}:{PASSWORD}");
    let image = format!("{}/apps/demo:v1", server.address);
    let run = |arguments: Vec<String>| {
        let storage = storage.path().to_owned();
        async move {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            podman(&storage, &arguments).await
        }
    };
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let registry = |verb: &str, credentials: &str| {
        let mut arguments = words(&format!("{verb} --tls-verify=false --creds"));
        arguments.extend([credentials.to_owned(), image.clone()]);
        arguments
    };

    let id = run(words(&format!("import -q {} {image}", tar.display())))
        .await
        .unwrap();
    let refused = run(registry("push -q", "nobody:wrong")).await.unwrap_err();
    assert!(
        refused.contains("unauthorized") || refused.contains("authentication"),
        "{refused}"
    );
    run(registry("push -q", &credentials)).await.unwrap();
    // The second push finds every blob there.
    run(registry("push -q", &credentials)).await.unwrap();
    run(words(&format!("rmi {image}"))).await.unwrap();
    let pulled = run(registry("pull -q", &credentials)).await.unwrap();
    assert_eq!(pulled, id.trim_start_matches("sha256:"));
    let tags = server.store.tags(&repository("apps/demo")).await.unwrap();
    assert_eq!(tags, ["v1"]);
    assert_eq!(server.store.scrub().await.unwrap(), []);
}
