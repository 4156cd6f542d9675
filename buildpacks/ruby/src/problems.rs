//! What Bundler and Rake say when they fail, turned into what happened, why, and what to do.

use crate::version::Ruby;
use buildpack_support::{Failure, command::CommandError};

/// `bundle install` failed.
pub(crate) fn bundler(error: CommandError, ruby: &Ruby) -> Failure {
    let says = |texts: &[&str]| error.says_any(texts);
    if says(&[
        "frozen",
        "lockfile can't be updated",
        "not match the current lockfile",
        "deployment mode after changing",
    ]) {
        return Failure::new(
            "Gemfile.lock does not agree with Gemfile",
            "A gem was changed in one of them and not in the other, or the lockfile is for other machines only.",
            "Run `bundle lock --add-platform x86_64-linux` on your machine, commit Gemfile.lock and push again.",
        );
    }
    if says(&[
        "but your Gemfile specified",
        "requires ruby version",
        "requires Ruby version",
        "is incompatible with the current version",
    ]) {
        return Failure::new(
            format!("The app or one of its gems is not for Ruby {}", ruby.version),
            "The output above names it and what it needs.",
            "Ask for another Ruby in the Gemfile (`ruby \"~> 3.3\"`), or update the gem with `bundle update NAME`.",
        );
    }
    if says(&[
        "Could not reach host",
        "Could not fetch specs",
        "Network error",
        "Failed to open TCP connection",
        "Could not find gem",
        "Could not find compatible versions",
    ]) && says(&["host", "network", "Network", "connection", "specs", "resolve"])
    {
        return Failure::new(
            "The server of gems could not be reached",
            format!("{error} The output above names it."),
            "Push again. If it stays, the server can't reach it: its administrator sets a proxy (HTTPS_PROXY) or a mirror\n\
             (BUNDLE_MIRROR__ALL) for builds. Gems in the folder vendor/cache (`bundle cache`) are not fetched.",
        );
    }
    if says(&[
        "Authentication is required",
        "Bad username or password",
        "401 Unauthorized",
        "403 Forbidden",
    ]) {
        return Failure::new(
            "A server of gems refused to give one",
            "It is private, and the build has no valid credentials for it; the output above names it.",
            "Set BUNDLE_HOST__NAME=user:token (dots of the host as two underscores) for builds of this app.",
        );
    }
    if says(&["Could not find"]) {
        return Failure::new(
            "A gem is not there",
            "It was removed, its name is misspelt, or it is missing in vendor/cache; the output above names it.",
            "Correct the Gemfile, run `bundle install` (and `bundle cache` if you commit gems), commit and push again.",
        );
    }
    if says(&["Failed to build gem native extension", "Gem::Ext::BuildError"]) {
        return Failure::new(
            "A gem with native code could not be compiled",
            "The compiler's output is above; most often a C library is missing.",
            "Name its -dev package in an Aptfile (libpq-dev for pg, libmysqlclient-dev for mysql2), commit and push again.",
        );
    }
    if says(&["There was an error parsing `Gemfile`", "Gemfile syntax error"]) {
        return Failure::new(
            "The Gemfile can't be read",
            "Bundler names the line above.",
            "`bundle check` shows the same on your machine. Correct it, commit and push again.",
        );
    }
    error.failure(
        "The gems could not be installed",
        "The reason is above. `BUNDLE_DEPLOYMENT=1 bundle install` on a clean checkout should show the same on your\n\
         machine.",
    )
}

