//! `keys`, `keys:add`, `keys:remove`.

use crate::{
    cli::Cli,
    samples::{FINGERPRINT, key},
    server::{Server, empty, json, refuse},
};
use insta::assert_snapshot;
use pvdify_api::keys::SshKey;

const PUBLIC: &str = "ssh-ed25519 AAAAC3Nz ada@example.com\n";

#[tokio::test]
async fn keys_are_listed() {
    let server = Server::start([("GET /keys", json(200, &[key("ada@example.com")]))]).await;
    let cli = Cli::new(&server);
    assert_snapshot!(cli.run(&["keys"]).await, @r"
    exit 0
    --- stdout
    NAME             FINGERPRINT                                         ADDED
    ada@example.com  SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU  2026-01-01T00:00:00Z
    --- stderr
    ");
    let output = cli.output(&["keys", "--json"]).await;
    assert_eq!(
        serde_json::from_slice::<Vec<SshKey>>(&output.stdout).unwrap()[0].name,
        "ada@example.com"
    );
}

#[tokio::test]
async fn no_keys_say_how_to_add_one() {
    let server = Server::start([("GET /keys", json(200, &[] as &[SshKey; 0]))]).await;
    assert_snapshot!(Cli::new(&server).run(&["keys"]).await, @r"
    exit 0
    --- stdout
    --- stderr
    No SSH key may push yet; add yours with `pvdify keys:add`.
    ");
}

#[tokio::test]
async fn a_key_is_added_from_a_file_or_from_its_usual_place() {
    let server = Server::start([("POST /keys", json(201, &key("ada@example.com")))]).await;
    let cli = Cli::new(&server)
        .file("work.pub", PUBLIC)
        .file(".ssh/id_rsa.pub", "ssh-rsa AAAAB3Nz r");
    assert_snapshot!(cli.run(&["keys:add", "work.pub", "--name", "work"]).await, @r"
    exit 0
    --- stdout
    Added ada@example.com SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU
    --- stderr
    ");
    assert!(cli.output(&["keys:add"]).await.status.success());
    let cli = cli.file(".ssh/id_ed25519.pub", PUBLIC);
    assert!(cli.output(&["keys:add"]).await.status.success());
    assert_snapshot!(server.requests().join("\n"), @r#"
    POST /keys {"public_key":"ssh-ed25519 AAAAC3Nz ada@example.com","name":"work"}
    POST /keys {"public_key":"ssh-rsa AAAAB3Nz r"}
    POST /keys {"public_key":"ssh-ed25519 AAAAC3Nz ada@example.com"}
    "#);
}

#[tokio::test]
async fn a_private_key_or_no_key_is_never_sent() {
    let server = Server::start([]).await;
    let cli = Cli::new(&server)
        .file(
            "id_ed25519",
            "-----BEGIN OPENSSH PRIVATE KEY-----\ns3cret\n-----END OPENSSH PRIVATE KEY-----\n",
        )
        .file("notes.txt", "s3cret words");
    assert_snapshot!(cli.run(&["keys:add", "id_ed25519"]).await, @r"
    exit 2
    --- stdout
    --- stderr
    error: id_ed25519 is a private key, which must stay where it is
    hint: give the file that ends in .pub
    ");
    assert_snapshot!(cli.run(&["keys:add", "notes.txt"]).await, @r"
    exit 2
    --- stdout
    --- stderr
    error: notes.txt is no public key of OpenSSH
    hint: give the file that ends in .pub
    ");
    assert_snapshot!(cli.run(&["keys:add", "missing.pub"]).await, @r"
    exit 2
    --- stdout
    --- stderr
    error: can't read missing.pub: No such file or directory (os error 2)
    ");
    assert_snapshot!(cli.run(&["keys:add"]).await, @r"
    exit 2
    --- stdout
    --- stderr
    error: no public key in HOME/.ssh
    hint: make one with `ssh-keygen -t ed25519`, or name the file
    ");
    assert_eq!(server.requests(), [] as [String; 0]);
}

#[tokio::test]
async fn a_key_is_removed_by_fingerprint_or_by_a_name_that_only_it_has() {
    let list = json(200, &[key("ada"), key("twice"), key("twice")]);
    let path = FINGERPRINT.replace('+', "%2B").replace('/', "%2F");
    let server = Server::start([("GET /keys", list), (&format!("DELETE /keys/{path}"), empty())]).await;
    let cli = Cli::new(&server);
    assert_snapshot!(cli.run(&["keys:remove", FINGERPRINT]).await, @r"
    exit 0
    --- stdout
    Removed SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU
    --- stderr
    ");
    assert_snapshot!(cli.run(&["keys:remove", "ada"]).await, @r"
    exit 0
    --- stdout
    Removed SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU
    --- stderr
    ");
    assert_snapshot!(cli.run(&["keys:remove", "twice"]).await, @r#"
    exit 1
    --- stdout
    --- stderr
    error: several keys are called "twice"
    hint: name one by its fingerprint, which `pvdify keys` lists
    "#);
    assert_snapshot!(cli.run(&["keys:remove", ".."]).await, @r#"
    exit 1
    --- stdout
    --- stderr
    error: no key has the fingerprint or the name ".."
    hint: `pvdify keys` lists them
    "#);
    let deleted = server
        .requests()
        .into_iter()
        .filter(|asked| asked.starts_with("DELETE"))
        .count();
    assert_eq!(deleted, 2);
}

#[tokio::test]
async fn a_key_that_is_known_already_is_the_servers_refusal() {
    let server = Server::start([("POST /keys", refuse(409, "this key may push already", ""))]).await;
    let cli = Cli::new(&server).file("work.pub", PUBLIC);
    assert_snapshot!(cli.run(&["keys:add", "work.pub"]).await, @r"
    exit 1
    --- stdout
    --- stderr
    error: this key may push already
    ");
}
