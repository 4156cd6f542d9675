//! What keeps a build that succeeded from being an image: Java's own parts, and what would start the app.

use buildpack_support::{Failure, command::CommandError};
use std::path::{Path, PathBuf};

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
    use super::{super::sample::error, *};

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
