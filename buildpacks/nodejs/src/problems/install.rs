//! Why an install failed.

use super::{NETWORK, disk, unreachable};
use crate::{manager::Kind, project::Project};
use buildpack_support::{Failure, command::CommandError};

/// An install that failed.
pub(crate) fn install(error: CommandError, project: &Project) -> Failure {
    let kind = project.manager.kind;
    let says = |texts: &[&str]| texts.iter().any(|text| error.says(text));
    let node = &project.node_version;
    let lockfile = project.manager.lockfile.unwrap_or("the lockfile");
    if says(OUTDATED) {
        return Failure::new(
            format!("{lockfile} does not agree with package.json"),
            "A dependency was changed in one of them and not in the other.",
            format!(
                "Run `{} install` on your machine, commit {lockfile} and push again.",
                kind.program()
            ),
        );
    }
    if says(ENGINE) {
        return Failure::new(
            "A package does not support this version of Node.js",
            format!("This build uses Node.js {node}; the output above names the package and what it needs."),
            "Set engines.node in package.json to a version that it supports, or update the package.",
        );
    }
    // A package's install that may compile something is told by its command; it fetches a ready program first.
    let was_not_fetched = says(NETWORK) && !says(&["gyp ERR!"]);
    if says(NATIVE) && !was_not_fetched {
        return native(&error, node);
    }
    if says(AUTH) {
        return Failure::new(
            "The registry refused to give a package",
            "It is private, and the build has no valid token for it; the output above names it.",
            "Write `//REGISTRY/:_authToken=${NPM_TOKEN}` into .npmrc (for Yarn 2 and later: npmAuthToken in .yarnrc.yml),\n\
             and set NPM_TOKEN for builds of this app.",
        );
    }
    if says(MISSING) {
        return Failure::new(
            "A package or version is not in the registry",
            "It was removed, its name is misspelt, or it is in a private registry; the output above names it.",
            format!(
                "Correct package.json, run `{} install`, commit and push again.",
                kind.program()
            ),
        );
    }
    if says(PEER) {
        return Failure::new(
            "Two packages need different versions of the same one",
            "npm found no set of versions that suits all (ERESOLVE); the output above shows who asks for what.",
            "Update the packages named, or keep what older npm did: add `legacy-peer-deps=true` to .npmrc.",
        );
    }
    if says(&[
        "EINTEGRITY",
        "ERR_PNPM_TARBALL_INTEGRITY",
        "Integrity check failed",
        "YN0018",
    ]) {
        return Failure::new(
            "A package is not what the lockfile promises",
            "Its digest differs; the output above names it.",
            format!(
                "Was {lockfile} merged by hand? Make it anew with `{} install`. Otherwise a mirror gives changed files.",
                kind.program()
            ),
        );
    }
    if says(NETWORK) {
        return unreachable("The dependencies could not be fetched", &error);
    }
    if says(&["ENOSPC", "No space left"]) {
        return disk(&error);
    }
    let how = match (kind, project.manager.lockfile) {
        (Kind::Npm, Some(_)) => "npm ci".to_owned(),
        (kind, _) => format!("{} install", kind.program()),
    };
    error.failure(
        "The dependencies could not be installed",
        format!("The reason is above. `rm -rf node_modules && {how}` with Node.js {node} should show the same on your machine."),
    )
}

fn native(error: &CommandError, node: &str) -> Failure {
    let what = "A package with native code could not be compiled";
    if let Some(library) = error.tail.iter().find_map(|line| missing_library(line)) {
        return Failure::new(
            what,
            format!("The C library {library} is not in the build image."),
            "Name the Debian packages that have it in an Aptfile, one in each line (lib...-dev for the build, the library\n\
             itself for running), commit it and push again.",
        );
    }
    Failure::new(
        what,
        format!("The compiler's output is above. It was built for Node.js {node}."),
        "Often a newer version of the package has a ready program for this Node.js: update it, or ask for an\n\
         older Node.js in engines.node. If a C library is missing, name its -dev package in an Aptfile.",
    )
}

