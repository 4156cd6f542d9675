//! Detection: what is chosen, what is said, how it fails.

use crate::world::{World, groups};

/// What a group.toml or a plan's providers are: IDs.
fn ids(value: Option<&toml::Value>) -> Vec<&str> {
    let all = value.and_then(toml::Value::as_array).into_iter().flatten();
    all.filter_map(|it| it.get("id")?.as_str()).collect()
}

#[test]
fn the_first_group_that_passes_is_written_down_with_its_plan() {
    let world = World::new();
    world.buildpack("a", "", "echo; echo 'package.json found'; echo more", "");
    let plan =
        "printf '[[requires]]\\nname = \"node\"\\n[requires.metadata]\\nv = 22\\n' >\"$CNB_BUILD_PLAN_PATH\"";
    world.buildpack("x/b", "homepage = 'https://example.com'", plan, "");
    world.buildpack("c", "", "printf '[[provides]]\\nname = \"node\"\\n' >\"$2\"", "");
    world.buildpack("no", "", "echo 'no Gemfile'; exit 100", "");
    world.order("a,no;c,a,x/b,no?");
    let run = world.run("detect").succeeded();
    assert_eq!(
        run.out,
        "-----> Detecting buildpacks\n       c 1\n       a 1: package.json found\n       x/b 1\n"
    );
    let group = world.toml("layers/group.toml");
    assert_eq!(ids(group.get("group")), ["c", "a", "x/b"]);
    let last = &group["group"][2];
    assert_eq!(
        (last["api"].as_str(), last["homepage"].as_str()),
        (Some("0.10"), Some("https://example.com"))
    );
    let plan = world.toml("layers/plan.toml");
    let entry = &plan["entries"][0];
    assert_eq!(ids(entry.get("providers")), ["c"]);
    assert_eq!(entry["requires"][0]["metadata"]["v"].as_integer(), Some(22));
}

#[test]
fn composites_unfold_and_each_program_runs_once() {
    let world = World::new();
    for id in ["a", "b", "c", "d"] {
        let exit = if id == "b" { "exit 100" } else { "exit 0" };
        world.buildpack(id, "", &format!("echo {id} >>$ROOT/ran; {exit}"), "");
    }
    world.buildpack("o", &groups("order", "a,b;a,c"), "exit 1", "");
    std::fs::remove_dir_all(world.path("buildpacks/o/1/bin")).expect("the programs of a composite");
    world.order("o,d");
    world.run("detect").succeeded();
    assert_eq!(ids(world.toml("layers/group.toml").get("group")), ["a", "c", "d"]);
    let mut ran: Vec<String> = world.read("ran").lines().map(str::to_owned).collect();
    ran.sort();
    assert_eq!(ran, ["a", "b", "c", "d"]);
}

#[test]
fn a_long_order_runs_group_by_group() {
    let world = World::new();
    let ids: Vec<String> = (0..30).map(|it| format!("b{it}")).collect();
    for id in &ids {
        world.buildpack(id, "", &format!("echo {id} >>$ROOT/ran"), "");
    }
    world.order(&ids.join(";"));
    world.run("detect").succeeded();
    assert_eq!(world.read("ran"), "b0\n");
}

#[test]
fn the_platforms_own_buildpacks_are_in_each_group() {
    let world = World::new();
    for id in ["a", "pre", "post"] {
        world.buildpack(id, "", "", "");
    }
    world.order("a");
    let own = |end: &str| format!("[[{end}.buildpacks]]\nid = '{end}'\nversion = '1'\n");
    world.write("system.toml", own("pre") + &own("post"));
    world.run("detect").succeeded();
    assert_eq!(
        ids(world.toml("layers/group.toml").get("group")),
        ["pre", "a", "post"]
    );
    // A platform before them knows nothing of it.
    let mut world = world;
    world.set("CNB_PLATFORM_API", "0.14");
    world.run("detect").succeeded();
    assert_eq!(ids(world.toml("layers/group.toml").get("group")), ["a"]);
}

#[test]
fn when_nothing_passes_it_is_told_what_each_one_said() {
    let world = World::new();
    world.buildpack("a", "", "echo 'no package.json'; exit 100", "");
    world.buildpack("b", "", "echo 'printed \u{1b}[31mred'; exit 100", "");
    world.buildpack("c", "", "echo fine", "");
    world.order("a;b,c;a,b");
    let run = world.run("detect");
    assert_eq!(
        run.out,
        "-----> Detecting buildpacks\n       no    a 1: no package.json\n       no    b 1: printed [31mred\n       \
         yes   c 1: fine\n"
    );
    let failure = run.failure();
    assert_eq!(run.code, Some(20));
    assert_eq!(
        (failure["phase"].as_str(), failure["code"].as_u64()),
        (Some("detect"), Some(20))
    );
    assert!(failure["buildpack"].is_null());
    assert!(!world.exists("layers/group.toml"));
}

