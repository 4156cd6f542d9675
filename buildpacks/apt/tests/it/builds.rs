//! Builds against a repository of our own. `APT_CONFIG` leaves the machine's own sources out: no test needs a
//! network.

use crate::repository::{index, package, serve};
use buildpack_apt::{AptBuildpack, DESCRIPTOR};
use buildpack_support::testing::{App, entry};
use std::{fs, path::Path, process::Command};

entry!(AptBuildpack, DESCRIPTOR);

struct Repository {
    dir: tempfile::TempDir,
    address: String,
}

// Three packages: a program, the library that it needs, and what one compiles with.
fn repository() -> Repository {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let arch = buildpack_support::toolchain::multiarch();
    package(
        at,
        "pvdify-greet",
        "1.0",
        "libpvdify-words1",
        &[
            ("usr/bin/greet", "#!/bin/sh\ncat \"$WORDS_DIR/words\"\n"),
            ("usr/share/doc/pvdify-greet/copyright", "free"),
            ("usr/share/man/man1/greet.1", "manual"),
        ],
    );
    package(
        at,
        "libpvdify-words1",
        "2:1.5",
        "",
        &[(&format!("usr/lib/{arch}/libwords.so.1"), "library")],
    );
    package(
        at,
        "libpvdify-words-dev",
        "2:1.5",
        "libpvdify-words1, libpvdify-other-dev",
        &[
            ("usr/include/words.h", "header"),
            (&format!("usr/lib/{arch}/pkgconfig/words.pc"), "prefix=/usr\n"),
        ],
    );
    package(
        at,
        "libpvdify-other-dev",
        "1",
        "",
        &[("usr/include/other.h", "header")],
    );
    index(at);
    let address = serve(at);
    Repository { dir, address }
}

impl Repository {
    fn app(&self, aptfile: &str) -> App {
        let place = |name: &str| self.dir.path().join(name).display().to_string();
        fs::create_dir_all(place("none")).unwrap();
        fs::write(
            place("sources"),
            format!("deb [trusted=yes] {} ./\n", self.address),
        )
        .unwrap();
        let config = format!(
            "Dir::Etc::sourcelist \"{}\";\nDir::Etc::sourceparts \"{}\";\n",
            place("sources"),
            place("none")
        );
        fs::write(place("apt.conf"), config).unwrap();
        app()
            .env("APT_CONFIG", &place("apt.conf"))
            .file("Aptfile", &aptfile.replace("[address]", &self.address))
    }

    fn log(&self, log: &str) -> String {
        log.replace(&self.address, "[address]")
    }
}

fn names(folder: &Path) -> Vec<String> {
    let output = Command::new("find")
        .args([".", "-type", "f"])
        .current_dir(folder)
        .output()
        .unwrap();
    let mut names: Vec<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    names.retain(|name| !name.starts_with("./env"));
    names.sort();
    names
}

#[test]
fn detect_says_what_asks_for_packages() {
    assert_eq!(
        app().file("Aptfile", "").detect().passed().stdout,
        "Aptfile is there\n"
    );
    let project = "[com.heroku.buildpacks.deb-packages]\ninstall = [\"curl\"]\n";
    let detected = app().file("project.toml", project).detect().passed();
    assert_eq!(detected.stdout, "project.toml asks for Debian packages\n");
    assert_eq!(
        app()
            .file("project.toml", "[_]\nschema-version = \"0.2\"\n")
            .detect()
            .code,
        100
    );
    assert_eq!(app().detect().code, 100);
}

#[test]
fn an_empty_aptfile_asks_for_nothing() {
    let built = app().file("Aptfile", "# later\n").build().passed();
    assert_eq!(
        built.stdout,
        "-----> Installing Debian packages\n       None is asked for\n"
    );
}

#[test]
fn a_program_runs_with_the_library_it_needs() {
    let repository = repository();
    let app = repository.app("pvdify-greet # says hello\n");
    insta::assert_snapshot!(repository.log(&app.build().passed().log()), @r"
    -----> Installing Debian packages
    -----> Updating package indexes
           Done ([time])
           pvdify-greet 1.0
           with 1 package that they need
           2 packages (2 downloaded, [size] in all)
           Packages for the app: ready ([time])
           Done ([time])
    ");
    assert_eq!(app.layer_types("packages"), [true, true, true]);
    assert_eq!(app.layer_types("apt"), [false, true, false]);
    let arch = buildpack_support::toolchain::multiarch();
    assert_eq!(
        names(&app.layer("packages")),
        [
            "./usr/bin/greet".to_owned(),
            format!("./usr/lib/{arch}/libwords.so.1"),
            "./usr/share/doc/pvdify-greet/copyright".to_owned()
        ]
    );
    let env = app.launch_env();
    let value = |name: &str| env.get_string_lossy(name).unwrap();
    assert!(value("PATH").starts_with(&app.layer("packages/usr/bin").display().to_string()));
    assert!(value("LD_LIBRARY_PATH").starts_with(&app.layer("packages/usr/lib").display().to_string()));
    let words = app.dir();
    fs::write(words.join("words"), "hello").unwrap();
    let output = Command::new("greet")
        .env_clear()
        .envs(&env)
        .env("WORDS_DIR", words)
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"hello");
}

