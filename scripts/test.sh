#!/usr/bin/env bash
# test.sh: sets everything up and runs every test. Leaves nothing running, also when it fails or is stopped.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/installation.sh
. scripts/installation.sh

need_root
scripts/lint.sh
step "Dashboard's tests (vitest)" npm --prefix admin-ui run --silent test

# The tests keep all their files in here, and remove what they made themselves. What a killed test could not
# remove is found again by this directory, and by nothing that others have.
scratch="$(mktemp -d)"
HELD_IMAGE=localhost/pvdify/run:trixie
results="$(mktemp)"
before="$(mktemp)"
mounts() { awk -v below="$scratch/" 'index($2, below) == 1 { print $2 }' /proc/mounts | sort --reverse; }
processes() { { pids_with environ "$scratch"; pids_with cmdline "$scratch"; } | sort --unique; }
clean_up() {
  local state pid id mount
  as_root podman image unmount "$HELD_IMAGE" >/dev/null 2>&1 || true
  for pid in $(processes); do
    end_process "$pid" 5
  done
  for state in "$scratch"/*/ "$scratch"/*/state/; do
    id="$(as_root cat "$state/installation-id" 2>/dev/null || true)"
    remove_containers "$id"
    remove_builds "$id"
    remove_images "$id" "$(as_root jq --raw-output '.registry // ""' "$state/run/addresses.json" 2>/dev/null || true)"
  done
  for mount in $(mounts); do
    as_root umount --lazy "$mount" || true
  done
  rm -f "$results" "$before"
  as_root rm -rf "$scratch"
}

# left_behind: what the tests made and did not remove, a line each. Other installations' tests may run on the same
# host: what has a server that lives is not ours, and what goes within a minute was not left.
left_behind() {
  local pid state living=() tries=60 found
  for pid in $(processes); do
    # Serves all networks of the host for as long as there are any, whoever's container it was that Podman started it
    # for. Those that are gone and still served are told below.
    [[ "$(as_root cat "/proc/$pid/comm" 2>/dev/null)" != aardvark-dns || -z "$(served_networks)" ]] || continue
    printf 'process %s %s\n' "$pid" "$(as_root cat "/proc/$pid/cmdline" 2>/dev/null | tr '\0' ' ' | cut -c1-200)"
  done
  mounts | sed 's/^/mount /'
  find "$scratch" -mindepth 1 -maxdepth 4 | sed 's/^/file /'
  while ((tries-- > 0)); do
    living=(-e no-installation)
    while read -r state; do
      living+=(-e "$(as_root cat "$state/installation-id" 2>/dev/null || echo no-installation)")
    done < <(as_root cat /proc/[0-9]*/environ 2>/dev/null | tr '\0' '\n' | sed -n 's/^PVDIFY_STATE_DIR=//p' | sort --unique)
    found="$(all_there_is | sort | comm -13 "$before" - | grep --invert-match --fixed-strings "${living[@]}" || true)"
    [[ -n "$found" ]] || return 0
    sleep 1
  done
  printf '%s\n' "$found"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# Podman's containers belong to root: without being it, the tests' programs are started with sudo. What they
# run is built before, so that root writes nothing into target/.
# Asks other people's module proxy, which a host may not reach: what needs it says so then, and is left out.
if ! scripts/reference.sh; then
  detail "The reference implementation can not be built: images are not shown to it"
  export PVDIFY_TESTS_WITHOUT_REFERENCE=1
fi
step "Building the tests" cargo build --workspace --all-targets --locked --quiet
as_root target/debug/pvdifyd stack build
# A Podman 4.3 command that ends while no layer at all is mounted unmounts the storage itself, also under another one that
# is about to mount one, whose container can't be removed then. On a server apps hold layers; here this one does.
as_root podman image mount "$HELD_IMAGE" >/dev/null
if ((EUID != 0)); then
  triple="$(rustc -vV | sed -n 's/^host: //p' | tr '[:lower:]-' '[:upper:]_')"
  export "CARGO_TARGET_${triple}_RUNNER=$ROOT/scripts/as-root.sh"
fi

all_there_is | sort >"$before"
say "Tests (cargo test)"
start=$SECONDS
status=0
TMPDIR="$scratch" cargo test --workspace --locked --no-fail-fast 2>&1 | tee "$results" || status=$?
awk -v took="$(elapsed "$start")" '
  /^test result: / { passed += $4; failed += $6; ignored += $8 }
  END { printf "       cargo test: %d passed, %d failed, %d ignored, in %s\n", passed, failed, ignored, took }' "$results"
((status == 0)) || die "tests failed" "their names and reasons stand above"

left="$(left_behind)"
if [[ -n "$left" ]]; then
  while read -r line; do detail "$line"; done <<<"$left"
  die "the tests left behind what stands above" "the test that made it has to remove it, also when it fails"
fi
detail "Nothing is left behind"
