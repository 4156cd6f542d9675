//! What Maven, Gradle and the JDK say when they fail, turned into what happened, why, and what to do.
//!
//! A command's own output is in the log above; here it is only searched for what tells one cause from another.

use crate::project::Project;
use buildpack_support::{Failure, command::CommandError};
use std::path::{Path, PathBuf};

/// A build by Maven that failed.
pub(crate) fn maven(error: CommandError, project: &Project) -> Failure {
    let says = |texts: &[&str]| texts.iter().any(|text| error.says(text));
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

/// A build by Gradle that failed.
pub(crate) fn gradle(error: CommandError, project: &Project) -> Failure {
    let says = |texts: &[&str]| texts.iter().any(|text| error.says(text));
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

const NETWORK: &[&str] = &[
    "Unknown host",
    "UnknownHostException",
    "Could not transfer artifact",
    "Connection refused",
    "Connection timed out",
    "Connect timed out",
    "Temporary failure in name resolution",
    "Could not GET",
    "Could not HEAD",
    "PKIX path building failed",
];

fn unreachable_repository(error: &CommandError) -> Failure {
    if error.says("PKIX path building failed") {
        return Failure::new(
            "A repository's certificate is not trusted",
            "It is signed by an authority that the build does not know (PKIX path building failed).",
            "The server's administrator gives builds the authority's certificate.",
        );
    }
    Failure::new(
        "A repository could not be reached",
        format!("{error} The output above names it."),
        "Push again. If it stays, the server needs a proxy for builds (HTTPS_PROXY), or the app a settings.xml with a\n\
         mirror that the server reaches.",
    )
}

fn compiler(error: &CommandError, project: &Project) -> Option<Failure> {
    let says = |texts: &[&str]| texts.iter().any(|text| error.says(text));
    let java = project.java;
    if says(&["com.sun.tools.javac", "TypeTag :: UNKNOWN", "JCTree$JCImport"])
        && says(&["NoSuchFieldError", "ExceptionInInitializer", "IllegalAccessError"])
    {
        return Some(Failure::new(
            format!("A compiler plugin does not know Java {java}"),
            "Lombok and the like reach into the compiler, and each version of them knows the Java versions of its time.",
            format!(
                "Update Lombok (1.18.30 and later know Java 21, 1.18.40 and later 25) or what else is named above, \
                     or ask for another Java than {java} in system.properties."
            ),
        ));
    }
    if says(&[
        "is no longer supported. Use",
        "release version",
        "invalid target release",
        "invalid source release",
    ]) && says(&[
        "no longer supported",
        "not supported",
        "invalid target release",
        "invalid source release",
    ]) {
        return Some(Failure::new(
            format!("Java {java} can't compile for the version that the build asks for"),
            "It is too old or too new for this compiler; the output above names it.",
            "Set maven.compiler.release (or `options.release` in build.gradle) to 8 or later, and ask for a Java that is \
             at least as new in system.properties.",
        ));
    }
    says(&[
        "COMPILATION ERROR",
        "Compilation failure",
        "compileJava FAILED",
        "compileKotlin FAILED",
        "Compilation failed",
    ])
    .then(|| {
        Failure::new(
            "The code does not compile",
            format!("The compiler's errors are above. It was compiled with Java {java}."),
            "Correct them, commit and push again. If it compiles on your machine, is everything committed?",
        )
    })
}

fn resources(error: &CommandError) -> Option<Failure> {
    if error.says("No space left on device") {
        return Some(Failure::new(
            "There was no space left",
            "The build wrote more than the server's disk has, or more than a build may.",
            "Clear the app's build cache and push again, or tell the server's administrator.",
        ));
    }
    (error.says("OutOfMemoryError") || matches!(error.cause, buildpack_support::command::Cause::Signal(9))).then(|| {
        Failure::new(
            "The build needed more memory than it may have",
            error.to_string(),
            "Give it less to keep at once (MAVEN_OPTS=-Xmx700m, or org.gradle.jvmargs in gradle.properties), or a higher\n\
             memory limit of builds on the server.",
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

/// Only a web archive was built.
pub(crate) fn only_a_war(path: &Path) -> Failure {
    let path = path.display();
    Failure::new(
        format!("Nothing starts the web archive {path}"),
        "A .war needs a server of servlets (Tomcat, Jetty), and the app brings none.",
        format!(
            "With Spring Boot: let spring-boot-maven-plugin make the archive (goal `repackage`). Otherwise let\n\
             maven-dependency-plugin copy a runner into target/dependency, and commit a Procfile as in\n\
             `web: java $JAVA_OPTS -jar target/dependency/webapp-runner.jar --port $PORT {path}`."
        ),
    )
}

/// Several jars, and nothing that tells which.
pub(crate) fn several(paths: &[String]) -> Failure {
    Failure::new(
        "Several of the app's jars could be the web process",
        format!("These can be started: {}.", paths.join(", ")),
        format!(
            "Commit a Procfile that names one, as in `web: java $JAVA_OPTS -Dserver.port=$PORT -jar {}`.",
            paths.first().map_or("", String::as_str)
        ),
    )
}

/// The store of certificates can't be made.
pub(crate) fn no_trust(error: CommandError, bundles: &[PathBuf]) -> Failure {
    let names: Vec<String> = bundles.iter().map(|path| path.display().to_string()).collect();
    error.failure_with_tail(
        format!("Java can't read the certificates in {}", names.join(" and ")),
        "Is each of them a file of certificates (PEM)? The server's administrator sets SSL_CERT_FILE for builds.",
    )
}

/// The runtime can't be linked.
pub(crate) fn no_runtime(error: CommandError) -> Failure {
    error.failure_with_tail(
        "The Java runtime for the image could not be made",
        "Is the server's disk or the memory of builds full? Clear the app's build cache and push again.",
    )
}

/// A jar can't be read or written.
pub(crate) fn no_jar(error: CommandError, path: &Path) -> Failure {
    error.failure_with_tail(
        format!("{} can't be taken apart", path.display()),
        "Is it a whole jar, and has the server's disk room? Push again.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Tool;
    use buildpack_support::{command::Cause, procfile::Procfile};
    use libcnb::Env;

    fn error(text: &str) -> CommandError {
        CommandError {
            command: "mvn clean install".into(),
            cause: Cause::Status(1),
            tail: text.lines().map(str::to_owned).collect(),
        }
    }

    fn project() -> Project {
        Project {
            app: "/workspace".into(),
            tool: Tool::Maven,
            procfile: Procfile::default(),
            java: 21,
            java_home: "/layers/jdk".into(),
            env: Env::new(),
        }
    }

    fn of_maven(text: &str) -> String {
        maven(error(text), &project()).text()
    }

    fn of_gradle(text: &str) -> String {
        gradle(error(text), &project()).text()
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
    fn an_unreachable_repository() {
        insta::assert_snapshot!(of_maven("Could not transfer artifact a:b:1 from/to x: Unknown host y"), @r"
        A repository could not be reached

        `mvn clean install` ended with status 1. The output above names it.

        Push again. If it stays, the server needs a proxy for builds (HTTPS_PROXY), or the app a settings.xml with a
        mirror that the server reaches.
        ");
    }

    #[test]
    fn an_untrusted_repository() {
        insta::assert_snapshot!(of_maven("Could not transfer artifact: PKIX path building failed"), @r"
        A repository's certificate is not trusted

        It is signed by an authority that the build does not know (PKIX path building failed).

        The server's administrator gives builds the authority's certificate.
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
    fn code_that_does_not_compile() {
        insta::assert_snapshot!(of_maven("[ERROR] COMPILATION ERROR :"), @r"
        The code does not compile

        The compiler's errors are above. It was compiled with Java 21.

        Correct them, commit and push again. If it compiles on your machine, is everything committed?
        ");
    }

    #[test]
    fn an_old_lombok() {
        insta::assert_snapshot!(of_maven("java.lang.NoSuchFieldError: Class com.sun.tools.javac.tree.JCTree$JCImport does not have member field"), @r"
        A compiler plugin does not know Java 21

        Lombok and the like reach into the compiler, and each version of them knows the Java versions of its time.

        Update Lombok (1.18.30 and later know Java 21, 1.18.40 and later 25) or what else is named above, or ask for another Java than 21 in system.properties.
        ");
    }

    #[test]
    fn a_release_that_is_too_old() {
        insta::assert_snapshot!(of_maven("Source option 7 is no longer supported. Use 8 or later."), @r"
        Java 21 can't compile for the version that the build asks for

        It is too old or too new for this compiler; the output above names it.

        Set maven.compiler.release (or `options.release` in build.gradle) to 8 or later, and ask for a Java that is at least as new in system.properties.
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
    fn no_memory() {
        insta::assert_snapshot!(of_maven("java.lang.OutOfMemoryError: Java heap space"), @r"
        The build needed more memory than it may have

        `mvn clean install` ended with status 1.

        Give it less to keep at once (MAVEN_OPTS=-Xmx700m, or org.gradle.jvmargs in gradle.properties), or a higher
        memory limit of builds on the server.
        ");
    }

    #[test]
    fn no_space() {
        insta::assert_snapshot!(of_maven("No space left on device"), @r"
        There was no space left

        The build wrote more than the server's disk has, or more than a build may.

        Clear the app's build cache and push again, or tell the server's administrator.
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

    #[test]
    fn certificates_that_are_none() {
        insta::assert_snapshot!(no_trust(error("bad"), &["/a.crt".into()]).text(), @r"
        Java can't read the certificates in /a.crt

        `mvn clean install` ended with status 1.
          bad

        Is each of them a file of certificates (PEM)? The server's administrator sets SSL_CERT_FILE for builds.
        ");
    }

    #[test]
    fn no_runtime_made() {
        insta::assert_snapshot!(no_runtime(error("bad")).text(), @r"
        The Java runtime for the image could not be made

        `mvn clean install` ended with status 1.
          bad

        Is the server's disk or the memory of builds full? Clear the app's build cache and push again.
        ");
    }

    #[test]
    fn a_jar_that_is_none() {
        insta::assert_snapshot!(no_jar(error("bad"), Path::new("target/a.jar")).text(), @r"
        target/a.jar can't be taken apart

        `mvn clean install` ended with status 1.
          bad

        Is it a whole jar, and has the server's disk room? Push again.
        ");
    }
}
