//! What a buildpack's files mean: build plans, launch.toml, layers, SBOMs, labels.

use pvdify_cnb::{
    analyzed::{Analyzed, AnalyzedMetadata},
    api::Api,
    descriptor::Kind,
    group::GroupElement,
    image::{BuildpackLayers, LayerMetadata, LifecycleMetadata, StoreMetadata},
    launch::{BuildMetadata, LaunchToml},
    layer::LayerToml,
    plan::{BuildPlan, BuildToml, Plan},
    sbom::{self, Format, Owner},
    value,
};

fn element(id: &str) -> GroupElement {
    let version = "1".parse().expect("a version");
    GroupElement {
        id: id.parse().expect("an ID"),
        version,
        api: Api::new(0, 10),
        homepage: None,
    }
}

#[test]
fn a_build_plan_is_read_with_its_choices() {
    let text = "[[provides]]\nname = 'a'\n[[requires]]\nname = 'b'\n[requires.metadata]\nversion = '1'\n\
                [[or]]\n[[or.requires]]\nname = 'c'\n[[or]]\n";
    let plan = BuildPlan::parse(Kind::Buildpack, text).expect("a plan");
    let choices: Vec<_> = plan
        .choices()
        .map(|it| (it.provides.len(), it.requires.len()))
        .collect();
    assert_eq!(choices, [(1, 1), (0, 1), (0, 0)]);
    assert_eq!(
        BuildPlan::parse(Kind::Extension, " \n").expect("a plan"),
        BuildPlan::default()
    );
}

