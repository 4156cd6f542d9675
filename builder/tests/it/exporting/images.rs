//! What the image says: order of layers, history, config, environment, labels, default process.

use super::*;

const WEB_AND_WORKER: &str = "
[[processes]]
type = 'web'
command = ['node', 'app.js']
args = ['--port', '80']
direct = true
default = true
buildpack-id = 'acme/one'
[[processes]]
type = 'worker'
command = ['bash', '-c', 'work --hard']
direct = true
buildpack-id = 'acme/one'
";

#[tokio::test]
async fn an_image_has_the_run_image_the_layers_the_app_and_the_launcher_in_this_order() {
    let app = App::new().await;
    app.metadata(WEB_AND_WORKER);
    app.layer("zebra", "launch", "z");
    app.layer("ant", "launch cache build", "a");
    app.layer("cache", "cache", "not in the image");
    app.layer("compiler", "build", "not in the image");
    app.layer("nothing", "", "not in the image");
    app.write("layers/acme_one/loose/file", "without metadata: not in the image");
    app.write("layers/sbom/launch/acme_one/sbom.cdx.json", "{}");
    let image = app.exported().await;
    assert_eq!(
        image.history(),
        [
            "run base",
            "run tools",
            "Layer: 'ant', Created by buildpack: acme/one@1.0.0",
            "Layer: 'zebra', Created by buildpack: acme/one@1.0.0",
            "Software Bill-of-Materials",
            "Application Layer",
            "Buildpacks Application Launcher",
            "Buildpacks Launcher Config",
            "Buildpacks Process Types",
        ]
    );
    assert_eq!(
        image.config["history"][1]["created_by"], "ENV LANG",
        "entries without a layer stay"
    );
}

#[tokio::test]
async fn each_layer_holds_what_the_specification_says_with_its_owner() {
    let app = App::new().await;
    app.metadata(WEB_AND_WORKER);
    app.layer("ant", "launch", "content");
    app.write("layers/sbom/launch/acme_one/sbom.cdx.json", "{}");
    let image = app.exported().await;
    let layer = image.files("Layer: 'ant', Created by buildpack: acme/one@1.0.0");
    let names: Vec<&str> = layer.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "layers/",
            "layers/acme_one/",
            "layers/acme_one/ant/",
            "layers/acme_one/ant/file"
        ]
    );
    assert_eq!(layer["layers/acme_one/ant/file"].content, b"content");
    assert!(layer.values().all(|file| file.owner == (10_001, 10_001)));
    assert_eq!(
        image.names("Application Layer"),
        ["workspace/", "workspace/app.js"]
    );
    assert_eq!(
        image.names("Software Bill-of-Materials"),
        [
            "layers/",
            "layers/sbom/",
            "layers/sbom/launch/",
            "layers/sbom/launch/acme_one/",
            "layers/sbom/launch/acme_one/sbom.cdx.json",
        ]
    );
    assert_eq!(
        image.names("Buildpacks Launcher Config"),
        ["layers/", "layers/config/", "layers/config/metadata.toml"]
    );
    let launcher = image.files("Buildpacks Application Launcher");
    let program = &launcher["cnb/lifecycle/launcher"];
    assert_eq!((program.mode, program.owner), (0o755, (0, 0)));
    assert_eq!(program.content, b"the launcher's program");
    assert!(
        launcher
            .values()
            .all(|file| file.owner == (0, 0) && file.mode == 0o755)
    );
    let types = image.files("Buildpacks Process Types");
    let names: Vec<&str> = types.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["cnb/", "cnb/process/", "cnb/process/web", "cnb/process/worker"]
    );
    assert_eq!(types["cnb/process/web"].kind, tar::EntryType::Symlink);
    assert_eq!(
        types["cnb/process/web"].target.as_deref(),
        Some(Path::new("/cnb/lifecycle/launcher"))
    );
}

