//! Makes unpacked packages work where they are: not at `/`, and without their packages' scripts having run.
//!
//! pkg-config's files and scripts' first lines name `/usr`: where that is in the layer, the layer is named
//! instead. Programs that look for their data in a fixed place are told by their variable.

use buildpack_support::{Command, Failure, Result, files, layer, toolchain};
use libcnb::{
    Env,
    layer_env::{LayerEnv, ModificationBehavior, Scope},
};
use std::{
    fs,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

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

/// Adjusts what is in `root`, and adds to its environment what the packages in it need.
pub(crate) fn adjust(root: &Path, env: &Env, mut layer_env: LayerEnv) -> Result<LayerEnv> {
    pkg_config(root)?;
    first_lines(root)?;
    fonts(root)?;
    for (variable, folders) in LISTS {
        let found: Vec<String> = folders
            .iter()
            .flat_map(|folder| places(root, folder))
            .map(|path| path.display().to_string())
            .collect();
        if found.is_empty() {
            continue;
        }
        // Beside what `deb::layer_env` has for the same name.
        let known = layer_env
            .apply(Scope::Launch, &Env::new())
            .get_string_lossy(variable);
        let list = known.into_iter().chain(found).collect::<Vec<_>>().join(":");
        layer::prepend(&mut layer_env, Scope::All, variable, list);
    }
    registers(root, &layer_env.apply(Scope::Build, env))?;
    for (variable, place) in PLACES {
        if let Some(path) = places(root, place).into_iter().next() {
            layer_env.insert(Scope::All, ModificationBehavior::Default, variable, path);
        }
    }
    Ok(layer_env)
}

/// Removes what no process reads at run time: manuals, headers, static libraries.
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

// All that match, in order; `*` is one part of a path.
fn places(root: &Path, pattern: &str) -> Vec<PathBuf> {
    let pattern = pattern.replace("{arch}", toolchain::multiarch());
    let mut found = vec![root.to_owned()];
    for part in pattern.split('/') {
        found = match part.split_once('*') {
            None => found.into_iter().map(|path| path.join(part)).collect(),
            Some((before, after)) => found
                .iter()
                .flat_map(|path| {
                    let mut inside: Vec<PathBuf> = fs::read_dir(path)
                        .into_iter()
                        .flatten()
                        .flatten()
                        .filter(|entry| {
                            let name = entry.file_name();
                            let name = name.to_string_lossy();
                            name.len() >= part.len() && name.starts_with(before) && name.ends_with(after)
                        })
                        .map(|entry| entry.path())
                        .collect();
                    inside.sort();
                    inside
                })
                .collect(),
        };
    }
    found.retain(|path| path.exists());
    found
}

// Every file and link below a folder, which may not be there.
fn each(folder: &Path, act: &mut impl FnMut(&Path, bool) -> Result<()>) -> Result<()> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => each(&path, act)?,
            Ok(kind) => act(&path, kind.is_symlink())?,
            Err(error) => return Err(Failure::io("read", &path, &error)),
        }
    }
    Ok(())
}

// `prefix=/usr`: if `/usr` of the layer is there, that is meant.
fn pkg_config(root: &Path) -> Result<()> {
    for folder in ["usr/lib", "usr/share/pkgconfig", "usr/local/lib"] {
        each(&root.join(folder), &mut |path, is_link| {
            if is_link || path.extension().is_none_or(|ending| ending != "pc") {
                return Ok(());
            }
            let text = fs::read_to_string(path).map_err(|error| Failure::io("read", path, &error))?;
            let new: Vec<String> = text.lines().map(|line| relocated(root, line)).collect();
            files::write(path, new.join("\n") + "\n")
        })?;
    }
    Ok(())
}

fn relocated(root: &Path, line: &str) -> String {
    let Some((name, value)) = line.split_once('=') else {
        return line.to_owned();
    };
    let is_variable = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let Some(inside) = value.trim().strip_prefix('/').filter(|_| is_variable) else {
        return line.to_owned();
    };
    let path = root.join(inside);
    if path.exists() {
        format!("{name}={}", path.display())
    } else {
        line.to_owned()
    }
}

// `#!/usr/bin/python3`, where that is in the layer.
fn first_lines(root: &Path) -> Result<()> {
    for folder in ["usr/bin", "usr/sbin", "bin", "usr/games", "usr/local/bin"] {
        for entry in fs::read_dir(root.join(folder)).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            let mut start = [0; 2];
            let is_script = is_file
                && fs::File::open(&path)
                    .and_then(|mut file| file.read_exact(&mut start))
                    .is_ok()
                && start == *b"#!";
            if is_script {
                first_line(root, &path)?;
            }
        }
    }
    Ok(())
}