// `Package pixman-1 was not found`, `Package 'pixman-1', required by`, `fatal error: x.h: No such file`.
fn missing_library(line: &str) -> Option<&str> {
    let package = |line: &'_ str| -> Option<(usize, usize)> {
        let at = line.find("Package ")? + "Package ".len();
        let end = line[at..].find([' ', ','])?;
        (line.contains("was not found") || line.contains("not found")).then_some((at, at + end))
    };
    if let Some((from, to)) = package(line) {
        return Some(line[from..to].trim_matches('\''));
    }
    let (_, rest) = line.split_once("fatal error: ")?;
    rest.split_once(": No such file").map(|(header, _)| header)
}

const OUTDATED: &[&str] = &[
    "can only install packages when your package.json and",
    "can only install with an existing package-lock.json",
    "ERR_PNPM_OUTDATED_LOCKFILE",
    "Your lockfile needs to be updated",
    "YN0028",
    "lockfile had changes, but lockfile is frozen",
];

const ENGINE: &[&str] = &[
    "code EBADENGINE",
    "is incompatible with this module",
    "ERR_PNPM_UNSUPPORTED_ENGINE",
    "The engine \"node\" is incompatible",
];

const NATIVE: &[&str] = &[
    "gyp ERR!",
    "node-gyp rebuild",
    "node-pre-gyp ERR!",
    "prebuild-install warn",
];

const AUTH: &[&str] = &[
    "code E401",
    "code E403",
    "code ENEEDAUTH",
    "ERR_PNPM_FETCH_401",
    "ERR_PNPM_FETCH_403",
    "401 Unauthorized",
    "YN0041",
];

const MISSING: &[&str] = &[
    "code E404",
    "code ETARGET",
    "ERR_PNPM_FETCH_404",
    "ERR_PNPM_NO_MATCHING_VERSION",
    "Couldn't find package",
    "Couldn't find any versions",
    "YN0035",
    "YN0082",
    "failed to resolve",
    "404 Not Found",
];

// Without `code`, it is also a warning of installs that go on.
const PEER: &[&str] = &["code ERESOLVE"];

#[cfg(test)]
mod tests {
    use super::super::fixtures::{error, project};
    use super::*;
    use buildpack_support::Command;

    fn of_install(kind: Kind, line: &str) -> String {
        install(error("x install", 1, line), &project(kind)).text()
    }