#[tokio::test]
async fn the_config_is_the_run_images_but_for_what_must_be_otherwise() {
    let app = App::new().await;
    let image = app.exported().await;
    assert_eq!(image.config["created"], "1980-01-01T00:00:01Z");
    let config = &image.config["config"];
    assert_eq!(config["WorkingDir"], "/workspace");
    assert_eq!(config["Cmd"], Value::Null);
    assert_eq!(
        (&config["User"], &config["StopSignal"]),
        (&json!("10001:10001"), &json!("SIGTERM"))
    );
    assert_eq!(image.env("LANG"), Some("C.UTF-8"));
    assert_eq!(image.env("CNB_LAYERS_DIR"), Some("/layers"));
    assert_eq!(image.env("CNB_APP_DIR"), Some("/workspace"));
    assert_eq!(image.env("CNB_PLATFORM_API"), Some("0.15"));
    assert_eq!(image.env("CNB_DEPRECATION_MODE"), Some("quiet"));
    assert_eq!(image.env("CNB_PROCESS_TYPE"), None);
    assert_eq!(
        image.env("PATH"),
        Some("/cnb/process:/cnb/lifecycle:/usr/bin:/bin")
    );
    assert_eq!(image.label("maintainer"), "someone");
    assert_eq!(
        image.manifest["mediaType"],
        "application/vnd.oci.image.manifest.v1+json"
    );
    let bytes = app
        .store
        .manifest(&app.export.repository, &Reference::Digest(image.digest().clone()))
        .await;
    assert_eq!(
        image.exported.manifest_size,
        bytes.unwrap().unwrap().bytes.len() as u64
    );
}

#[tokio::test]
async fn on_somebody_elses_run_image_an_app_is_its_builders_users_and_no_roots() {
    let users = [
        (json!("5:6"), "5:6"),
        (json!("cnb"), "cnb"),
        (json!("root"), "1234:1235"),
        (json!("0:0"), "1234:1235"),
        (Value::Null, "1234:1235"),
    ];
    for (user, expected) in users {
        let mut app = App::new().await;
        let mut config = run_config();
        config["config"]["User"] = user;
        put_run_image(&app.store, "theirs", config, &["their base", "their tools"]).await;
        app.export.run_image.reference = "theirs".parse().unwrap();
        app.export.run_image.image = "acme/run:1@sha256:00".to_owned();
        app.export.owner = Owner { uid: 1234, gid: 1235 };
        app.export.platform_api = "0.9".parse().unwrap();
        let image = app.exported().await;
        assert_eq!(image.config["config"]["User"], expected);
        assert_eq!(image.env("CNB_PLATFORM_API"), Some("0.9"));
        let files = image.files("Application Layer");
        assert!(files.values().all(|file| file.owner == (1234, 1235)));
        let label = image.label("io.buildpacks.lifecycle.metadata");
        let reference = label["runImage"]["reference"].as_str().unwrap();
        assert!(reference.starts_with("acme/run@sha256:"), "{reference}");
    }
}

