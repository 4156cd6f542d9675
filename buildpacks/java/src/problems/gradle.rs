//! What Gradle and its wrapper say.

use super::{NETWORK, compiler, resources, unreachable_repository};
use crate::project::Project;
use buildpack_support::{Failure, command::CommandError};

/// A build by Gradle that failed.
pub(crate) fn gradle(error: CommandError, project: &Project) -> Failure {
    let says = |texts: &[&str]| error.says_any(texts);
    if says(&[
        "Unsupported class file major version",
        "incompatible with the Java version",
        "requires a Java version",
    ]) {
        return Failure::new(
            format!("The app's Gradle does not run on Java {}", project.java),
            "Each Gradle knows the Java versions of its time: 8.5 and later know 21, 9.1 and later know 25.",
            "Run `./gradlew wrapper --gradle-version 9.1.0` on your machine and commit gradle/wrapper, or ask for\n\
             another Java in system.properties.",
        );
    }
    if says(&[
        "No matching toolchains found",
        "Cannot find a Java installation",
        "No locally installed toolchains",
    ]) {
        return Failure::new(
            "The Java that the build asks for is not installed",
            format!(
                "A toolchain in build.gradle asks for a version that is not {}; Gradle names it above.",
                project.java
            ),
            format!(
                "Change languageVersion to {}, commit and push again.",
                project.java
            ),
        );
    }
    if says(NETWORK) {
        return unreachable_repository(&error);
    }
    if says(&["not found in root project", "not found in project"]) && says(&["Task '"]) {
        return Failure::new(
            "Gradle does not know the task",
            error.to_string(),
            "Correct GRADLE_TASK, or add a task `stage` to build.gradle that makes what is to be run.",
        );
    }
    if let Some(failure) = compiler(&error, project) {
        return failure;
    }
    resources(&error).unwrap_or_else(|| {
        error.failure(
            "The build by Gradle failed",
            "The reason is above, after \"What went wrong\". `./gradlew assemble` on a clean checkout should show the\n\
             same on your machine.",
        )
    })
}

/// The wrapper of Gradle can't get its Gradle.
pub(crate) fn no_gradle(error: CommandError, distribution: &str) -> Failure {
    let is_broken = error.says("Unable to access jarfile")
        || error.says("ClassNotFoundException")
        || error.says("Could not find or load main class");
    if is_broken {
        return Failure::new(
            "The Gradle wrapper is not complete",
            "gradle/wrapper/gradle-wrapper.jar is not there: often .gitignore has *.jar.",
            "Run `git add -f gradle/wrapper/gradle-wrapper.jar`, commit and push again.",
        );
    }
    if error.says("Unsupported class file major version") {
        return error.failure_with_tail(
            "The app's Gradle does not run on this Java",
            "Run `./gradlew wrapper --gradle-version 9.1.0` on your machine and commit gradle/wrapper.",
        );
    }
    let thrown = error.tail.iter().find(|line| line.contains("Exception")).cloned();
    Failure::new(
        format!("Gradle could not be fetched from {distribution}"),
        thrown.map_or_else(
            || error.to_string(),
            |line| format!("The wrapper says: {}", line.trim()),
        ),
        "Gradle comes by the app's wrapper only. If this server can't reach that site, its administrator sets\n\
         PVDIFY_MIRROR_GRADLE for builds to a mirror's folder that has the same file, or a proxy (HTTPS_PROXY).\n\
         Maven builds need neither.",
    )
}

/// There is no wrapper.
pub(crate) fn no_wrapper() -> Failure {
    Failure::new(
        "The app has no Gradle wrapper",
        "Each version of Gradle reads build files in its own way, so the app says by its wrapper which one it needs.",
        "Run `gradle wrapper` on your machine, commit gradlew and the folder gradle/wrapper, and push again.",
    )
}

#[cfg(test)]
mod tests {
    use super::{
        super::sample::{error, project},
        *,
    };

    fn of_gradle(text: &str) -> String {
        gradle(error(text), &project()).text()
    }

    #[test]
    fn a_gradle_too_old() {
        insta::assert_snapshot!(of_gradle("Unsupported class file major version 65"), @r"
        The app's Gradle does not run on Java 21

        Each Gradle knows the Java versions of its time: 8.5 and later know 21, 9.1 and later know 25.

        Run `./gradlew wrapper --gradle-version 9.1.0` on your machine and commit gradle/wrapper, or ask for
        another Java in system.properties.
        ");
    }

    #[test]
    fn a_toolchain_that_is_missing() {
        insta::assert_snapshot!(of_gradle("No matching toolchains found for requested specification"), @r"
        The Java that the build asks for is not installed

        A toolchain in build.gradle asks for a version that is not 21; Gradle names it above.

        Change languageVersion to 21, commit and push again.
        ");
    }

    #[test]
    fn a_task_that_is_unknown() {
        insta::assert_snapshot!(of_gradle("Task 'x' not found in root project 'y'."), @r"
        Gradle does not know the task

        `mvn clean install` ended with status 1.

        Correct GRADLE_TASK, or add a task `stage` to build.gradle that makes what is to be run.
        ");
    }

    #[test]
    fn another_failure_of_gradle() {
        insta::assert_snapshot!(of_gradle("BUILD FAILED"), @r#"
        The build by Gradle failed

        `mvn clean install` ended with status 1.

        The reason is above, after "What went wrong". `./gradlew assemble` on a clean checkout should show the
        same on your machine.
        "#);
    }

    #[test]
    fn a_gradle_out_of_reach() {
        insta::assert_snapshot!(no_gradle(error("Downloading x\nException in thread \"main\" java.net.UnknownHostException: x"), "https://x/gradle-9.0-bin.zip").text(), @r#"
        Gradle could not be fetched from https://x/gradle-9.0-bin.zip

        The wrapper says: Exception in thread "main" java.net.UnknownHostException: x

        Gradle comes by the app's wrapper only. If this server can't reach that site, its administrator sets
        PVDIFY_MIRROR_GRADLE for builds to a mirror's folder that has the same file, or a proxy (HTTPS_PROXY).
        Maven builds need neither.
        "#);
    }

    #[test]
    fn a_wrapper_without_its_jar() {
        insta::assert_snapshot!(no_gradle(error("Error: Unable to access jarfile /x"), "x").text(), @r"
        The Gradle wrapper is not complete

        gradle/wrapper/gradle-wrapper.jar is not there: often .gitignore has *.jar.

        Run `git add -f gradle/wrapper/gradle-wrapper.jar`, commit and push again.
        ");
    }

    #[test]
    fn no_wrapper_at_all() {
        insta::assert_snapshot!(no_wrapper().text(), @r"
        The app has no Gradle wrapper

        Each version of Gradle reads build files in its own way, so the app says by its wrapper which one it needs.

        Run `gradle wrapper` on your machine, commit gradlew and the folder gradle/wrapper, and push again.
        ");
    }
}
