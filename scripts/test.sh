#!/usr/bin/env bash
# test.sh: sets everything up and runs every test. Leaves nothing running, also when it fails or is stopped.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/installation.sh
. scripts/installation.sh

scripts/lint.sh
step "Dashboard's tests (vitest)" npm --prefix admin-ui run --silent test
scripts/base-images.sh

# The scenarios keep the state of each server they start in here, and remove what they made themselves. What
# a killed test could not remove is found again by this directory, and by nothing that others have.
scratch="$(mktemp -d)"
results="$(mktemp)"
unnamed_before="$(mktemp)"
unnamed_images() { as_root podman images --quiet --no-trunc --filter dangling=true | sort --unique; }
unnamed_images >"$unnamed_before"
clean_up() {
  local state pid new
  for pid in $(pids_with environ "PVDIFY_STATE_DIR=$scratch/") $(pids_with cmdline "unix://$scratch/"); do
    end_process "$pid" 5
  done
  for state in "$scratch"/*/; do
    [[ -f "$state/installation-id" ]] || continue
    remove_containers "$(cat "$state/installation-id")"
    remove_images "$(cat "$state/installation-id")"
  done
  # Steps of the tests' builds that no image stands on any more. A step can stand on another, so more than once.
  for _ in 1 2 3; do
    mapfile -t new < <(unnamed_images | comm -13 "$unnamed_before" -)
    ((${#new[@]} > 0)) || break
    as_root podman rmi "${new[@]}" >/dev/null 2>&1 || true
  done
  as_root rm -rf "$scratch"
  rm -f "$results" "$unnamed_before"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# Podman's containers belong to root: without being it, the tests' programs are started with sudo. What they
# run is built before, so that root writes nothing into target/.
step "Building the tests" cargo build --workspace --all-targets --locked --quiet
if ((EUID != 0)); then
  triple="$(rustc -vV | sed -n 's/^host: //p' | tr '[:lower:]-' '[:upper:]_')"
  export "CARGO_TARGET_${triple}_RUNNER=$ROOT/scripts/as-root.sh"
fi

say "Tests (cargo test)"
start=$SECONDS
status=0
TMPDIR="$scratch" cargo test --workspace --locked --no-fail-fast 2>&1 | tee "$results" || status=$?
awk -v took="$(elapsed "$start")" '
  /^test result: / { passed += $4; failed += $6; ignored += $8 }
  END { printf "       cargo test: %d passed, %d failed, %d ignored, in %s\n", passed, failed, ignored, took }' "$results"
((status == 0)) || die "tests failed" "their names and reasons stand above"
