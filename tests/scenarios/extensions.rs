//! Image extensions through real pushes: they change the image that an app is built in and the one that it runs on,
//! once, and only as the rules have it.

use pvdify_tests::{Platform, Pusher, run};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

const PROJECT: &str = r#"[_]
schema-version = "0.2"
[[io.buildpacks.group]]
uri = "cnb/tool"
[[io.buildpacks.group]]
uri = "cnb/greet"
[[io.buildpacks.group]]
uri = "cnb/web"
"#;
const OFFERS: &str = "#!/bin/bash\nprintf '[[provides]]\\nname = \"tool\"\\n' > \"$CNB_BUILD_PLAN_PATH\"\n";
/// A tool for the build, as root puts it there; `/usr/share/made` tells when that was.
const TOOL: &str = r#"#!/bin/bash
cat "$CNB_BP_PLAN_PATH" | grep -q loud && loud=LOUD
cat > "$CNB_OUTPUT_DIR/build.Dockerfile" <<'END'
ARG base_image
FROM ${base_image}
ARG how=quiet
ARG user_id
USER root
RUN printf '#!/bin/sh\necho "%s tool of $(stat -c %%U /usr/local/bin/tool), run by $(id -u)"\n' "$how" > /usr/local/bin/tool \
  && chmod 755 /usr/local/bin/tool && date +%s%N > /usr/share/made
USER ${user_id}
END
printf '[[build.args]]\nname = "how"\nvalue = "%s"\n' "$loud" > "$CNB_OUTPUT_DIR/extend-config.toml"
"#;
/// A greeting for the app, copied from beside the Dockerfile.
const GREET: &str = r#"#!/bin/bash
mkdir "$CNB_OUTPUT_DIR/context.run"
echo "Hello from the run image" > "$CNB_OUTPUT_DIR/context.run/greeting"
cat > "$CNB_OUTPUT_DIR/run.Dockerfile" <<'END'
ARG base_image
FROM ${base_image}
ARG user_id
ARG group_id
USER root
COPY greeting /usr/share/greeting
RUN date +%s%N > /usr/share/made
USER ${user_id}:${group_id}
END
"#;
const DETECT: &str = r#"#!/bin/bash
printf '[[requires]]\nname = "tool"\n[requires.metadata]\nhow = "loud"\n' > "$CNB_BUILD_PLAN_PATH"
"#;
/// Uses the tool, and leaves a server that tells what the build and the app have seen.
const BUILD: &str = r#"#!/bin/bash
{ tool; cat /usr/share/made; [ -e /usr/share/greeting ] && echo "greeted already"; } > facts
printf '[[processes]]\ntype = "web"\ncommand = ["perl", "server.pl"]\ndefault = true\n' > "$CNB_LAYERS_DIR/launch.toml"
"#;
const SERVER: &str = r#"use IO::Socket::INET;
my $listener = IO::Socket::INET->new(LocalPort => $ENV{PORT}, Listen => 5, ReuseAddr => 1) or die;
my $tool = -e "/usr/local/bin/tool" ? "has" : "has not";
my $body = `cat facts /usr/share/greeting /usr/share/made` . "app of user " . `id -u | tr -d '\n'` . " $tool the tool";
while (my $client = $listener->accept) {
  while (my $line = <$client>) { last if $line eq "\r\n" }
  print $client "HTTP/1.1 200 OK\r\nContent-Length: ", length $body, "\r\nConnection: close\r\n\r\n$body";
  close $client;
}
"#;

fn program(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn describe(folder: &Path, kind: &str, id: &str) {
    let text = format!("api = \"0.10\"\n[{kind}]\nid = \"{id}\"\nversion = \"1\"\n");
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join(format!("{kind}.toml")), text).unwrap();
}

fn write(dir: &Path) {
    let (tool, greet, web) = (dir.join("cnb/tool"), dir.join("cnb/greet"), dir.join("cnb/web"));
    describe(&tool, "extension", "me/tool");
    program(&tool.join("bin/detect"), OFFERS);
    program(&tool.join("bin/generate"), TOOL);
    describe(&greet, "extension", "me/greet");
    program(&greet.join("bin/generate"), GREET);
    describe(&web, "buildpack", "me/web");
    program(&web.join("bin/detect"), DETECT);
    program(&web.join("bin/build"), BUILD);
    fs::write(dir.join("project.toml"), PROJECT).unwrap();
    fs::write(dir.join("server.pl"), SERVER).unwrap();
}

