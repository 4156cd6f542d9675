//! Which apps are Go's.

use crate::app;

#[test]
fn a_module_a_workspace_or_a_main_file() {
    for (name, reason) in [
        ("go.mod", "the app has a go.mod\n"),
        ("go.work", "the app has a go.work\n"),
        ("main.go", "the app has a main.go, though no go.mod\n"),
    ] {
        assert_eq!(app().file(name, "").detect().passed().stdout, reason);
    }
    assert_eq!(app().file("cmd/main.go", "").detect().code, 100);
}
