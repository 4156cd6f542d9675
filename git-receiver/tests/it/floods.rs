//! Much of what costs its sender little, from someone without a key. The time to show one is an hour here, so
//! that only a limit on what is sent or tried can end a connection; then a real login works as ever.

use crate::rig::Rig;
use git_receiver::Limits;
use russh::{
    client::{self, AuthResult, Handle},
    keys::{
        Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate, agent::AgentIdentity,
        key::safe_rng,
    },
};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const HOUR: Duration = Duration::from_secs(3_600);

/// A client that looks at nothing.
pub(crate) struct Anyone;

impl client::Handler for Anyone {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _key: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

/// A signer that never signs.
struct NoHand;

enum NoSignature {
    Refused,
    Gone,
}

impl From<russh::SendError> for NoSignature {
    fn from(_: russh::SendError) -> Self {
        Self::Gone
    }
}

impl russh::Signer for NoHand {
    type Error = NoSignature;

    async fn auth_sign(
        &mut self,
        _key: &AgentIdentity,
        _hash: Option<HashAlg>,
        _text: Vec<u8>,
    ) -> Result<Vec<u8>, NoSignature> {
        Err(NoSignature::Refused)
    }
}

async fn patient_rig() -> Rig {
    Rig::with(Limits {
        login_grace: HOUR,
        ..Limits::default()
    })
    .await
}

/// Exchanges keys with the server and shows it none.
pub(crate) async fn connect(rig: &Rig) -> Handle<Anyone> {
    let config = Arc::new(client::Config::default());
    client::connect(config, ("127.0.0.1", rig.client.port), Anyone)
        .await
        .unwrap()
}

/// Sends all of it, without ever ending its side, and waits until the server ends the connection.
async fn ended_by_server(rig: &Rig, what: &str, noise: &[u8]) {
    let stream = TcpStream::connect(("127.0.0.1", rig.client.port)).await.unwrap();
    let (mut reads, mut writes) = stream.into_split();
    let noise = noise.to_vec();
    let writing = tokio::spawn(async move {
        // The server need not read it to its end.
        writes.write_all(&noise).await.ok();
        writes
    });
    let mut said = Vec::new();
    let reading = async { reads.read_to_end(&mut said).await.ok() };
    tokio::time::timeout(Duration::from_secs(60), reading)
        .await
        .unwrap_or_else(|_| panic!("{what} was listened to for ever"));
    drop(writing.await.unwrap());
    assert!(said.len() < 64 * 1024, "{what} got {} bytes", said.len());
}

async fn assert_serves(rig: &Rig) {
    let said = rig.client.ssh(&["git-upload-pack '/x.git'"]).await;
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(
        said.err.contains("fetching and cloning are not supported"),
        "{}",
        said.err
    );
}

/// A packet in clear, as before the first key exchange.
fn packet(payload: &[u8]) -> Vec<u8> {
    let padding = 4 + (8 - (4 + 1 + payload.len() + 4) % 8) % 8;
    let length = u32::try_from(1 + payload.len() + padding).unwrap();
    let mut out = length.to_be_bytes().to_vec();
    out.push(u8::try_from(padding).unwrap());
    out.extend_from_slice(payload);
    out.resize(out.len() + padding, 0);
    out
}

/// SSH_MSG_KEXINIT with these algorithms everywhere.
fn kexinit(algorithms: &str) -> Vec<u8> {
    let mut payload = vec![20];
    payload.extend_from_slice(&[7; 16]);
    for _ in 0..10 {
        payload.extend_from_slice(&u32::try_from(algorithms.len()).unwrap().to_be_bytes());
        payload.extend_from_slice(algorithms.as_bytes());
    }
    payload.extend_from_slice(&[0; 5]);
    packet(&payload)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_floods_before_the_first_key_exchange_ends_the_connection() {
    let rig = patient_rig().await;
    let hello = b"SSH-2.0-x\r\n";
    let after_hello = |rest: &[u8]| [&hello[..], rest].concat();
    let ignore = packet(&[&[2, 0, 0, 0, 200][..], &[b'x'; 200]].concat());
    let cases = [
        (
            "a version line of 1 MB",
            [b"SSH-2.0-", &[b'A'; 1 << 20][..]].concat(),
        ),
        ("no version in 1 MB", vec![b'A'; 1 << 20]),
        ("a million lines before it", b"x\r\n".repeat(1 << 20)),
        ("a packet of 4 GiB", after_hello(&[0xff; 16])),
        (
            "a packet of 1 MB",
            after_hello(&[&[0, 16, 0, 0, 4][..], &[20; 1 << 20]].concat()),
        ),
        (
            "10,000 KEXINITs",
            after_hello(&kexinit("curve25519-sha256").repeat(10_000)),
        ),
        (
            "a KEXINIT of 200 kB names",
            after_hello(&kexinit(&"a,".repeat(10_000))),
        ),
        ("10,000 packets to ignore", after_hello(&ignore.repeat(10_000))),
    ];
    for (what, noise) in cases {
        ended_by_server(&rig, what, &noise).await;
    }
    assert_serves(&rig).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_exchanges_one_after_the_other_without_a_key_come_to_an_end() {
    let rig = patient_rig().await;
    let client = connect(&rig).await;
    Rig::eventually("the connection ends", async || {
        // Refused once the connection is gone.
        client.rekey_soon().await.ok();
        client.is_closed()
    })
    .await;
    assert_serves(&rig).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_tries_with_unknown_keys_twenty_are_looked_at() {
    let rig = patient_rig().await;
    let mut client = connect(&rig).await;
    let key = Arc::new(PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap());
    let mut tries = 0;
    for _ in 0..1_000 {
        tries += 1;
        let key = PrivateKeyWithHashAlg::new(Arc::clone(&key), None);
        match client.authenticate_publickey("git", key).await {
            Ok(AuthResult::Failure { .. }) => {}
            Ok(AuthResult::Success) => panic!("an unknown key was taken"),
            Err(_) => break,
        }
    }
    // The client learns one try late that the connection is over.
    assert!(tries <= 22, "{tries}");
    assert_eq!(rig.control.script().identified.len(), 20);
    assert_serves(&rig).await;
}

/// An offer asks whether a key would do, without a signature: no try is counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offers_of_keys_without_a_signature_come_to_an_end() {
    let rig = patient_rig().await;
    let mut client = connect(&rig).await;
    let key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap();
    let mut unsigned = 0;
    for _ in 0..100_000 {
        let offered = client
            .authenticate_publickey_with("git", key.public_key().clone(), None, &mut NoHand)
            .await;
        match offered {
            Err(NoSignature::Refused) if !client.is_closed() => unsigned += 1,
            _ => break,
        }
    }
    assert!((1..10_000).contains(&unsigned), "{unsigned}");
    assert_eq!(rig.control.script().identified.len(), 0);
    assert_serves(&rig).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_passwords_none_is_taken_and_the_twenty_first_ends_the_connection() {
    let rig = patient_rig().await;
    let mut client = connect(&rig).await;
    let mut tries = 0;
    for n in 0..1_000 {
        tries += 1;
        match client.authenticate_password("git", format!("{n}")).await {
            Ok(AuthResult::Failure { .. }) => {}
            Ok(AuthResult::Success) => panic!("a password was taken"),
            Err(_) => break,
        }
    }
    assert!(tries <= 22, "{tries}");
    assert_eq!(rig.control.script().identified.len(), 0);
    assert_serves(&rig).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_exchanged_keys_and_shows_none_is_ended_in_time() {
    let rig = Rig::with(Limits {
        login_grace: Duration::from_secs(1),
        ..Limits::default()
    })
    .await;
    let silent = connect(&rig).await;
    let mut tried = connect(&rig).await;
    tried.authenticate_none("git").await.ok();
    Rig::eventually("both are ended", async || silent.is_closed() && tried.is_closed()).await;
    assert_serves(&rig).await;
}
