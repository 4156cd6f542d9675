//! Variables by which programs find their data, and where packages have it.

use buildpack_support::{files, layer, toolchain};
use libcnb::{
    Env,
    layer_env::{LayerEnv, ModificationBehavior, Scope},
};
use std::path::{Path, PathBuf};

/// Variables that name one place, and where it is: `*` stands for one part of a path.
const PLACES: [(&str, &str); 7] = [
    ("COWPATH", "usr/share/cowsay/cows"),
    ("FONTCONFIG_PATH", "etc/fonts"),
    ("MAGICK_CONFIGURE_PATH", "etc/ImageMagick-*"),
    ("TESSDATA_PREFIX", "usr/share/tesseract-ocr/*/tessdata"),
    ("MAGIC", "usr/lib/file/magic.mgc"),
    ("GVBINDIR", "usr/lib/{arch}/graphviz"),
    (
        "GDK_PIXBUF_MODULE_FILE",
        "usr/lib/{arch}/gdk-pixbuf-2.0/*/loaders.cache",
    ),
];

/// Variables that are lists of places.
const LISTS: [(&str, &[&str]); 7] = [
    ("PATH", &["usr/local/bin", "opt/*/bin"]),
    ("LD_LIBRARY_PATH", &["usr/local/lib", "opt/*/lib"]),
    (
        "PERL5LIB",
        &[
            "usr/share/perl5",
            "usr/lib/{arch}/perl5/5.*",
            "usr/share/perl/5.*",
            "usr/lib/{arch}/perl/5.*",
        ],
    ),
    ("GI_TYPELIB_PATH", &["usr/lib/{arch}/girepository-1.0"]),
    (
        "QT_PLUGIN_PATH",
        &["usr/lib/{arch}/qt6/plugins", "usr/lib/{arch}/qt5/plugins"],
    ),
    (
        "GS_LIB",
        &[
            "usr/share/ghostscript/*/Resource/Init",
            "usr/share/ghostscript/*/lib",
            "usr/share/ghostscript/*/Resource/Font",
            "usr/share/ghostscript/*/iccprofiles",
            "usr/share/fonts/type1/gsfonts",
            "usr/share/fonts/X11/Type1",
            "var/lib/ghostscript/fonts",
        ],
    ),
    ("GST_PLUGIN_PATH", &["usr/lib/{arch}/gstreamer-1.0"]),
];

/// Adds the lists of places, beside what `deb::layer_env` has for the same names.
pub(super) fn add_lists(root: &Path, layer_env: &mut LayerEnv) {
    for (variable, folders) in LISTS {
        let found: Vec<String> = folders
            .iter()
            .flat_map(|folder| find(root, folder))
            .map(|path| path.display().to_string())
            .collect();
        if found.is_empty() {
            continue;
        }
        let known = layer_env
            .apply(Scope::Launch, &Env::new())
            .get_string_lossy(variable);
        let list = known.into_iter().chain(found).collect::<Vec<_>>().join(":");
        layer::prepend(layer_env, Scope::All, variable, list);
    }
}

/// Adds the variables that name one place, unless the app sets them.
pub(super) fn add_defaults(root: &Path, layer_env: &mut LayerEnv) {
    for (variable, place) in PLACES {
        if let Some(path) = find(root, place).into_iter().next() {
            layer_env.insert(Scope::All, ModificationBehavior::Default, variable, path);
        }
    }
}

/// All that match, in order; `*` stands in one part of a path, `{arch}` for the multiarch folder.
pub(super) fn find(root: &Path, pattern: &str) -> Vec<PathBuf> {
    let pattern = pattern.replace("{arch}", toolchain::multiarch());
    let mut found = vec![root.to_owned()];
    for part in pattern.split('/') {
        found = match part.split_once('*') {
            None => found.into_iter().map(|path| path.join(part)).collect(),
            Some((before, after)) => found
                .iter()
                .flat_map(|path| {
                    let is_meant = |entry: &PathBuf| {
                        let name = entry.file_name().unwrap_or_default().to_string_lossy();
                        name.len() >= part.len() && name.starts_with(before) && name.ends_with(after)
                    };
                    let mut inside = files::list(path);
                    inside.retain(is_meant);
                    inside
                })
                .collect(),
        };
    }
    found.retain(|path| path.exists());
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adjust::adjust;
    use files::write;
    use std::fs;

    #[test]
    fn programs_are_told_where_their_data_is() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for name in [
            "etc/fonts/fonts.conf",
            "etc/ImageMagick-7/policy.xml",
            "usr/share/tesseract-ocr/5/tessdata/eng",
            "usr/share/perl5/X.pm",
            "opt/tool/bin/tool",
        ] {
            write(&root.join(name), "<dir>/usr/share/fonts</dir></fontconfig>").unwrap();
        }
        let mut known = LayerEnv::new();
        known.insert(
            Scope::All,
            ModificationBehavior::Prepend,
            "PATH",
            "/layer/usr/bin",
        );
        let made = adjust(root, &Env::new(), known).unwrap();
        let mut env = Env::new();
        env.insert("PATH", "/bin").insert("TESSDATA_PREFIX", "/mine");
        let env = made.apply(Scope::Launch, &env);
        let value = |name: &str| {
            env.get_string_lossy(name)
                .unwrap()
                .replace(&root.display().to_string(), "[layer]")
        };
        assert_eq!(value("PATH"), "/layer/usr/bin:[layer]/opt/tool/bin:/bin");
        assert_eq!(value("FONTCONFIG_PATH"), "[layer]/etc/fonts");
        assert_eq!(value("MAGICK_CONFIGURE_PATH"), "[layer]/etc/ImageMagick-7");
        assert_eq!(value("TESSDATA_PREFIX"), "/mine");
        assert_eq!(value("PERL5LIB"), "[layer]/usr/share/perl5");
        let fonts = fs::read_to_string(root.join("etc/fonts/fonts.conf")).unwrap();
        assert!(fonts.starts_with(&format!(
            "<dir>{}/usr/share/fonts</dir><dir>/usr/share/fonts</dir>",
            root.display()
        )));
    }
}
