//! What is known of layer folders between builds, and what becomes of those that nobody vouches for.

use super::*;
use std::os::unix::fs::symlink;

impl App {
    /// What is removed before the next build.
    fn cleaned(&self) -> Vec<String> {
        Known::read(&self.state).clean(&self.export.layers).unwrap()
    }

    fn has(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    /// A layer of a buildpack of ours.
    fn our_layer(&self, name: &str, types: &str) {
        self.write(
            &format!("layers/pvdify_nodejs/{name}.toml"),
            &format!("[types]\n{types}"),
        );
        self.write(&format!("layers/pvdify_nodejs/{name}/file"), name);
    }
}

#[tokio::test]
async fn after_a_good_build_all_that_it_kept_stays() {
    let app = App::new().await;
    app.layer("ant", "launch cache", "a");
    app.layer("cache", "cache", "c");
    app.layer("compiler", "build", "b");
    app.exported().await;
    assert_eq!(
        app.cleaned(),
        ["acme_one/compiler"],
        "it is in no image and kept by no flag"
    );
    assert!(app.has("layers/acme_one/ant/file") && app.has("layers/acme_one/cache/file"));
    let second = app.exported().await;
    assert_eq!(second.how()["acme_one/ant"], How::Untouched);
}

#[tokio::test]
async fn after_a_failed_build_only_folders_that_it_did_not_touch_stay() {
    let app = App::new().await;
    app.layer("ant", "launch cache", "a");
    app.layer("bee", "launch cache", "b");
    app.layer("cache", "cache", "c");
    app.exported().await;
    assert_eq!(app.cleaned(), Vec::<String>::new());
    // A build that writes and fails: no export.
    app.write("layers/acme_one/bee/file", "B");
    app.write("layers/acme_one/cache/more", "c");
    app.layer("new", "launch", "n");
    assert_eq!(app.cleaned(), ["acme_one/bee", "acme_one/cache", "acme_one/new"]);
    assert!(app.has("layers/acme_one/ant/file"));
    for gone in ["bee", "bee.toml", "cache", "new", "new.toml"] {
        assert!(!app.has(&format!("layers/acme_one/{gone}")), "{gone}");
    }
}

#[tokio::test]
async fn caches_of_our_buildpacks_stay_whatever_happened() {
    let app = App::new().await;
    app.our_layer("modules", "cache = true\n");
    app.our_layer("dist", "launch = true\ncache = true\n");
    app.our_layer("tools", "build = true\n");
    app.layer("cache", "cache", "c");
    assert_eq!(
        app.cleaned(),
        ["acme_one/cache", "pvdify_nodejs/dist", "pvdify_nodejs/tools"],
        "nothing is known"
    );
    let group = "[[buildpacks]]\nid = 'pvdify/nodejs'\nversion = '1'\napi = '0.10'\n";
    app.write("layers/config/metadata.toml", group);
    app.exported().await;
    app.cleaned();
    // The lifecycle took the types away, the build wrote into the folder and was killed.
    app.write("layers/pvdify_nodejs/modules.toml", "[metadata]\n");
    app.write("layers/pvdify_nodejs/modules/more", "m");
    assert_eq!(app.cleaned(), Vec::<String>::new());
    assert!(app.has("layers/pvdify_nodejs/modules/more"));
}

#[tokio::test]
async fn cleaning_follows_no_link() {
    let app = App::new().await;
    app.write("host/kept", "k");
    app.layer("ant", "launch", "a");
    symlink(app.path("host"), app.path("layers/acme_one/ant/inner")).unwrap();
    symlink(app.path("host"), app.path("layers/acme_one/link")).unwrap();
    symlink(app.path("host"), app.path("layers/other_pack")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, app.path("layers/pipe"), rustix::fs::Mode::RUSR).unwrap();
    app.write("layers/group.toml", "");
    assert_eq!(app.cleaned(), ["acme_one/ant"]);
    assert!(app.has("host/kept"));
    for gone in ["acme_one/ant", "acme_one/link", "other_pack", "pipe"] {
        assert!(!app.has(&format!("layers/{gone}")), "{gone}");
    }
    for kept in ["group.toml", "config/metadata.toml"] {
        assert!(app.has(&format!("layers/{kept}")), "{kept}");
    }
}

#[tokio::test]
async fn what_a_killed_removal_left_behind_goes_with_the_next() {
    let app = App::new().await;
    app.write("state/aside/1/deep/file", "x");
    app.write("state/aside/loose", "x");
    app.cleaned();
    assert_eq!(std::fs::read_dir(app.path("state/aside")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_damaged_file_knows_nothing_and_the_next_build_starts_anew() {
    let app = App::new().await;
    app.layer("ant", "launch cache", "a");
    let first = app.exported().await;
    let file = app.path("state/known.json");
    let good = std::fs::read_to_string(&file).unwrap();
    for bad in [
        "",
        "{",
        "[]",
        "{\"version\": 99}",
        &good[..good.len() / 2],
        &good.replace("\"version\":1", "\"version\":2"),
    ] {
        std::fs::write(&file, bad).unwrap();
        let again = app.exported().await;
        assert_eq!(
            (again.how()["acme_one/ant"], again.digest()),
            (How::New, first.digest()),
            "{bad}"
        );
        std::fs::write(&file, bad).unwrap();
        app.layer("ant", "launch cache", "a");
        assert_eq!(app.cleaned(), ["acme_one/ant"]);
        app.layer("ant", "launch cache", "a");
    }
}

#[tokio::test]
async fn analyzed_toml_tells_the_lifecycle_the_image_before() {
    let mut app = App::new().await;
    app.metadata("[[processes]]\ntype = 'web'\ncommand = ['a']");
    app.layer("ant", "launch build", "a");
    app.write(
        "layers/acme_one/ant.toml",
        "[types]\nlaunch = true\n[metadata]\nversion = '1'\nlist = [1]\n",
    );
    app.write("layers/acme_one/store.toml", "[metadata]\nkept = true\n");
    let image = app.exported().await;
    let previous = app.is_previous(image.digest()).await;
    let run = app.export.run_image.read(&app.store).await.unwrap();
    let demo = repository("demo");
    let text = pvdify_builder::analyze::analyzed_toml(Some((&demo, &previous)), &app.export.run_image, &run);
    let read: toml::Table = toml::from_str(&text).unwrap();
    let diff_ids = &image.config["rootfs"]["diff_ids"];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let expected: toml::Table = toml::from_str(&format!(
        "[image]\nreference = 'demo@{image}'
         [metadata]
         app = [{{sha = '{app}'}}]
         config = {{sha = '{config}'}}
         launcher = {{sha = '{launcher}'}}
         process-types = {{sha = '{types}'}}
         [metadata.run-image]
         image = '127.0.0.1:5000/pvdify/run:trixie'
         mirrors = []
         top-layer = '{top}'
         reference = '127.0.0.1:5000/pvdify/run@{run}'
         [metadata.stack.run-image]
         image = '127.0.0.1:5000/pvdify/run:trixie'
         mirrors = []
         [[metadata.buildpacks]]
         key = 'acme/one'
         version = '1.0.0'
         store.metadata.kept = true
         [metadata.buildpacks.layers.ant]
         sha = '{ant}'
         build = false
         launch = true
         cache = false
         metadata = {{version = '1', list = [1]}}
         [run-image]
         reference = '127.0.0.1:5000/pvdify/run@{run}'
         image = '127.0.0.1:5000/pvdify/run:trixie'
         target = {{os = 'linux', arch = '{arch}', distro = {{name = 'debian', version = '13'}}}}",
        image = image.digest(),
        top = text(&diff_ids[1]),
        ant = text(&diff_ids[2]),
        app = text(&diff_ids[3]),
        launcher = text(&diff_ids[4]),
        config = text(&diff_ids[5]),
        types = text(&diff_ids[6]),
        run = run.digest,
        arch = text(&run_config()["architecture"]),
    ))
    .unwrap();
    assert_eq!(read, expected);
    let first: toml::Table = toml::from_str(&pvdify_builder::analyze::analyzed_toml(
        None,
        &app.export.run_image,
        &run,
    ))
    .unwrap();
    assert_eq!(first.keys().collect::<Vec<_>>(), ["run-image"]);
}

#[tokio::test]
async fn an_image_that_is_absent_or_no_buildpacks_one_or_for_another_environment_is_no_previous_one() {
    let app = App::new().await;
    let image = app.exported().await;
    let demo = repository("demo");
    let found = async |repository: &Repository, digest: Option<&Digest>, exec_env: &str| {
        analyze(&app.store, repository, digest, exec_env)
            .await
            .unwrap()
            .is_some()
    };
    assert!(found(&demo, Some(image.digest()), "production").await);
    assert!(!found(&demo, Some(image.digest()), "test").await);
    assert!(!found(&demo, None, "production").await);
    assert!(!found(&demo, Some(&sha256(b"none").parse().unwrap()), "production").await);
    let run = app.export.run_image.read(&app.store).await.unwrap();
    assert!(!found(&repository("pvdify/run"), Some(&run.digest), "production").await);
}
