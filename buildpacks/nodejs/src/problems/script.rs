//! Why a script of package.json failed.

use super::{NETWORK, disk, unreachable};
use crate::project::Project;
use buildpack_support::{
    Failure,
    command::{Cause, CommandError},
};

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

#[cfg(test)]
mod tests {
    use super::super::fixtures::{error, project};
    use super::*;
    use crate::manager::Kind;

    fn of_script(status: i32, line: &str) -> String {
        script(
            &error("npm run build", status, line),
            "build",
            &project(Kind::Npm),
        )
        .text()
    }

    #[test]
    fn no_network() {
        insta::assert_snapshot!(of_script(1, "connect ECONNREFUSED 10.0.0.1:443"), @r"
        The script `build` failed

        A host could not be reached from the build; the output above names it. `npm run build` ended with status 1.

        Push again. If it stays, the server's network does not allow it: its administrator sets a proxy, a mirror
        or a CA for builds (HTTPS_PROXY, npm_config_registry).
        ");
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
