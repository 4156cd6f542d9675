//! What follows from what image extensions write.

use pvdify_cnb::extension::{Begins, ExtendConfig, Image, counting, is_root, user_and_group};

#[test]
fn the_last_run_dockerfile_that_begins_from_another_image_and_those_behind_it_count() {
    let given = || Begins::Given;
    let other = |image: &str| Begins::Other {
        image: image.to_owned(),
        extends: false,
    };
    for (all, first) in [
        (vec![], 0),
        (vec![given(), given()], 0),
        (vec![other("a")], 0),
        (vec![given(), other("a"), given()], 1),
        (vec![other("a"), given(), other("b"), given()], 2),
    ] {
        assert_eq!(counting(&all), first, "{all:?}");
    }
}

#[test]
fn arguments_are_each_images_own_and_never_the_platforms() {
    let text = "[[build.args]]\nname = 'a'\nvalue = '1'\n[[build.args]]\nname = 'base_image'\nvalue = 'evil'\n\
                [[run.args]]\nname = 'b'\nvalue = '2'\n[[run.args]]\nname = 'user_id'\nvalue = '0'\n";
    let config: ExtendConfig = toml::from_str(text).expect("a config");
    let names = |image| -> Vec<&str> { config.args(image).map(|arg| arg.name.as_str()).collect() };
    assert_eq!((names(Image::Build), names(Image::Run)), (vec!["a"], vec!["b"]));
    assert_eq!(
        toml::from_str::<ExtendConfig>("[other]").expect("a config"),
        ExtendConfig::default()
    );
    assert!(toml::from_str::<ExtendConfig>("[[build.args]]\nname = 'a'").is_err());
}

#[test]
fn an_images_user_is_read_as_engines_read_it() {
    for (text, user, group, root) in [
        ("", "0", "0", true),
        ("0", "0", "0", true),
        ("000", "000", "000", true),
        ("root:x", "root", "x", true),
        (":5", "0", "5", true),
        ("10001:10001", "10001", "10001", false),
        ("cnb", "cnb", "cnb", false),
        ("7:8", "7", "8", false),
    ] {
        assert_eq!(
            user_and_group(text),
            (user.to_owned(), group.to_owned()),
            "{text:?}"
        );
        assert_eq!(is_root(text), root, "{text:?}");
    }
}
