//! Images that no app can be built in or on, each refused in one line.

use super::{LIFECYCLE, ORDER, app, label, line, push_image, write};
use crate::deploy_image::open_registry;
use pvdify_tests::{Platform, Pusher};

#[tokio::test(flavor = "multi_thread")]
async fn what_no_app_can_be_built_in_is_refused_in_one_line_and_nothing_changes() {
    let platform = Platform::start().await;
    let (registry, _dir, _serving) = open_registry().await;
    let pusher = Pusher::new(&platform, "hello").await;
    platform
        .cli(&["buildpacks:set", "hello", "pvdify/procfile"])
        .await
        .ok();
    pusher.commit(|dir| app(dir, "one"));
    pusher.push().await.ok();
    let releases = platform.cli(&["releases", "hello"]).await.ok();

    let own = "ENV CNB_USER_ID=1234 CNB_GROUP_ID=1235";
    let meta = |run_image: &str| format!("LABEL io.buildpacks.builder.metadata='{}'", label(run_image));
    let gone = format!("{registry}/acme/gone:1");
    let whole = format!("FROM scratch\nCOPY cnb /cnb\n{own}\n{}\n", meta(&gone));
    let without_order = whole.replace("COPY cnb /cnb", "COPY cnb/lifecycle /cnb/lifecycle");
    let table = [
        (
            "neither",
            "FROM scratch\nCOPY cnb /cnb\n".to_owned(),
            None,
            "there is neither a buildpack.toml nor a bin/compile in it".to_owned(),
        ),
        (
            "unordered",
            without_order,
            None,
            "it has no /cnb/order.toml, which says which of its buildpacks build".to_owned(),
        ),
        (
            "baseless",
            whole.clone(),
            None,
            format!(
                "the run image of the builder {registry}/acme/baseless:1 can't be had: {gone} does not exist in its registry"
            ),
        ),
        (
            "foreign",
            whole.clone(),
            Some("linux/s390x"),
            format!("{registry}/acme/foreign:1 is made for linux/s390x, this server runs linux/"),
        ),
        (
            "rooted",
            whole.replace("1234", "0"),
            None,
            "its builds run as root (CNB_USER_ID), and none does here".to_owned(),
        ),
    ];
    for (name, dockerfile, made_for, expected) in table {
        let reference = format!("{registry}/acme/{name}:1");
        let to = reference.clone();
        tokio::task::spawn_blocking(move || {
            let folder = tempfile::tempdir().unwrap();
            let cnb = folder.path().join("cnb");
            write(&cnb.join("order.toml"), ORDER, 0o644);
            write(&cnb.join("lifecycle/lifecycle.toml"), LIFECYCLE, 0o644);
            write(&cnb.join("lifecycle/launcher"), "", 0o755);
            push_image(folder.path(), &dockerfile, &to, made_for);
        })
        .await
        .unwrap();
        let named = format!("docker://{reference}");
        platform.cli(&["buildpacks:set", "hello", &named]).await.ok();
        pusher.commit(|dir| app(dir, name));
        let said = pusher.push().await.rejected();
        line(&said, &expected);
    }
    // Beside a builder there is nothing but its own.
    let two = [
        &format!("docker://{registry}/acme/baseless:1"),
        "https://h.example/x.git",
    ];
    platform
        .cli(&["buildpacks:set", "hello", two[0], two[1]])
        .await
        .ok();
    let said = pusher.push().await.rejected();
    line(
        &said,
        "is a whole builder, beside which only its own buildpacks can be named, by their IDs; https://h.example/x.git is none of acme/counting@1.0.0",
    );

    platform
        .cli(&["buildpacks:set", "hello", "pvdify/procfile"])
        .await
        .ok();
    assert_eq!(platform.cli(&["releases", "hello"]).await.ok(), releases);
    assert_eq!(
        platform.get("hello", "/").await.1,
        "not counted, as 10001, of 10001, on ours, one"
    );
    let last = pusher.push().await.ok();
    assert!(!last.contains("fresh layers"), "{last}");
}
