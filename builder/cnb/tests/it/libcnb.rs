//! What buildpacks written with libcnb write is read here, and what is written here is read there.

use libcnb::data::{
    build_plan::BuildPlanBuilder,
    buildpack_plan::BuildpackPlan as TheirPlan,
    launch::{LaunchBuilder, ProcessBuilder, Slice},
    layer_content_metadata::LayerContentMetadata,
    process_type,
};
use pvdify_cnb::{
    api::Api,
    descriptor::Kind,
    launch::LaunchToml,
    layer::LayerToml,
    plan::{BuildPlan, BuildpackPlan, Require},
};

#[test]
fn a_build_plan() {
    let theirs = BuildPlanBuilder::new()
        .provides("a")
        .requires("b")
        .or()
        .requires("c")
        .build();
    let text = toml::to_string(&theirs).expect("TOML");
    let plan = BuildPlan::parse(Kind::Buildpack, &text).expect("a build plan");
    let choices: Vec<_> = plan
        .choices()
        .map(|it| (it.provides.len(), it.requires.len()))
        .collect();
    assert_eq!(choices, [(1, 1), (0, 1)]);
}

#[test]
fn a_launch_toml() {
    let process = ProcessBuilder::new(process_type!("web"), ["run", "me"])
        .arg("x")
        .default(true)
        .build();
    let slice = Slice {
        path_globs: vec!["a/*".to_owned()],
    };
    let theirs = LaunchBuilder::new().process(process).slice(slice).build();
    let text = toml::to_string(&theirs).expect("TOML");
    let (launch, _) = LaunchToml::parse(Api::new(0, 10), &text).expect("a launch.toml");
    let process = &launch.processes[0];
    assert!(process.direct && process.default);
    assert_eq!(
        (process.command.join(" ").as_str(), process.args[0].as_str()),
        ("run me", "x")
    );
    assert_eq!(launch.slices[0].paths, ["a/*"]);
}

#[test]
fn a_buildpack_plan_and_a_restored_layer() {
    let metadata: toml::Table = toml::from_str("v = 1").expect("TOML");
    let entries = vec![Require {
        name: "node".to_owned(),
        metadata: metadata.clone(),
    }];
    let text = toml::to_string(&BuildpackPlan { entries }).expect("TOML");
    let theirs: TheirPlan = toml::from_str(&text).expect("a buildpack plan");
    assert_eq!(
        (theirs.entries[0].name.as_str(), theirs.entries[0].metadata.len()),
        ("node", 1)
    );
    let empty = toml::to_string(&BuildpackPlan::default()).expect("TOML");
    assert!(
        toml::from_str::<TheirPlan>(&empty)
            .expect("a buildpack plan")
            .entries
            .is_empty()
    );

    let restored = LayerToml {
        metadata,
        ..LayerToml::default()
    };
    let text = toml::to_string(&restored).expect("TOML");
    let theirs: LayerContentMetadata<Option<toml::Table>> = toml::from_str(&text).expect("a layer");
    assert!(theirs.types.is_none() && theirs.metadata.is_some());
    let bare = toml::to_string(&LayerToml::default()).expect("TOML");
    let theirs: LayerContentMetadata<Option<toml::Table>> = toml::from_str(&bare).expect("a layer");
    assert!(theirs.types.is_none() && theirs.metadata.is_none());
}
