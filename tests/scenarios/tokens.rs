//! On a server the API wants a token; the first comes from the host, and each does what its scope says.

use pvdify_tests::Platform;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_gives_nothing_without_a_token_and_each_its_scope() {
    let platform = Platform::start_server().await;
    let refused = platform.cli(&["apps"]).await;
    assert_ne!(refused.status, 0);
    assert!(
        refused.stderr.contains("pvdifyd token create"),
        "{}",
        refused.stderr
    );

    let admin = platform.on_host(&["token", "create", "ops"]).await.ok();
    let admin = admin.trim();
    platform
        .cli_with_token(&["apps:create", "demo"], admin)
        .await
        .ok();

    let reader = platform
        .on_host(&["token", "create", "viewer", "--scope", "read"])
        .await
        .ok();
    let reader = reader.trim();
    let shown = platform.cli_with_token(&["apps"], reader).await.ok();
    assert!(shown.contains("demo"), "{shown}");
    let refused = platform
        .cli_with_token(&["config:set", "demo", "A=b"], reader)
        .await;
    assert_ne!(refused.status, 0, "{}", refused.stdout);

    let listed = platform.on_host(&["token", "list"]).await.ok();
    assert!(listed.contains("ops") && listed.contains("viewer"), "{listed}");
    assert!(!listed.contains(admin), "a token is shown once");
    platform.on_host(&["token", "revoke", "viewer"]).await.ok();
    assert_ne!(platform.cli_with_token(&["apps"], reader).await.status, 0);
    assert!(
        !platform.log().contains(admin) && !platform.log().contains(reader),
        "no token reaches the log"
    );
}
