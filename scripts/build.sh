#!/usr/bin/env bash
# build.sh: the dashboard and the release binaries in target/release: pvdifyd, pvdify, and the four programs that
# go into build containers and images, linked statically so that they run in any.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

scripts/deps.sh demo
scripts/ui.sh
say "Building pvdifyd and pvdify (the first time takes some minutes)"
start=$SECONDS
cargo build --release --locked -p pvdifyd -p pvdify ||
  die "the release build failed" "what cargo says above names the cause"
triple="$(rustc -vV | sed -n 's/^host: //p')"
flags="CARGO_TARGET_$(tr '[:lower:]-' '[:upper:]_' <<<"$triple")_RUSTFLAGS"
packages=()
for name in pvdify-lifecycle pvdify-launcher pvdify-buildpack pvdify-static-server; do packages+=(-p "$name"); done
env "$flags=-C target-feature=+crt-static" cargo build --release --locked --target "$triple" "${packages[@]}" ||
  die "the release build failed" "what cargo says above names the cause"
for name in pvdify-lifecycle pvdify-launcher pvdify-buildpack pvdify-static-server; do
  install -m 755 "target/$triple/release/$name" "target/release/$name.new"
  mv "target/release/$name.new" "target/release/$name"
done
detail "target/release/pvdifyd, target/release/pvdify: $(elapsed "$start")"
