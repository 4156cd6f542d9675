//! A repository of packages in a folder, and a small web server for files.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Makes a package with these files.
pub(crate) fn package(
    dir: &Path,
    name: &str,
    version: &str,
    depends: &str,
    files: &[(&str, &str)],
) -> PathBuf {
    let root = dir.join(format!("{name}-{version}"));
    let write = |path: &str, text: &str| {
        let place = root.join(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(&place, text).unwrap();
        if path.contains("bin/") {
            run(Command::new("chmod").arg("755").arg(&place));
        }
    };
    let depends = if depends.is_empty() {
        String::new()
    } else {
        format!("Depends: {depends}\n")
    };
    write(
        "DEBIAN/control",
        &format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: a <a@b.c>\n{depends}Description: x\n"
        ),
    );
    for (path, text) in files {
        write(path, text);
    }
    let deb = dir.join(format!("{name}_{version}_all.deb"));
    run(Command::new("dpkg-deb")
        .args(["--root-owner-group", "--build"])
        .arg(&root)
        .arg(&deb));
    fs::remove_dir_all(root).unwrap();
    deb
}

/// Makes the index of all packages in `dir`.
pub(crate) fn index(dir: &Path) {
    let mut packages = String::new();
    let mut debs: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    debs.retain(|path| path.extension().is_some_and(|ending| ending == "deb"));
    debs.sort();
    for deb in debs {
        let control = String::from_utf8(run(Command::new("dpkg-deb").arg("--field").arg(&deb))).unwrap();
        let sum = String::from_utf8(run(Command::new("sha256sum").arg(&deb))).unwrap();
        let name = deb.file_name().unwrap().to_str().unwrap();
        packages.push_str(&format!(
            "{}\nFilename: ./{name}\nSize: {}\nSHA256: {}\n\n",
            control.trim_end(),
            fs::metadata(&deb).unwrap().len(),
            sum.split(' ').next().unwrap()
        ));
    }
    fs::write(dir.join("Packages"), packages).unwrap();
}

/// Serves the files of a folder until the test ends; gives the address.
pub(crate) fn serve(dir: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let dir = dir.to_owned();
    std::thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(&socket).lines().map_while(Result::ok);
            let first = lines.next().unwrap_or_default();
            let _rest: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let path = first
                .split(' ')
                .nth(1)
                .unwrap_or_default()
                .trim_start_matches(['/', '.'])
                .to_owned();
            let (status, body) = match fs::read(dir.join(path)) {
                Ok(body) => ("200 OK", body),
                Err(_) => ("404 Not Found", Vec::new()),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            // A client that is gone has what it wanted.
            drop(
                (&socket)
                    .write_all(head.as_bytes())
                    .and_then(|()| (&socket).write_all(&body)),
            );
        }
    });
    address
}