/// `rake assets:precompile` failed.
pub(crate) fn assets(error: CommandError) -> Failure {
    if error.says("Don't know how to build task 'assets:precompile'") {
        return Failure::new(
            "Rails has no task to make assets",
            "A gem with assets is in Gemfile.lock, but the app does not load it.",
            "Load it in config/application.rb (`require \"rails/all\"` does), or remove the gem.",
        );
    }
    if error.says_any(&[
        "ConnectionNotEstablished",
        "could not connect to server",
        "ConnectionBad",
    ]) {
        return Failure::new(
            "Making the assets needs a database",
            "The app asks its database when it starts, and a build has none.",
            "Find in the trace above what asks for it (an initializer, a route), and let it wait until it is needed.",
        );
    }
    error.failure(
        "The assets could not be made",
        "The reason is above. `SECRET_KEY_BASE_DUMMY=1 RAILS_ENV=production bundle exec rake assets:precompile` should\n\
         show the same on your machine. Variables of the app's configuration are not known to a build unless they are\n\
         set for builds.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use buildpack_support::command::Cause;

    fn error(text: &str) -> CommandError {
        CommandError {
            command: "bundle install".into(),
            cause: Cause::Status(1),
            tail: text.lines().map(str::to_owned).collect(),
        }
    }

    fn of(text: &str) -> String {
        let ruby = Ruby {
            version: "3.3.14".into(),
        };
        bundler(error(text), &ruby).text()
    }

    #[test]
    fn an_outdated_lockfile() {
        insta::assert_snapshot!(of("The gemspecs for path gems changed, but the lockfile can't be updated because frozen mode is set"), @r"
        Gemfile.lock does not agree with Gemfile

        A gem was changed in one of them and not in the other, or the lockfile is for other machines only.

        Run `bundle lock --add-platform x86_64-linux` on your machine, commit Gemfile.lock and push again.
        ");
    }

    #[test]
    fn a_gem_for_another_ruby() {
        insta::assert_snapshot!(of("nokogiri-1.18 requires ruby version >= 3.4"), @r#"
        The app or one of its gems is not for Ruby 3.3.14

        The output above names it and what it needs.

        Ask for another Ruby in the Gemfile (`ruby "~> 3.3"`), or update the gem with `bundle update NAME`.
        "#);
    }

    #[test]
    fn an_unreachable_server() {
        insta::assert_snapshot!(of("Could not reach host x. Check your network connection and try again."), @r"
        The server of gems could not be reached

        `bundle install` ended with status 1. The output above names it.

        Push again. If it stays, the server can't reach it: its administrator sets a proxy (HTTPS_PROXY) or a mirror
        (BUNDLE_MIRROR__ALL) for builds. Gems in the folder vendor/cache (`bundle cache`) are not fetched.
        ");
    }

    #[test]
    fn a_private_gem() {
        insta::assert_snapshot!(of("Authentication is required for x."), @r"
        A server of gems refused to give one

        It is private, and the build has no valid credentials for it; the output above names it.

        Set BUNDLE_HOST__NAME=user:token (dots of the host as two underscores) for builds of this app.
        ");
    }

    #[test]
    fn a_gem_that_is_not_there() {
        insta::assert_snapshot!(of("Could not find rails-8.1.2 in locally installed gems"), @r"
        A gem is not there

        It was removed, its name is misspelt, or it is missing in vendor/cache; the output above names it.

        Correct the Gemfile, run `bundle install` (and `bundle cache` if you commit gems), commit and push again.
        ");
    }

    #[test]
    fn native_code_that_does_not_compile() {
        insta::assert_snapshot!(of("Gem::Ext::BuildError: ERROR: Failed to build gem native extension."), @r"
        A gem with native code could not be compiled

        The compiler's output is above; most often a C library is missing.

        Name its -dev package in an Aptfile (libpq-dev for pg, libmysqlclient-dev for mysql2), commit and push again.
        ");
    }

    #[test]
    fn a_gemfile_that_is_broken() {
        insta::assert_snapshot!(of("[!] There was an error parsing `Gemfile`: x"), @r"
        The Gemfile can't be read

        Bundler names the line above.

        `bundle check` shows the same on your machine. Correct it, commit and push again.
        ");
    }

    #[test]
    fn another_failure() {
        insta::assert_snapshot!(of("boom"), @r"
        The gems could not be installed

        `bundle install` ended with status 1.

        The reason is above. `BUNDLE_DEPLOYMENT=1 bundle install` on a clean checkout should show the same on your
        machine.
        ");
    }

    #[test]
    fn no_task_for_assets() {
        insta::assert_snapshot!(assets(error("Don't know how to build task 'assets:precompile'")).text(), @r#"
        Rails has no task to make assets

        A gem with assets is in Gemfile.lock, but the app does not load it.

        Load it in config/application.rb (`require "rails/all"` does), or remove the gem.
        "#);
    }

    #[test]
    fn assets_that_ask_for_a_database() {
        insta::assert_snapshot!(assets(error("ActiveRecord::ConnectionNotEstablished")).text(), @r"
        Making the assets needs a database

        The app asks its database when it starts, and a build has none.

        Find in the trace above what asks for it (an initializer, a route), and let it wait until it is needed.
        ");
    }

    #[test]
    fn another_failure_of_assets() {
        insta::assert_snapshot!(assets(error("boom")).text(), @r"
        The assets could not be made

        `bundle install` ended with status 1.

        The reason is above. `SECRET_KEY_BASE_DUMMY=1 RAILS_ENV=production bundle exec rake assets:precompile` should
        show the same on your machine. Variables of the app's configuration are not known to a build unless they are
        set for builds.
        ");
    }
}
