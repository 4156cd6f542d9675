# shellcheck shell=bash
# What an installation of Pvdify leaves on its host besides its state directory, and how that is ended: by
# exact path and by label, so that no other installation on the host is ever touched. Sourced after lib.sh.

# pids_with FILE PATTERN [GREP OPTION...]: processes whose /proc/PID/FILE has an entry that matches.
pids_with() {
  local file="$1" pattern="$2"
  shift 2
  as_root grep --null-data --files-with-matches --no-messages "$@" --fixed-strings -- "$pattern" \
    /proc/[0-9]*/"$file" | cut -d/ -f3 || true
}

# signal NAME PID: by the shell's own kill, as sudo would look for a program and a small Debian has none.
signal() {
  # shellcheck disable=SC2016
  as_root bash -c 'kill "-$1" "$2" 2>/dev/null' signal "$1" "$2"
}

# end_process PID SECONDS: SIGTERM, and SIGKILL when it takes longer.
end_process() {
  local waited=0
  signal TERM "$1" || return 0
  while signal 0 "$1"; do
    if ((waited >= $2 * 10)); then
      signal KILL "$1" || true
      return
    fi
    sleep 0.1
    waited=$((waited + 1))
  done
}

# end_podman_service STATE_DIR: the `podman system service` that pvdifyd starts where the host has none.
end_podman_service() {
  local pid
  for pid in $(pids_with cmdline "unix://$1/run/podman.sock" --line-regexp); do
    end_process "$pid" 10
  done
}

# remove_containers ID: containers and networks of an installation; its images stay.
remove_containers() {
  local found
  mapfile -t found < <(as_root podman ps --all --quiet --filter "label=pvdify.installation=$1")
  ((${#found[@]} == 0)) || as_root podman rm --force --time 10 "${found[@]}" >/dev/null
  mapfile -t found < <(as_root podman network ls --quiet --filter "label=pvdify.installation=$1")
  ((${#found[@]} == 0)) || as_root podman network rm --force "${found[@]}" >/dev/null
}

# remove_images ID: the images that an installation built.
remove_images() {
  local found
  mapfile -t found < <(as_root podman images --filter "label=pvdify.installation=$1" --format '{{.Repository}}:{{.Tag}}')
  # By name and without force: with force, Podman also removes builds of others that stand on the same layers.
  ((${#found[@]} == 0)) || as_root podman rmi "${found[@]}" >/dev/null 2>&1 || true
}
