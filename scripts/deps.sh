#!/usr/bin/env bash
# deps.sh [demo|test|bench]: installs the Debian packages that are missing and checks Rust and Node.
# Debian 12 and 13, as root or with sudo. Does nothing, in well under a second, when all is there.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

purpose="${1:-demo}"
case "$purpose" in
  demo | test | bench) ;;
  *) die "deps.sh knows no purpose '$purpose'" "call scripts/deps.sh with demo, test or bench" ;;
esac

packages=(
  # Containers. Recommended packages are left out below, so what Podman needs to run is named here.
  podman runc netavark aardvark-dns iptables nftables catatonit
  # The base images.
  mmdebstrap debian-archive-keyring
  # The demo: a real git over a real ssh.
  git openssh-client curl ca-certificates jq
  # The release build: SQLite and the cryptography are C.
  gcc libc6-dev make pkg-config
)
if [[ "$purpose" == test ]]; then
  packages+=(busybox-static chromium shellcheck)
  # What the buildpacks find in the build image; their tests run on the host. Toolchains they fetch themselves.
  packages+=(python3 python3-pip python3-venv unzip xz-utils zstd openssl)
fi
if [[ "$purpose" == bench ]]; then
  # The peer that receives pushes.
  packages+=(openssh-server)
fi

have apt-get || die "this machine has no apt-get" "install by hand: ${packages[*]}"

missing=()
for package in "${packages[@]}"; do
  state="$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)"
  [[ "$state" == installed ]] || missing+=("$package")
done

if ((${#missing[@]} > 0)); then
  say "Installing ${#missing[@]} Debian packages: ${missing[*]}"
  start=$SECONDS
  log="$(mktemp)"
  trap 'rm -f "$log"' EXIT
  export DEBIAN_FRONTEND=noninteractive
  apt=(apt-get -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 --quiet --yes)
  if ! as_root "${apt[@]}" update >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    die "apt-get update failed" "check the network and /etc/apt, then run the command again"
  fi
  if ! as_root "${apt[@]}" install --no-install-recommends "${missing[@]}" >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    die "apt-get could not install: ${missing[*]}" "fix what it says above, then run the command again"
  fi
  detail "Done in $(elapsed "$start")"
fi

want=1.95
have cargo || die "cargo is not installed" "install Rust $want or newer: https://rustup.rs"
cargo_version="$(cargo --version | cut -d' ' -f2)"
version_at_least "${cargo_version%%-*}" "$want" ||
  die "cargo is $cargo_version, Pvdify needs $want or newer" "run: rustup update stable"

have node || die "node is not installed" "install Node.js 20.19 or newer, with npm: https://nodejs.org"
have npm || die "npm is not installed" "install the npm that belongs to your Node.js (Debian: apt-get install npm)"
node_version="$(node --version)"
version_at_least "${node_version#v}" 20.19 ||
  die "node is $node_version, the dashboard's build needs 20.19 or newer" "install a newer Node.js: https://nodejs.org"
