//! What is read of a buildpack.toml, of each Buildpack API.

use pvdify_cnb::{
    api::Api,
    descriptor::{Descriptor, Kind},
    target::ImageTarget,
};

fn parse(text: &str) -> Descriptor {
    Descriptor::parse(text).expect("a descriptor")
}

#[test]
fn fields_are_read_and_others_left_alone() {
    let it = parse(
        r#"
        api = "0.12"
        something-new = true
        [buildpack]
        id = "example/hello"
        version = "1.2.3"
        name = "Hello"
        homepage = "https://example.com"
        clear-env = true
        description = "x"
        keywords = ["x"]
        sbom-formats = ["application/vnd.cyclonedx+json;version=1.4", "application/spdx+json"]
        exec-env = ["test"]
        [[buildpack.licenses]]
        type = "MIT"
        [[targets]]
        os = "linux"
        arch = "arm64"
        variant = "v8"
        [[targets.distros]]
        name = "debian"
        version = "13"
        [metadata]
        anything = 1
        "#,
    );
    assert_eq!(
        (it.kind, it.api, it.id.as_str(), it.version.as_str()),
        (Kind::Buildpack, Api::new(0, 12), "example/hello", "1.2.3")
    );
    assert_eq!(
        (it.name.as_deref(), it.homepage.as_deref()),
        (Some("Hello"), Some("https://example.com"))
    );
    assert!(it.clear_env && !it.is_composite());
    assert_eq!(it.exec_env, ["test"]);
    assert_eq!(
        (
            it.targets[0].arch_variant.as_str(),
            it.targets[0].distros[0].name.as_str()
        ),
        ("v8", "debian")
    );
    assert!(it.declares_sbom("application/vnd.cyclonedx+json") && it.declares_sbom("application/spdx+json"));
    assert!(!it.declares_sbom("application/vnd.syft+json"));
}

#[test]
fn a_composite_has_an_order() {
    let it = parse(
        "api = '0.7'\n[buildpack]\nid = 'c'\nversion = '0.0.1'\n[[order]]\n[[order.group]]\nid = 'a'\n\
         version = '1'\n[[order.group]]\nid = 'b'\nversion = '2'\noptional = true\nexec-env = ['test']\n",
    );
    let group = &it.order[0].group;
    assert!(it.is_composite());
    assert_eq!(
        (group[0].optional, group[1].optional, group[1].exec_env.len()),
        (false, true, 1)
    );
}

#[test]
fn what_is_missing_is_said() {
    for (text, expected) in [
        ("", "missing field `api`"),
        ("api = '0.10'", "neither a [buildpack] nor an [extension]"),
        ("api = '0.10'\n[buildpack]\nid = 'a'", "missing field `version`"),
        (
            "api = 'x'\n[buildpack]\nid = 'a'\nversion = '1'",
            "no API version",
        ),
        (
            "api = '0.10'\n[buildpack]\nid = '../a'\nversion = '1'",
            "no buildpack ID",
        ),
        (
            "api = '0.10'\n[buildpack]\nid = 'config'\nversion = '1'",
            "no buildpack ID",
        ),
    ] {
        let error = Descriptor::parse(text).expect_err(text).to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
    // One that is not spoken is read all the same.
    assert_eq!(
        parse("api = '9.1'\n[buildpack]\nid = 'a'\nversion = '1'").api,
        Api::new(9, 1)
    );
    assert_eq!(
        parse("api = '0.10'\n[extension]\nid = 'a'\nversion = '1'").kind,
        Kind::Extension
    );
}

#[test]
fn execution_environments_are_not_known_before_0_12() {
    let text =
        |api: &str| format!("api = '{api}'\n[buildpack]\nid = 'a'\nversion = '1'\nexec-env = ['test']");
    assert_eq!(parse(&text("0.12")).exec_env, ["test"]);
    assert!(parse(&text("0.11")).exec_env.is_empty());
}

#[test]
fn stacks_stand_for_targets() {
    let trixie = ImageTarget::default().or_here("ID=debian\nVERSION_ID=13", "x86_64");
    let bionic = ImageTarget::default().or_here("ID=ubuntu\nVERSION_ID=\"18.04\"", "x86_64");
    for (api, stacks, on_trixie, on_bionic) in [
        ("0.9", &["*"][..], true, true),
        ("0.9", &[], true, true),
        ("0.9", &["io.buildpacks.stacks.bionic"], false, true),
        ("0.9", &["io.buildpacks.stacks.bionic", "*"], true, true),
        ("0.9", &["io.buildpacks.stacks.bionic", "heroku-20"], true, true),
        ("0.10", &["io.buildpacks.stacks.bionic", "heroku-20"], false, true),
        ("0.7", &["heroku-20"], true, true),
    ] {
        let mut text = format!("api = '{api}'\n[buildpack]\nid = 'a'\nversion = '1'\n");
        for stack in stacks {
            text += &format!("[[stacks]]\nid = '{stack}'\n");
        }
        let it = parse(&text);
        assert_eq!(
            (it.runs_on(&trixie), it.runs_on(&bionic)),
            (on_trixie, on_bionic),
            "{api} {stacks:?}"
        );
    }
    // Targets that are there count, whatever the stacks.
    let it = parse(
        "api = '0.10'\n[buildpack]\nid = 'a'\nversion = '1'\n[[stacks]]\nid = '*'\n[[targets]]\narch = 'arm64'",
    );
    assert!(!it.runs_on(&trixie));
}
