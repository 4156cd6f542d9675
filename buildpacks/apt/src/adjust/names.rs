//! Files that name places below `/`: pkg-config's, the first lines of scripts, fontconfig's. Where such a place is in
//! the layer, the layer's is meant.

use super::each;
use buildpack_support::{Failure, Result, files};
use std::{fs, io::Read, os::unix::fs::PermissionsExt, path::Path};

/// Lets all of them name what the layer has.
pub(super) fn of_the_layer(root: &Path) -> Result<()> {
    pkg_config(root)?;
    first_lines(root)?;
    fonts(root)
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
        of_the_layer(root).unwrap();
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
        of_the_layer(root).unwrap();
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
}
