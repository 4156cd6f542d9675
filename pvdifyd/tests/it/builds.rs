//! Pushes over the control socket: built, released, waited for.

use crate::harness::{FINGERPRINT, Options, Server};
use pvdify_api::control::{BuildEvent, BuildQuery};
use pvdify_client::{Client, Ndjson};
use pvdify_types::{AppName, BuildStatus};
use pvdifyd::{
    app::Limits,
    store::{apps, builds},
};
use std::sync::atomic::Ordering;

fn query(commit: char) -> BuildQuery {
    BuildQuery {
        commit: commit.to_string().repeat(40),
        fingerprint: FINGERPRINT.into(),
    }
}

async fn push(server: &Server, app: &AppName, commit: char, source: &'static str) -> Ndjson<BuildEvent> {
    server
        .control()
        .build(app, &query(commit), source.into())
        .await
        .unwrap()
}

/// All lines, and the last event.
async fn told(mut events: Ndjson<BuildEvent>) -> (Vec<String>, BuildEvent) {
    let mut lines = Vec::new();
    while let Some(event) = events.next().await.unwrap() {
        match event {
            BuildEvent::Line { text } => lines.push(text),
            BuildEvent::KeepAlive => {}
            last => return (lines, last),
        }
    }
    panic!("no last event after {lines:?}");
}

fn released(version: u64) -> BuildEvent {
    BuildEvent::Released {
        version,
        url: "http://demo.localhost:8080".into(),
    }
}

async fn rows(server: &Server, app: &AppName) -> Vec<(BuildStatus, Option<String>)> {
    let name = app.clone();
    let all = server.store.read(move |reader| {
        let app = apps::by_name(reader, &name)?.unwrap();
        builds::list(reader, &app.id)
    });
    let all = all.await.unwrap();
    all.into_iter()
        .map(|build| (build.status, build.failure))
        .collect()
}

fn spool(server: &Server) -> usize {
    std::fs::read_dir(server.path("builds")).unwrap().count()
}

async fn start() -> (Server, AppName) {
    let server = Server::start().await;
    server.add_key().await;
    let app = server.create("demo").await;
    (server, app)
}

#[tokio::test]
async fn a_push_is_built_released_and_the_same_commit_again_is_no_build() {
    let (server, app) = start().await;
    let (lines, last) = told(push(&server, &app, 'a', "src").await).await;
    assert_eq!(
        lines,
        [
            "-----> Building src",
            "-----> Launching...",
            "       web.1 of v1 starts"
        ]
    );
    assert_eq!(last, released(1));
    let release = server
        .client()
        .release(&app, pvdify_types::ReleaseVersion(1))
        .await
        .unwrap();
    assert_eq!(
        (release.description.as_str(), release.user.as_str()),
        ("Deploy aaaaaaaa", "ada@example.com")
    );
    assert_eq!(release.commit, Some("a".repeat(40)));

    let (lines, last) = told(push(&server, &app, 'a', "src").await).await;
    assert_eq!((lines.len(), last), (0, released(1)));
    assert_eq!(server.images.builds.load(Ordering::SeqCst), 1);

    // A change of config runs the same commit.
    let set = [("A".to_owned(), Some("1".to_owned()))].into();
    let version = server
        .client()
        .set_config(&app, &set)
        .await
        .unwrap()
        .release
        .unwrap();
    server.ended(&app, version).await;
    assert_eq!(told(push(&server, &app, 'a', "src").await).await.1, released(2));
    assert_eq!(told(push(&server, &app, 'b', "src2").await).await.1, released(3));
    assert_eq!(rows(&server, &app).await, vec![(BuildStatus::Succeeded, None); 4]);
    assert_eq!(spool(&server), 0);
}

