//! Buildpacks of an app's own that try to get at what is not theirs, through real pushes: what they found out is
//! asked of the app that they built.

use pvdify_tests::{Platform, Pusher, leftovers, run, write_probe};
use std::{fs, path::Path, time::Duration};

/// A buildpack of the project's own, which runs a script of the source.
const PROJECT: &str = r#"[_]
schema-version = "0.2"
[[io.buildpacks.group]]
id = "me/hostile"
[io.buildpacks.group.script]
api = "0.10"
inline = "exec bash ./attack.sh"
"#;
/// Answers with the file `facts`.
const SERVER: &str = r#"use IO::Socket::INET;
my $listener = IO::Socket::INET->new(LocalPort => $ENV{PORT}, Listen => 5, ReuseAddr => 1) or die;
local $/; open(my $file, "<", "facts"); my $body = <$file>; $/ = "\n";
while (my $client = $listener->accept) {
  while (my $line = <$client>) { last if $line eq "\r\n" }
  print $client "HTTP/1.1 200 OK\r\nContent-Length: ", length $body, "\r\nConnection: close\r\n\r\n$body";
  close $client;
}
"#;
/// What ends every attack that is to leave an app.
const WEB: &str = r#"
printf '[[processes]]\ntype = "web"\ncommand = ["perl", "server.pl"]\ndefault = true\n' > "$CNB_LAYERS_DIR/launch.toml"
"#;

pub(crate) fn write(dir: &Path, attack: &str) {
    fs::write(dir.join("project.toml"), PROJECT).unwrap();
    fs::write(dir.join("server.pl"), SERVER).unwrap();
    fs::write(dir.join("attack.sh"), format!("{attack}{WEB}")).unwrap();
}

/// Writes a line to `facts` for each attempt: what was tried, and `no` unless it succeeded.
const REACH: &str = r#"
try() { local what=$1; shift; if "$@" > /dev/null 2>&1; then echo "$what: REACHED"; else echo "$what: no"; fi >> facts; }
connect() { timeout 3 bash -c "exec 3<>/dev/tcp/$1/$2"; }
: > facts
echo "user: $(id -u):$(id -g) $(id -G)" >> facts
grep -h -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status | tr '\t' ' ' >> facts
for path in /cnb/x /cnb/buildpacks/x /cnb/lifecycle/x /platform/x /platform/env/x /run/pvdify/x /run/x /etc/x /usr/x \
    /var/x /downloads/x /downloads/shared/x /opt/x /x; do
  try "write $path" touch "$path"
done
for path in /cnb/lifecycle/launcher /cnb/order.toml /run/pvdify/source.tar /platform/env/PVDIFY_DOWNLOADS; do
  try "change $path" bash -c "echo x >> '$path'"
  try "replace $path" bash -c "rm -f '$path' && touch '$path'"
  try "open up $path" chmod 777 "$path"
done
try "an engine's socket" bash -c '[ -n "$(find / -type s -not -path "/proc/*" 2> /dev/null)" ]'
try "another app's files" bash -c '[ -n "$(find / -name "marker-*" -not -path "/proc/*" 2> /dev/null)" ]'
try "a secret" bash -c 'cat /proc/*/environ /platform/env/* 2> /dev/null | grep -qa sword''fish'
try "a device" mknod /tmp/disk b 8 0
try "a mount" mount -t tmpfs none /tmp
try "more in a namespace" unshare -Urm bash -c 'touch /etc/x || mount -o remount,rw / || mknod /tmp/d b 8 0 || head -c 1 /proc/kcore'
try "root" bash -c 'echo | su -c id'
try "memory of others" head -c 1 /proc/kcore
for address in $(cat addresses); do
  try "connect $address" connect "${address%:*}" "${address#*:}"
done
gateway=$(printf '%d.%d.%d.%d' $(awk '$2 == "00000000" { print $3; exit }' /proc/net/route | sed 's/\(..\)\(..\)\(..\)\(..\)/0x\4 0x\3 0x\2 0x\1/'))
echo "gateway is one: $([ "${gateway%%.*}" -gt 0 ] && echo yes)" >> facts
for port in $(sed 's/.*://' addresses); do
  try "connect the gateway's $port" connect "$gateway" "$port"
