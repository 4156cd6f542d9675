#!/usr/bin/env bash
# build.sh: the dashboard and the release binaries, target/release/pvdifyd and target/release/pvdify.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

scripts/deps.sh demo
scripts/ui.sh
say "Building pvdifyd and pvdify (the first time takes some minutes)"
start=$SECONDS
cargo build --release --locked -p pvdifyd -p pvdify ||
  die "the release build failed" "what cargo says above names the cause"
detail "target/release/pvdifyd, target/release/pvdify: $(elapsed "$start")"
