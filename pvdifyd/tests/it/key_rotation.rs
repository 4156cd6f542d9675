//! The sealing key, rotated by a server that runs: over the control socket, beside changes.

use crate::{
    config::change,
    harness::{Options, Server},
};
use std::fs;

fn ids(server: &Server) -> Vec<String> {
    let text = fs::read_to_string(server.path("key")).unwrap();
    text.lines().map(|line| line[..8].to_owned()).collect()
}

#[tokio::test]
async fn everything_is_sealed_with_one_new_key_whatever_changes_meanwhile() {
    let server = Server::start().await;
    let app = server.serving("demo", "one").await;
    let client = server.client();
    let all = (0..300).map(|n| (format!("KEY_{n}"), Some(format!("s3cret-{n}"))));
    client.set_config(&app, &all.collect()).await.unwrap();
    let before = ids(&server);
    let changes = async {
        for n in 0..20 {
            let n = n.to_string();
            client
                .set_config(&app, &change(&[("COUNT", Some(&n))]))
                .await
                .unwrap();
            assert_eq!(client.config(&app).await.unwrap().len(), 301);
        }
    };
    let control = server.control();
    let rotations = async {
        // At once: one after the other.
        let (one, two) = tokio::join!(control.control_rotate_key(), control.control_rotate_key());
        [one.unwrap(), two.unwrap()]
    };
    let (rotations, ()) = tokio::join!(rotations, changes);
    assert!(
        rotations.iter().all(|one| one.values >= 300 && !one.finished),
        "{rotations:?}"
    );
    let now = ids(&server);
    assert!(rotations.iter().any(|one| now == [one.key.clone()]) && now != before);
    let config = client.config(&app).await.unwrap();
    assert_eq!(
        (config["COUNT"].as_str(), config["KEY_299"].as_str()),
        ("19", "s3cret-299")
    );

    let dir = server.kill().await;
    let server = Server::in_dir(dir, Options::default()).await;
    assert_eq!(server.client().config(&app).await.unwrap(), config);
    let of_rows: Vec<String> = server
        .store
        .read(|reader| {
            let mut query = reader.prepare("SELECT DISTINCT key_id FROM config_vars")?;
            let ids = query.query_map([], |row| row.get(0))?;
            Ok::<_, pvdifyd::store::Error>(ids.collect::<Result<_, _>>()?)
        })
        .await
        .unwrap();
    assert_eq!(of_rows, now);
}

#[tokio::test]
async fn a_key_file_that_can_not_be_written_stops_it_and_changes_nothing() {
    let server = Server::start().await;
    let app = server.create("demo").await;
    let client = server.client();
    client
        .set_config(&app, &change(&[("A", Some("s3cret"))]))
        .await
        .unwrap();
    let (before, keys) = (server.dump(), ids(&server));
    fs::create_dir(server.path("key.new")).unwrap();
    let error = server.control().control_rotate_key().await.unwrap_err();
    assert!(error.to_string().contains("can't write the key file"), "{error}");
    assert_eq!((server.dump(), ids(&server)), (before, keys));
    fs::remove_dir(server.path("key.new")).unwrap();
    let rotated = server.control().control_rotate_key().await.unwrap();
    assert_eq!((rotated.values, rotated.finished), (1, false));
    assert_eq!(client.config(&app).await.unwrap()["A"], "s3cret");
}