#[tokio::test]
async fn the_labels_tell_the_build() {
    let mut app = App::new().await;
    app.export.project = json!({"source": {"type": "git", "version": {"commit": "abc"}}});
    app.metadata(&format!(
        "{WEB_AND_WORKER}
         [[labels]]\nkey = 'acme.first'\nvalue = 'overridden'
         [[labels]]\nkey = 'acme.first'\nvalue = 'the last counts'
         [[labels]]\nkey = 'io.buildpacks.lifecycle.metadata'\nvalue = 'forged'
         [[labels]]\nkey = 'pvdify.app'\nvalue = 'forged'"
    ));
    app.layer("ant", "launch build", "a");
    app.write("layers/acme_one/store.toml", "[metadata]\nkept = [1, 2]\n");
    let image = app.exported().await;
    assert_eq!(image.label("acme.first"), "the last counts");
    assert_eq!(image.label("pvdify.app"), "");
    assert_eq!(image.label("io.buildpacks.rebasable"), true);
    assert_eq!(image.label("io.buildpacks.exec-env"), "production");
    assert_eq!(image.label("io.buildpacks.project.metadata"), app.export.project);
    assert_eq!(
        image.label("io.buildpacks.build.metadata"),
        json!({
            "bom": null,
            "buildpacks": [{"id": "acme/one", "version": "1.0.0", "api": "0.12"}],
            "launcher": {"version": "0.1.0", "source": {}},
            "processes": [
                {
                    "type": "web", "command": ["node", "app.js"], "args": ["--port", "80"], "direct": true,
                    "default": true, "buildpackID": "acme/one",
                },
                {
                    "type": "worker", "command": ["bash", "-c", "work --hard"], "direct": true,
                    "buildpackID": "acme/one",
                },
            ],
        })
    );
    let run = app
        .store
        .manifest(&repository("pvdify/run"), &"trixie".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    let diff_ids = image.config["rootfs"]["diff_ids"].as_array().unwrap();
    assert_eq!(
        image.label("io.buildpacks.lifecycle.metadata"),
        json!({
            "app": [{"sha": diff_ids[3]}],
            "buildpacks": [{
                "key": "acme/one",
                "version": "1.0.0",
                "layers": {"ant": {
                    "sha": diff_ids[2], "data": {"made": "ant"}, "build": true, "launch": true, "cache": false,
                }},
                "store": {"metadata": {"kept": [1, 2]}},
            }],
            "launcher": {"sha": diff_ids[4]},
            "config": {"sha": diff_ids[5]},
            "process-types": {"sha": diff_ids[6]},
            "runImage": {
                "topLayer": diff_ids[1],
                "reference": format!("127.0.0.1:5000/pvdify/run@{}", run.digest),
                "image": "127.0.0.1:5000/pvdify/run:trixie",
            },
            "stack": {"runImage": {"image": "127.0.0.1:5000/pvdify/run:trixie"}},
        })
    );
}

#[tokio::test]
async fn the_entrypoint_is_the_default_process_or_the_launcher() {
    let mut app = App::new().await;
    let entrypoint = async |app: &App| app.exported().await.config["config"]["Entrypoint"].clone();
    assert_eq!(entrypoint(&app).await, json!(["/cnb/lifecycle/launcher"]));
    app.metadata(WEB_AND_WORKER);
    assert_eq!(
        entrypoint(&app).await,
        json!(["/cnb/lifecycle/launcher"]),
        "none is named the default"
    );
    app.metadata(&format!(
        "buildpack-default-process-type = 'worker'\n{WEB_AND_WORKER}"
    ));
    assert_eq!(entrypoint(&app).await, json!(["/cnb/process/worker"]));
    app.export.default_process = Some("web".parse().unwrap());
    let image = app.exported().await;
    assert_eq!(
        image.config["config"]["Entrypoint"],
        json!(["/cnb/process/web"]),
        "what the platform says counts"
    );
    assert_eq!(image.exported.default_process.as_ref().unwrap().as_str(), "web");
    let processes: Vec<(&str, &str)> = image
        .exported
        .processes
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    assert_eq!(
        processes,
        [("web", "node app.js --port 80"), ("worker", "work --hard")]
    );
    app.export.default_process = Some("none".parse().unwrap());
    assert_eq!(
        app.refused().await,
        "the image can't be made of what the build left: the default process is to be none, but no buildpack made a \
         process of that type"
    );
}

#[tokio::test]
async fn processes_and_layers_of_other_execution_environments_are_left_out() {
    let mut app = App::new().await;
    app.metadata(
        "[[processes]]\ntype = 'web'\ncommand = ['a']\nexec-env = ['test']
         [[processes]]\ntype = 'web'\ncommand = ['b']\nexec-env = ['production', 'test']
         [[processes]]\ntype = 'all'\ncommand = ['c']\nexec-env = ['*']
         [[processes]]\ntype = 'check'\ncommand = ['d']\nexec-env = ['test']",
    );
    app.layer("tests", "launch", "t");
    app.write(
        "layers/acme_one/tests.toml",
        "[types]\nlaunch = true\n[metadata]\nexec-env = ['test']\n",
    );
    let image = app.exported().await;
    let names = ["cnb/", "cnb/process/", "cnb/process/all", "cnb/process/web"];
    assert_eq!(image.names("Buildpacks Process Types"), names);
    assert_eq!(image.exported.processes[&"web".parse().unwrap()], "b");
    assert!(!image.how().contains_key("acme_one/tests"));
    app.export.exec_env = "test".to_owned();
    let image = app.exported().await;
    assert_eq!(image.exported.processes[&"web".parse().unwrap()], "a");
    assert!(image.how().contains_key("acme_one/tests"));
    assert_eq!(image.label("io.buildpacks.exec-env"), "test");
}

#[tokio::test]
async fn the_run_image_may_be_one_of_several_platforms_by_digest_or_of_another_dialect() {
    let mut app = App::new().await;
    let run = repository("pvdify/run");
    let child = app
        .store
        .manifest(&run, &"trixie".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    let before = app.exported().await;
    app.export.run_image.reference = Reference::Digest(child.digest.clone());
    assert_eq!(app.exported().await.digest(), before.digest());
    let own = run_config()["architecture"].clone();
    let entry = |arch: Value, digest: String| {
        json!({"mediaType": child.media_type, "digest": digest, "size": child.bytes.len(),
               "platform": {"os": "linux", "architecture": arch}})
    };
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": [
        entry(json!("s390x"), sha256(b"another")),
        entry(own, child.digest.to_string()),
    ]});
    let reference: Reference = "several".parse().unwrap();
    app.store
        .put_manifest(&run, &reference, None, index.to_string().into_bytes())
        .await
        .unwrap();
    app.export.run_image.reference = reference;
    assert_eq!(
        app.exported().await.digest(),
        before.digest(),
        "its part for this server is the same image"
    );
    let foreign = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": [
        entry(json!("s390x"), sha256(b"another")),
    ]});
    let reference: Reference = "foreign".parse().unwrap();
    app.store
        .put_manifest(&run, &reference, None, foreign.to_string().into_bytes())
        .await
        .unwrap();
    app.export.run_image.reference = reference;
    assert!(app.refused().await.contains("has no part for this server"));
    let text = String::from_utf8(child.bytes).unwrap();
    let docker = text
        .replace("vnd.oci.image.manifest.v1", "vnd.docker.distribution.manifest.v2")
        .replace("vnd.oci.image.layer.v1.tar", "vnd.docker.image.rootfs.diff.tar");
    let reference: Reference = "docker".parse().unwrap();
    app.store
        .put_manifest(&run, &reference, None, docker.into_bytes())
        .await
        .unwrap();
    app.export.run_image.reference = reference;
    let image = app.exported().await;
    let types = image.manifest["layers"].as_array().unwrap();
    assert_eq!(types[0]["mediaType"], "application/vnd.oci.image.layer.v1.tar");
    app.export.run_image.reference = "none".parse().unwrap();
    assert_eq!(
        app.export().await.unwrap_err(),
        BuildError::Unavailable(
            "the run image 127.0.0.1:5000/pvdify/run:trixie is not in the registry: make it with pvdifyd stack build"
                .to_owned()
        )
    );
}

