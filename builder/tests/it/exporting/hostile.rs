//! Folders that a hostile build left: nothing of the host comes into the image, and nothing hangs.

use super::*;
use rustix::fs::{CWD, FileType, Mode};
use std::os::unix::fs::{PermissionsExt, symlink};

const ANT: &str = "Layer: 'ant', Created by buildpack: acme/one@1.0.0";

fn pipe(path: &Path) {
    rustix::fs::mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR).unwrap();
}

/// A secret of the host, which must never come into an image.
fn secret(app: &App) -> PathBuf {
    app.write("host/secret", "the host's secret");
    app.path("host")
}

async fn has_no_secret(app: &App) {
    let image = app.exported().await;
    for archive in &image.archives {
        assert!(!archive.windows(17).any(|bytes| bytes == b"the host's secret"));
    }
}

#[tokio::test]
async fn a_link_in_a_layer_is_a_link_in_the_image() {
    let app = App::new().await;
    let host = secret(&app);
    app.layer("ant", "launch", "a");
    symlink(host.join("secret"), app.path("layers/acme_one/ant/link")).unwrap();
    symlink(&host, app.path("layers/acme_one/ant/folder")).unwrap();
    symlink("../../../../..", app.path("workspace/up")).unwrap();
    let image = Image::of(&app, app.export().await.unwrap()).await;
    let files = files(&image.archives[2]);
    assert_eq!(
        files["layers/acme_one/ant/link"].target,
        Some(host.join("secret"))
    );
    assert_eq!(files["layers/acme_one/ant/folder"].kind, tar::EntryType::Symlink);
    assert!(!files.keys().any(|name| name.contains("folder/")));
    has_no_secret(&app).await;
}

#[tokio::test]
async fn a_folder_that_is_a_link_is_none() {
    let app = App::new().await;
    let host = secret(&app);
    app.write("layers/acme_one/ant.toml", "[types]\nlaunch = true\n");
    symlink(&host, app.path("layers/acme_one/ant")).unwrap();
    assert!(
        app.refused()
            .await
            .contains("the layer acme/one:ant has no contents")
    );
    std::fs::remove_dir_all(app.path("layers/acme_one")).unwrap();
    std::fs::rename(&host, app.path("ant")).unwrap();
    app.write("elsewhere/ant.toml", "[types]\nlaunch = true\n");
    std::fs::rename(app.path("ant"), app.path("elsewhere/ant")).unwrap();
    symlink(app.path("elsewhere"), app.path("layers/acme_one")).unwrap();
    assert!(
        app.refused().await.contains("acme_one: "),
        "the buildpack's own folder is a link"
    );
    std::fs::remove_file(app.path("layers/acme_one")).unwrap();
    std::fs::create_dir(app.path("layers/sbom")).unwrap();
    symlink(app.path("elsewhere"), app.path("layers/sbom/launch")).unwrap();
    has_no_secret(&app).await;
    std::fs::rename(app.path("layers/config"), app.path("elsewhere/config")).unwrap();
    symlink(app.path("elsewhere/config"), app.path("layers/config")).unwrap();
    assert!(app.refused().await.contains("config/metadata.toml: "));
}

#[tokio::test]
async fn metadata_that_is_a_link_a_pipe_or_endless_is_refused() {
    let app = App::new().await;
    let host = secret(&app);
    app.layer("ant", "launch", "a");
    let toml = app.path("layers/acme_one/ant.toml");
    for make in [
        &(|| symlink(host.join("secret"), &toml).unwrap()) as &dyn Fn(),
        &|| pipe(&toml),
        &|| std::fs::File::create(&toml).unwrap().set_len(1 << 40).unwrap(),
        &|| std::fs::create_dir(&toml).unwrap(),
    ] {
        std::fs::remove_file(&toml).unwrap();
        make();
        assert!(app.refused().await.contains("acme/one:ant: "));
        if toml.is_dir() {
            std::fs::remove_dir(&toml).unwrap();
            std::fs::write(&toml, "").unwrap();
        }
    }
    let metadata = app.path("layers/config/metadata.toml");
    std::fs::remove_file(&toml).unwrap();
    std::fs::remove_file(&metadata).unwrap();
    pipe(&metadata);
    assert!(
        app.refused()
            .await
            .contains("config/metadata.toml: is no regular file")
    );
}

