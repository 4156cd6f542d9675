//! The build: what each bin/build gets, what becomes of what it leaves, how it fails.

use crate::world::World;

/// Builds with these buildpacks, each `(ID, bin/build)`.
fn build(buildpacks: &[(&str, &str)]) -> World {
    let world = prepared(buildpacks);
    world.run("build").succeeded();
    world
}

fn prepared(buildpacks: &[(&str, &str)]) -> World {
    let world = World::new();
    for (id, script) in buildpacks {
        world.buildpack(
            id,
            "sbom-formats = ['application/vnd.cyclonedx+json', 'application/spdx+json']",
            "",
            script,
        );
    }
    let ids: Vec<&str> = buildpacks.iter().map(|(id, _)| *id).collect();
    world.group(&ids);
    world
}

/// A script that writes a layer's toml.
fn layer(name: &str, types: &str) -> String {
    let types: String = types.split(' ').map(|it| format!("{it} = true\\n")).collect();
    format!("mkdir -p \"$1/{name}\"; printf '[types]\\n{types}' >\"$1/{name}.toml\"; ")
}

#[test]
fn each_buildpack_gets_what_it_is_to_provide_and_others_left_unmet() {
    let world = prepared(&[
        (
            "a",
            "cp \"$3\" $ROOT/a; printf '[[unmet]]\\nname = \"x\"\\n' >\"$1/build.toml\"",
        ),
        ("b", "cp \"$3\" $ROOT/b"),
        ("c", "cp \"$3\" $ROOT/c"),
    ]);
    let entry = |name: &str, providers: &[&str]| {
        let providers = providers
            .iter()
            .map(|it| format!("{{ id = '{it}', version = '1' }}"));
        let providers = providers.collect::<Vec<_>>().join(", ");
        format!(
            "[[entries]]\nproviders = [{providers}]\nrequires = [{{ name = '{name}', metadata = {{ v = 1 }} }}]\n"
        )
    };
    world.write(
        "layers/plan.toml",
        entry("x", &["a", "b", "c"]) + &entry("y", &["a", "c"]) + &entry("z", &["c"]),
    );
    world.run("build").succeeded();
    let names = |file: &str| {
        let plan = world.toml(file);
        let entries = plan
            .get("entries")
            .and_then(toml::Value::as_array)
            .cloned()
            .unwrap_or_default();
        entries
            .iter()
            .map(|it| it["name"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        (names("a"), names("b"), names("c")),
        ("x y".into(), "x".into(), "z".into())
    );
    assert_eq!(
        world.toml("a")["entries"][0]["metadata"]["v"].as_integer(),
        Some(1)
    );
}

#[test]
fn layers_for_the_build_are_in_the_environment_of_those_after() {
    let mut first = layer("one", "build") + &layer("two", "build cache") + &layer("three", "launch");
    first += "for it in one two three; do for dir in bin lib include pkgconfig env env.build env.launch; do \
              mkdir -p \"$1/$it/$dir\"; done; printf $it >\"$1/$it/env/NAME.append\"; \
              printf build >\"$1/$it/env.build/NAME.append\"; printf launch >\"$1/$it/env.launch/NAME\"; done; \
              rmdir \"$1/two/lib\"; printf ' x \\n' >\"$1/one/env/BYTES\"; env >$ROOT/first";
    let world = build(&[("a/b", &first), ("c", "env >$ROOT/second")]);
    let first = world.read("first");
    assert!(
        !first.contains("\nNAME=") && first.contains("PATH=/usr/bin:/bin\n"),
        "{first}"
    );
    let second = world.read("second");
    let layers = world.path("layers/a_b").display().to_string();
    for line in [
        "NAME=onebuildtwobuild".to_owned(),
        "BYTES= x ".to_owned(),
        format!("PATH={layers}/two/bin:{layers}/one/bin:/usr/bin:/bin"),
        format!("LD_LIBRARY_PATH={layers}/one/lib"),
        format!("LIBRARY_PATH={layers}/one/lib"),
        format!("CPATH={layers}/two/include:{layers}/one/include"),
        format!("PKG_CONFIG_PATH={layers}/two/pkgconfig:{layers}/one/pkgconfig"),
    ] {
        assert!(second.lines().any(|it| it == line), "{line} in {second}");
    }
    assert!(!second.contains("three"), "{second}");
}

#[test]
fn layers_of_another_execution_environment_are_not() {
    for (api, exec_env, counts) in [
        ("0.12", "test", true),
        ("0.12", "production", false),
        ("0.11", "production", true),
    ] {
        let mut world = World::new();
        let script = "mkdir -p \"$1/l/bin\"; printf \"[types]\\nbuild = true\\n[metadata]\\nexec-env = ['test']\\n\" >\"$1/l.toml\"";
        world.buildpack_of(api, "a", "", "", script);
        world.buildpack("b", "", "", "env >$ROOT/env");
        world.group(&["a", "b"]);
        world.set("CNB_EXEC_ENV", exec_env);
        world.run("build").succeeded();
        assert_eq!(world.read("env").contains("/l/bin"), counts, "{api} {exec_env}");
    }
}

#[test]
fn layers_for_nothing_are_put_away() {
    let script = layer("kept", "launch")
        + "for it in said unsaid empty; do mkdir -p \"$1/$it/bin\"; done; mkdir \"$1/said.ignore\"; \
           printf '[types]\\nlaunch = false\\n' >\"$1/said.toml\"; printf '[metadata]\\na = 1\\n' >\"$1/unsaid.toml\"; \
           : >\"$1/empty.toml\"; : >\"$1/gone.toml\"";
    let world = build(&[("a", &script), ("b", "ls $ROOT/layers/a >$ROOT/seen")]);
    let seen = world.read("seen");
    let folders: Vec<&str> = seen.lines().filter(|it| !it.ends_with(".toml")).collect();
    assert_eq!(folders, ["empty.ignore", "kept", "said.ignore", "unsaid.ignore"]);
    assert!(world.exists("layers/a/said.ignore/bin"));
}

#[test]
fn the_metadata_of_all_is_gathered() {
    let process = |name: &str, more: &str| {
        format!(
            "printf \"[[processes]]\\ntype = '{name}'\\ncommand = ['run', '$0']\\n{more}\" >>\"$1/launch.toml\"; "
        )
    };
    let world = build(&[
        (
            "a",
            &(process("web", "args = ['x']\\ndefault = true\\n")
                + &process("worker", "working-dir = '/w'\\nexec-env = ['test']\\n")
                + "printf \"[[labels]]\\nkey = 'k'\\nvalue = '1'\\n[[slices]]\\npaths = ['s/*']\\n\" >>\"$1/launch.toml\""),
        ),
        (
            "b",
            &(process("task", "")
                + "printf \"[[labels]]\\nkey = 'k'\\nvalue = '2'\\n\" >>\"$1/launch.toml\""),
        ),
    ]);
    let metadata = world.toml("layers/config/metadata.toml");
    let list = |table: &str, field: &str| {
        let all = metadata[table].as_array().into_iter().flatten();
        all.filter_map(|it| it[field].as_str().map(str::to_owned))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(list("buildpacks", "id"), "a b");
    assert_eq!(list("buildpacks", "api"), "0.10 0.10");
    assert_eq!(list("processes", "type"), "task web worker");
    assert_eq!(list("processes", "buildpack-id"), "b a a");
    assert_eq!(list("labels", "value"), "1 2");
    assert_eq!(metadata["buildpack-default-process-type"].as_str(), Some("web"));
    let worker = &metadata["processes"][2];
    assert_eq!(
        (worker["working-dir"].as_str(), worker["direct"].as_bool()),
        (Some("/w"), Some(true))
    );
    assert_eq!(worker["exec-env"][0].as_str(), Some("test"));
    assert_eq!(metadata["slices"][0]["paths"][0].as_str(), Some("s/*"));
    assert!(
        !world
            .read("layers/config/metadata.toml")
            .contains("default = true")
    );
}

#[test]
fn a_default_that_is_redefined_is_warned_of() {
    let process = |default: &str| {
        format!("printf \"[[processes]]\\ntype = 'web'\\ncommand = ['x']\\n{default}\" >\"$1/launch.toml\"")
    };
    let world = prepared(&[("a", &process("default = true\\n")), ("b", &process(""))]);
    let run = world.run("build").succeeded();
    assert!(
        run.out.contains(" !     b redefines the default process web"),
        "{}",
        run.out
    );
    assert!(
        world
            .toml("layers/config/metadata.toml")
            .get("buildpack-default-process-type")
            .is_none()
    );
}

#[test]
fn a_working_directory_is_dropped_where_the_api_has_none() {
    let script = "printf \"[[processes]]\\ntype = 'web'\\ncommand = 'x y'\\nworking-dir = '/w'\\n\" >\"$1/launch.toml\"";
    let world = World::new();
    world.buildpack_of("0.7", "a", "", "", script);
    world.group(&["a"]);
    let run = world.run("build").succeeded();
    assert!(
        run.out
            .contains("the working directory of the process web is left out"),
        "{}",
        run.out
    );
    let metadata = world.toml("layers/config/metadata.toml");
    let process = &metadata["processes"][0];
    assert_eq!(
        (process["direct"].as_bool(), process["command"][0].as_str()),
        (Some(false), Some("x y"))
    );
    assert!(process.get("working-dir").is_none());
}

#[test]
fn sbom_files_are_sorted_by_what_they_are_of() {
    let script = layer("l", "launch cache")
        + &layer("b", "build")
        + &layer("dot.ted", "launch")
        + "for it in l b dot.ted launch build none; do echo $it >\"$1/$it.sbom.cdx.json\"; done; \
           echo spdx >\"$1/l.sbom.spdx.json\"; echo x >\"$1/other.json\"";
    let world = prepared(&[("a/x", &script)]);
    world.write("layers/sbom/launch/old/sbom.cdx.json", "of the last build");
    world.run("build").succeeded();
    let files: Vec<String> = world
        .tree("layers/sbom")
        .into_iter()
        .filter(|it| !it.ends_with('/'))
        .collect();
    assert_eq!(
        files,
        [
            "build/a_x/b/sbom.cdx.json",
            "build/a_x/sbom.cdx.json",
            "launch/a_x/dot.ted/sbom.cdx.json",
            "launch/a_x/l/sbom.cdx.json",
            "launch/a_x/l/sbom.spdx.json",
            "launch/a_x/sbom.cdx.json",
        ]
    );
    assert_eq!(world.read("layers/sbom/launch/a_x/l/sbom.cdx.json"), "l\n");
    assert_eq!(world.read("layers/sbom/build/a_x/sbom.cdx.json"), "build\n");
}

#[test]
fn what_is_not_as_it_must_be_is_named() {
    let launch = |text: &str| format!("printf \"{text}\" >\"$1/launch.toml\"");
    let process = "[[processes]]\\ntype = 'a'\\n";
    for (script, expected) in [
        (launch("bad toml"), "launch.toml can't be read"),
        (
            launch(&format!("{process}command = 'x'\\n")),
            "must be a list of texts",
        ),
        (
            launch(&format!("{process}command = ['x']\\ndirect = true\\n")),
            "\"direct\"",
        ),
        (
            launch(&format!(
                "{process}command = ['x']\\ndefault = true\\n{process}command = ['x']\\ndefault = true\\n"
            )),
            "both the default",
        ),
        (
            launch("[[processes]]\\ntype = 'a/b'\\ncommand = ['x']\\n"),
            "is no process type",
        ),
        (
            "mkfifo \"$1/launch.toml\"".into(),
            "launch.toml can't be read: it is no regular file",
        ),
        (
            "ln -s /etc/passwd \"$1/launch.toml\"".into(),
            "launch.toml can't be read: it is a link",
        ),
        (
            "printf 'launch = true\\n' >\"$1/l.toml\"".into(),
            "belongs into the [types] table",
        ),
        ("echo '= x' >\"$1/l.toml\"".into(), "l.toml can't be read"),
        (
            "printf '[[unmet]]\\nname = \"q\"\\n' >\"$1/build.toml\"".into(),
            "leaves \"q\" unmet",
        ),
        (
            "printf '[[unmet]]\\n' >\"$1/build.toml\"".into(),
            "missing field `name`",
        ),
        (
            layer("l", "launch") + "echo >\"$1/l.sbom.syft.json\"",
            "of the type application/vnd.syft+json, which",
        ),
        (
            "echo >\"$1/launch.sbom.other.json\"".into(),
            "an SBOM of a format that is not known",
        ),
        (
            layer("l", "build") + "mkdir \"$1/l/env\"; mkfifo \"$1/l/env/X\"",
            "env/X can't be read",
        ),
        ("rm -r \"$1\"; echo >\"$1\"".into(), "layers/a can't be read"),
    ] {
        let world = prepared(&[("a", &script), ("b", "echo ran >$ROOT/ran")]);
        let run = world.run("build");
        assert_eq!(
            (run.code, run.failure()["buildpack"].as_str()),
            (Some(52), Some("a@1")),
            "{script}: {run:?}"
        );
        assert!(run.message().contains(expected), "{script}: {}", run.message());
        assert!(
            !world.exists("ran") && !world.exists("layers/config/metadata.toml"),
            "{script}"
        );
    }
}

#[test]
fn a_program_that_fails_ends_the_build() {
    for (script, expected) in [
        ("echo said; exit 3", "bin/build of b@1 failed: exit status 3"),
        (
            "echo said; kill -9 $$",
            "bin/build of b@1 failed: killed (signal 9)",
        ),
    ] {
        let world = prepared(&[("a", ""), ("b", script), ("c", "echo ran >$ROOT/ran")]);
        let run = world.run("build");
        assert_eq!(run.code, Some(51), "{run:?}");
        assert_eq!(
            (
                run.failure()["phase"].as_str(),
                run.failure()["buildpack"].as_str()
            ),
            (Some("build"), Some("b@1"))
        );
        assert!(run.message().starts_with(expected), "{}", run.message());
        assert!(run.out.contains("said\n"), "{}", run.out);
        assert!(!world.exists("ran") && !world.exists("layers/config/metadata.toml"));
    }
}

#[test]
fn output_is_passed_on_in_order_with_the_time_it_took() {
    let world = prepared(&[("a", "echo one; echo two >&2; echo three")]);
    let run = world.run("build").succeeded();
    let mut lines = run.out.lines();
    assert_eq!(
        lines.by_ref().take(3).collect::<Vec<_>>(),
        ["one", "two", "three"]
    );
    let time = lines.next().unwrap_or_default();
    assert!(
        time.starts_with("       a 1 took ") && time.ends_with(" s"),
        "{time}"
    );
}

#[test]
fn what_detection_writes_must_be_there() {
    let world = World::new();
    let run = world.run("build");
    assert_eq!(
        (run.code, run.message().contains("group.toml is missing")),
        (Some(52), true),
        "{run:?}"
    );
    world.buildpack("a", "", "", "");
    world.group(&["a"]);
    std::fs::remove_dir_all(world.path("buildpacks/a")).expect("the buildpack");
    let run = world.run("build");
    assert_eq!(
        (run.code, run.message().contains("buildpack.toml is not there")),
        (Some(52), true),
        "{run:?}"
    );
}
