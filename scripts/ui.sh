#!/usr/bin/env bash
# ui.sh: builds the dashboard to admin-ui/build, from where the server's build embeds it. Does nothing while
# the sources are the ones that it was built from.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

digest() { find "$@" -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum; }

installed=admin-ui/node_modules/.pvdify-installed
lock="$(digest admin-ui/package-lock.json)"
if [[ "$(cat "$installed" 2>/dev/null)" != "$lock" ]]; then
  say "Installing the dashboard's packages"
  (cd admin-ui && npm ci --no-audit --no-fund --loglevel=error) >&2 ||
    die "npm ci failed in admin-ui" "check that npm reaches its registry, then run the command again"
  echo "$lock" >"$installed"
fi

built=admin-ui/.svelte-kit/pvdify-built
sources="$(digest admin-ui/src admin-ui/static admin-ui/{package.json,package-lock.json,svelte.config.js,vite.config.ts,tsconfig.json})"
if [[ ! -f admin-ui/build/index.html || "$(cat "$built" 2>/dev/null)" != "$sources" ]]; then
  say "Building the dashboard"
  log="$(mktemp)"
  trap 'rm -f "$log"' EXIT
  (cd admin-ui && npm run --silent build) >"$log" 2>&1 || {
    cat "$log" >&2
    die "the dashboard does not build" "what it says above names the file"
  }
  echo "$sources" >"$built"
fi
