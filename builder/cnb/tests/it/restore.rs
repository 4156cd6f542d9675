//! What of a layer the next build finds. Types are written `blc`: build, launch, cache; `-` stands for none.

use pvdify_cnb::{
    analyzed::AnalyzedLayer,
    layer::{LayerToml, LayerTypes},
    restore::{Before, Restored, RestoredToml},
};

fn types(text: &str) -> LayerTypes {
    LayerTypes {
        build: text.contains('b'),
        launch: text.contains('l'),
        cache: text.contains('c'),
    }
}

fn metadata(from: &str) -> toml::Table {
    [("from".to_owned(), from.into())].into_iter().collect()
}

#[test]
fn the_table_of_layer_types() {
    for (in_image, on_disk, has_contents, expected) in [
        // All combinations, with image and disk of one mind.
        (Some("blc"), Some("blc"), true, "all of image"),
        (Some("lc"), Some("lc"), true, "all of image"),
        (None, Some("bc"), true, "all of disk"),
        (None, Some("c"), true, "all of disk"),
        (Some("l"), Some("l"), true, "metadata of image"),
        (Some("bl"), Some("bl"), true, "nothing"),
        (None, Some("b"), true, "nothing"),
        (None, Some("-"), true, "nothing"),
        // Both or neither: without contents a cached layer is gone.
        (Some("blc"), Some("blc"), false, "nothing"),
        (Some("lc"), None, false, "nothing"),
        (Some("lc"), None, true, "nothing"),
        (None, Some("c"), false, "nothing"),
        // A launch layer needs none.
        (Some("l"), None, false, "metadata of image"),
        (Some("l"), Some("-"), true, "metadata of image"),
        // The disk's cached layer that the image does not have, as after an image that was deleted.
        (None, Some("lc"), true, "all of disk"),
        (None, Some("l"), true, "nothing"),
        // The image's word counts where they differ.
        (Some("l"), Some("lc"), true, "metadata of image"),
        (Some("lc"), Some("l"), true, "nothing"),
        // What is no launch layer is not the image's.
        (Some("bc"), None, false, "nothing"),
        (Some("bc"), Some("bc"), true, "all of disk"),
        (None, None, true, "nothing"),
        (None, None, false, "nothing"),
    ] {
        let image = in_image.map(|it| AnalyzedLayer {
            sha: "sha256:x".to_owned(),
            types: types(it),
            metadata: metadata("image"),
        });
        let disk = on_disk.map(|it| LayerToml {
            types: Some(types(it)),
            metadata: metadata("disk"),
            exec_env: Vec::new(),
        });
        let before = Before {
            in_image: image.as_ref(),
            on_disk: disk.as_ref(),
            has_contents,
        };
        let found = match before.restored() {
            Restored::Nothing => "nothing".to_owned(),
            Restored::Metadata(table) => {
                format!("metadata of {}", table["from"].as_str().unwrap_or_default())
            }
            Restored::All(table) => format!("all of {}", table["from"].as_str().unwrap_or_default()),
        };
        assert_eq!(found, expected, "{in_image:?} {on_disk:?} {has_contents}");
    }
}

#[test]
fn what_was_restored_is_kept_for_after_a_build_that_fails() {
    let mut noted = RestoredToml::default();
    noted.note("a/b", "layer.with.dots", types("bc"), metadata("image"));
    let text = toml::to_string(&noted).expect("TOML");
    let back: RestoredToml = toml::from_str(&text).expect("restored.toml");
    assert_eq!(back, noted);
    assert_eq!(
        back.layer("a/b", "layer.with.dots").map(LayerToml::flags),
        Some(types("bc"))
    );
    assert_eq!(back.layer("a/b", "other"), None);
}