fn first_line(root: &Path, path: &Path) -> Result<()> {
    let failed = |error| Failure::io("change", path, &error);
    let bytes = fs::read(path).map_err(failed)?;
    let end = bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(bytes.len());
    let line = String::from_utf8_lossy(&bytes[2..end]).into_owned();
    let line = line.trim();
    let (program, rest) = line.split_once(' ').unwrap_or((line, ""));
    let Some(inside) = program.strip_prefix('/').map(|inside| root.join(inside)) else {
        return Ok(());
    };
    // The layer has what the image has not: so the image has no such program.
    if !inside.exists() {
        return Ok(());
    }
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
    let mut new = format!("#!{} {rest}", inside.display())
        .trim_end()
        .as_bytes()
        .to_vec();
    new.extend(&bytes[end..]);
    files::write(path, new)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed)
}

fn fonts(root: &Path) -> Result<()> {
    let config = root.join("etc/fonts/fonts.conf");
    let Ok(text) = fs::read_to_string(&config) else {
        return Ok(());
    };
    let own = format!(
        "<dir>{}</dir><dir>/usr/share/fonts</dir>",
        root.join("usr/share/fonts").display()
    );
    let mut text = text.replace("<dir>/usr/share/fonts</dir>", &own);
    // Links to these are made by a script of the package.
    let rules = root.join("usr/share/fontconfig/conf.avail");
    if rules.is_dir() && !root.join("etc/fonts/conf.d").is_dir() {
        let include = format!(
            "<include ignore_missing=\"yes\">{}</include>\n</fontconfig>",
            rules.display()
        );
        text = text.replace("</fontconfig>", &include);
    }
    files::write(&config, text)
}

// Lists of plug-ins, which scripts of their packages make. Without one, the program works without the plug-ins.
fn registers(root: &Path, env: &Env) -> Result<()> {
    let arch = toolchain::multiarch();
    let graphviz = root.join(format!("usr/lib/{arch}/graphviz"));
    if graphviz.is_dir() && root.join("usr/bin/dot").exists() {
        let made = Command::new(root.join("usr/bin/dot"))
            .arg("-c")
            .envs(env)
            .env("GVBINDIR", &graphviz)
            .quiet()
            .run();
        tell(made.err());
    }
    let query = root.join(format!("usr/lib/{arch}/gdk-pixbuf-2.0/gdk-pixbuf-query-loaders"));
    for loaders in places(root, "usr/lib/{arch}/gdk-pixbuf-2.0/*/loaders") {
        if query.exists() {
            match Command::new(&query)
                .envs(env)
                .env("GDK_PIXBUF_MODULEDIR", &loaders)
                .output()
            {
                Ok(text) => files::write(&loaders.with_file_name("loaders.cache"), text)?,
                Err(error) => tell(Some(error)),
            }
        }
    }
    Ok(())
}

fn tell(error: Option<buildpack_support::command::CommandError>) {
    if let Some(error) = error {
        buildpack_support::output::warning(format!("{error} Its plug-ins will not be found."));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use files::write;

    #[test]
    fn pkg_config_names_the_layer() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let place = root.join("usr/lib/x/pkgconfig/foo.pc");
        write(&root.join("usr/include/foo/foo.h"), "").unwrap();
        write(
            &place,
            "prefix=/usr\nincludedir=${prefix}/include\nhere=/usr/include/foo\nelse=/opt/x\nName: a=/usr\n",
        )
        .unwrap();
        adjust(root, &Env::new(), LayerEnv::new()).unwrap();
        let root = root.display();
        assert_eq!(
            fs::read_to_string(place).unwrap(),
            format!(
                "prefix={root}/usr\nincludedir=${{prefix}}/include\nhere={root}/usr/include/foo\nelse=/opt/x\nName: a=/usr\n"
            )
        );
    }

    #[test]
    fn a_script_finds_its_interpreter_in_the_layer() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(&root.join("usr/bin/interpreter-x"), "").unwrap();
        for (name, text) in [
            ("a", "#!/usr/bin/interpreter-x -w\nrest\n"),
            ("b", "#!/bin/sh\n"),
            ("c", "#!/usr/bin/nowhere-y\n"),
            ("d", "\x7fELF"),
        ] {
            write(&root.join("usr/bin").join(name), text).unwrap();
            fs::set_permissions(root.join("usr/bin").join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        adjust(root, &Env::new(), LayerEnv::new()).unwrap();
        let text = |name: &str| fs::read_to_string(root.join("usr/bin").join(name)).unwrap();
        assert_eq!(
            text("a"),
            format!("#!{}/usr/bin/interpreter-x -w\nrest\n", root.display())
        );
        assert_eq!(
            [text("b"), text("c"), text("d")],
            ["#!/bin/sh\n", "#!/usr/bin/nowhere-y\n", "\x7fELF"]
        );
        assert_eq!(
            fs::metadata(root.join("usr/bin/a")).unwrap().permissions().mode() & 0o777,
            0o755
        );
    }

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
