//! Services that an app is bound to reach its build and its processes as files, are written nowhere in clear, and come
//! and go with a release; a certificate authority among them is trusted.

use crate::config_release::files_holding;
use pvdify_tests::{Platform, Pusher};
use std::{fs, path::Path, process::Command, time::Duration};

const SECRET: &str = "hunter2-4711-correct-horse";

/// Says what is there of the binding `db`, and whether curl trusts a server with a certificate of the private authority.
const FACTS: &str = r#"password=none
file="$SERVICE_BINDING_ROOT/db/password"
if [ -e "$file" ]; then password=$(sha256sum < "$file" | cut -c1-64); fi
curl -s -o /dev/null --noproxy '*' --retry 60 --retry-connrefused --retry-delay 1 https://localhost:8443/
echo "$1 password=$password trusted=$?"
"#;
const SERVE_TLS: &str = r#"exec openssl s_server -quiet -www -accept 127.0.0.1:8443 -cert "$SERVICE_BINDING_ROOT/tls/cert.pem" -key "$SERVICE_BINDING_ROOT/tls/key.pem""#;
const BUILD: &str = "sh serve-tls.sh > /dev/null 2>&1 &\nsh facts.sh built > built\nkill %1\n";
const SERVER: &str = r#"use IO::Socket::INET;
my $instance = `cat /proc/sys/kernel/random/uuid`;
if (fork == 0) { exec "sh", "serve-tls.sh" }
my $listener = IO::Socket::INET->new(LocalPort => $ENV{PORT}, Listen => 5, ReuseAddr => 1) or die;
while (my $client = $listener->accept) {
  while (my $line = <$client>) { last if $line eq "\r\n" }
  my $body = $instance . `cat built; sh facts.sh running`;
  print $client "HTTP/1.1 200 OK\r\nContent-Length: ", length $body, "\r\nConnection: close\r\n\r\n$body";
  close $client;
}
"#;

fn openssl(folder: &Path, args: &str) {
    let mut command = Command::new("openssl");
    let output = command
        .args(args.split(' '))
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A private authority, and a certificate of its for `localhost`.
fn make_certificates(folder: &Path) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(
        folder,
        &format!("req -x509 {key} -subj /CN=private -days 2 -keyout ca.key -out ca.pem"),
    );
    openssl(
        folder,
        &format!("req {key} -subj /CN=localhost -keyout key.pem -out request.pem"),
    );
    fs::write(folder.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    openssl(
        folder,
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out cert.pem",
    );
}

/// The instance that answered, and the facts.
async fn answer(platform: &Platform) -> (String, String) {
    let (status, body) = platform.get("demo", "/").await;
    assert_eq!(status, 200, "{body}");
    let (instance, facts) = body.split_once('\n').unwrap();
    (instance.to_owned(), facts.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_has_what_it_is_bound_to_while_it_is_built_and_runs_and_nothing_stays_in_clear() {
    let platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "demo").await;
    let folder = tempfile::tempdir().unwrap();
    make_certificates(folder.path());
    fs::write(folder.path().join("secret"), SECRET).unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let password = format!("password={}", file("secret"));
    for args in [
        &["db", "--type=postgresql", &password][..],
        &["tls", "--type=tls", &file("cert.pem"), &file("key.pem")],
        &["authority", "--type=ca-certificates", &file("ca.pem")],
    ] {
        platform
            .cli(&[&["bindings:add", "demo"], args].concat())
            .await
            .ok();
    }
    pusher.commit(|dir| {
        crate::hostile::write(dir, BUILD);
        for (name, text) in [
            ("facts.sh", FACTS),
            ("serve-tls.sh", SERVE_TLS),
            ("server.pl", SERVER),
        ] {
            fs::write(dir.join(name), text).unwrap();
        }
    });
    let said = pusher.push().await.ok();
    let (first, facts) = answer(&platform).await;
    let hash = Command::new("sha256sum")
        .arg(folder.path().join("secret"))
        .output()
        .unwrap();
    let hash = String::from_utf8(hash.stdout).unwrap()[..64].to_owned();
    let all = format!("built password={hash} trusted=0\nrunning password={hash} trusted=0\n");
    assert_eq!(facts, all, "{said}");

    let key = fs::read_to_string(folder.path().join("key.pem")).unwrap();
    for secret in [SECRET, key.lines().nth(1).unwrap()] {
        let mut found = Vec::new();
        files_holding(platform.state_dir(), secret.as_bytes(), &mut found);
        assert_eq!(found, Vec::<String>::new());
        assert!(!platform.log().contains(secret) && !said.contains(secret));
        for args in [&["bindings", "demo", "--json"][..], &["logs", "demo"]] {
            let shown = platform.cli(args).await.ok();
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    // What is removed goes with the next release; until then a new instance has it like those before.
    for binding in ["db", "authority"] {
        platform.cli(&["bindings:remove", "demo", binding]).await.ok();
    }
    platform.cli(&["ps:restart", "demo"]).await.ok();
    let replaced = async {
        loop {
            let (instance, facts) = answer(&platform).await;
            assert_eq!(facts, all);
            if instance != first {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), replaced)
        .await
        .unwrap();
    platform.cli(&["config:set", "demo", "A=1"]).await.ok();
    let (_, facts) = answer(&platform).await;
    // 60: the server's certificate is of nobody that curl knows.
    let without = format!("built password={hash} trusted=0\nrunning password=none trusted=60\n");
    assert_eq!(facts, without);
}
