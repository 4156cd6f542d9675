#!/usr/bin/env bash
# stop.sh: ends what demo.sh started: the server, its apps' containers and networks. Data stays.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/installation.sh
. scripts/installation.sh

need_root
STATE="$(realpath --canonicalize-missing "${PVDIFY_STATE_DIR:-.pvdify}")"
if ! as_root test -d "$STATE"; then
  detail "Nothing to stop: there is no $STATE"
  exit 0
fi

# The pid in the file may be another program's by now: only a pvdifyd is ended.
pid="$(as_root cat "$STATE/pvdifyd.pid" 2>/dev/null || true)"
program="$([[ -z "$pid" ]] || as_root readlink "/proc/$pid/exe" 2>/dev/null || true)"
program="${program% (deleted)}"
if [[ "${program##*/}" == pvdifyd ]]; then
  say "Stopping pvdifyd ($pid)"
  end_process "$pid" 60
fi
as_root rm -f "$STATE/pvdifyd.pid"
end_podman_service "$STATE"

id="$(as_root cat "$STATE/installation-id" 2>/dev/null || true)"
if [[ -n "$id" ]]; then
  say "Removing its containers and networks"
  remove_containers "$id"
  remove_builds "$id"
fi
detail "Stopped. Apps, releases and images are kept in $STATE: make demo brings them back, make clean removes them"
