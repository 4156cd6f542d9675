//! Which layers are made, kept, taken from the previous image or refused.

use super::*;

const ANT: &str = "acme_one/ant";

#[tokio::test]
async fn nothing_changed_nothing_made_same_digest() {
    let app = App::new().await;
    app.metadata("[[processes]]\ntype = 'web'\ncommand = ['a']");
    app.layer("ant", "launch cache", "a");
    app.write("layers/sbom/launch/acme_one/sbom.cdx.json", "{}");
    let first = app.exported().await;
    assert!(first.how().values().all(|how| *how == How::New));
    app.unpack_again();
    // The lifecycle writes these anew in each build.
    app.metadata("[[processes]]\ntype = 'web'\ncommand = ['a']");
    app.write("layers/sbom/launch/acme_one/sbom.cdx.json", "{}");
    let second = app.exported().await;
    assert_eq!(second.digest(), first.digest());
    let expected =
        ["app-0", "config", "launcher", "process-types", "sbom"].map(|name| (name, How::Unchanged));
    let expected: BTreeMap<_, _> = expected.into_iter().chain([(ANT, How::Untouched)]).collect();
    assert_eq!(second.how(), expected);
}

#[tokio::test]
async fn an_untouched_layer_is_not_read() {
    let app = App::new().await;
    app.layer("ant", "launch cache", "a");
    let file = app.path("layers/acme_one/ant/file");
    // A file of the future: whoever reads it leaves a trace in its access time.
    let ahead = std::time::SystemTime::now() + std::time::Duration::from_hours(100_000);
    std::fs::File::open(&file).unwrap().set_modified(ahead).unwrap();
    let read_at = || std::fs::metadata(&file).unwrap().accessed().unwrap();
    app.exported().await;
    let after_first = read_at();
    // The file system's clock ticks now and then only: after this a read would show.
    let probe = app.path("probe");
    while std::fs::write(&probe, "")
        .and_then(|()| probe.metadata()?.modified())
        .unwrap()
        <= after_first
    {}
    let second = app.exported().await;
    assert_eq!(second.how()[ANT], How::Untouched);
    assert_eq!(read_at(), after_first);
    std::fs::read(&file).unwrap();
    assert_ne!(read_at(), after_first, "reading leaves a trace here");
}

#[tokio::test]
async fn a_change_makes_its_layer_and_no_other() {
    let app = App::new().await;
    app.layer("ant", "launch cache", "a");
    app.layer("bee", "launch cache", "b");
    let first = app.exported().await;
    app.write("layers/acme_one/bee/file", "B");
    app.unpack_again();
    let second = app.exported().await;
    assert_ne!(second.digest(), first.digest());
    let made: Vec<&str> = second
        .how()
        .into_iter()
        .filter(|(_, how)| *how == How::New)
        .map(|(name, _)| name)
        .collect();
    assert_eq!(made, ["acme_one/bee"]);
    app.unpack_again();
    app.write("workspace/app.js", "the new");
    let third = app.exported().await;
    let made: Vec<&str> = third
        .how()
        .into_iter()
        .filter(|(_, how)| *how == How::New)
        .map(|(name, _)| name)
        .collect();
    assert_eq!(made, ["app-0"], "as long as before, but another one");
    assert_eq!(
        third.files("Application Layer")["workspace/app.js"].content,
        b"the new"
    );
}

#[tokio::test]
async fn a_permission_is_a_change() {
    use std::os::unix::fs::PermissionsExt;
    let app = App::new().await;
    let first = app.exported().await;
    std::fs::set_permissions(app.path("workspace/app.js"), PermissionsExt::from_mode(0o755)).unwrap();
    let second = app.exported().await;
    assert_eq!(
        (first.how()["app-0"], second.how()["app-0"]),
        (How::New, How::New)
    );
    assert_eq!(second.files("Application Layer")["workspace/app.js"].mode, 0o755);
}

#[tokio::test]
async fn the_same_files_give_the_same_digest_on_another_server() {
    let digest = async || {
        let app = App::new().await;
        app.layer("ant", "launch", &"some text ".repeat(500_000));
        app.layer("bee", "launch", "b");
        app.exported().await.digest().clone()
    };
    assert_eq!(digest().await, digest().await);
}

