//! What no process reads at run time is no part of an image; licences stay.

use super::each;
use buildpack_support::{Result, files};
use std::path::Path;

/// Removes manuals, and unless the build uses the layer too, headers and static libraries.
pub(crate) fn strip(root: &Path, is_for_build: bool) -> Result<()> {
    for folder in [
        "usr/share/man",
        "usr/share/info",
        "usr/share/lintian",
        "usr/share/bug",
    ] {
        files::remove(&root.join(folder))?;
    }
    each(&root.join("usr/share/doc"), &mut |path, is_link| {
        // The licences stay.
        if is_link || path.file_name().is_some_and(|name| name != "copyright") {
            files::remove(path)
        } else {
            Ok(())
        }
    })?;
    if is_for_build {
        return Ok(());
    }
    for folder in ["usr/include", "usr/share/pkgconfig", "usr/share/aclocal"] {
        files::remove(&root.join(folder))?;
    }
    each(&root.join("usr/lib"), &mut |path, _| {
        let is_static = path
            .extension()
            .is_some_and(|ending| ending == "a" || ending == "pc");
        if is_static { files::remove(path) } else { Ok(()) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use files::write;

    #[test]
    fn an_image_has_no_headers_but_licences() {
        let tree = [
            "usr/include/a.h",
            "usr/lib/x/liba.a",
            "usr/lib/x/liba.so.1",
            "usr/lib/x/pkgconfig/a.pc",
            "usr/share/man/man1/a.1.gz",
            "usr/share/doc/a/copyright",
            "usr/share/doc/a/README",
        ];
        let left = |is_for_build: bool| {
            let dir = tempfile::tempdir().unwrap();
            for name in tree {
                write(&dir.path().join(name), "").unwrap();
            }
            strip(dir.path(), is_for_build).unwrap();
            tree.into_iter()
                .filter(|name| dir.path().join(name).exists())
                .collect::<Vec<_>>()
        };
        assert_eq!(left(false), ["usr/lib/x/liba.so.1", "usr/share/doc/a/copyright"]);
        assert_eq!(left(true).len(), 5);
    }
}
