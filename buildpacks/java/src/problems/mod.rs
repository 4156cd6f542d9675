//! What Maven, Gradle and the JDK say when they fail, turned into what happened, why, and what to do.
//!
//! A command's own output is in the log above; here it is only searched for what tells one cause from another. What
//! can go wrong with both builders is here; `maven`, `gradle` and `image` have what is their own.

mod gradle;
mod image;
mod maven;

pub(crate) use gradle::{gradle, no_gradle, no_wrapper};
pub(crate) use image::{no_jar, no_runtime, no_trust, only_a_war, several};
pub(crate) use maven::maven;

use crate::project::Project;
use buildpack_support::{
    Failure,
    command::{Cause, CommandError},
    diagnosis,
};

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
    let says = |texts: &[&str]| error.says_any(texts);
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
    let is_memory = || error.says("OutOfMemoryError") || matches!(error.cause, Cause::Signal(9));
    let no_memory = || {
        Failure::new(
            "The build needed more memory than it may have",
            error.to_string(),
            "Give it less to keep at once (MAVEN_OPTS=-Xmx700m, or org.gradle.jvmargs in gradle.properties), or a higher\n\
             memory limit of builds on the server.",
        )
    };
    diagnosis::no_space(error).or_else(|| is_memory().then(no_memory))
}

#[cfg(test)]
mod sample {
    use crate::project::{Project, Tool};
    use buildpack_support::{
        command::{Cause, CommandError},
        procfile::Procfile,
    };
    use libcnb::Env;

    pub(super) fn error(text: &str) -> CommandError {
        CommandError {
            command: "mvn clean install".into(),
            cause: Cause::Status(1),
            tail: text.lines().map(str::to_owned).collect(),
        }
    }

    pub(super) fn project() -> Project {
        Project {
            app: "/workspace".into(),
            tool: Tool::Maven,
            procfile: Procfile::default(),
            java: 21,
            java_home: "/layers/jdk".into(),
            env: Env::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        maven,
        sample::{error, project},
    };

    fn of_maven(text: &str) -> String {
        maven(error(text), &project()).text()
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
}