#[test]
fn one_that_goes_wrong_is_told_with_its_output() {
    let world = World::new();
    world.buildpack("a", "", "echo out; echo err >&2; exit 7", "");
    world.order("a");
    let run = world.run("detect");
    assert_eq!(run.code, Some(21));
    assert_eq!(run.failure()["buildpack"], "a@1");
    assert_eq!(
        run.out,
        "-----> Detecting buildpacks\n !     a 1 went wrong: bin/detect: exit status 7\n       out\n       err\n       \
         error a 1: out\n"
    );
    // Where it may be left out, the others go on.
    world.buildpack("b", "", "", "");
    world.order("a?,b");
    let run = world.run("detect").succeeded();
    assert!(
        run.out.contains("a 1 went wrong") && run.out.ends_with("       b 1\n"),
        "{}",
        run.out
    );
}

#[test]
fn ways_of_going_wrong() {
    for (detect, expected) in [
        ("exit 1", "exit status 1"),
        ("kill -9 $$", "killed (signal 9)"),
        ("echo 'bad toml' >\"$2\"", "its build plan can't be read"),
        (
            "printf '[[requires]]\\nname = \"a\"\\nversion = \"1\"\\n' >\"$2\"",
            "belongs into \"metadata.version\"",
        ),
        ("rm \"$2\"; mkfifo \"$2\"", "it is no regular file"),
        ("rm \"$2\"; ln -s /dev/zero \"$2\"", "it is a link"),
        ("head -c 5000000 /dev/zero >\"$2\"", "larger than 4 MiB"),
    ] {
        let world = World::new();
        world.buildpack("a", "", detect, "");
        world.order("a");
        let run = world.run("detect");
        assert_eq!(run.code, Some(21), "{detect}: {run:?}");
        assert!(run.out.contains(expected), "{detect}: {}", run.out);
    }
    let world = World::new();
    world.buildpack("a", "", "", "");
    std::fs::remove_file(world.path("buildpacks/a/1/bin/detect")).expect("the program");
    world.order("a");
    let run = world.run("detect");
    assert_eq!(
        (run.code, run.out.contains("bin/detect can't be run")),
        (Some(21), true),
        "{run:?}"
    );
}

#[test]
fn a_plan_that_is_removed_is_an_empty_one() {
    let world = World::new();
    world.buildpack("a", "", "rm \"$2\"", "");
    world.order("a");
    world.run("detect").succeeded();
}

#[test]
fn plans_that_do_not_fit_are_explained() {
    let world = World::new();
    world.buildpack("a", "", "printf '[[requires]]\\nname = \"node\"\\n' >\"$2\"", "");
    world.order("a");
    let run = world.run("detect");
    assert_eq!(run.code, Some(20));
    assert!(
        run.out
            .contains("a@1 requires \"node\", which nothing before it provides"),
        "{}",
        run.out
    );
}

#[test]
fn what_holds_a_programs_output_open_holds_up_nothing() {
    let world = World::new();
    // In a session of its own, so that ending the group does not end it.
    let leave = "setsid sh -c 'echo $$ >$ROOT/left; exec sleep 600' & while ! [ -s $ROOT/left ]; do :; done; echo yes";
    world.buildpack("a", "", leave, "");
    world.order("a");
    let run = world.run("detect").succeeded();
    assert!(run.out.contains("a 1: yes"), "{}", run.out);
    let left = world.read("left");
    std::process::Command::new("kill")
        .arg(left.trim())
        .status()
        .expect("it is ended");
}

#[test]
fn nothing_of_a_programs_group_runs_on() {
    let world = World::new();
    world.buildpack("a", "", "sleep 600 & echo $! >$ROOT/left", "");
    world.order("a");
    world.run("detect").succeeded();
    let left = world.read("left");
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", left.trim())).unwrap_or_default();
    // Killed; whoever it was left to may still have to reap it.
    while !(state().is_empty() || state().contains(") Z ")) {
        std::thread::yield_now();
    }
}

