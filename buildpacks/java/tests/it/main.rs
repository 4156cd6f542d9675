//! The Java buildpack through `bin/detect` and `bin/build`, with the JDK of the machine's Debian and Maven's
//! repository. Downloads are shared by all tests and kept with the build's other files.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helper fails the test")]

use buildpack_java::{DESCRIPTOR, JavaBuildpack};
use buildpack_support::testing::{App, entry};
use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

entry!(JavaBuildpack, DESCRIPTOR);

const POM: &str = r"<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>com.example</groupId><artifactId>sample</artifactId><version>1.0</version>
  <properties>
    <maven.compiler.source>17</maven.compiler.source><maven.compiler.target>17</maven.compiler.target>
    <project.build.sourceEncoding>UTF-8</project.build.sourceEncoding>
  </properties>
</project>
";

const MAIN: &str = r#"
public class Main {
    public static void main(String[] arguments) throws Exception {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("bye")));
        System.out.println("java " + System.getProperty("java.home").endsWith("/jre") + " " + System.getenv("SERVER_PORT"));
        javax.net.ssl.SSLContext.getDefault();
        Thread.sleep(600_000);
    }
}
"#;

fn with_downloads(app: App) -> App {
    app.env(
        "PVDIFY_DOWNLOADS",
        concat!(env!("CARGO_TARGET_TMPDIR"), "/downloads"),
    )
}

#[test]
fn it_is_known_by_its_build_files() {
    for (name, reason) in [
        ("pom.xml", Some("pom.xml is there\n")),
        ("build.gradle.kts", Some("build.gradle.kts is there\n")),
        ("Main.java", None),
    ] {
        let outcome = app().file(name, "").detect();
        match reason {
            Some(reason) => assert_eq!(outcome.passed().stdout.lines().next(), reason.lines().next()),
            None => assert_eq!(outcome.code, 100),
        }
    }
}

#[test]
fn a_program_without_a_jar_of_its_own_is_run_by_its_class() {
    let app = with_downloads(app())
        .file("pom.xml", POM)
        .file("src/main/java/Main.java", MAIN);
    let built = app.build().passed();
    assert!(
        built.stdout.contains("$ mvn clean install -DskipTests"),
        "{}",
        built.stdout
    );
    assert_eq!(
        app.process("web").unwrap(),
        [
            "bash",
            "-c",
            "exec java $JAVA_OPTS -cp target/classes:target/dependency/* Main"
        ]
    );
    assert_eq!(app.layer_types("jdk"), [true, true, false]);
    assert_eq!(app.layer_types("runtime"), [false, true, true]);
    assert!(!app.layer("runtime").join("jre/bin/javac").exists());

    let mut child = app
        .start("web")
        .env("SERVER_PORT", "8080")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "java true 8080");
    // The process that was started is Java itself: the signal reaches it.
    let pid = child.id().to_string();
    assert!(
        std::process::Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(lines.next().unwrap().unwrap(), "bye");
    child.wait().unwrap();

    app.next_push();
    app.write("pom.xml", POM);
    app.write("src/main/java/Main.java", "class Main {");
    let failed = app.build();
    assert!(
        failed.stdout.contains(" runtime for the image: unchanged, kept"),
        "{}",
        failed.stdout
    );
    assert!(
        failed.stderr.contains("The code does not compile"),
        "{}",
        failed.stderr
    );
}