/// The names of an app's images in Podman's storage.
fn kept(app: &str) -> Vec<String> {
    let pattern = format!("reference=localhost/pvdify-build/{app}");
    let names = run(
        "podman",
        &["images", "--filter", &pattern, "--format", "{{.Tag}}"],
    );
    let mut names: Vec<String> = names.lines().map(str::to_owned).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn image_extensions_change_what_an_app_is_built_in_and_runs_on_and_not_twice() {
    let platform = Platform::start().await;
    let app = format!("extended-{}", std::process::id());
    let pusher = Pusher::new(&platform, &app).await;
    pusher.commit(write);
    let said = pusher.push().await.ok();
    for line in [
        "me/tool 1 (image extension)",
        "-----> Running image extensions",
        "me/tool 1 wrote build.Dockerfile",
        "-----> Extending the build image",
        "me/tool 1: build.Dockerfile",
        "STEP 7/7: USER ${user_id}",
        "me/tool 1 took ",
        "-----> Extending the run image",
        "me/greet 1: run.Dockerfile",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let (status, first) = platform.get(&app, "/").await;
    assert_eq!(status, 200, "{first}: {said}");
    let lines: Vec<&str> = first.lines().collect();
    // The build saw the tool of its own image, as nobody; the app's image has the greeting alone.
    assert_eq!(lines[0], "LOUD tool of root, run by 10001");
    assert_eq!(lines[2], "Hello from the run image");
    assert_eq!(lines[4], "app of user 10001 has not the tool");
    assert_eq!(kept(&app), ["extended-build", "extended-run"]);
    let container = platform.running()[0].split(' ').next().unwrap().to_owned();
    let label = "{{index .Config.Labels \"io.buildpacks.rebasable\"}}";
    assert_eq!(
        run("podman", &["inspect", "--format", label, &container]).trim(),
        "false"
    );

    // Nothing of the extensions changed: neither image is made again.
    pusher.commit(|dir| fs::write(dir.join("more"), "x").unwrap());
    let said = pusher.push().await.ok();
    assert!(
        said.contains("me/tool 1: build.Dockerfile is unchanged"),
        "{said}"
    );
    assert!(said.contains("me/greet 1: run.Dockerfile is unchanged"), "{said}");
    assert!(!said.contains("STEP "), "{said}");
    assert_eq!(platform.get(&app, "/").await, (200, first.clone()), "{said}");

    // One of them changed, and names another image to run on: the other one's stays.
    let other = GREET
        .replace("Hello from", "Bye to")
        .replace("ARG base_image\nFROM ${base_image}", "FROM pvdify/run:trixie")
        .replace("USER ${user_id}:${group_id}", "USER 10001");
    pusher.commit(|dir| program(&dir.join("cnb/greet/bin/generate"), &other));
    let said = pusher.push().await.ok();
    assert!(
        said.contains("me/greet 1: run.Dockerfile, on pvdify/run:trixie instead"),
        "{said}"
    );
    assert!(
        said.contains("me/tool 1: build.Dockerfile is unchanged"),
        "{said}"
    );
    let (_, third) = platform.get(&app, "/").await;
    let third: Vec<&str> = third.lines().collect();
    assert_eq!((third[1], third[2]), (lines[1], "Bye to the run image"));
    assert_ne!(third[3], lines[3]);

    // Without them the server's own images are used again, and the others let go.
    pusher.commit(|dir| {
        let build = BUILD.replace("tool; cat /usr/share/made;", "echo plain;");
        program(&dir.join("cnb/web/bin/build"), &build);
        program(&dir.join("cnb/web/bin/detect"), "#!/bin/bash\n");
        fs::write(dir.join("project.toml"), PROJECT.replace("cnb/greet", "cnb/web")).unwrap();
    });
    let said = pusher.push().await.ok();
    assert!(!said.contains("Extending"), "{said}");
    let (_, last) = platform.get(&app, "/").await;
    assert!(
        last.starts_with("plain\n") && !last.contains("the run image"),
        "{last}"
    );
    assert_eq!(kept(&app), [""; 0]);
}

/// What is said of a push whose extension runs this instead of its bin/generate.
async fn refused(pusher: &Pusher, generate: &str) -> String {
    let script = format!("#!/bin/bash\n{generate}\n");
    pusher.commit(|dir| program(&dir.join("cnb/tool/bin/generate"), &script));
    let said = pusher.push().await.rejected();
    let lines = said
        .lines()
        .filter(|line| line.contains("the image extension me/tool"));
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_extension_that_breaks_the_rules_is_refused_in_one_line() {
    let platform = Platform::start().await;
    let app = format!("crooked-{}", std::process::id());
    let pusher = Pusher::new(&platform, &app).await;
    pusher.commit(|dir| {
        write(dir);
        fs::write(dir.join("project.toml"), PROJECT.replace("cnb/greet", "cnb/web")).unwrap();
    });
    let write = |name: &str, lines: &str| format!("printf '{lines}' > \"$CNB_OUTPUT_DIR/{name}\"");
    let base = "ARG base_image\\nFROM ${base_image}\\n";
    let cases = [
        (
            write("build.Dockerfile", "FROM debian:13\\n"),
            "build.Dockerfile line 1: a build.Dockerfile begins with ARG base_image",
        ),
        (
            write("run.Dockerfile", "FROM localhost/pvdify-build/other:latest\\n"),
            "run.Dockerfile line 1: localhost/pvdify-build/other:latest belongs to this server's own registry",
        ),
        (
            write("build.Dockerfile", &format!("{base}\\nVOLUME /x\\n")),
            "build.Dockerfile line 4: VOLUME is not allowed",
        ),
        (
            write("build.Dockerfile", &format!("{base}RUN --network=host true\\n")),
            "build.Dockerfile line 3: RUN --network=host is not allowed",
        ),
        (
            "ln -s /etc/shadow \"$CNB_OUTPUT_DIR/run.Dockerfile\"".to_owned(),
            "run.Dockerfile: it is a symbolic link",
        ),
        (
            "head -c 3000000 /dev/zero > \"$CNB_OUTPUT_DIR/build.Dockerfile\"".to_owned(),
            "build.Dockerfile: is larger than 1024 KiB",
        ),
        (
            write("run.Dockerfile", &format!("{base}USER root\\n")),
            "run.Dockerfile: the app would run as root",
        ),
        (
            write(
                "build.Dockerfile",
                &format!("{base}USER root\\nRUN echo why && exit 7\\n"),
            ),
            "build.Dockerfile line 4: RUN echo why && exit 7: exit status 7",
        ),
    ];
    for (generate, expected) in cases {
        let line = refused(&pusher, &generate).await;
        assert!(
            line.contains(expected) && line.lines().count() == 1,
            "{expected}: {line}"
        );
    }
    assert_eq!(kept(&app), [""; 0]);
}