#[test]
fn an_order_that_can_not_be_followed_is_an_error_of_its_own() {
    let world = World::new();
    world.buildpack("a", "", "", "");
    world.buildpack("o", &groups("order", "o"), "", "");
    let toml = world.read("buildpacks/a/1/buildpack.toml");
    world.write(
        "buildpacks/a/2/buildpack.toml",
        toml.replace("version = '1'", "version = '2'"),
    );
    world.write("buildpacks/b/1/buildpack.toml", toml);
    for (order, expected) in [
        ("", "there is no order"),
        ("order = 1", "can't be read"),
        ("[[order]]\n[[order.group]]\nid = 'none'", "has no version of it"),
        (
            "[[order]]\n[[order.group]]\nid = 'a'\nversion = '3'",
            "is not there",
        ),
        (
            "[[order]]\n[[order.group]]\nid = 'a'",
            "is there in several versions",
        ),
        (
            "[[order]]\n[[order.group]]\nid = 'b'",
            "describes a@1 where b@1 must be",
        ),
        ("[[order]]\n[[order.group]]\nid = 'o'", "or of itself"),
    ] {
        let path = world.path("order.toml");
        if order.is_empty() {
            let run = world
                .command(&["detect", "-order", "/nowhere/order.toml"])
                .output()
                .expect("it runs");
            assert_eq!(run.status.code(), Some(22));
            continue;
        }
        std::fs::write(path, order).expect("an order");
        let run = world.run("detect");
        assert_eq!(run.code, Some(22), "{order}: {run:?}");
        assert!(run.message().contains(expected), "{order}: {}", run.message());
    }
}

#[test]
fn apis_that_are_not_spoken_are_named() {
    for (api, code) in [("0.6", 12), ("0.13", 12), ("1.0", 12), ("0.7", 0), ("0.12", 0)] {
        let world = World::new();
        world.buildpack_of(api, "a", "", "", "");
        world.order("a");
        let run = world.run("detect");
        assert_eq!(run.code, Some(code), "{api}: {run:?}");
        if code != 0 {
            assert_eq!(run.failure()["buildpack"], "a@1");
            assert!(
                run.message()
                    .contains(&format!("Buildpack API {api}; 0.7 to 0.12 are run"))
            );
        }
    }
    // Within a composite it matters when it is come to.
    let world = World::new();
    world.buildpack_of("0.13", "new", "", "", "");
    world.buildpack("a", "", "", "");
    world.buildpack("o", &groups("order", "a;new"), "", "");
    world.order("o");
    world.run("detect").succeeded();
    world.buildpack("a", "", "exit 100", "");
    assert_eq!(world.run("detect").code, Some(12));
    // The platform's.
    let mut world = world;
    world.set("CNB_PLATFORM_API", "0.16");
    let run = world.run("detect");
    assert_eq!(
        (run.code, run.message().contains("0.7 to 0.15 are")),
        (Some(11), true),
        "{run:?}"
    );
}

#[test]
fn a_buildpack_for_other_images_is_not_run() {
    let world = World::new();
    let target = "[[targets]]\nos = 'linux'\n[[targets.distros]]\nname = 'plan9'\nversion = '4'\n";
    world.buildpack("a", target, "echo ran >>$ROOT/ran", "");
    world.order("a");
    let run = world.run("detect");
    assert_eq!(run.code, Some(21));
    assert!(
        run.out.contains("error a 1: it does not run on these images"),
        "{}",
        run.out
    );
    assert!(!world.exists("ran"));
    // As the run image says it, wherever this runs.
    let image = "[run-image]\nreference = 'x'\n[run-image.target]\nos = 'linux'\narch = 'amd64'\n\
                 [run-image.target.distro]\nname = 'plan9'\nversion = '4'\n";
    world.write("layers/analyzed.toml", image);
    world.run("detect").succeeded();
    assert_eq!(world.read("ran"), "ran\n");
}

#[test]
fn execution_environments_choose_among_buildpacks() {
    let mut world = World::new();
    world.buildpack_of("0.12", "test", "exec-env = ['test']", "", "");
    world.buildpack_of(
        "0.12",
        "live",
        "[[buildpack.exec-env]]\nname = 'production'",
        "",
        "",
    );
    world.buildpack("all", "", "", "");
    world.order("test,live,all");
    world.run("detect").succeeded();
    assert_eq!(ids(world.toml("layers/group.toml").get("group")), ["live", "all"]);
    world.set("CNB_EXEC_ENV", "test");
    world.run("detect").succeeded();
    assert_eq!(ids(world.toml("layers/group.toml").get("group")), ["test", "all"]);
    world.set("CNB_PLATFORM_API", "0.14");
    world.run("detect").succeeded();
    assert_eq!(
        ids(world.toml("layers/group.toml").get("group")),
        ["test", "live", "all"]
    );
}
