//! What Composer says when it fails, turned into what happened, why, and what to do.

use buildpack_support::{Failure, command::CommandError};

/// Composer failed.
pub(crate) fn composer(error: CommandError, line: &str) -> Failure {
    let says = |texts: &[&str]| error.says_any(texts);
    if says(&["is missing from your system", "it is missing from your system"]) {
        return Failure::new(
            "A package requires an extension that is not there",
            "The output above names it (ext-...).",
            "Add it to `require` in composer.json (`composer require ext-NAME`), commit composer.lock too, and push again.",
        );
    }
    if says(&["your php version", "does not satisfy that requirement"]) {
        return Failure::new(
            format!("A package does not support PHP {line}"),
            "The output above names it and what it needs.",
            "Run `composer update` with that PHP on your machine and commit composer.lock, or ask for another PHP in\n\
             require.php of composer.json.",
        );
    }
    // Before the lock file: that it is not up to date is often a warning only.
    if says(&[
        "Could not resolve host",
        "unable to access 'http",
        "could not be resolved",
        "curl error",
        "Connection timed out",
        "Failed to connect",
        "could not be downloaded",
        "could not be fully loaded",
    ]) {
        return Failure::new(
            "Composer's repository could not be reached",
            format!("{error} The output above names the address."),
            "Push again. If it stays, the server can't reach it: its administrator sets a proxy (HTTPS_PROXY), or the app\n\
             names a mirror under `repositories` in composer.json. Packages that are committed (the folder vendor, with\n\
             composer.lock) are not fetched.",
        );
    }
    if says(&[
        "is not present in the lock file",
        "lock file is not up to date",
        "not up to date with the latest changes",
    ]) {
        return Failure::new(
            "composer.lock does not agree with composer.json",
            "A package was changed in one of them and not in the other.",
            "Run `composer update --lock` (or `composer update`) on your machine, commit composer.lock and push again.",
        );
    }
    if says(&[
        "401 Unauthorized",
        "HTTP/2 401",
        "HTTP 401",
        "Could not authenticate",
        "403 Forbidden",
        "HTTP/2 403",
    ]) {
        return Failure::new(
            "A repository refused to give a package",
            "It is private, and the build has no valid token for it; the output above names it.",
            "Set COMPOSER_AUTH for builds of this app, as in {\"http-basic\":{\"HOST\":{\"username\":\"token\",\"password\":\"...\"}}}.",
        );
    }
    if says(&[
        "Could not find package",
        "could not be found in any version",
        "Could not find a matching version",
    ]) {
        return Failure::new(
            "A package is not in the repository",
            "It was removed, its name is misspelt, or its repository is not named; the output above names it.",
            "Correct composer.json, run `composer update`, commit both files and push again.",
        );
    }
    if says(&["returned with error code", "Script "]) {
        return error.failure(
            "A script of composer.json failed",
            "Its output is above. Does it need what only development has, a database, or a variable? Builds know the\n\
             variables that are set for builds.",
        );
    }
    if says(&["Allowed memory size", "mmap() failed"]) {
        return Failure::new(
            "Composer needed more memory than it may have",
            error.to_string(),
            "Set COMPOSER_MEMORY_LIMIT=-1 for builds of this app, or commit composer.lock: to install by it needs little.",
        );
    }
    error.failure(
        "The packages could not be installed",
        "The reason is above. `composer install --no-dev` on a clean checkout should show the same on your machine.",
    )
}

