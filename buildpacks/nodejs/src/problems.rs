//! What package managers and scripts say when they fail, turned into what happened, why, and what to do.
//!
//! The command's own output is in the log above; here it is only searched for what tells one cause from
//! another. What is not known gets the command's status, and the way to reproduce it.

use crate::{manager::Kind, project::Project};
use buildpack_support::{
    Failure,
    command::{Cause, CommandError},
};

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
    if says(NATIVE) {
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

/// A script of package.json that failed.
pub(crate) fn script(error: &CommandError, name: &str, project: &Project) -> Failure {
    let says = |texts: &[&str]| texts.iter().any(|text| error.says(text));
    let what = format!("The script `{name}` failed");
    let command = project.package_json.script(name).unwrap_or_default();
    if says(&["heap out of memory"]) || matches!(error.cause, Cause::Signal(9)) {
        return Failure::new(
            what,
            format!("`{command}` needed more memory than it may have."),
            "Let Node.js use more: set NODE_OPTIONS=--max-old-space-size=4096 for builds, or a higher memory limit of\n\
             builds on the server.",
        );
    }
    if says(&["ERR_OSSL_EVP_UNSUPPORTED", "digital envelope routines"]) {
        return Failure::new(
            what,
            format!(
                "`{command}` uses a hash that Node.js {} no longer has (old webpack does).",
                project.node_version
            ),
            "Update webpack to 5.61 or later, ask for Node.js 16 in engines.node, or set\n\
             NODE_OPTIONS=--openssl-legacy-provider for builds.",
        );
    }
    if says(&["ENOSPC", "No space left"]) {
        return disk(error);
    }
    if matches!(error.cause, Cause::Status(127)) || says(&[": not found", "command not found"]) {
        return Failure::new(
            what,
            format!("`{command}` runs a program that is not installed; the output above names it."),
            "Add the package that brings it to devDependencies in package.json, commit the lockfile and push again.",
        );
    }
    if says(&[
        "Cannot find module",
        "ERR_MODULE_NOT_FOUND",
        "Can't resolve '",
        "Could not resolve \"",
    ]) {
        return Failure::new(
            what,
            format!("`{command}` needs a module that is not there; the output above names it."),
            "If it is a package, add it to package.json. If it is a file of yours, is it committed? Its name must be\n\
             written the same, upper and lower case too.",
        );
    }
    if says(NETWORK) {
        return unreachable(&what, error);
    }
    let why = format!("`{command}`: {error}");
    Failure::new(
        what,
        why,
        format!(
            "The reason is above. `NODE_ENV=production {} run {name}` should show the same on your machine.",
            project.manager.kind.program()
        ),
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

// The host is what a person needs to know: it may be Git's or a binary's, not the registry's.
fn unreachable(what: &str, error: &CommandError) -> Failure {
    let line = error
        .tail
        .iter()
        .rfind(|line| NETWORK.iter().any(|text| line.contains(text)));
    let host = line
        .and_then(|line| host(line))
        .or_else(|| error.tail.iter().rev().find_map(|line| host(line)));
    let why = match host {
        Some(host) => format!("{host} could not be reached from the build."),
        None => format!("A host could not be reached from the build; the output above names it. {error}"),
    };
    Failure::new(
        what,
        why,
        "Push again. If it stays, the server's network does not allow it: its administrator sets a proxy, a mirror\n\
         or a CA for builds (HTTPS_PROXY, npm_config_registry).",
    )
}

// `getaddrinfo ENOTFOUND host`, `https://host/path`.
fn host(line: &str) -> Option<&str> {
    let rest = [
        "getaddrinfo ENOTFOUND ",
        "getaddrinfo EAI_AGAIN ",
        "https://",
        "http://",
    ]
    .iter()
    .find_map(|mark| line.split_once(mark).map(|(_, rest)| rest))?;
    let end = rest
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-')
        .unwrap_or(rest.len());
    Some(rest[..end].trim_end_matches('.')).filter(|host| host.contains('.'))
}

fn disk(error: &CommandError) -> Failure {
    Failure::new(
        "The disk of the build is full",
        error.to_string(),
        "Tell the server's administrator, or make the app's dependencies smaller.",
    )
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
const PEER: &[&str] = &["ERESOLVE"];
const NETWORK: &[&str] = &[
    "ETIMEDOUT",
    "ECONNREFUSED",
    "ECONNRESET",
    "ENOTFOUND",
    "EAI_AGAIN",
    "SELF_SIGNED_CERT_IN_CHAIN",
    "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    "There appears to be trouble with your network connection",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package_json::PackageJson;
    use std::path::Path;

    fn project(kind: Kind) -> Project {
        let package_json = PackageJson::parse(r#"{"scripts":{"build":"vite build"}}"#).unwrap();
        Project {
            package_json,
            ..Project::of(Path::new("/nowhere"), kind)
        }
    }

    fn error(command: &str, status: i32, line: &str) -> CommandError {
        CommandError {
            command: command.into(),
            cause: Cause::Status(status),
            tail: vec![line.into()],
        }
    }

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
        insta::assert_snapshot!(of_script(1, "connect ECONNREFUSED 10.0.0.1:443"), @r"
        The script `build` failed

        A host could not be reached from the build; the output above names it. `npm run build` ended with status 1.

        Push again. If it stays, the server's network does not allow it: its administrator sets a proxy, a mirror
        or a CA for builds (HTTPS_PROXY, npm_config_registry).
        ");
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

    fn of_script(status: i32, line: &str) -> String {
        script(
            &error("npm run build", status, line),
            "build",
            &project(Kind::Npm),
        )
        .text()
    }

    #[test]
    fn a_script_out_of_memory() {
        insta::assert_snapshot!(of_script(134, "FATAL ERROR: JavaScript heap out of memory"), @r"
        The script `build` failed

        `vite build` needed more memory than it may have.

        Let Node.js use more: set NODE_OPTIONS=--max-old-space-size=4096 for builds, or a higher memory limit of
        builds on the server.
        ");
    }

    #[test]
    fn a_script_whose_program_is_missing() {
        insta::assert_snapshot!(of_script(127, "sh: 1: vite: not found"), @r"
        The script `build` failed

        `vite build` runs a program that is not installed; the output above names it.

        Add the package that brings it to devDependencies in package.json, commit the lockfile and push again.
        ");
    }

    #[test]
    fn a_script_whose_module_is_missing() {
        insta::assert_snapshot!(of_script(1, "Error: Cannot find module './Config'"), @r"
        The script `build` failed

        `vite build` needs a module that is not there; the output above names it.

        If it is a package, add it to package.json. If it is a file of yours, is it committed? Its name must be
        written the same, upper and lower case too.
        ");
    }

    #[test]
    fn a_script_for_an_older_openssl() {
        insta::assert_snapshot!(of_script(1, "opensslErrorStack: digital envelope routines::unsupported"), @r"
        The script `build` failed

        `vite build` uses a hash that Node.js 24.1.0 no longer has (old webpack does).

        Update webpack to 5.61 or later, ask for Node.js 16 in engines.node, or set
        NODE_OPTIONS=--openssl-legacy-provider for builds.
        ");
    }

    #[test]
    fn any_other_script() {
        insta::assert_snapshot!(of_script(2, "error TS2304"), @r"
        The script `build` failed

        `vite build`: `npm run build` ended with status 2.

        The reason is above. `NODE_ENV=production npm run build` should show the same on your machine.
        ");
    }
}
