//! The Node.js buildpack through `bin/detect` and `bin/build`, with real package managers and the registry that
//! npm is set to. Downloads are shared by all tests and kept with the build's other files.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helper fails the test")]

mod additions;
mod failures;
mod layers;
mod managers;
mod running;

use buildpack_nodejs::{DESCRIPTOR, NodejsBuildpack};
use buildpack_support::testing::{App, entry};
use std::path::Path;

entry!(NodejsBuildpack, DESCRIPTOR);

const SERVER: &str = r"
const http = require('http'), fs = require('fs'), ms = require('ms');
const built = fs.existsSync('built.txt') ? fs.readFileSync('built.txt', 'utf8').trim() : 'not built';
const server = http.createServer((_, response) => response.end(`${ms(60000)}, ${built}, ${process.env.NODE_ENV}`));
server.listen(process.env.PORT, () => console.log(`port ${server.address().port}`));
process.on('SIGTERM', () => { console.log('bye'); process.exit(0); });
";

/// `package.json` of the fixtures, whose lockfiles belong to it, with other scripts.
fn package_json(scripts: &str) -> String {
    format!(
        r#"{{"name":"sample","version":"1.0.0","private":true,"engines":{{"node":"24.x"}},"scripts":{{{scripts}}},
            "dependencies":{{"ms":"2.1.3"}},"devDependencies":{{"semver":"7.6.3"}}}}"#
    )
}

const BUILD_AND_START: &str = r#""build":"semver 1.2.3 > built.txt","start":"node server.js""#;

/// A small server with one dependency and one dev dependency, by a package manager's fixture.
fn sample(fixture: &str, scripts: &str) -> App {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(fixture);
    with_downloads(app())
        .fixture(&folder)
        .file("package.json", &package_json(scripts))
        .file("server.js", SERVER)
}

fn with_downloads(app: App) -> App {
    app.env(
        "PVDIFY_DOWNLOADS",
        concat!(env!("CARGO_TARGET_TMPDIR"), "/downloads"),
    )
}
