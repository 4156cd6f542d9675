//! What is read of a project.toml.

use pvdify_cnb::{
    api::Api,
    project::{Files, InlineScript, Project, ProjectSource},
};

const NEW: &str = r#"
    [_]
    schema-version = "0.2"
    id = "io.buildpacks.my-app"
    [_.metadata]
    cdn = "https://cdn.example.com"
    [io.buildpacks]
    builder = "cnbs/sample-builder:noble"
    exclude = ["/README.md", "spec/"]
    [[io.buildpacks.group]]
    id = "example/lua"
    version = "1.0"
    [[io.buildpacks.group]]
    id = "example/other"
    [[io.buildpacks.group]]
    uri = "https://example.com/marketplace.tgz"
    [[io.buildpacks.group]]
    id = "me/env"
      [io.buildpacks.group.script]
      api = "0.10"
      inline = "echo hello"
    [[io.buildpacks.pre.group]]
    uri = "./first"
    [[io.buildpacks.post.group]]
    id = "last"
    version = "latest"
    [[io.buildpacks.build.env]]
    name = "JAVA_OPTS"
    value = "-Xmx1g"
"#;

const OLD: &str = r#"
    [project]
    id = "io.buildpacks.my-app"
    [build]
    include = ["cmd/", "*.go"]
    [[build.buildpacks]]
    id = "example/lua"
    version = "1.0"
    [[build.buildpacks]]
    uri = "bp"
      [build.buildpacks.script]
    [[build.env]]
    name = "A"
    value = "b"
"#;

#[test]
fn schema_0_2() {
    let it = Project::parse(NEW).expect("a project.toml");
    assert_eq!(it.builder.as_deref(), Some("cnbs/sample-builder:noble"));
    assert_eq!(
        it.files,
        Files::Exclude(vec!["/README.md".into(), "spec/".into()])
    );
    let sources: Vec<_> = it.group.iter().map(|it| it.source.clone()).collect();
    let script = InlineScript {
        api: Api::new(0, 10),
        shell: "/bin/sh".into(),
        script: "echo hello".into(),
    };
    assert_eq!(
        sources,
        [
            ProjectSource::Known {
                version: Some("1.0".into())
            },
            ProjectSource::Known { version: None },
            ProjectSource::Uri("https://example.com/marketplace.tgz".into()),
            ProjectSource::Inline(script),
        ]
    );
    assert_eq!(it.pre[0].source, ProjectSource::Uri("./first".into()));
    assert_eq!(it.post[0].source, ProjectSource::Known { version: None });
    assert_eq!(it.env["JAVA_OPTS"], "-Xmx1g");
}

#[test]
fn schema_0_1() {
    let old = OLD.replace("      [build.buildpacks.script]\n", "");
    let it = Project::parse(&old).expect("a project.toml");
    assert_eq!(it.files, Files::Include(vec!["cmd/".into(), "*.go".into()]));
    assert_eq!(
        it.group[0].id.as_ref().map(pvdify_cnb::id::BuildpackId::as_str),
        Some("example/lua")
    );
    assert_eq!(it.group[1].source, ProjectSource::Uri("bp".into()));
    assert_eq!(it.env["A"], "b");
    // Said or not.
    let said = format!("[_]\nschema-version = '0.1'\n{old}");
    assert_eq!(Project::parse(&said).expect("a project.toml"), it);
    // A file of another purpose says nothing.
    assert_eq!(
        Project::parse("[project]\nname = 'x'").expect("a project.toml"),
        Project::default()
    );
    assert_eq!(Project::parse("").expect("a project.toml"), Project::default());
    let bare = Project::parse("[io.buildpacks]\nexclude = ['x']").expect("a project.toml");
    assert_eq!(bare.files, Files::Exclude(vec!["x".into()]));
}

#[test]
fn what_contradicts_itself_is_refused() {
    let group = |fields: &str| format!("[_]\nschema-version='0.2'\n[[io.buildpacks.group]]\n{fields}");
    for (text, expected) in [
        ("[_]\nschema-version = '0.3'".to_owned(), "0.1 and 0.2 are"),
        (
            "[io.buildpacks]\ninclude = ['a']\nexclude = ['b']".to_owned(),
            "both include and exclude",
        ),
        (
            group("version = '1'\nuri = 'x'"),
            "number 1 has both a version and a uri",
        ),
        (
            group("id = 'a'\nuri = 'x'\nscript = { api = '0.10', inline = '' }"),
            "a has both a uri and a script",
        ),
        (group("version = '1'"), "number 1 has neither"),
        (
            group("script = { api = '0.10', inline = '', shell = 'sh' }"),
            "must be an absolute path",
        ),
        (
            group("script = { api = '0.10', inline = '', shell = \"/bin/sh\\nx\" }"),
            "must be an absolute path",
        ),
        (
            "[[build.env]]\nname = '../x'\nvalue = ''".to_owned(),
            "no name of a variable",
        ),
        ("[io.buildpacks]\ninclude = 1".to_owned(), "invalid type"),
    ] {
        let error = Project::parse(&text).expect_err(&text).to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
}

#[test]
fn an_inline_buildpack_is_three_files() {
    let script = InlineScript {
        api: Api::new(0, 10),
        shell: "/bin/bash".into(),
        script: "echo hi".into(),
    };
    let files = script.files(&"me/env".parse().expect("an ID"));
    let [(_, false, descriptor), (_, true, _), ("bin/build", true, build)] = &files else {
        panic!("{files:?}");
    };
    let descriptor = pvdify_cnb::descriptor::Descriptor::parse(descriptor).expect("a descriptor");
    assert_eq!(
        (descriptor.id.as_str(), descriptor.api),
        ("me/env", Api::new(0, 10))
    );
    assert_eq!(build, "#!/bin/bash\n\necho hi\n");
}