#[tokio::test]
async fn pipes_sockets_and_devices_are_left_out() {
    let app = App::new().await;
    app.layer("ant", "launch", "a");
    let folder = app.path("layers/acme_one/ant");
    pipe(&folder.join("pipe"));
    let _socket = std::os::unix::net::UnixListener::bind(folder.join("socket")).unwrap();
    if rustix::process::geteuid().is_root() {
        let null = rustix::fs::makedev(1, 3);
        rustix::fs::mknodat(
            CWD,
            folder.join("device"),
            FileType::CharacterDevice,
            Mode::RUSR,
            null,
        )
        .unwrap();
    }
    let image = Image::of(&app, app.export().await.unwrap()).await;
    let names: Vec<String> = files(&image.archives[2]).into_keys().collect();
    assert_eq!(names[2..], ["layers/acme_one/ant/", "layers/acme_one/ant/file"]);
}

#[tokio::test]
async fn permissions_are_kept_and_whatever_the_owner_was_the_apps_user_owns_all() {
    let app = App::new().await;
    app.layer("ant", "launch", "a");
    let folder = app.path("layers/acme_one/ant");
    let file = folder.join("file");
    std::fs::hard_link(&file, folder.join("again")).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o4711)).unwrap();
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o1777)).unwrap();
    std::fs::write(folder.join("closed"), "c").unwrap();
    std::fs::set_permissions(folder.join("closed"), PermissionsExt::from_mode(0o000)).unwrap();
    let image = app.exported().await;
    assert!(image.history().contains(&ANT));
    let files = files(&image.archives[2]);
    let mode = |name: &str| files[&format!("layers/acme_one/ant/{name}")].mode;
    assert_eq!(
        (mode("file"), mode("again"), mode("closed"), mode("")),
        (0o4711, 0o4711, 0, 0o1777)
    );
    assert!(files.values().all(|file| file.owner == (10_001, 10_001)));
    assert_eq!(files["layers/acme_one/ant/again"].content, b"a");
}

#[tokio::test]
async fn names_of_any_bytes_and_lengths_come_through() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let app = App::new().await;
    let deep = app.path(&format!("workspace/{}", ["d".repeat(200).as_str(); 10].join("/")));
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::write(deep.join("f".repeat(255)), "deep").unwrap();
    std::fs::write(app.path("workspace").join(OsStr::from_bytes(b"a\xffb\n")), "odd").unwrap();
    let image = app.exported().await;
    let mut archive = tar::Archive::new(&image.archives[2][..]);
    let names: Vec<Vec<u8>> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path_bytes().into_owned())
        .collect();
    assert!(names.contains(&b"workspace/a\xffb\n".to_vec()));
    assert_eq!(
        names.iter().map(Vec::len).max(),
        Some("workspace".len() + 10 * 201 + 256)
    );
}

#[tokio::test]
async fn too_many_files_and_too_many_bytes_are_refused() {
    let mut app = App::new().await;
    app.layer("ant", "launch", "a");
    for number in 0..100 {
        app.write(&format!("layers/acme_one/ant/{number}"), "");
    }
    app.export.limits.entries = 90;
    assert!(
        app.refused()
            .await
            .contains("the image would have too many files")
    );
    app.export.limits.entries = 200;
    app.export().await.unwrap();
    std::fs::File::create(app.path("workspace/endless"))
        .unwrap()
        .set_len(1 << 42)
        .unwrap();
    assert!(
        app.refused()
            .await
            .contains("endless: the image would be too large")
    );
}

#[tokio::test]
async fn a_hundred_thousand_files_are_no_trouble() {
    let app = App::new().await;
    app.layer("ant", "launch cache", "a");
    for folder in 0..100 {
        let folder = app.path(&format!("layers/acme_one/ant/{folder}"));
        std::fs::create_dir(&folder).unwrap();
        for number in 0..1000 {
            std::fs::File::create(folder.join(number.to_string())).unwrap();
        }
    }
    let first = app.export().await.unwrap();
    let second = app.export().await.unwrap();
    assert_eq!(first.digest, second.digest);
    assert_eq!(second.report.layers[0].how, How::Untouched);
}

#[tokio::test]
async fn an_export_that_is_given_up_leaves_no_image() {
    let app = App::new().await;
    app.layer("ant", "launch", &"x".repeat(64 << 20));
    let state = app.state.clone();
    let given_up = tokio::time::timeout(std::time::Duration::from_millis(1), async {
        export(app.export.clone(), &app.store, &mut Known::read(&state)).await
    });
    assert!(given_up.await.is_err());
    assert!(!app.store.has_repository(&app.export.repository).await.unwrap());
    assert!(!state.exists());
    app.exported().await;
}
