#!/usr/bin/env bash
# clean.sh: stops the demo and removes it with its data and images, and removes all that building made. The
# base images and the Debian packages stay.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/installation.sh
. scripts/installation.sh

# Only the state directory of this checkout: one that is set elsewhere may hold more than a demo.
unset PVDIFY_STATE_DIR
scripts/stop.sh
id="$(as_root cat .pvdify/installation-id 2>/dev/null || true)"
remove_builds "$id"
remove_images "$id"
say "Removing .pvdify, .demo, target and the dashboard's build"
as_root rm -rf .pvdify
rm -rf .demo target admin-ui/build admin-ui/node_modules admin-ui/.svelte-kit