/// Extensions that no package has.
pub(crate) fn no_extension(missing: &[String], line: &str) -> Failure {
    let names: Vec<String> = missing.iter().map(|name| format!("ext-{name}")).collect();
    Failure::new(
        format!("PHP {line} has no extension {} here", names.join(", ")),
        "composer.json or a package in composer.lock requires it, and the package sources of the build image do not\n\
         have it.",
        "Remove the requirement, or the package that has it; `composer why ext-NAME` names that package.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use buildpack_support::command::Cause;

    fn of(text: &str) -> String {
        let error = CommandError {
            command: "composer install".into(),
            cause: Cause::Status(2),
            tail: text.lines().map(str::to_owned).collect(),
        };
        composer(error, "8.4").text()
    }

    #[test]
    fn a_host_out_of_reach_is_told_whatever_is_warned_of_besides() {
        let text = of(
            "Warning: The lock file is not up to date with the latest changes in composer.json.\n\
             fatal: unable to access 'https://git.example/router.git/': Could no",
        );
        assert!(
            text.starts_with("Composer's repository could not be reached\n"),
            "{text}"
        );
    }

    #[test]
    fn a_missing_extension() {
        insta::assert_snapshot!(of("requires ext-foo * -> it is missing from your system."), @r"
        A package requires an extension that is not there

        The output above names it (ext-...).

        Add it to `require` in composer.json (`composer require ext-NAME`), commit composer.lock too, and push again.
        ");
        insta::assert_snapshot!(no_extension(&["oci8".into()], "8.4").text(), @r"
        PHP 8.4 has no extension ext-oci8 here

        composer.json or a package in composer.lock requires it, and the package sources of the build image do not
        have it.

        Remove the requirement, or the package that has it; `composer why ext-NAME` names that package.
        ");
    }

    #[test]
    fn a_package_for_another_php() {
        insta::assert_snapshot!(of("requires php ~7.4 -> your php version (8.4.28) does not satisfy that requirement."), @r"
        A package does not support PHP 8.4

        The output above names it and what it needs.

        Run `composer update` with that PHP on your machine and commit composer.lock, or ask for another PHP in
        require.php of composer.json.
        ");
    }

    #[test]
    fn an_outdated_lockfile() {
        insta::assert_snapshot!(of("Required package \"a/b\" is not present in the lock file."), @r"
        composer.lock does not agree with composer.json

        A package was changed in one of them and not in the other.

        Run `composer update --lock` (or `composer update`) on your machine, commit composer.lock and push again.
        ");
    }

    #[test]
    fn a_private_repository() {
        insta::assert_snapshot!(of("HTTP/2 401"), @r#"
        A repository refused to give a package

        It is private, and the build has no valid token for it; the output above names it.

        Set COMPOSER_AUTH for builds of this app, as in {"http-basic":{"HOST":{"username":"token","password":"..."}}}.
        "#);
    }

    #[test]
    fn an_unreachable_repository() {
        insta::assert_snapshot!(of("curl error 6 while downloading: Could not resolve host: x"), @r"
        Composer's repository could not be reached

        `composer install` ended with status 2. The output above names the address.

        Push again. If it stays, the server can't reach it: its administrator sets a proxy (HTTPS_PROXY), or the app
        names a mirror under `repositories` in composer.json. Packages that are committed (the folder vendor, with
        composer.lock) are not fetched.
        ");
    }

    #[test]
    fn a_package_that_is_not_there() {
        insta::assert_snapshot!(of("Could not find package a/b."), @r"
        A package is not in the repository

        It was removed, its name is misspelt, or its repository is not named; the output above names it.

        Correct composer.json, run `composer update`, commit both files and push again.
        ");
    }

    #[test]
    fn a_script_that_fails() {
        insta::assert_snapshot!(of("Script @php artisan x returned with error code 1"), @r"
        A script of composer.json failed

        `composer install` ended with status 2.

        Its output is above. Does it need what only development has, a database, or a variable? Builds know the
        variables that are set for builds.
        ");
    }

    #[test]
    fn no_memory() {
        insta::assert_snapshot!(of("Allowed memory size of 1 bytes exhausted"), @r"
        Composer needed more memory than it may have

        `composer install` ended with status 2.

        Set COMPOSER_MEMORY_LIMIT=-1 for builds of this app, or commit composer.lock: to install by it needs little.
        ");
    }

    #[test]
    fn another_failure() {
        insta::assert_snapshot!(of("boom"), @r"
        The packages could not be installed

        `composer install` ended with status 2.

        The reason is above. `composer install --no-dev` on a clean checkout should show the same on your machine.
        ");
    }
}
