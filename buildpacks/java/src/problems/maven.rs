//! What Maven says.

use super::{NETWORK, compiler, resources, unreachable_repository};
use crate::project::Project;
use buildpack_support::{Failure, command::CommandError};

/// A build by Maven that failed.
pub(crate) fn maven(error: CommandError, project: &Project) -> Failure {
    let says = |texts: &[&str]| error.says_any(texts);
    if says(&["Non-parseable POM", "Malformed POM", "Unrecognised tag"]) {
        return Failure::new(
            "pom.xml can't be read",
            "Maven names the line above.",
            "Correct it (`mvn validate` shows the same on your machine), commit and push again.",
        );
    }
    if says(&["Unknown lifecycle phase", "No plugin found for prefix"]) {
        return Failure::new(
            "Maven does not know the goal",
            error.to_string(),
            "Correct MAVEN_CUSTOM_GOALS, or remove it: without it the goals are `clean install`.",
        );
    }
    if says(&[
        "status code: 401",
        "status: 401",
        "Not authorized",
        "status code: 403",
        "status: 403",
    ]) {
        return Failure::new(
            "A repository refused to give a package",
            "It is private, and the build has no valid credentials for it; the output above names it.",
            "Commit a settings.xml whose <server> reads them from variables (`${env.REPOSITORY_PASSWORD}`), and set\n\
             those for builds of this app. Its path may be given by MAVEN_SETTINGS_PATH.",
        );
    }
    if says(NETWORK) {
        return unreachable_repository(&error);
    }
    if says(&["Could not find artifact", "was not found in"]) {
        return Failure::new(
            "A package is not in the repositories",
            "It was removed, its name or version is misspelt, or its repository is not named in pom.xml; the output\n\
             above names it.",
            "Correct pom.xml, commit and push again.",
        );
    }
    if says(&["There are test failures"]) {
        return Failure::new(
            "Tests failed",
            "They are named above. They ran because MAVEN_CUSTOM_OPTS does not skip them.",
            "Correct them, or add -DskipTests to MAVEN_CUSTOM_OPTS.",
        );
    }
    if let Some(failure) = compiler(&error, project) {
        return failure;
    }
    if says(&["RequireJavaVersion", "RequireMavenVersion"]) {
        return Failure::new(
            "The app's own rules refuse this Java or Maven",
            format!(
                "maven-enforcer-plugin says above what it allows; this build uses Java {}.",
                project.java
            ),
            "Ask for another Java in system.properties (`java.runtime.version=21`), or for another Maven by the\n\
             wrapper (`mvn wrapper:wrapper -Dmaven=3.9.9`), or change the rule.",
        );
    }
    resources(&error).unwrap_or_else(|| {
        error.failure(
            "The build by Maven failed",
            "The reason is above, after [ERROR]. `mvn clean install -DskipTests` on a clean checkout should show the\n\
             same on your machine.",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::sample::{error, project},
        *,
    };

    fn of_maven(text: &str) -> String {
        maven(error(text), &project()).text()
    }

    #[test]
    fn a_pom_that_is_broken() {
        insta::assert_snapshot!(of_maven("[FATAL] Non-parseable POM /workspace/pom.xml"), @r"
        pom.xml can't be read

        Maven names the line above.

        Correct it (`mvn validate` shows the same on your machine), commit and push again.
        ");
    }

    #[test]
    fn a_goal_that_is_unknown() {
        insta::assert_snapshot!(of_maven("[ERROR] Unknown lifecycle phase \"x\"."), @r"
        Maven does not know the goal

        `mvn clean install` ended with status 1.

        Correct MAVEN_CUSTOM_GOALS, or remove it: without it the goals are `clean install`.
        ");
    }

    #[test]
    fn a_private_repository() {
        insta::assert_snapshot!(of_maven("status code: 401, reason phrase: Unauthorized (401)"), @r"
        A repository refused to give a package

        It is private, and the build has no valid credentials for it; the output above names it.

        Commit a settings.xml whose <server> reads them from variables (`${env.REPOSITORY_PASSWORD}`), and set
        those for builds of this app. Its path may be given by MAVEN_SETTINGS_PATH.
        ");
    }

    #[test]
    fn a_missing_package() {
        insta::assert_snapshot!(of_maven("Could not find artifact a:b:jar:1 in central"), @r"
        A package is not in the repositories

        It was removed, its name or version is misspelt, or its repository is not named in pom.xml; the output
        above names it.

        Correct pom.xml, commit and push again.
        ");
    }

    #[test]
    fn failing_tests() {
        insta::assert_snapshot!(of_maven("There are test failures."), @r"
        Tests failed

        They are named above. They ran because MAVEN_CUSTOM_OPTS does not skip them.

        Correct them, or add -DskipTests to MAVEN_CUSTOM_OPTS.
        ");
    }

    #[test]
    fn rules_of_the_app() {
        insta::assert_snapshot!(of_maven("Rule 0: org.apache.maven.enforcer.rules.version.RequireJavaVersion failed"), @r"
        The app's own rules refuse this Java or Maven

        maven-enforcer-plugin says above what it allows; this build uses Java 21.

        Ask for another Java in system.properties (`java.runtime.version=21`), or for another Maven by the
        wrapper (`mvn wrapper:wrapper -Dmaven=3.9.9`), or change the rule.
        ");
    }

    #[test]
    fn another_failure_of_maven() {
        insta::assert_snapshot!(of_maven("[ERROR] something"), @r"
        The build by Maven failed

        `mvn clean install` ended with status 1.

        The reason is above, after [ERROR]. `mvn clean install -DskipTests` on a clean checkout should show the
        same on your machine.
        ");
    }
}