#[tokio::test]
async fn a_first_deploy_sets_the_app_up_as_its_app_json_says_and_no_later_one_does() {
    let (server, app) = start().await;
    let client = server.client();
    let set = |key: &str, value: Option<&str>| [(key.to_owned(), value.map(str::to_owned))].into();
    let (lines, last) = told(push(&server, &app, 'a', "setup worker").await).await;
    let message = "app.json requires config vars that are not set: KEY (for mail). Set them and push again: \
                   pvdify config:set APP KEY=...";
    assert_eq!(
        last,
        BuildEvent::Failed {
            message: message.into()
        }
    );
    assert_eq!(lines, ["-----> Building setup worker"]);
    assert!(client.config(&app).await.unwrap().is_empty());

    client.set_config(&app, &set("KEY", Some("mine"))).await.unwrap();
    let (lines, last) = told(push(&server, &app, 'a', "setup worker").await).await;
    assert_eq!(last, released(1));
    assert_eq!(
        lines[..4],
        [
            "-----> Building setup worker",
            "-----> Setting the app up",
            "       Config vars set by app.json: GREETING",
            "       Config vars made up for it: SECRET",
        ]
    );
    assert_eq!(lines[4], "       Scaled by app.json: worker=2");
    let config = client.config(&app).await.unwrap();
    assert_eq!((&config["GREETING"][..], &config["KEY"][..]), ("hi", "mine"));
    assert_eq!(config["SECRET"].len(), 64);
    // The reconciler looks in its own time.
    let worker = "worker".parse().unwrap();
    let mut desired = server.desired.clone();
    desired
        .wait_for(|apps| apps.iter().any(|app| app.formation.get(&worker) == Some(&2)))
        .await
        .unwrap();

    // What a person changed since then stands.
    let release = client
        .set_config(&app, &set("GREETING", None))
        .await
        .unwrap()
        .release;
    server.ended(&app, release.unwrap()).await;
    let (lines, _) = told(push(&server, &app, 'b', "setup worker 2").await).await;
    assert!(
        !lines.iter().any(|line| line.contains("Setting the app up")),
        "{lines:?}"
    );
    let postdeploys = server.dump().matches("postdeploy, Integer(1), seed,").count();
    assert_eq!(postdeploys, 1, "{}", server.dump());
    let after = client.config(&app).await.unwrap();
    assert!(!after.contains_key("GREETING") && after["SECRET"] == config["SECRET"]);
}

#[tokio::test]
async fn a_postdeploy_that_fails_is_told_and_its_release_serves() {
    let (server, app) = start().await;
    let key = [("KEY".to_owned(), Some("mine".to_owned()))].into();
    server.client().set_config(&app, &key).await.unwrap();
    let (lines, last) = told(push(&server, &app, 'a', "setup fail").await).await;
    assert_eq!(last, released(1));
    assert_eq!(
        lines.last().map(String::as_str),
        Some(" !     postdeploy.1001 exited with status 3; v1 serves all the same")
    );
}

#[tokio::test]
async fn a_build_that_fails_makes_no_release_and_one_that_breaks_ends_too() {
    let (server, app) = start().await;
    let (lines, last) = told(push(&server, &app, 'a', "bad").await).await;
    assert_eq!(lines, ["-----> Building bad", "second line"]);
    assert_eq!(
        last,
        BuildEvent::Failed {
            message: "bad is bad".into()
        }
    );
    let (_, last) = told(push(&server, &app, 'a', "panic").await).await;
    let message = "the build broke; the server's log has the cause".to_owned();
    assert_eq!(
        last,
        BuildEvent::Failed {
            message: message.clone()
        }
    );
    assert!(server.history(&app).await.is_empty());
    assert_eq!(
        rows(&server, &app).await,
        [
            (BuildStatus::Failed, Some(message)),
            (BuildStatus::Failed, Some("bad is bad".into()))
        ]
    );
    assert_eq!(spool(&server), 0);
    assert_eq!(told(push(&server, &app, 'a', "good").await).await.1, released(1));
}