    #[test]
    fn an_outdated_lockfile() {
        insta::assert_snapshot!(of_install(Kind::Pnpm, " ERR_PNPM_OUTDATED_LOCKFILE  Cannot install"), @r"
        pnpm-lock.yaml does not agree with package.json

        A dependency was changed in one of them and not in the other.

        Run `pnpm install` on your machine, commit pnpm-lock.yaml and push again.
        ");
    }

    #[test]
    fn an_outdated_lockfile_that_npm_says_much_about() {
        let failed = Command::new("sh")
            .args([
                "-c",
                "echo 'npm error `npm ci` can only install packages when your package.json and package-lock.json are in sync.'
                 for i in $(seq 250); do echo \"npm error Missing: p$i@1.0.0 from lock file\"; done; exit 1",
            ])
            .quiet()
            .run()
            .unwrap_err();
        let told = install(failed, &project(Kind::Npm));
        assert_eq!(told.what(), "package-lock.json does not agree with package.json");
    }

    #[test]
    fn a_warning_of_npm_is_not_the_reason() {
        let text =
            "npm warn ERESOLVE overriding peer dependency\nnpm error network getaddrinfo ENOTFOUND r.example";
        let told = install(error("npm ci", 1, text), &project(Kind::Npm));
        assert_eq!(told.what(), "The dependencies could not be fetched");
    }

    #[test]
    fn an_engine_that_does_not_fit() {
        insta::assert_snapshot!(of_install(Kind::YarnClassic, "error x@1: The engine \"node\" is incompatible with this module."), @r"
        A package does not support this version of Node.js

        This build uses Node.js 24.1.0; the output above names the package and what it needs.

        Set engines.node in package.json to a version that it supports, or update the package.
        ");
    }

    #[test]
    fn native_code_that_does_not_compile() {
        insta::assert_snapshot!(of_install(Kind::Npm, "npm error gyp ERR! build error"), @r"
        A package with native code could not be compiled

        The compiler's output is above. It was built for Node.js 24.1.0.

        Often a newer version of the package has a ready program for this Node.js: update it, or ask for an
        older Node.js in engines.node. If a C library is missing, name its -dev package in an Aptfile.
        ");
    }

    #[test]
    fn a_package_whose_install_fetches_a_program_from_elsewhere() {
        let mut failed = error(
            "npm ci",
            1,
            "npm error command sh -c (prebuild-install) || (node-gyp rebuild)",
        );
        failed
            .tail
            .push("npm error x: Installation error: getaddrinfo ENOTFOUND files.example".to_owned());
        let told = install(failed, &project(Kind::Npm));
        assert_eq!(told.what(), "The dependencies could not be fetched");
        assert_eq!(told.why(), "files.example could not be reached from the build.");
    }

    #[test]
    fn a_c_library_that_is_missing() {
        let line = "npm error Package pixman-1 was not found in the pkg-config search path. gyp ERR!";
        insta::assert_snapshot!(of_install(Kind::Npm, line), @r"
        A package with native code could not be compiled

        The C library pixman-1 is not in the build image.

        Name the Debian packages that have it in an Aptfile, one in each line (lib...-dev for the build, the library
        itself for running), commit it and push again.
        ");
        assert_eq!(
            missing_library("Package 'cairo', required by 'virtual:world', not found"),
            Some("cairo")
        );
        assert_eq!(
            missing_library("a.c:1:10: fatal error: vips/vips.h: No such file or directory"),
            Some("vips/vips.h")
        );
        assert_eq!(missing_library("make: *** [x] Error 1"), None);
    }

    #[test]
    fn a_private_package() {
        insta::assert_snapshot!(of_install(Kind::Npm, "npm error code E401"), @r"
        The registry refused to give a package

        It is private, and the build has no valid token for it; the output above names it.

        Write `//REGISTRY/:_authToken=${NPM_TOKEN}` into .npmrc (for Yarn 2 and later: npmAuthToken in .yarnrc.yml),
        and set NPM_TOKEN for builds of this app.
        ");
    }

    #[test]
    fn a_package_that_is_not_there() {
        insta::assert_snapshot!(of_install(Kind::Bun, "error: nope@1 failed to resolve"), @r"
        A package or version is not in the registry

        It was removed, its name is misspelt, or it is in a private registry; the output above names it.

        Correct package.json, run `bun install`, commit and push again.
        ");
    }

    #[test]
    fn peers_that_do_not_agree() {
        insta::assert_snapshot!(of_install(Kind::Npm, "npm error code ERESOLVE"), @r"
        Two packages need different versions of the same one

        npm found no set of versions that suits all (ERESOLVE); the output above shows who asks for what.

        Update the packages named, or keep what older npm did: add `legacy-peer-deps=true` to .npmrc.
        ");
    }

    #[test]
    fn a_changed_package() {
        insta::assert_snapshot!(of_install(Kind::Npm, "npm error code EINTEGRITY"), @r"
        A package is not what the lockfile promises

        Its digest differs; the output above names it.

        Was package-lock.json merged by hand? Make it anew with `npm install`. Otherwise a mirror gives changed files.
        ");
    }

    #[test]
    fn no_network() {
        insta::assert_snapshot!(of_install(Kind::Npm, "npm error getaddrinfo ENOTFOUND git.example.org"), @r"
        The dependencies could not be fetched

        git.example.org could not be reached from the build.

        Push again. If it stays, the server's network does not allow it: its administrator sets a proxy, a mirror
        or a CA for builds (HTTPS_PROXY, npm_config_registry).
        ");
    }

    #[test]
    fn a_host_that_buns_output_does_not_name() {
        let text = of_install(
            Kind::Bun,
            "error: DNSResolveFailed downloading tarball @x/y@1.0.0",
        );
        assert!(
            text.starts_with(
                "The dependencies could not be fetched\n\nA host could not be reached from the build;"
            ),
            "{text}"
        );
    }

    #[test]
    fn any_other_install() {
        insta::assert_snapshot!(of_install(Kind::Npm, "?"), @r"
        The dependencies could not be installed

        `x install` ended with status 1.

        The reason is above. `rm -rf node_modules && npm ci` with Node.js 24.1.0 should show the same on your machine.
        ");
        assert!(of_install(Kind::Npm, "ENOSPC: no space left").starts_with("The disk of the build is full"));
    }
}
