#!/usr/bin/env bash
# bench.sh: measures Pvdify beside the same work done with stock tools, in one run, and prints ratios.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

scripts/deps.sh bench
scripts/ui.sh
((EUID == 0)) || die "the benchmark starts Podman containers and a private sshd as root" "run: sudo make bench"
say "Building what is measured (release)"
cargo build --release --locked --quiet -p pvdifyd -p pvdify
say "Measuring, some minutes"
cargo bench --locked --quiet -p pvdify-tests