#[test]
fn what_one_compiles_with_is_for_the_build() {
    let repository = repository();
    let app = repository.app("libpvdify-words-dev");
    insta::assert_snapshot!(repository.log(&app.build().passed().log()), @r"
    -----> Installing Debian packages
    -----> Updating package indexes
           Done ([time])
           libpvdify-words-dev 2:1.5
           with 2 packages that they need
           2 packages (2 downloaded, [size] in all)
           Packages for the app: ready ([time])
           3 packages (3 downloaded, [size] in all)
           Packages for the build: ready ([time])
           Done ([time])
    ");
    assert_eq!(app.layer_types("packages"), [false, true, true]);
    assert_eq!(app.layer_types("build-packages"), [true, true, false]);
    let arch = buildpack_support::toolchain::multiarch();
    assert_eq!(
        names(&app.layer("packages")),
        [format!("./usr/lib/{arch}/libwords.so.1")]
    );
    let build = app.layer("build-packages");
    assert!(build.join("usr/include/other.h").exists());
    let words = fs::read_to_string(build.join(format!("usr/lib/{arch}/pkgconfig/words.pc"))).unwrap();
    assert_eq!(words, format!("prefix={}/usr\n", build.display()));
}

#[test]
fn a_build_that_changes_nothing_asks_apt_nothing() {
    let repository = repository();
    let app = repository.app("libpvdify-words-dev");
    app.build().passed();
    // Without it, an apt that is asked fails.
    fs::remove_dir_all(app.layer("apt/state")).unwrap();
    insta::assert_snapshot!(app.build().passed().log(), @r"
    -----> Installing Debian packages
           libpvdify-words-dev 2:1.5
           with 2 packages that they need
           Packages for the app: unchanged, kept
           Packages for the build: unchanged, kept
           Done ([time])
    ");
    app.write("Aptfile", "pvdify-greet");
    assert_ne!(app.build().code, 0);
}

#[test]
fn a_download_brings_what_it_needs() {
    let repository = repository();
    package(
        repository.dir.path(),
        "pvdify-apart",
        "3",
        "libpvdify-words1",
        &[("opt/apart/bin/apart", "#!/bin/sh\necho apart\n")],
    );
    let app = repository.app("[address]/pvdify-apart_3_all.deb");
    insta::assert_snapshot!(repository.log(&app.build().passed().log()), @r"
    -----> Installing Debian packages
    -----> Updating package indexes
           Done ([time])
    -----> Downloading [address]/pvdify-apart_3_all.deb
           [size] ([time])
           [address]/pvdify-apart_3_all.deb
           with 1 package that they need
           1 package (1 downloaded, [size] in all)
           Packages for the app: ready ([time])
           Done ([time])
    ");
    let output = Command::new("apart")
        .env_clear()
        .envs(&app.launch_env())
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"apart\n");
}

#[test]
fn a_package_without_what_it_needs_comes_alone() {
    let repository = repository();
    let app = repository.app("");
    app.write(
        "project.toml",
        "[com.heroku.buildpacks.deb-packages]\ninstall = [{ name = \"pvdify-greet\", skip_dependencies = true }]\n",
    );
    app.build().passed();
    assert_eq!(names(&app.layer("packages")).len(), 2);
}

#[test]
fn an_unknown_package_is_told_with_names_like_it() {
    let repository = repository();
    let built = repository.app("pvdify-great\n").build();
    assert_eq!(built.code, 1);
    insta::assert_snapshot!(built.stderr, @r"

     !     There is no Debian package pvdify-great
     !
     !     The package sources of the image (Debian 13, trixie) do not have it.
     !     Names like pvdify-great: pvdify-greet.
     !
     !     Names can differ from Ubuntu's, and numbers in them change from release to release: search on packages.debian.org. Correct it, commit and push again.
    ");
}
