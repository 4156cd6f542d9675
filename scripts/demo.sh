#!/usr/bin/env bash
# demo.sh: from a fresh Debian machine to a pushed app that answers. Run it again and it pushes again, in
# seconds: each step finds out first whether its result is there.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/installation.sh
. scripts/installation.sh

APP=demo
STATE="$(realpath --canonicalize-missing "${PVDIFY_STATE_DIR:-.pvdify}")"
LOG="$STATE/pvdifyd.log"
PID_FILE="$STATE/pvdifyd.pid"
SERVER="$ROOT/target/release/pvdifyd"
KEY="$ROOT/.demo/key"
KNOWN_HOSTS="$ROOT/.demo/known_hosts"
COPY="$ROOT/.demo/app"

# fetch URL: without proxy, all of it is on this machine.
fetch() { curl --fail --silent --show-error --noproxy '*' --max-time 30 "$@"; }

# address PART: where a part of the running server listens; empty when none ever ran. PART: api, http, ssh.
address() { as_root cat "$STATE/run/addresses.json" 2>/dev/null | jq --raw-output ".$1 // empty" 2>/dev/null || true; }

answers() {
  local api
  api="$(address api)"
  [[ -n "$api" ]] && fetch --max-time 2 "http://$api/health" >/dev/null 2>&1
}

# own_pid: the process that demo.sh started, if it still is that; an old pid may be another program by now.
own_pid() {
  local pid program
  pid="$(as_root cat "$PID_FILE" 2>/dev/null || true)"
  [[ -n "$pid" ]] || return 0
  program="$(as_root readlink "/proc/$pid/exe" 2>/dev/null || true)"
  [[ "${program% (deleted)}" != "$SERVER" ]] || echo "$pid"
}

start_server() {
  say "Starting pvdifyd --dev"
  as_root mkdir -p -m 700 "$STATE"
  as_root rm -f "$STATE/run/addresses.json"
  # In a session of its own, so that it outlives this terminal. It writes its own pid: setsid may fork.
  # shellcheck disable=SC2016
  as_root setsid --fork bash -c 'echo "$$" >"$1" && exec "$2" --dev >>"$3" 2>&1 </dev/null' \
    pvdifyd "$PID_FILE" "$SERVER" "$LOG" </dev/null >/dev/null 2>&1
  local waited=0
  until answers; do
    if ((waited > 10)) && [[ -z "$(own_pid)" ]]; then
      as_root tail -n 5 "$LOG" >&2 || true
      die "pvdifyd ended at its start; the last lines of $LOG stand above" \
        "is a port taken? PVDIFY_LISTEN, PVDIFY_HTTP_LISTEN, PVDIFY_SSH_LISTEN and PVDIFY_REGISTRY_LISTEN choose others, as in: PVDIFY_HTTP_LISTEN=127.0.0.1:8090 make demo"
    fi
    ((waited < 600)) || die "pvdifyd does not answer after 60 s" "its log tells why: $LOG"
    sleep 0.1
    waited=$((waited + 1))
  done
  detail "log: $LOG"
}

server() {
  local pid
  pid="$(own_pid)"
  if [[ -n "$pid" ]] && as_root test "$SERVER" -nt "$PID_FILE"; then
    say "Restarting pvdifyd: a newer one was built (apps run on meanwhile)"
    end_process "$pid" 60
  elif answers; then
    detail "pvdifyd runs already, at http://$(address api)/"
    return
  elif [[ -n "$pid" ]]; then
    say "Restarting pvdifyd: it does not answer"
    end_process "$pid" 60
  fi
  start_server
}

# pvdify ARGUMENT...: the command line, against this server and no other that the environment may name.
pvdify() { env --unset=PVDIFY_TOKEN --unset=PVDIFY_APP "PVDIFY_API_URL=http://$(address api)" target/release/pvdify "$@"; }

app_and_key() {
  pvdify apps --json | jq --exit-status --arg app "$APP" 'any(.[]; .name == $app)' >/dev/null ||
    pvdify apps:create "$APP"
  mkdir -p .demo
  [[ -f "$KEY" ]] || ssh-keygen -q -t ed25519 -N '' -C "pvdify demo" -f "$KEY"
  local fingerprint
  fingerprint="$(ssh-keygen -l -f "$KEY.pub" | cut -d' ' -f2)"
  pvdify keys --json | jq --exit-status --arg key "$fingerprint" 'any(.[]; .fingerprint == $key)' >/dev/null ||
    pvdify keys:add "$KEY.pub"
}

# working_copy: the sample app as a repository of the person's own, with what a push needs set in it.
working_copy() {
  if [[ ! -d "$COPY/.git" ]]; then
    mkdir -p "$COPY"
    cp -R tests/fixtures/apps/python/. "$COPY"
    git -C "$COPY" init --quiet --initial-branch=main
    git -C "$COPY" config user.name "Pvdify demo"
    git -C "$COPY" config user.email demo@localhost
    git -C "$COPY" config commit.gpgSign false
  fi
  git -C "$COPY" remote remove pvdify 2>/dev/null || true
  git -C "$COPY" remote add pvdify "ssh://git@$(address ssh)/$APP.git"
  git -C "$COPY" config core.sshCommand "ssh -F /dev/null -i $(printf %q "$KEY") -o IdentitiesOnly=yes \
-o UserKnownHostsFile=$(printf %q "$KNOWN_HOSTS") -o StrictHostKeyChecking=accept-new"
  # A server with a new state has a new host key; this one is on loopback, nobody stands in between.
  rm -f "$KNOWN_HOSTS"
}

push() {
  local version
  version="$(cat "$COPY/VERSION" 2>/dev/null || echo 0)"
  [[ "$version" =~ ^[0-9]+$ ]] || version=0
  echo "$((version + 1))" >"$COPY/VERSION"
  git -C "$COPY" add --all
  git -C "$COPY" commit --quiet --message "Version $((version + 1))"
  say "git push pvdify main"
  GIT_TERMINAL_PROMPT=0 git -C "$COPY" push pvdify main >&2 ||
    die "the push was rejected" "its output above tells why; the server's log is $LOG"
}

show_answer() {
  local url host http answer commit
  commit="$(git -C "$COPY" rev-parse HEAD)"
  url="$(pvdify apps:info "$APP" --json | jq --raw-output .web_url)"
  say "curl -fsS $url"
  # curl finds *.localhost by itself; with an address of its own, the router is where it says it is.
  if ! answer="$(fetch "$url" 2>/dev/null)"; then
    host="${url#http://}"
    host="${host%%[:/]*}"
    http="$(address http)"
    answer="$(fetch --resolve "$host:${http##*:}:${http%:*}" "$url")" ||
      die "$url does not answer" "see: target/release/pvdify logs $APP, and $LOG"
  fi
  printf '%s\n' "$answer"
  [[ "$answer" == *"$commit"* ]] ||
    die "$url answers, but not with the pushed commit $commit" "see: target/release/pvdify releases $APP"
  say "It runs: commit ${commit:0:8} at $url"
}

need_root
scripts/build.sh
as_root target/release/pvdifyd stack build
server
app_and_key
working_copy
push
show_answer
cat >&2 <<EOF_HELP

       Change it:   edit .demo/app/server.py, then
                    git -C .demo/app commit -am Change && git -C .demo/app push pvdify main
       Look at it:  http://$(address api)/
       Ask it:      target/release/pvdify --help
       Stop it:     make stop
EOF_HELP
