//! A rebase: what it changes, what it keeps, what it refuses.

use super::*;
use pvdify_builder::rebase::rebase;

const LIFECYCLE: &str = "io.buildpacks.lifecycle.metadata";

/// An app with an image, whose run image `change` made another.
async fn rebased(change: impl FnOnce(&mut Value)) -> (App, Image, Result<Digest, BuildError>) {
    let app = App::new().await;
    app.layer("ant", "launch", "a");
    let image = app.exported().await;
    let mut config = run_config();
    change(&mut config);
    put_run_image(&app.store, "trixie", config, &["base", "tools, patched", "more"]).await;
    let result = rebase(
        &app.store,
        &app.export.repository,
        image.digest(),
        &app.export.run_image,
    )
    .await;
    (app, image, result)
}

async fn refusal(change: impl FnOnce(&mut Value)) -> String {
    match rebased(change).await.2.unwrap_err() {
        BuildError::Refused(text) => text
            .strip_prefix("demo can't be put on 127.0.0.1:5000/pvdify/run:trixie: ")
            .unwrap()
            .strip_suffix(". Deploy it again instead")
            .unwrap()
            .to_owned(),
        other @ BuildError::Unavailable(_) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_run_images_layers_are_others_and_the_apps_the_same() {
    let (app, before, after) = rebased(|config| {
        config["config"]["Labels"] = json!({
            "io.buildpacks.base.distro.name": "debian",
            "io.buildpacks.base.distro.version": "13",
            "io.buildpacks.base.id": "new",
            "other": "not taken",
        });
        config["config"]["Env"] = json!(["PATH=/other"]);
    })
    .await;
    let after = after.unwrap();
    let (manifest, config, _) = read(&app.store, &app.export.repository, &after).await;
    let (old, new) = (
        before.manifest["layers"].as_array().unwrap(),
        manifest["layers"].as_array().unwrap(),
    );
    assert_eq!(new.len(), old.len() + 1);
    assert_eq!(old[2..], new[3..]);
    assert_eq!(old[0], new[0]);
    assert_ne!(old[1], new[1]);
    let label: Value = serde_json::from_str(config["config"]["Labels"][LIFECYCLE].as_str().unwrap()).unwrap();
    let mut expected = before.label(LIFECYCLE);
    let run = app.export.run_image.read(&app.store).await.unwrap();
    expected["runImage"]["topLayer"] = run.layers[2].diff_id.clone().into();
    expected["runImage"]["reference"] = format!("127.0.0.1:5000/pvdify/run@{}", run.digest).into();
    assert_eq!(label, expected);
    let labels = &config["config"]["Labels"];
    assert_eq!(
        (&labels["io.buildpacks.base.id"], &labels["other"]),
        (&json!("new"), &Value::Null)
    );
    assert_eq!(labels["maintainer"], "someone", "other labels stay the app's");
    assert_eq!(config["config"]["Env"], before.config["config"]["Env"]);
    assert_eq!(
        config["config"]["Entrypoint"],
        before.config["config"]["Entrypoint"]
    );
    assert_eq!(config["created"], "1980-01-01T00:00:01Z");
    let history = config["history"].as_array().unwrap();
    let app_part = &before.config["history"].as_array().unwrap()[3..];
    assert!(history.ends_with(app_part));
    // And once more, with nothing new: the same image.
    let again = rebase(&app.store, &app.export.repository, &after, &app.export.run_image).await;
    assert_eq!(again.unwrap(), after);
}

/// An app on a run image to which an image extension added a layer.
async fn extended(rebasable: bool) -> (App, Image) {
    let mut app = App::new().await;
    app.layer("ant", "launch", "a");
    // A buildpack has no say in it.
    app.metadata("[[labels]]\nkey = 'io.buildpacks.rebasable'\nvalue = 'true'");
    let mut config = run_config();
    config["config"]["User"] = "7:8".into();
    config["config"]["Labels"]["pvdify.app"] = "demo".into();
    let layers = ["base", "tools", "added"];
    let digest = put_image(&app.store, &app.export.repository, "x", config, &layers).await;
    app.export.extended = Some(Extended {
        digest,
        below: 2,
        reference: "127.0.0.1:5000/pvdify/run@sha256:00".to_owned(),
        other: None,
        rebasable,
    });
    let image = app.exported().await;
    (app, image)
}

#[tokio::test]
async fn what_an_image_extension_added_stays_on_a_newer_run_image() {
    let (app, before) = extended(true).await;
    assert_eq!(before.config["config"]["User"], "7:8");
    assert_eq!(before.config["config"]["Labels"]["pvdify.app"], Value::Null);
    let diff_ids = |config: &Value| config["rootfs"]["diff_ids"].as_array().unwrap().clone();
    let old = diff_ids(&before.config);
    assert_eq!(before.label(LIFECYCLE)["runImage"]["topLayer"], old[1]);
    let layers = ["base, patched", "tools, patched", "more"];
    put_run_image(&app.store, "trixie", run_config(), &layers).await;
    let run = &app.export.run_image;
    let after = rebase(&app.store, &app.export.repository, before.digest(), run).await;
    let (_, config, _) = read(&app.store, &app.export.repository, &after.unwrap()).await;
    let new = diff_ids(&config);
    assert_eq!((new.len(), &new[3..]), (old.len() + 1, &old[2..]));
    assert_eq!(config["config"]["User"], "7:8");
}

#[tokio::test]
async fn an_app_whose_image_extensions_do_not_promise_it_is_left_alone() {
    let (app, before) = extended(false).await;
    assert_eq!(before.label("io.buildpacks.rebasable"), false);
    put_run_image(&app.store, "trixie", run_config(), &["other"]).await;
    let run = &app.export.run_image;
    let refused = rebase(&app.store, &app.export.repository, before.digest(), run).await;
    insta::assert_snapshot!(refused.unwrap_err(), @"demo can't be put on 127.0.0.1:5000/pvdify/run:trixie: it says of itself that it can't be rebased, as apps on an extended run image do. Deploy it again instead");
}

#[tokio::test]
async fn labels_that_the_new_run_image_lacks_go() {
    let (app, _, after) = rebased(|config| {
        config["config"]["Labels"] = json!({"io.buildpacks.stack.id": "new"});
    })
    .await;
    let (_, config, _) = read(&app.store, &app.export.repository, &after.unwrap()).await;
    let labels = &config["config"]["Labels"];
    assert_eq!(labels["io.buildpacks.base.distro.name"], Value::Null);
    assert_eq!(labels["io.buildpacks.stack.id"], "new");
}

#[tokio::test]
async fn another_target_is_refused() {
    assert_eq!(
        refusal(|config| config["os"] = "windows".into()).await,
        "it was built for the os \"linux\" and that one is for \"windows\""
    );
    assert!(
        refusal(|config| config["architecture"] = "s390x".into())
            .await
            .contains("architecture")
    );
    let label = |name: &'static str, value: &'static str| {
        move |config: &mut Value| {
            config["config"]["Labels"][format!("io.buildpacks.base.distro.{name}")] = value.into();
        }
    };
    assert_eq!(
        refusal(label("version", "14")).await,
        "it was built for the distribution version \"13\" and that one is \"14\""
    );
    assert!(
        refusal(label("name", "ubuntu"))
            .await
            .contains("distribution name")
    );
    assert!(
        rebased(|config| config["variant"] = "v2".into()).await.2.is_ok(),
        "the app names no variant"
    );
}

#[tokio::test]
async fn an_image_that_is_not_to_be_rebased_or_that_no_buildpack_built_is_refused() {
    let app = App::new().await;
    app.metadata("[[labels]]\nkey = 'io.buildpacks.rebasable'\nvalue = 'false'");
    let image = app.exported().await;
    let demo = repository("demo");
    let text = |error: BuildError| error.to_string();
    let refused = rebase(&app.store, &demo, image.digest(), &app.export.run_image)
        .await
        .unwrap_err();
    assert!(text(refused).contains("it says of itself that it can't be rebased"));
    let run = app.export.run_image.read(&app.store).await.unwrap();
    let refused = rebase(
        &app.store,
        &repository("pvdify/run"),
        &run.digest,
        &app.export.run_image,
    )
    .await;
    assert!(text(refused.unwrap_err()).contains("no buildpack built it"));
    let none: Digest = sha256(b"none").parse().unwrap();
    let refused = rebase(&app.store, &demo, &none, &app.export.run_image).await;
    assert!(text(refused.unwrap_err()).contains("is not in demo"));
}

#[tokio::test]
async fn the_run_image_must_be_one_that_the_label_names() {
    let mut app = App::new().await;
    app.export.run_image.mirrors = vec!["mirror.example/run:1".to_owned()];
    let image = app.exported().await;
    put_run_image(&app.store, "trixie", run_config(), &["patched"]).await;
    let rebase_on = async |name: &str| {
        let run = RunImage {
            image: name.to_owned(),
            ..app.export.run_image.clone()
        };
        rebase(&app.store, &app.export.repository, image.digest(), &run).await
    };
    for good in [
        "127.0.0.1:5000/pvdify/run:trixie",
        "localhost:1/pvdify/run:trixie",
        "mirror.example/run:1",
    ] {
        assert!(rebase_on(good).await.is_ok(), "{good}");
    }
    for bad in [
        "127.0.0.1:5000/pvdify/run:bookworm",
        "127.0.0.1:5000/other/run:trixie",
    ] {
        let text = rebase_on(bad).await.unwrap_err().to_string();
        assert!(
            text.contains("it was built on 127.0.0.1:5000/pvdify/run:trixie"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn no_layer_is_read() {
    let app = App::new().await;
    app.layer("ant", "launch", "a");
    let image = app.exported().await;
    for layer in &image.manifest["layers"].as_array().unwrap()[2..] {
        let digest: Digest = layer["digest"].as_str().unwrap().parse().unwrap();
        std::fs::write(app.store.blob_path(&digest).unwrap(), "spoilt").unwrap();
    }
    put_run_image(&app.store, "trixie", run_config(), &["patched"]).await;
    rebase(
        &app.store,
        &app.export.repository,
        image.digest(),
        &app.export.run_image,
    )
    .await
    .unwrap();
}
