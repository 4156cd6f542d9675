//! The Procfile buildpack through `bin/detect` and `bin/build`.

use buildpack_procfile::{DESCRIPTOR, ProcfileBuildpack};
use buildpack_support::testing::entry;

entry!(ProcfileBuildpack, DESCRIPTOR);

#[test]
fn a_procfile_is_detected_and_nothing_else() {
    assert_eq!(
        app().file("Procfile", "web: x").detect().passed().stdout,
        "the app has a Procfile\n"
    );
    assert_eq!(app().file("procfile.txt", "web: x").detect().code, 100);
}

#[test]
fn each_line_is_a_process_and_web_the_default() {
    let app = app().file("Procfile", "release: echo $A\nweb: ./serve -p $PORT # here\n");
    insta::assert_snapshot!(app.build().passed().stdout, @r"
    -----> Reading the Procfile
           release: echo $A
           web: ./serve -p $PORT # here
    ");
    insta::assert_snapshot!(app.launch(), @r#"
    [[processes]]
    command = ["bash", "-c", "echo $A"]
    type = "release"

    [[processes]]
    command = ["bash", "-c", "./serve -p $PORT # here"]
    default = true
    type = "web"
    "#);
}

#[test]
fn an_empty_procfile_is_warned_of() {
    let built = app().file("Procfile", "# nothing yet\n").build().passed();
    assert!(
        built
            .stdout
            .ends_with(" !     The Procfile is empty: it gives no process type.\n")
    );
}

#[test]
fn a_wrong_line_ends_the_build_with_its_number() {
    let built = app().file("Procfile", "web: a\nworker\n").build();
    assert_eq!(built.code, 1);
    insta::assert_snapshot!(built.stderr, @r#"

     !     Procfile, line 2, can't be read
     !
     !     "worker" has no colon.
     !
     !     A line is a process type, a colon and a command, as in `web: npm start`. Correct it, commit and push again.
    "#);
}
