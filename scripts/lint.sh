#!/usr/bin/env bash
# lint.sh [--fix]: format and lints of everything; --fix formats instead of complaining.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

case "${1:-}" in
  '') ;;
  --fix) exec cargo fmt --all ;;
  *) die "lint.sh knows no option '$1'" "call scripts/lint.sh or scripts/lint.sh --fix" ;;
esac

scripts/deps.sh test
# The server embeds the dashboard: without its build, the server is not even checked.
scripts/ui.sh
step "Format (cargo fmt)" cargo fmt --all --check
step "Lints (cargo clippy)" cargo clippy --workspace --all-targets --locked --quiet -- --deny warnings
step "Scripts (shellcheck)" shellcheck --external-sources scripts/*.sh .ci/run builder/src/stack/scripts/*
step "Dashboard (svelte-check)" npm --prefix admin-ui run --silent check
if ! cargo deny --version >/dev/null 2>&1; then
  detail "Dependencies: not checked; cargo install cargo-deny --locked makes it possible"
  exit 0
fi
step "Dependencies (cargo deny)" cargo deny --locked --log-level error check bans licenses sources
# The advisories are not in this repository: without network, all else is still checked.
if timeout 120 cargo deny --locked --log-level off fetch db >/dev/null 2>&1; then
  step "Advisories (cargo deny)" cargo deny --locked --log-level error check advisories
else
  detail "Advisories: not checked, their database can not be fetched"
fi
