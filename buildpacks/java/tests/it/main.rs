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

/// Packs its classes as Spring Boot's plugin does.
const BOOT_POM: &str = r"<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>com.example</groupId><artifactId>boot</artifactId><version>1.0</version>
  <properties>
    <maven.compiler.source>17</maven.compiler.source><maven.compiler.target>17</maven.compiler.target>
    <project.build.sourceEncoding>UTF-8</project.build.sourceEncoding>
  </properties>
  <build>
    <outputDirectory>${project.build.directory}/packed/BOOT-INF/classes</outputDirectory>
    <plugins><plugin>
      <groupId>org.apache.maven.plugins</groupId><artifactId>maven-jar-plugin</artifactId>
      <configuration>
        <classesDirectory>${project.build.directory}/packed</classesDirectory>
        <archive><manifestEntries>
          <Main-Class>org.springframework.boot.loader.launch.JarLauncher</Main-Class>
          <Start-Class>com.example.App</Start-Class>
          <Spring-Boot-Classes>BOOT-INF/classes/</Spring-Boot-Classes>
          <Spring-Boot-Lib>BOOT-INF/lib/</Spring-Boot-Lib>
        </manifestEntries></archive>
      </configuration>
    </plugin></plugins>
  </build>
</project>
";

/// Looks for its package as Spring does for components: by the package's folder on the class path.
const SCANNING: &str = r#"
package com.example;
public class App {
    public static void main(String[] arguments) {
        System.out.println("found " + App.class.getClassLoader().getResource("com/example/"));
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

#[test]
fn the_components_of_a_jar_that_was_taken_apart_are_found() {
    let app = with_downloads(app())
        .file("pom.xml", BOOT_POM)
        .file("src/main/java/com/example/App.java", SCANNING);
    let built = app.build().passed();
    assert!(
        built.stdout.contains("Taking target/boot-1.0.jar apart"),
        "{}",
        built.stdout
    );
    let output = app.start("web").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.starts_with("found jar:file:") && said.trim_end().ends_with("/boot-1.0.jar!/com/example/"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
