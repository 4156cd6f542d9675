//! `pvdify-buildpack install DIR`: a folder per buildpack, as a lifecycle wants it, and the default order.
//!
//! `DIR/<id with _>/<version>/{buildpack.toml, bin/detect, bin/build}`. The program is copied once and linked
//! for the rest. Everything is made beside and then moved in, so that who reads meanwhile sees whole folders.

use crate::buildpacks::{ALL, id_and_version};
use std::{
    env, fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

const ORDER: &str = include_str!("order.toml");

// Programs that a buildpack puts into apps' images: shipped beside this one.
const COMPANIONS: [(&str, &str, &str); 1] = [("pvdify/static", "pvdify-static-server", "static-server")];

/// Makes the folders.
pub(crate) fn install(folder: &Path) -> Result<(), String> {
    let program =
        env::current_exe().map_err(|error| format!("can't find this program's own file: {error}"))?;
    install_from(&program, folder).map_err(|(path, error)| format!("can't write {}: {error}", path.display()))
}

type Outcome<T> = Result<T, (PathBuf, io::Error)>;

fn install_from(program: &Path, folder: &Path) -> Outcome<()> {
    let staging = folder.join(format!(".install-{}", std::process::id()));
    make_dir(&staging)?;
    let result = fill(program, folder, &staging);
    let removed = fs::remove_dir_all(&staging).map_err(at(&staging));
    result.and(removed)
}

fn fill(program: &Path, folder: &Path, staging: &Path) -> Outcome<()> {
    let copy = staging.join("program");
    copy_program(program, &copy)?;
    for entry in ALL {
        let Some((id, version)) = id_and_version(entry.descriptor) else {
            continue;
        };
        let name = Path::new(&id.replace('/', "_")).join(version);
        let made = staging.join(&name);
        let bin = made.join("bin");
        make_dir(&bin)?;
        write(&made.join("buildpack.toml"), entry.descriptor)?;
        for phase in ["detect", "build"] {
            link_or_copy(&copy, &bin.join(phase))?;
        }
        for (of, companion, called) in COMPANIONS {
            let companion = program.with_file_name(companion);
            if of == id && companion.is_file() {
                copy_program(&companion, &bin.join(called))?;
            }
        }
        let place = folder.join(&name);
        make_dir(place.parent().unwrap_or(folder))?;
        match fs::remove_dir_all(&place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err((place, error)),
            _ => {}
        }
        fs::rename(&made, &place).map_err(at(&place))?;
    }
    let order = staging.join("order.toml");
    write(&order, ORDER)?;
    let place = folder.join("order.toml");
    fs::rename(&order, &place).map_err(at(&place))
}

fn at(path: &Path) -> impl Fn(io::Error) -> (PathBuf, io::Error) {
    move |error| (path.to_owned(), error)
}

fn make_dir(path: &Path) -> Outcome<()> {
    fs::create_dir_all(path).map_err(at(path))
}

fn write(path: &Path, text: &str) -> Outcome<()> {
    fs::write(path, text).map_err(at(path))
}

fn copy_program(from: &Path, to: &Path) -> Outcome<()> {
    fs::copy(from, to).map_err(at(to))?;
    // Whatever the umask: the build's user, who is not root, runs it.
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).map_err(at(to))
}

fn link_or_copy(from: &Path, to: &Path) -> Outcome<()> {
    fs::hard_link(from, to)
        .or_else(|_| fs::copy(from, to).map(drop))
        .map_err(at(to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn installed() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("from/pvdify-buildpack");
        make_dir(program.parent().unwrap()).unwrap();
        write(&program, "program").unwrap();
        write(&program.with_file_name("pvdify-static-server"), "server").unwrap();
        // Twice: an upgrade writes over what is there.
        install_from(&program, &dir.path().join("to")).unwrap();
        install_from(&program, &dir.path().join("to")).unwrap();
        dir
    }

    #[test]
    fn each_buildpack_has_its_folder_and_all_share_one_file() {
        let dir = installed();
        let to = dir.path().join("to");
        let inode = |path: &str| fs::metadata(to.join(path)).unwrap().ino();
        assert_eq!(
            inode("pvdify_nodejs/0.1.0/bin/detect"),
            inode("pvdify_go/0.1.0/bin/build")
        );
        assert_eq!(
            fs::read_to_string(to.join("pvdify_go/0.1.0/buildpack.toml")).unwrap(),
            buildpack_go::DESCRIPTOR
        );
        assert_eq!(
            fs::read_to_string(to.join("pvdify_static/0.1.0/bin/static-server")).unwrap(),
            "server"
        );
        let mode = fs::metadata(to.join("pvdify_go/0.1.0/bin/build")).unwrap().mode();
        assert_eq!(mode & 0o777, 0o755);
        let left: Vec<_> = fs::read_dir(&to)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with('.'))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn the_order_names_what_is_installed_and_everything_that_is() {
        let order: toml::Table = ORDER.parse().unwrap();
        let mut named: Vec<String> = order["order"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|group| group["group"].as_array().unwrap())
            .map(|member| member["id"].as_str().unwrap().to_owned())
            .collect();
        named.sort();
        named.dedup();
        let mut known: Vec<String> = ALL
            .iter()
            .map(|entry| id_and_version(entry.descriptor).unwrap().0)
            .collect();
        known.sort();
        assert_eq!(named, known);
    }
}
