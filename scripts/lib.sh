# shellcheck shell=bash
# What every script here shares: strict mode, the repository as working directory, how to speak, how to
# fail, how to become root. Sourced, never run.
#
# What always holds: a failure prints what failed and what to do about it, one line each, on stderr, and
# exits non-zero; talk goes to stderr, so that stdout stays for what a caller reads.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$ROOT"

# Podman 5 warns of cgroup v1 in each command, which pvdifyd doctor shows too.
export PODMAN_IGNORE_CGROUPSV1_WARNING=1

say() { printf '%s\n' "-----> $*" >&2; }
detail() { printf '%s\n' "       $*" >&2; }

# die CAUSE REMEDY
die() {
  printf ' !     %s\n !     %s\n' "$1" "$2" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# as_root COMMAND...: Podman's images, its containers and the server belong to root, the build does not.
# The environment is handed on by name: a value in sudo's arguments could be read by every user.
as_root() {
  if ((EUID == 0)); then
    "$@"
    return
  fi
  have sudo || die "this step needs root, and there is no sudo" "run the command again as root"
  local names
  names="$(compgen -e | grep -E '^(PVDIFY_|CARGO_|RUSTUP_|SSL_CERT_|(TMPDIR|DEBIAN_FRONTEND|PODMAN_IGNORE_CGROUPSV1_WARNING)$|[A-Za-z]+_(proxy|PROXY)$)' | paste -sd, - || true)"
  # sudo has a PATH of its own, in which neither cargo nor the tests' programs are.
  sudo ${names:+--preserve-env="$names"} -- env "PATH=$PATH" "$@"
}

# need_root: asked for before the work that would be lost without it.
need_root() {
  as_root true || die "this step needs root, and sudo does not give it" "run the command again as root or as a user who may use sudo"
}

# step TITLE COMMAND...: says what runs, and how long it took.
step() {
  local title="$1" start=$SECONDS
  shift
  say "$title"
  "$@" || die "failed: $title" "what it printed above says why"
  detail "$title: $(elapsed "$start")"
}

# elapsed START: seconds since a value of $SECONDS, as "73 s".
elapsed() { printf '%d s' "$((SECONDS - $1))"; }

# version_at_least HAVE WANT: compares dotted numbers.
version_at_least() { [[ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" == "$2" ]]; }

# Rust's installer puts cargo here, and only login shells learn of it.
if ! have cargo && [[ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]]; then
  PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
fi
