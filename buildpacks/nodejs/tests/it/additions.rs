//! What is added to apps of frameworks that leave their server to the platform. The frameworks themselves are stood in
//! for by packages of a few lines: what counts is what they look for and what they leave.

use crate::{running::Running, with_downloads};
use buildpack_support::testing::App;

fn app(dependency: &str, build: &str) -> App {
    with_downloads(crate::app()).file(
        "package.json",
        &format!(
            r#"{{"type":"module","engines":{{"node":"24.x"}},"scripts":{{"build":"node {build}"}},
                "devDependencies":{{"{dependency}":"file:framework"}}}}"#
        ),
    )
}

#[test]
fn a_handler_of_requests_gets_a_server() {
    let app = app("@tanstack/react-start", "build.mjs")
        .file(
            "framework/package.json",
            r#"{"name":"@tanstack/react-start","version":"1.0.0"}"#,
        )
        .file(
            "build.mjs",
            "import fs from 'node:fs';
            fs.mkdirSync('dist/server', { recursive: true });
            fs.mkdirSync('dist/client');
            fs.writeFileSync('dist/server/server.js',
                'export default { fetch: () => new Response(`from ${process.env.NODE_ENV}`) };');",
        );
    app.build().passed();
    assert_eq!(
        app.process("web").unwrap(),
        ["srvx", "--prod", "-s", "../client", "dist/server/server.js"]
    );
    assert_eq!(app.layer_types("server"), [false, true, true]);
    assert_eq!(Running::web(&app).get(), "from production");
}

#[test]
fn adapter_auto_finds_an_adapter_that_is_not_in_the_image() {
    let app = app(
        "@sveltejs/adapter-auto",
        "node_modules/@sveltejs/adapter-auto/adapters.js",
    )
    .file(
        "framework/package.json",
        r#"{"name":"@sveltejs/adapter-auto","version":"7.0.0","type":"module"}"#,
    )
    .file(
        "framework/adapters.js",
        "// GCP_BUILDPACKS
            import fs from 'node:fs';
            if (!process.env.GCP_BUILDPACKS) throw new Error('which platform?');
            const adapter = 'node_modules/@sveltejs/adapter-node';
            const { version } = JSON.parse(fs.readFileSync(`${adapter}/package.json`));
            fs.mkdirSync('build');
            fs.writeFileSync('build/index.js', `console.log('made by ${version}')`);",
    );
    let built = app.build().passed();
    assert_eq!(app.process("web").unwrap(), ["node", "build/index.js"]);
    assert_eq!(app.layer_types("adapter"), [false, true, false]);
    let modules = app.layer("modules").join("tree/node_modules/@sveltejs");
    assert!(!modules.join("adapter-node").exists(), "{}", built.stdout);
}