done
"#;
/// How many that are.
const ATTEMPTS: usize = 14 + 4 * 3 + 8 + 2 * 5;

fn inspect(format: &str, id: &str) -> String {
    run("podman", &["inspect", "--format", format, id])
        .trim()
        .to_owned()
}

/// The host's interface of the network of an app.
fn inspect_bridge(platform: &Platform) -> String {
    let network = inspect(
        "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}{{end}}",
        &first_container(platform),
    );
    let format = "{{.NetworkInterface}}";
    let bridge = run("podman", &["network", "inspect", "--format", format, &network]);
    bridge.trim().to_owned()
}

fn first_container(platform: &Platform) -> String {
    let running = platform.running();
    let first = running.first().and_then(|line| line.split(' ').next());
    first.expect("an app runs").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_buildpack_reaches_nothing() {
    let platform = Platform::start().await;
    let victim = Pusher::new(&platform, "victim").await;
    platform
        .cli(&["config:set", "victim", "SECRET=swordfish"])
        .await
        .ok();
    victim.commit(|dir| write_probe(dir, "fine"));
    victim.push().await.ok();
    // What another app's build left, where another build would look for it.
    let left = platform.state_dir().join("builds/_cnb/apps/victim/layers/x");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("marker-cache"), "").unwrap();

    let mut addresses: Vec<String> = ["api", "ssh", "registry", "http"]
        .iter()
        .map(|part| platform.address(part).to_string())
        .collect();
    let address = inspect(
        "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
        &first_container(&platform),
    );
    addresses.push(format!("{address}:8080"));
    // Podman's own isolation comes and goes with other containers; ours does not.
    let rules = run(
        "iptables",
        &["--wait=5", "--table=mangle", "-S", "PVDIFY_ISOLATION"],
    );
    let bridge = inspect_bridge(&platform);
    assert!(
        rules.contains(&format!("-A PVDIFY_ISOLATION -i {bridge} -o podman+ -j DROP\n")),
        "{rules}"
    );

    let pusher = Pusher::new(&platform, "hostile").await;
    pusher.commit(|dir| {
        write(dir, REACH);
        fs::write(dir.join("addresses"), addresses.join("\n")).unwrap();
    });
    let said = pusher.push().await.ok();
    let (status, facts) = platform.get("hostile", "/").await;
    assert_eq!(status, 200, "{said}");
    assert!(!facts.contains("REACHED"), "{facts}");
    assert_eq!(facts.matches(": no\n").count(), ATTEMPTS, "{facts}");
    for fact in [
        "user: 10001:10001 10001\n",
        "CapEff: 0000000000000000\n",
        "CapBnd: 0000000000000000\n",
        "NoNewPrivs: 1\n",
        "gateway is one: yes\n",
    ] {
        assert!(facts.contains(fact), "{fact}: {facts}");
    }
    assert_eq!(platform.get("victim", "/").await.0, 200);
}

