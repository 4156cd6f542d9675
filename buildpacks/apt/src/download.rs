//! `.deb` files by address, through the build image's `curl`.

use buildpack_support::{Command, Failure, Result, command::Cause, files, output, toolchain::debian_arch};
use libcnb::Env;
use std::{
    fs,
    path::{Path, PathBuf},
};

// Larger than any browser's package by far.
const MOST_BYTES: &str = "1000000000";
const MOST_SECONDS: &str = "600";

/// Downloads one into `folder`, and checks that it is a package for this machine.
pub(crate) fn deb(address: &str, folder: &Path, env: &Env) -> Result<PathBuf> {
    files::make_dir(folder)?;
    let path = folder.join(format!("{}.deb", &files::fingerprint([address])[..16]));
    files::remove(&path)?;
    let step = output::step(format!("Downloading {address}"));
    Command::new("curl")
        .envs(env)
        .args([
            "--fail",
            "--location",
            "--silent",
            "--show-error",
            "--proto",
            "=https,http",
        ])
        .args([
            "--max-filesize",
            MOST_BYTES,
            "--max-time",
            MOST_SECONDS,
            "--retry",
            "2",
            "--output",
        ])
        .arg(&path)
        .arg("--")
        .arg(address)
        .quiet()
        .run()
        .map_err(|error| {
            let what = format!("Can't download {address}");
            match error.cause {
                Cause::NotFound => error.failure(
                    what,
                    "The build image lacks curl: tell the server's administrator.",
                ),
                _ => {
                    let why = error.tail.last().cloned().unwrap_or_else(|| error.to_string());
                    Failure::new(
                        what,
                        format!("{}.", why.trim_end_matches('.')),
                        "Does the address work in a browser? Correct it, commit and push again.",
                    )
                }
            }
        })?;
    step.done_as(&output::size(files::size(&path)));
    check(address, &path)?;
    Ok(path)
}

fn check(address: &str, path: &Path) -> Result<()> {
    let field = |field: &str| {
        Command::new("dpkg-deb")
            .args(["--field"])
            .arg(path)
            .arg(field)
            .output()
    };
    let arch = field("Architecture").map_err(|_| {
        Failure::new(
            format!("{address} is no Debian package"),
            "What came from there can't be read as a .deb file.",
            "Does the address lead to a page instead of the file? Correct it, commit and push again.",
        )
    })?;
    let arch = arch.trim();
    let ours = debian_arch();
    if arch == ours || arch == "all" {
        return Ok(());
    }
    Err(Failure::new(
        format!("{address} is for another machine"),
        format!("It is for {arch}, this server is {ours}."),
        format!("Take the address of the file for {ours}, commit and push again."),
    ))
}

/// A digest of the file.
pub(crate) fn digest(path: &Path) -> Result<String> {
    let bytes = fs::read(path).map_err(|error| Failure::io("read", path, &error))?;
    Ok(files::fingerprint([bytes]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(dir: &Path, arch: &str) -> PathBuf {
        files::write(
            &dir.join("p/DEBIAN/control"),
            format!(
                "Package: ours\nVersion: 1\nArchitecture: {arch}\nMaintainer: a <a@b.c>\nDescription: x\n"
            ),
        )
        .unwrap();
        let path = dir.join("ours.deb");
        Command::new("dpkg-deb")
            .arg("--build")
            .arg(dir.join("p"))
            .arg(&path)
            .quiet()
            .run()
            .unwrap();
        path
    }

    #[test]
    fn a_package_is_one_for_this_machine() {
        let dir = tempfile::tempdir().unwrap();
        check("https://x.example/a.deb", &package(dir.path(), "all")).unwrap();
        let failure = check("https://x.example/a.deb", &package(dir.path(), "s390x")).unwrap_err();
        insta::assert_snapshot!(failure.text().replace("arm64", "amd64"), @r"
        https://x.example/a.deb is for another machine

        It is for s390x, this server is amd64.

        Take the address of the file for amd64, commit and push again.
        ");
        files::write(&dir.path().join("page.deb"), "<html>").unwrap();
        let failure = check("https://x.example/a.deb", &dir.path().join("page.deb")).unwrap_err();
        insta::assert_snapshot!(failure.text(), @r"
        https://x.example/a.deb is no Debian package

        What came from there can't be read as a .deb file.

        Does the address lead to a page instead of the file? Correct it, commit and push again.
        ");
    }

    #[test]
    fn an_address_that_does_not_answer_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let closed = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let env = Env::from_current();
        let failure = deb(&format!("http://127.0.0.1:{closed}/a.deb"), dir.path(), &env).unwrap_err();
        assert!(failure.what().starts_with("Can't download http://127.0.0.1:"));
        assert!(failure.why().starts_with("curl: ("), "{}", failure.why());
    }
}
