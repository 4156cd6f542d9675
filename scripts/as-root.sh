#!/usr/bin/env bash
# as-root.sh PROGRAM ARGUMENT...: how cargo starts the tests' programs for a user who is not root.
here="$PWD"
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$here"
# The tests ask cargo whether the programs that they start are up to date.
as_root env "HOME=$HOME" "$@"