#[tokio::test]
async fn a_blob_that_is_gone_is_made_again() {
    let app = App::new().await;
    app.layer("ant", "launch cache", "a");
    let first = app.exported().await;
    let layer: Digest = first.manifest["layers"][2]["digest"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    app.store
        .delete_blob(&app.export.repository, &layer)
        .await
        .unwrap();
    let second = app.exported().await;
    assert_eq!((second.how()[ANT], second.digest()), (How::New, first.digest()));
}

#[tokio::test]
async fn a_layer_without_contents_is_that_of_the_previous_image() {
    let mut app = App::new().await;
    app.layer("ant", "launch", "a");
    let first = app.exported().await;
    std::fs::remove_dir_all(app.path("layers/acme_one/ant")).unwrap();
    let none = "the image can't be made of what the build left: the layer acme/one:ant has no contents, and the \
                previous image has none to take for it";
    assert_eq!(app.refused().await, none, "without a previous image");
    app.is_previous(first.digest()).await;
    let second = app.exported().await;
    assert_eq!(second.how()[ANT], How::FromPreviousImage);
    assert_eq!(second.digest(), first.digest());
    app.write("layers/acme_one/bee.toml", "[types]\nlaunch = true\n");
    assert!(
        app.refused()
            .await
            .contains("the layer acme/one:bee has no contents"),
        "it had no such layer"
    );
    std::fs::remove_file(app.path("layers/acme_one/bee.toml")).unwrap();
    app.write(
        "layers/acme_one/ant.toml",
        "[types]\nlaunch = true\ncache = true\n",
    );
    assert_eq!(
        app.refused().await,
        "the image can't be made of what the build left: the layer acme/one:ant says cache = true but has no contents"
    );
}

#[tokio::test]
async fn a_layer_without_contents_is_taken_whatever_the_new_layers_are() {
    let mut app = App::new().await;
    app.layer("ant", "launch", "a");
    let first = app.exported().await;
    app.is_previous(first.digest()).await;
    std::fs::remove_dir_all(app.path("layers/acme_one/ant")).unwrap();
    app.export.compression = Compression::Gzip;
    app.write(
        "layers/acme_one/ant.toml",
        "[types]\nlaunch = true\n[metadata]\nnew = true\n",
    );
    let second = app.exported().await;
    let label = second.label("io.buildpacks.lifecycle.metadata");
    assert_eq!(
        label["buildpacks"][0]["layers"]["ant"]["data"],
        json!({"new": true})
    );
    assert_eq!(second.manifest["layers"][2], first.manifest["layers"][2]);
}

#[tokio::test]
async fn metadata_that_is_not_understood_is_refused_with_its_layer() {
    let app = App::new().await;
    app.layer("ant", "launch", "a");
    app.write("layers/acme_one/bad.toml", "[types\n");
    app.write("layers/acme_one/old.toml", "launch = true\n");
    app.write("layers/acme_one/odd.toml", "[types]\nlaunch = 'yes'\n");
    let text = app.refused().await;
    for part in [
        "the metadata of layers is not understood: acme/one:bad: ",
        "acme/one:old: launch, build and cache belong into its [types]",
        "acme/one:odd: ",
    ] {
        assert!(text.contains(part), "{text}");
    }
    for name in ["bad", "old", "odd"] {
        std::fs::remove_file(app.path(&format!("layers/acme_one/{name}.toml"))).unwrap();
    }
    app.write("layers/acme_one/store.toml", "[[[");
    assert!(app.refused().await.contains("acme_one/store.toml: "));
    std::fs::remove_file(app.path("layers/acme_one/store.toml")).unwrap();
    app.write(
        "layers/config/metadata.toml",
        "[[processes]]\ntype = '../x'\ncommand = []\n",
    );
    assert!(app.refused().await.contains("config/metadata.toml: "));
    std::fs::remove_file(app.path("layers/config/metadata.toml")).unwrap();
    assert!(
        app.refused()
            .await
            .ends_with("the build left no config/metadata.toml")
    );
}

#[tokio::test]
async fn a_buildpack_of_the_group_need_not_leave_anything_and_one_outside_counts_for_nothing() {
    let app = App::new().await;
    app.write("layers/other_pack/x.toml", "[types]\nlaunch = true\n");
    app.write("layers/other_pack/x/file", "x");
    let image = app.exported().await;
    let names: Vec<&str> = image.how().into_keys().collect();
    assert_eq!(names, ["app-0", "config", "launcher"]);
    assert_eq!(
        image.label("io.buildpacks.lifecycle.metadata")["buildpacks"][0]["key"],
        "acme/one"
    );
}

#[tokio::test]
async fn slices_are_layers_of_their_own_and_only_changed_ones_are_made() {
    let app = App::new().await;
    app.metadata(
        "[[slices]]\npaths = ['static/*.css']\n[[slices]]\npaths = ['none']\n[[slices]]\npaths = ['lib']",
    );
    app.write("workspace/static/a.css", "a");
    app.write("workspace/static/a.txt", "t");
    app.write("workspace/lib/deep/x", "x");
    let image = app.exported().await;
    let layers: Vec<Vec<String>> = image.archives[2..5]
        .iter()
        .map(|archive| files(archive).into_keys().collect())
        .collect();
    assert_eq!(
        layers,
        [
            vec!["workspace/", "workspace/static/", "workspace/static/a.css"],
            vec![
                "workspace/",
                "workspace/lib/",
                "workspace/lib/deep/",
                "workspace/lib/deep/x"
            ],
            vec![
                "workspace/",
                "workspace/app.js",
                "workspace/static/",
                "workspace/static/a.txt"
            ],
        ]
    );
    assert_eq!(
        image.history()[2..5],
        [
            "Application Slice: 1",
            "Application Slice: 2",
            "Application Slice: 3"
        ]
    );
    assert_eq!(
        image.label("io.buildpacks.lifecycle.metadata")["app"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    app.unpack_again();
    app.write("workspace/static/a.txt", "T");
    let second = app.exported().await;
    let how = second.how();
    assert_eq!(
        (how["app-0"], how["app-1"], how["app-2"]),
        (How::Unchanged, How::Unchanged, How::New)
    );
    app.metadata("[[slices]]\npaths = ['[']");
    assert!(app.refused().await.ends_with("\"[\" is no slice pattern"));
}

#[tokio::test]
async fn an_image_of_too_many_layers_is_refused() {
    let app = App::new().await;
    for number in 0..130 {
        app.layer(&format!("l{number}"), "launch", "x");
    }
    assert_eq!(app.refused().await, "the image would have more than 127 layers");
}