#[tokio::test]
async fn a_run_image_without_path_and_history_gets_them() {
    let mut app = App::new().await;
    let mut config = run_config();
    config["config"] = json!({});
    config["history"] = json!(null);
    put_run_image(&app.store, "bare", config, &["base"]).await;
    app.export.run_image.reference = "bare".parse().unwrap();
    let image = app.exported().await;
    assert_eq!(
        image.env("PATH"),
        Some("/cnb/process:/cnb/lifecycle:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    );
    assert_eq!(image.history()[0], "Application Layer");
}

#[tokio::test]
async fn gzip_layers_are_what_every_client_reads() {
    let mut app = App::new().await;
    app.layer("ant", "launch", &"many words ".repeat(300_000));
    let zstd = app.exported().await;
    app.export.compression = Compression::Gzip;
    let gzip = app.exported().await;
    let types = |image: &Image| -> Vec<String> {
        let layers = image.manifest["layers"].as_array().unwrap()[2..].iter();
        layers
            .map(|layer| layer["mediaType"].as_str().unwrap().to_owned())
            .collect()
    };
    assert!(types(&zstd).iter().all(|kind| kind.ends_with("tar+zstd")));
    assert!(
        types(&gzip).iter().all(|kind| kind.ends_with("tar+gzip")),
        "none of the old layers is taken"
    );
    assert_eq!(zstd.config, gzip.config);
    assert_ne!(zstd.digest(), gzip.digest());
}
