//! Debian packages, from a repository of the test's own: planned with what they need, fetched, unpacked.

use buildpack_support::{
    Command,
    download::Downloads,
    env, files,
    toolchain::deb::{Apt, Base, layer_env},
};
use libcnb::{Env, layer_env::Scope};
use std::{
    fs,
    path::{Path, PathBuf},
};

struct Bench {
    dir: tempfile::TempDir,
    env: Env,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let mut index = String::new();
        index += &package(
            root,
            "pvdify-test-tool",
            "Depends: pvdify-test-library\n",
            |tree| {
                files::write(&tree.join("usr/bin/pvdify-test-tool"), "#!/bin/sh\necho works\n").unwrap();
                set_mode(&tree.join("usr/bin/pvdify-test-tool"));
            },
        );
        index += &package(root, "pvdify-test-library", "", |tree| {
            files::write(&tree.join("opt/library/lib/libx.so.1"), "").unwrap();
            files::write(&tree.join("etc/ld.so.conf.d/library.conf"), "/opt/library/lib\n").unwrap();
            files::make_dir(&tree.join("usr/share")).unwrap();
            std::os::unix::fs::symlink("/opt/library", tree.join("usr/share/library")).unwrap();
        });
        files::write(&root.join("repository/Packages"), index).unwrap();
        let sources = format!("deb [trusted=yes] file:{}/repository ./\n", root.display());
        files::write(&root.join("sources.list"), sources).unwrap();
        let config = format!(
            "Dir::Etc::sourcelist \"{0}/sources.list\";\nDir::Etc::sourceparts \"-\";\n",
            root.display()
        );
        files::write(&root.join("apt.conf"), config).unwrap();
        let mut env = Env::new();
        env.insert("PATH", std::env::var("PATH").unwrap() + ":/usr/sbin:/sbin");
        env.insert("APT_CONFIG", root.join("apt.conf"))
            .insert("PVDIFY_DOWNLOADS", root.join("downloads"));
        Self { dir, env }
    }

    fn apt(&self) -> Apt {
        Apt::new(&self.env, &self.dir.path().join("apt"), Base::Build).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

// Makes a package in the repository; gives its entry of the index.
fn package(root: &Path, name: &str, fields: &str, fill: impl Fn(&Path)) -> String {
    let tree = root.join("trees").join(name);
    fill(&tree);
    let control = format!(
        "Package: {name}\nVersion: 1:2.0-1\nArchitecture: all\nMaintainer: T <t@example.org>\n{fields}Description: a test\n"
    );
    files::write(&tree.join("DEBIAN/control"), &control).unwrap();
    let file = root.join("repository").join(format!("{name}_2.0-1_all.deb"));
    files::make_dir(file.parent().unwrap()).unwrap();
    Command::new("dpkg-deb")
        .arg("--root-owner-group")
        .arg("--build")
        .arg(&tree)
        .arg(&file)
        .quiet()
        .run()
        .unwrap();
    let sum = Command::new("sha256sum").arg(&file).output().unwrap();
    format!(
        "{control}Filename: ./{}\nSize: {}\nSHA256: {}\n\n",
        file.file_name().unwrap().display(),
        files::size(&file),
        sum.split(' ').next().unwrap()
    )
}

fn set_mode(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_package_comes_with_what_it_needs_and_runs_from_the_layer() {
    let bench = Bench::new();
    let apt = bench.apt();
    apt.update().unwrap();
    let planned = apt.plan(&["pvdify-test-tool".to_owned()], false).unwrap();
    let mut names: Vec<_> = planned
        .iter()
        .map(|package| format!("{} {}", package.name(), package.version()))
        .collect();
    names.sort();
    assert_eq!(names, ["pvdify-test-library 1:2.0-1", "pvdify-test-tool 1:2.0-1"]);

    let layer = bench.path("layer");
    let downloads = Downloads::of(&bench.env);
    apt.unpack(&downloads, &planned, &layer).unwrap();
    let set = layer_env(&layer).apply(Scope::All, &bench.env);
    let library = env::value(&set, "LD_LIBRARY_PATH").unwrap();
    assert_eq!(library, layer.join("opt/library/lib").display().to_string());
    assert_eq!(
        Command::new("pvdify-test-tool").envs(&set).output().unwrap(),
        "works\n"
    );
    assert!(layer.join("usr/share/library/lib/libx.so.1").exists());

    // The next build finds all in the download cache, also when the repository is gone.
    assert_eq!(fs::read_dir(bench.path("downloads/new")).unwrap().count(), 2);
    fs::remove_dir_all(bench.path("repository")).unwrap();
    apt.unpack(&downloads, &planned, &bench.path("again")).unwrap();
    assert!(bench.path("again/usr/bin/pvdify-test-tool").exists());
}

#[test]
fn a_package_that_is_not_there_is_named() {
    let bench = Bench::new();
    let apt = bench.apt();
    apt.update().unwrap();
    let failure = apt.plan(&["pvdify-test-nothing".to_owned()], false).unwrap_err();
    assert_eq!(failure.what(), "There is no Debian package pvdify-test-nothing");
}
