#!/usr/bin/env bash
# bench.sh [NAME...]: measures Pvdify beside the same work done with stock tools, in one run, and prints ratios.
# NAME: push (against podman build and run), receive (against sshd and git), creator (builds by buildpacks, against the
# reference implementation). Without a name, all.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

scripts/deps.sh bench
scripts/ui.sh
((EUID == 0)) || die "the benchmark starts Podman containers and a private sshd as root" "run: sudo make bench"
if ! scripts/reference.sh; then
  detail "The reference implementation can not be built: nothing is measured beside it"
  export PVDIFY_TESTS_WITHOUT_REFERENCE=1
fi
scripts/build.sh
as_root target/release/pvdifyd stack build
# The ones that are delivered, linked statically; cargo would put others in their place in target/release.
PVDIFY_TESTS_PROGRAMS="$ROOT/target/$(rustc -vV | sed -n 's/^host: //p')/release"
export PVDIFY_TESTS_PROGRAMS
say "Measuring, some minutes"
cargo bench --locked --quiet -p pvdify-tests -- "$@"
