//! Builds of all kinds of sites: the log, the layers, what is left in the app's folder.

use crate::served::{serve, site};
use buildpack_support::testing::App;
use std::{fs, os::unix::fs::symlink, path::Path};

const VITE: &str = r#"{"scripts":{"build":"vite build"},"devDependencies":{"vite":"7"}}"#;

fn entries(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

// As it is when Node.js has built it.
fn vite() -> App {
    site()
        .file("package.json", VITE)
        .file("index.html", "the source")
        .file("src/main.ts", "source")
        .file("node_modules/vite/index.js", "vite")
        .file("dist/index.html", "the app")
        .file("dist/assets/index-BfX3kq2D.js", &"let x = 1;\n".repeat(200))
}

#[test]
fn detect_says_why_and_asks_node_to_stay_out_of_the_image() {
    let plain = site().file("index.html", "");
    assert_eq!(plain.detect().passed().stdout, "index.html is there\n");
    assert!(plain.plan().is_empty());
    let built = vite();
    assert_eq!(
        built.detect().passed().stdout,
        "package.json builds a site (Vite)\n"
    );
    insta::assert_snapshot!(built.plan(), @r#"
    [[or]]

    [[requires]]
    name = "pvdify/front-end"

    [requires.metadata]
    "#);
    // What else is started may need Node.js.
    let with_worker = vite().file("Procfile", "worker: node worker.js");
    assert_eq!(with_worker.detect().passed().code, 0);
    assert!(with_worker.plan().is_empty());
    assert_eq!(site().file("app.rb", "").detect().code, 100);
    assert_eq!(
        site()
            .file("index.html", "")
            .file("Procfile", "web: ./serve")
            .detect()
            .code,
        100
    );
}

#[test]
fn pages_as_they_are() {
    let app = site()
        .file("index.html", &"<p>hello</p>\n".repeat(100))
        .file("about.html", "about")
        .file("style.3f2a1b4c.css", "p {}")
        .file(".env", "SECRET=1")
        .file("Procfile", "clock: ./tick");
    symlink("/etc/passwd", app.dir().join("passwd")).unwrap();
    insta::assert_snapshot!(app.build().passed().log().replace(&app.layers().display().to_string(), "[layers]"), @r"
    -----> Reading the site
           3 files in the app's folder, [size]
     !     Left out of the site: passwd (a link that leads out of the app, or nowhere).
    -----> Preparing the site
           Compressed 1 file: [size] become [size]
           Site: ready ([time])
           static-server 0.1.0: ready ([time])
    ");
    let web = app.process("web").unwrap();
    assert_eq!(web, ["static-server", &app.layer("site").display().to_string()]);
    let served = serve(&app, &[]);
    assert!(served.page("/").1.starts_with("<p>hello"));
    assert_eq!(served.page("/about"), (200, "about".to_owned()));
    assert_eq!(served.page("/.env").0, 404);
    assert_eq!(served.page("/Procfile").0, 404);
    assert_eq!(served.page("/passwd").0, 404);
    let immutable = served.get("/style.3f2a1b4c.css", &[]);
    assert_eq!(
        immutable.header("cache-control"),
        Some("public, max-age=31536000, immutable")
    );
    for (coding, size) in [("br", 100), ("gzip", 100), ("zstd", 100)] {
        let answer = served.get("/", &[&format!("Accept-Encoding: {coding}")]);
        assert_eq!(answer.header("content-encoding"), Some(coding));
        assert!(answer.body.len() < size);
    }
    // The Procfile starts something else, which may need the files.
    assert!(app.dir().join("index.html").exists());
}

#[test]
fn a_front_ends_site_is_all_that_stays() {
    let app = vite().file("Procfile", "web: bin/boot").file("app.json", "{}");
    insta::assert_snapshot!(app.build().passed().log(), @r"
    -----> Reading the site
           2 files in dist/ (built by Vite), [size]
           Paths that are no file: index.html (a single-page app)
    -----> Preparing the site
           Compressed 1 file: [size] become [size]
           Site: ready ([time])
           static-server 0.1.0: ready ([time])
           Left out of the image: sources and packages that only the build needs ([size])
    ");
    assert_eq!(entries(&app.dir()), ["Procfile", "app.json", "bin"]);
    let boot = fs::read_to_string(app.dir().join("bin/boot")).unwrap();
    assert_eq!(
        boot,
        format!("#!/bin/sh\nexec static-server {}\n", app.layer("site").display())
    );
    let served = serve(&app, &[]);
    assert_eq!(served.page("/any/where"), (200, "the app".to_owned()));
    assert_eq!(served.page("/assets/old.js").0, 404);
    let script = served.get("/assets/index-BfX3kq2D.js", &["Accept-Encoding: br"]);
    assert_eq!(
        script.header("cache-control"),
        Some("public, max-age=31536000, immutable")
    );
    assert_eq!(script.header("content-encoding"), Some("br"));
}

#[test]
fn pages_of_many_have_their_own_for_what_is_not_there() {
    let app = site()
        .file(
            "package.json",
            r#"{"scripts":{"build":"astro build"},"dependencies":{"astro":"5"}}"#,
        )
        .file("dist/index.html", "home")
        .file("dist/about/index.html", "about")
        .file("dist/404.html", "no such page");
    assert!(
        app.build()
            .passed()
            .stdout
            .contains("Paths that are no file: 404.html, with status 404\n")
    );
    let served = serve(&app, &[]);
    assert_eq!(served.page("/nowhere"), (404, "no such page".to_owned()));
    assert_eq!(served.redirect("/about"), (301, "/about/".to_owned()));
}

#[test]
fn a_staticfile_names_the_folder_and_netlifys_files_add_to_it() {
    let app = site()
        .file("Staticfile", "root: site\npushstate: enabled\n")
        .file("site/index.html", "home")
        .file(
            "site/_redirects",
            "/old/* /new/:splat 302\n/api/* https://api.example/:splat 200\n",
        )
        .file("site/_headers", "/*\n  X-Frame-Options: DENY\n");
    insta::assert_snapshot!(app.build().passed().log(), @r"
    -----> Reading the site
           1 file in site/, [size]
           Configured by Staticfile, _redirects, _headers
           Paths that are no file: index.html (a single-page app)
     !     _redirects, line 2: requests are not passed on to other servers; it is left out.
    -----> Preparing the site
           Site: ready ([time])
           static-server 0.1.0: ready ([time])
    ");
    let served = serve(&app, &[]);
    assert_eq!(served.redirect("/old/x?a=1"), (302, "/new/x?a=1".to_owned()));
    assert_eq!(served.page("/new/x"), (200, "home".to_owned()));
    assert_eq!(served.page("/_headers"), (200, "home".to_owned()));
    assert_eq!(served.get("/", &[]).header("x-frame-options"), Some("DENY"));
    assert_eq!(entries(&app.dir()), ["Staticfile"]);
}

#[test]
fn a_build_that_changes_nothing_changes_no_layer() {
    let app = vite();
    drop(app.build().passed());
    assert_eq!(app.layer_types("site"), [false, true, true]);
    assert_eq!(app.layer_types("server"), [false, true, true]);
    assert_eq!(app.layer_types("compressed"), [false, true, false]);
    let time = |name: &str| fs::metadata(app.layer(name)).unwrap().modified().unwrap();
    let before = (time("site"), time("server"));
    push(&app, "the app");
    let log = app.build().passed().log();
    assert!(
        log.contains("Site: unchanged, kept\n       static-server 0.1.0: unchanged, kept\n"),
        "{log}"
    );
    assert_eq!((time("site"), time("server")), before);
    // Another page: what is compressed already is not compressed again.
    push(&app, &"another page ".repeat(100));
    let log = app.build().passed().log();
    assert!(
        log.contains("Compressed 2 files, 1 from the cache: [size] become"),
        "{log}"
    );
    assert!(serve(&app, &[]).page("/").1.starts_with("another page"));
}

fn push(app: &App, page: &str) {
    app.next_push();
    app.write("package.json", VITE);
    app.write("dist/index.html", page);
    app.write("dist/assets/index-BfX3kq2D.js", &"let x = 1;\n".repeat(200));
}

#[test]
fn a_site_without_files_is_told() {
    let app = site().file("Staticfile", "root: site").file("site/.keep", "");
    insta::assert_snapshot!(app.build().stderr, @r"

     !     The site has no files
     !
     !     Its folder is site, and there is nothing in it that may be seen (files that begin with a dot may not).
     !
     !     Is another folder meant? Name it in a file `Staticfile`: `root: FOLDER`. Commit and push again.
    ");
}

#[test]
fn a_missing_server_is_told() {
    let app = crate::served::app().file("index.html", "");
    let built = app.build();
    assert_eq!(built.code, 1);
    let folder = app.buildpack_dir().display().to_string();
    insta::assert_snapshot!(built.stderr.replace(&folder, "[buildpack]"), @r"

     !     The server for static sites is not there
     !
     !     [buildpack]/bin/static-server: No such file or directory (os error 2).
     !
     !     Pvdify's installation is not whole: tell the server's administrator.
    ");
}