#[test]
fn plans_of_the_old_form_are_refused() {
    for (kind, text, expected) in [
        (
            Kind::Buildpack,
            "[[requires]]\nname = 'a'\nversion = '1'",
            "requires \"a\" with the key \"version\"",
        ),
        (
            Kind::Buildpack,
            "[[or]]\n[[or.requires]]\nname = 'b'\nversion = '1'",
            "requires \"b\" with",
        ),
        (
            Kind::Buildpack,
            "[[requires]]\nname = 'a'\nversion = '1'\n[requires.metadata]\nversion = '1'",
            "\"metadata.version\"",
        ),
        (
            Kind::Extension,
            "[[requires]]\nname = 'a'",
            "may provide and not require",
        ),
        (
            Kind::Extension,
            "[[or]]\n[[or.requires]]\nname = 'b'",
            "requires \"b\"",
        ),
        (Kind::Buildpack, "bad toml", "expected"),
        (Kind::Buildpack, "[[provides]]\n", "missing field `name`"),
    ] {
        let error = BuildPlan::parse(kind, text).expect_err(text).to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
}

#[test]
fn each_provider_gets_what_is_still_unmet() {
    let text = "[[entries]]\nproviders = [{ id = 'A', version = '1' }, { id = 'B', version = '1' }]\n\
                requires = [{ name = 'x' }, { name = 'x', metadata = { v = 1 } }]\n\
                [[entries]]\nproviders = [{ id = 'B', version = '1' }]\nrequires = [{ name = 'y' }]\n\
                [[entries]]\nproviders = [{ id = 'A', version = '1', extension = true }]\nrequires = [{ name = 'z' }]\n";
    let mut plan: Plan = toml::from_str(text).expect("a plan");
    let names = |plan: &Plan, kind, id: &str| {
        let given = plan.of(kind, &id.parse().expect("an ID"));
        given
            .entries
            .iter()
            .map(|it| it.name.clone())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(names(&plan, Kind::Buildpack, "A"), "x x");
    assert_eq!(names(&plan, Kind::Buildpack, "B"), "x x y");
    assert_eq!(names(&plan, Kind::Extension, "A"), "z");
    let given = plan.of(Kind::Buildpack, &"A".parse().expect("an ID"));
    let unmet: BuildToml = toml::from_str("[[unmet]]\nname = 'x'").expect("a build.toml");
    assert_eq!(unmet.unknown(&given), None);
    plan.remove_met(&given, &unmet.unmet);
    assert_eq!(names(&plan, Kind::Buildpack, "B"), "x x y");
    plan.remove_met(&given, &[]);
    assert_eq!(names(&plan, Kind::Buildpack, "B"), "y");
    let unknown: BuildToml = toml::from_str("[[unmet]]\nname = 'q'").expect("a build.toml");
    assert_eq!(unknown.unknown(&given), Some("q"));
    assert!(toml::from_str::<BuildToml>("[[unmet]]\n").is_err());
}

#[test]
fn a_process_is_read_as_its_api_means_it() {
    let process = |fields: &str| format!("[[processes]]\ntype = 'web'\n{fields}");
    let old = Api::new(0, 8);
    let new = Api::new(0, 9);
    let read = |api, fields: &str| LaunchToml::parse(api, &process(fields)).map_err(|it| it.to_string());
    // Text or list, and the shell.
    let (it, _) = read(old, "command = 'run me'\nargs = ['x']").expect("a launch.toml");
    assert_eq!(
        (it.processes[0].direct, it.processes[0].command.as_slice()),
        (false, &["run me".to_owned()][..])
    );
    let (it, _) = read(old, "command = 'run'\ndirect = true").expect("a launch.toml");
    assert!(it.processes[0].direct);
    let (it, _) =
        read(new, "command = ['run', 'me']\nargs = ['x']\nexec-env = ['test']").expect("a launch.toml");
    assert!(it.processes[0].direct);
    assert_eq!(
        (it.processes[0].command.len(), it.processes[0].exec_env.len()),
        (2, 1)
    );
    for (api, fields, expected) in [
        (old, "command = ['run']", "must be one text in Buildpack API 0.8"),
        (
            new,
            "command = 'run'",
            "must be a list of texts in Buildpack API 0.9",
        ),
        (
            new,
            "command = ['run']\ndirect = true",
            "\"direct\", which Buildpack API 0.9 does not know",
        ),
        (new, "", "missing field `command`"),
        (
            new,
            "command = ['run']\ntype2 = 1\n[[processes]]\ntype = 'a/b'\ncommand = ['x']",
            "no process type",
        ),
    ] {
        let error = read(api, fields).expect_err(fields);
        assert!(error.contains(expected), "{fields:?}: {error}");
    }
    // A working directory.
    let (it, dropped) = read(Api::new(0, 7), "command = 'x'\nworking-dir = '/y'").expect("a launch.toml");
    assert_eq!((it.processes[0].working_dir.as_deref(), dropped.len()), (None, 1));
    let (it, dropped) = read(old, "command = 'x'\nworking-dir = '/y'").expect("a launch.toml");
    assert_eq!(
        (it.processes[0].working_dir.as_deref(), dropped.len()),
        (Some("/y"), 0)
    );
    // One default.
    let two = |first, second| {
        format!(
            "[[processes]]\ntype = '{first}'\ncommand = ['a']\ndefault = true\n\
             [[processes]]\ntype = '{second}'\ncommand = ['b']\ndefault = true\n"
        )
    };
    for text in [two("a", "b"), two("a", "a")] {
        let error = LaunchToml::parse(new, &text).expect_err(&text).to_string();
        assert!(error.contains("both the default"), "{error}");
    }
}

/// Each buildpack is written `web=1! worker=2`: types with commands, `!` for the default.
fn merged(buildpacks: &[&str]) -> (String, Option<String>, Vec<Option<String>>) {
    let mut metadata = BuildMetadata::default();
    let mut lost = Vec::new();
    for (at, text) in buildpacks.iter().enumerate() {
        let mut launch = String::new();
        for process in text.split_whitespace() {
            let (name, command) = process.split_once('=').unwrap_or_default();
            let (command, default) = (command.trim_end_matches('!'), command.ends_with('!'));
            launch +=
                &format!("[[processes]]\ntype = '{name}'\ncommand = ['{command}']\ndefault = {default}\n");
        }
        let (launch, _) = LaunchToml::parse(Api::new(0, 10), &launch).expect("a launch.toml");
        lost.push(
            metadata
                .add(&element(&format!("b{at}")), launch)
                .map(|it| it.to_string()),
        );
    }
    assert_eq!(metadata.buildpacks.len(), buildpacks.len());
    assert!(metadata.processes.iter().all(|it| !it.default));
    let process = |it: &pvdify_cnb::launch::Process| {
        let owner = it
            .buildpack_id
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        format!("{}={}({owner})", it.name, it.command.join(" "))
    };
    let processes: Vec<String> = metadata.processes.iter().map(process).collect();
    let default = metadata.buildpack_default_process_type.map(|it| it.to_string());
    (processes.join(" "), default, lost)
}

#[test]
fn processes_of_later_buildpacks_replace_those_of_earlier_ones() {
    for (buildpacks, processes, default, warned) in [
        (
            &["web=1 worker=2", "web=3"][..],
            "web=3(b1) worker=2(b0)",
            None,
            false,
        ),
        // No process is the default by its name.
        (&["web=1"], "web=1(b0)", None, false),
        (&["z=1 a=2!"], "a=2(b0) z=1(b0)", Some("a"), false),
        // The last default counts.
        (
            &["a=1!", "b=2!", "c=3"],
            "a=1(b0) b=2(b1) c=3(b2)",
            Some("b"),
            false,
        ),
        (&["a=1!", "a=2!"], "a=2(b1)", Some("a"), false),
        // Redefined by one that is not the default: there is none.
        (&["a=1!", "a=2"], "a=2(b1)", None, true),
        (&["a=1!", "b=2!", "b=3"], "a=1(b0) b=3(b2)", None, true),
        (&["a=1!", "b=2!", "a=3"], "a=3(b2) b=2(b1)", Some("b"), false),
        (&["a=1!", "a=2 b=3!"], "a=2(b1) b=3(b1)", Some("b"), false),
    ] {
        let (found, found_default, lost) = merged(buildpacks);
        assert_eq!(
            (found.as_str(), found_default.as_deref()),
            (processes, default),
            "{buildpacks:?}"
        );
        assert_eq!(lost.iter().any(Option::is_some), warned, "{buildpacks:?}");
    }
}

#[test]
fn labels_and_slices_are_kept_in_group_order() {
    let mut metadata = BuildMetadata::default();
    for text in [
        "[[labels]]\nkey = 'k'\nvalue = '1'\n[[slices]]\npaths = ['a', 'b']",
        "[[labels]]\nkey = 'k'\nvalue = '2'\n[[slices]]\npaths = ['c']",
    ] {
        let (launch, _) = LaunchToml::parse(Api::new(0, 10), text).expect("a launch.toml");
        metadata.add(&element("a"), launch);
    }
    let labels: Vec<_> = metadata.labels.iter().map(|it| it.value.as_str()).collect();
    let slices: Vec<_> = metadata.slices.iter().map(|it| it.paths.join(",")).collect();
    assert_eq!(
        (labels, slices),
        (vec!["1", "2"], vec!["a,b".to_owned(), "c".to_owned()])
    );
    let text = toml::to_string(&metadata).expect("TOML");
    assert_eq!(
        toml::from_str::<BuildMetadata>(&text).expect("metadata.toml"),
        metadata
    );
}

#[test]
fn a_layer_says_its_types_in_their_table() {
    let it =
        LayerToml::parse("[types]\nlaunch = true\n[metadata]\na = 1\nexec-env = ['test']").expect("a layer");
    assert!(it.flags().launch && !it.flags().is_ignored());
    assert_eq!(it.exec_envs(), ["test"]);
    assert!(
        LayerToml::parse("[metadata]\na = 1")
            .expect("a layer")
            .flags()
            .is_ignored()
    );
    assert!(LayerToml::parse("").expect("a layer").flags().is_ignored());
    for key in ["launch", "build", "cache"] {
        let error = LayerToml::parse(&format!("{key} = true"))
            .expect_err(key)
            .to_string();
        assert!(error.contains("[types]"), "{error}");
    }
}

#[test]
fn an_sbom_files_name_says_whose_it_is() {
    for (name, expected) in [
        (
            "layer.sbom.cdx.json",
            Some((Owner::Layer("layer"), Some(Format::CycloneDx))),
        ),
        (
            "a.b.sbom.spdx.json",
            Some((Owner::Layer("a.b"), Some(Format::Spdx))),
        ),
        ("launch.sbom.syft.json", Some((Owner::Launch, Some(Format::Syft)))),
        (
            "build.sbom.cdx.json",
            Some((Owner::Build, Some(Format::CycloneDx))),
        ),
        ("layer.sbom.other.json", Some((Owner::Layer("layer"), None))),
        ("layer.sbom.json", None),
        ("layer.toml", None),
        (".sbom.cdx.json", None),
        ("sbom.cdx.json", None),
    ] {
        assert_eq!(sbom::parse(name), expected, "{name}");
    }
}

#[test]
fn metadata_survives_the_way_through_a_label() {
    let text = "a = 1\nb = 'x'\nc = [1.5, true]\n[d]\ne = 1979-05-27\n";
    let table: toml::Table = toml::from_str(text).expect("TOML");
    let json = value::to_json(&table);
    assert_eq!(json["d"]["e"], "1979-05-27");
    assert_eq!(value::to_toml(&json)["c"], table["c"]);
    let with_null = serde_json::json!({ "a": null, "b": { "c": null }, "d": [null, 1], "big": u64::MAX });
    assert_eq!(value::to_toml(&with_null).to_string().lines().count(), 4);
    assert!(value::to_toml(&serde_json::Value::Null).is_empty());
}

#[test]
fn analyzed_toml_is_what_matters_of_a_label() {
    let layer = LayerMetadata {
        sha: "sha256:a".into(),
        data: serde_json::json!({ "version": "1", "none": null }),
        build: false,
        launch: true,
        cache: true,
    };
    let store = StoreMetadata {
        metadata: serde_json::json!({ "kept": 1 }),
    };
    let label = LifecycleMetadata {
        buildpacks: vec![BuildpackLayers {
            key: "a/b".into(),
            version: "1".into(),
            layers: [("l".to_owned(), layer)].into(),
            store: Some(store),
        }],
        ..LifecycleMetadata::default()
    };
    let analyzed = Analyzed {
        metadata: AnalyzedMetadata::of_label(&label),
        ..Analyzed::default()
    };
    let text = toml::to_string(&analyzed).expect("TOML");
    let back: Analyzed = toml::from_str(&text).expect("analyzed.toml");
    assert_eq!(back, analyzed);
    let buildpack = back.metadata.buildpack("a/b").expect("the buildpack");
    let layer = &buildpack.layers["l"];
    assert!(layer.types.launch && layer.types.cache && !layer.types.build);
    assert_eq!(layer.metadata.len(), 1);
    assert_eq!(buildpack.store.as_ref().map(|it| it.metadata.len()), Some(1));
    // As the reference writes it: more fields, other tables.
    let other = "[image]\nreference = 'x'\n[metadata]\n[metadata.config]\nsha = 'x'\n[[metadata.buildpacks]]\nkey = 'k'\n\
                 version = '1'\n[metadata.buildpacks.layers.l]\nsha = 's'\nlaunch = true\n[metadata.buildpacks.layers.l.metadata]\nv = 1\n\
                 [run-image]\nreference = 'r'\n[run-image.target]\nos = 'linux'\narch = 'amd64'\n[run-image.target.distro]\nname = 'debian'\nversion = '13'\n";
    let other: Analyzed = toml::from_str(other).expect("analyzed.toml");
    assert!(other.metadata.buildpacks[0].layers["l"].types.launch);
    assert_eq!(
        other
            .run_image
            .and_then(|it| it.target)
            .map(|it| it.arch)
            .as_deref(),
        Some("amd64")
    );
}
