//! Buildpacks from a Git repository and from a packed folder, over HTTP from this machine.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
};

/// Serves a folder's files, as Git's simple protocol needs it; ends with the test.
fn serve(folder: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer(stream, &folder).ok();
        }
    });
    format!("http://{address}")
}

fn answer(mut stream: std::net::TcpStream, folder: &Path) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head);
    let path = head.split(' ').nth(1).unwrap_or("/");
    let path = path.split('?').next().unwrap_or("/").trim_start_matches('/');
    let (status, body) = match fs::read(folder.join(path)) {
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    stream.write_all(&body)
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args([
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.com",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("git runs");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
}

/// A repository with a tag `v1` and one commit more; gives the two commits.
fn repository(root: &Path) -> [String; 2] {
    let source = root.join("source");
    fs::create_dir(&source).expect("a folder");
    git(&source, &["init", "--quiet"]);
    let commits = ["old", "new"].map(|text| {
        fs::write(source.join("file"), text).expect("a file");
        git(&source, &["add", "."]);
        git(&source, &["commit", "--quiet", "-m", text]);
        if text == "old" {
            git(&source, &["tag", "v1"]);
        }
        git(&source, &["rev-parse", "HEAD"])
    });
    git(root, &["clone", "--quiet", "--bare", "source", "x.git"]);
    git(&root.join("x.git"), &["update-server-info"]);
    commits
}

fn fetch(arguments: &[&str]) -> (tempfile::TempDir, Output) {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_pvdify-lifecycle"))
        .args(arguments)
        .current_dir(folder.path())
        .env_remove("http_proxy")
        .env_remove("HTTP_PROXY")
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .expect("the program runs");
    (folder, output)
}

#[test]
fn a_repository_comes_at_its_head_a_tag_or_a_commit() {
    let root = tempfile::tempdir().expect("a folder");
    let [old, new] = repository(root.path());
    let url = format!("{}/x.git", serve(root.path().to_owned()));
    for (reference, commit, text) in [
        ("", &new, "new"),
        ("main", &new, "new"),
        ("v1", &old, "old"),
        (&old[..], &old, "old"),
        (&old[..8], &old, "old"),
    ] {
        let (folder, output) = fetch(&["fetch-git", &url, reference]);
        assert!(output.status.success(), "{reference}: {output:?}");
        let said = String::from_utf8(output.stdout).expect("UTF-8");
        assert_eq!(said, format!("pvdify-fetched: {commit}\n"), "{reference}");
        assert_eq!(
            fs::read_to_string(folder.path().join("tree/file")).expect("the file"),
            text
        );
        assert!(!folder.path().join("tree/.git").exists());
    }
    let (_, output) = fetch(&["fetch-git", &url, "none"]);
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(
        !output.status.success() && said.starts_with("pvdify-lifecycle: {\"phase\":\"fetch\""),
        "{said}"
    );
    // No other way to a repository than over HTTP.
    let local = format!("file://{}", root.path().join("x.git").display());
    let (_, output) = fetch(&["fetch-git", &local, ""]);
    assert!(!output.status.success());
}

#[test]
fn a_packed_folder_comes_with_its_digest() {
    let root = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(root.path().join("bp/bin")).expect("a folder");
    fs::write(root.path().join("bp/bin/compile"), "x").expect("a file");
    let packed = Command::new("tar")
        .args(["-czf", "bp.tgz", "bp"])
        .current_dir(root.path())
        .status()
        .expect("tar runs");
    assert!(packed.success());
    let base = serve(root.path().to_owned());
    let (folder, output) = fetch(&["fetch-archive", &format!("{base}/bp.tgz")]);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(said.trim().len(), "pvdify-fetched: sha256:".len() + 64, "{said}");
    assert!(folder.path().join("tree/bp/bin/compile").is_file());
    let (_, output) = fetch(&["fetch-archive", &format!("{base}/none.tgz")]);
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(said.contains("404"), "{said}");
}