#[tokio::test]
async fn a_release_that_fails_says_what_goes_on_serving() {
    let (server, app) = start().await;
    told(push(&server, &app, 'a', "good").await).await;
    let (lines, last) = told(push(&server, &app, 'b', "unhealthy").await).await;
    assert_eq!(lines.last().unwrap(), "       boom");
    let message = "web.1 exited with status 1; v1 goes on serving".to_owned();
    assert_eq!(last, BuildEvent::Failed { message });
    assert_eq!(server.history(&app).await, ["v1 current", "v2 failed"]);
    // The commit did not get to serve: it is built again.
    told(push(&server, &app, 'b', "unhealthy").await).await;
    assert_eq!(server.images.builds.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_client_that_vanishes_changes_nothing() {
    let (server, app) = start().await;
    let mut events = push(&server, &app, 'a', "gate").await;
    let first = events.next().await.unwrap();
    assert_eq!(
        first,
        Some(BuildEvent::Line {
            text: "-----> Building gate".into()
        })
    );
    drop(events);
    server.open_gate();
    let mut desired = server.desired.clone();
    desired
        .wait_for(|apps| apps.iter().any(|app| app.current.is_some()))
        .await
        .unwrap();
    let (lines, last) = told(push(&server, &app, 'a', "gate").await).await;
    // The build before may be at its last words still.
    let waits = "-----> Waiting for the build before this one";
    assert!(lines.iter().all(|line| line == waits), "{lines:?}");
    assert_eq!(last, released(1));
    assert_eq!(server.images.builds.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn two_pushes_at_once_are_both_released_in_order() {
    let (server, app) = start().await;
    let mut first = push(&server, &app, 'a', "gate-1").await;
    first.next().await.unwrap();
    let mut second = push(&server, &app, 'b', "gate-2").await;
    let waiting = BuildEvent::Line {
        text: "-----> Waiting for the build before this one".into(),
    };
    assert_eq!(second.next().await.unwrap(), Some(waiting));
    assert_eq!(server.images.builds.load(Ordering::SeqCst), 1);
    server.open_gate();
    assert_eq!(told(first).await.1, released(1));
    assert_eq!(told(second).await.1, released(2));
}

#[tokio::test]
async fn more_pushes_than_may_wait_are_refused_at_once() {
    let server = Server::with(Options {
        limits: Limits {
            waiting_builds: 1,
            free_bytes: 0,
            ..Limits::default()
        },
        ..Options::default()
    })
    .await;
    server.add_key().await;
    let app = server.create("demo").await;
    let first = push(&server, &app, 'a', "gate-1").await;
    let second = push(&server, &app, 'b', "gate-2").await;
    let third = server
        .control()
        .build(&app, &query('c'), "x".into())
        .await
        .err()
        .unwrap();
    assert_eq!(
        (third.status(), third.to_string()),
        (Some(409), "1 builds of demo are waiting already".into())
    );
    server.open_gate();
    told(first).await;
    told(second).await;
    assert_eq!(told(push(&server, &app, 'c', "x").await).await.1, released(3));
}

#[tokio::test]
async fn what_can_not_be_built_is_refused_before_it_is_and_leaves_no_file() {
    let (server, app) = start().await;
    let before = server.dump();
    let control = server.control();
    let nobody: AppName = "nobody".parse().unwrap();
    let stranger = BuildQuery {
        fingerprint: "SHA256:x".into(),
        ..query('a')
    };
    let short = BuildQuery {
        commit: "abc".into(),
        ..query('a')
    };
    let refuse = |app: AppName, query: BuildQuery| {
        let control: Client = control.clone();
        async move {
            let error = control.build(&app, &query, "src".into()).await.err().unwrap();
            format!("{} {error}", error.status().unwrap())
        }
    };
    assert_eq!(refuse(nobody, query('a')).await, "404 there is no app \"nobody\"");
    assert_eq!(
        refuse(app.clone(), stranger).await,
        "404 there is no SSH key \"SHA256:x\""
    );
    assert_eq!(
        refuse(app.clone(), short).await,
        "422 a commit is 40 lower-case hex digits"
    );
    assert_eq!(server.dump(), before);
    assert_eq!(spool(&server), 0);
}

#[tokio::test]
async fn a_source_too_large_and_a_full_disk_are_refused_with_the_figures() {
    let limits = |source_bytes, free_bytes| Options {
        limits: Limits {
            source_bytes,
            free_bytes,
            ..Limits::default()
        },
        ..Options::default()
    };
    let server = Server::with(limits(1 << 20, 0)).await;
    server.add_key().await;
    let app = server.create("demo").await;
    let big = vec![0_u8; (1 << 20) + 1];
    let error = server
        .control()
        .build(&app, &query('a'), big.into())
        .await
        .err()
        .unwrap();
    assert_eq!(
        (error.status(), error.to_string()),
        (Some(413), "the source has more than 1 MiB".into())
    );
    assert_eq!(spool(&server), 0);
    assert!(rows(&server, &app).await.is_empty());

    let server = Server::with(limits(1, u64::MAX)).await;
    server.add_key().await;
    let app = server.create("demo").await;
    // Refused before it is read, and far more than fits into the socket: the refusal still arrives.
    let big = vec![0_u8; 32 << 20];
    let error = server
        .control()
        .build(&app, &query('a'), big.into())
        .await
        .err()
        .unwrap();
    assert_eq!(error.status(), Some(507), "{error}");
    let text = error.to_string();
    assert!(
        text.starts_with("the disk is too full: 17592186044415 MiB are needed in "),
        "{text}"
    );
}