/// Leaves what a host that reads it should not touch, and a process that goes on changing it.
const LEAVE: &str = r#"
layer="$CNB_LAYERS_DIR/leak"
rm -rf "$layer"
mkdir -p "$layer/deep"
ln -s / "$layer/root"
ln -s /etc/shadow "$layer/deep/shadow"
ln -s ../../../../../../etc "$layer/up"
mkfifo "$layer/pipe" "$layer/deep/pipe"
perl -e 'use IO::Socket::UNIX; IO::Socket::UNIX->new(Type => 1, Local => "'"$layer"'/socket", Listen => 1) or die'
cp /bin/true "$layer/setuid"; chmod 6755 "$layer/setuid"
touch "$layer/"$'line\nbreak' "$layer/"$'\e[31mred' "$layer/"$'\xff'
printf '[types]\nlaunch = true\n' > "$layer.toml"
ln -sf /etc/passwd /layers/planted
ln -sfn / /layers/other_buildpack
ln -sfn /etc /workspace/etc
mkfifo /workspace/pipe
mkdir -p /downloads/new/folder/deep
echo forged > /downloads/new/sha256-$(echo other | sha256sum | cut -d' ' -f1)
echo good > /tmp/good; cp /tmp/good "/downloads/new/sha256-$(sha256sum < /tmp/good | cut -d' ' -f1)"
ln -s /etc/passwd "/downloads/new/sha256-$(sha256sum < /etc/passwd | cut -d' ' -f1)"
mkfifo "/downloads/new/sha256-$(printf '' | sha256sum | cut -d' ' -f1)"
setsid bash -c 'trap "" TERM HUP; while :; do date +%s%N > '"$layer"'/late; sleep 0.01; done' > /dev/null 2>&1 &
until [ -s "$layer/late" ]; do sleep 0.01; done
ls "$layer" > facts
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_hostile_buildpack_leaves_leads_nowhere_and_changes_no_more() {
    let platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "hostile").await;
    pusher.commit(|dir| write(dir, LEAVE));
    let builds = platform.state_dir().join("builds/_cnb");
    for round in ["first", "second"] {
        let said = pusher.push().await.ok();
        assert_eq!(platform.get("hostile", "/").await.0, 200, "{round}: {said}");
        let late = builds.join("apps/hostile/layers/me_hostile/leak/late");
        let before = fs::read_to_string(&late).unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(fs::read_to_string(&late).unwrap(), before, "{round}");
        pusher.commit(|dir| fs::write(dir.join("round"), round).unwrap());
    }
    let id = first_container(&platform);
    let image = |command: &[&str]| {
        let all = [&["exec", &id][..], command].concat();
        run("podman", &all).trim().to_owned()
    };
    // The links are links, of the image's own files, and pipes and sockets are in no image.
    assert_eq!(image(&["readlink", "/layers/me_hostile/leak/root"]), "/");
    assert_eq!(image(&["readlink", "/workspace/etc"]), "/etc");
    let found = image(&["find", "/layers", "/workspace"]);
    assert!(found.contains("leak/setuid"), "{found}");
    for absent in ["pipe", "socket", "planted", "other_buildpack"] {
        assert!(!found.contains(absent), "{absent}: {found}");
    }
    let shared = fs::read_dir(builds.join("downloads")).unwrap();
    let texts: Vec<String> = shared
        .flatten()
        .map(|entry| fs::read_to_string(entry.path()).unwrap())
        .collect();
    assert_eq!(
        texts,
        ["good\n"],
        "only what has its content's name is everyone's"
    );
}

/// Does not end when it is asked to.
const STUBBORN: &str = r#"
trap '' TERM HUP INT
setsid bash -c 'trap "" TERM HUP INT; while :; do date +%s%N > /layers/late; sleep 0.01; done' &
echo "at work"
while :; do sleep 1; done
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_ignores_its_end_is_gone_before_the_apps_next_one() {
    let mut platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "stubborn").await;
    pusher.commit(|dir| write(dir, STUBBORN));
    let push = pusher.start_push_until("at work").await;
    platform.kill();
    push.end().await.rejected();
    platform.boot().await;
    // The next push does not wait until the end of the first one's container is to be seen from outside.
    pusher.commit(|dir| {
        write(
            dir,
            "cat /layers/late > facts; sleep 0.3; cat /layers/late >> facts; echo end >> facts\n",
        );
    });
    let said = pusher.push().await.ok();
    let (_, facts) = platform.get("stubborn", "/").await;
    let mut lines: Vec<&str> = facts.lines().collect();
    assert_eq!(lines.pop(), Some("end"), "{facts}: {said}");
    lines.dedup();
    assert!(lines.len() <= 1, "it still writes: {facts}");
    let found = leftovers::of(&platform.installation().unwrap(), None);
    for kind in ["container", "network"] {
        let count = found.iter().filter(|line| line.starts_with(kind)).count();
        assert_eq!(
            count, 2,
            "the app's own {kind}, and the one that builds run in: {found:#?}"
        );
    }
}
