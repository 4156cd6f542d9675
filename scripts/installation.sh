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

# Podman takes a label without a value for any value: without an id, all below would be everybody's.

# forget_bridges BRIDGE...: removes the firewall's rules of networks that are about to go, as builder/src/podman/isolation.rs makes them.
forget_bridges() {
  local bridge rule words
  for bridge in "$@"; do
    while read -r rule; do
      read -ra words <<<"${rule/#-A/-D}"
      as_root iptables --wait=5 --table=mangle "${words[@]}" || true
    done < <(as_root iptables --wait=5 --table=mangle -S PVDIFY_ISOLATION 2>/dev/null | grep --fixed-strings -- "-i $bridge " || true)
  done
}

# remove_containers ID: containers and networks of an installation; its images stay.
remove_containers() {
  local found
  [[ -n "$1" ]] || return 0
  mapfile -t found < <(as_root podman ps --all --quiet --filter "label=pvdify.installation=$1")
  ((${#found[@]} == 0)) || as_root podman rm --force --time 10 --volumes "${found[@]}" >/dev/null
  mapfile -t found < <(as_root podman network ls --quiet --filter "label=pvdify.installation=$1")
  local bridges=()
  if ((${#found[@]} > 0)); then
    mapfile -t bridges < <(as_root podman network inspect --format '{{.NetworkInterface}}' "${found[@]}")
    forget_bridges "${bridges[@]}"
    as_root podman network rm --force "${found[@]}" >/dev/null
  fi
}

# working_containers GROUP: containers of builds that were cut off, with their control group. They bear no label;
# Buildah's record beside each names the group, and what is asked for is how that begins.
working_containers() {
  local records id group
  records="$(as_root podman info --format '{{.Store.GraphRoot}}/{{.Store.GraphDriverName}}-containers')"
  for id in $(as_root podman ps --all --external --quiet --no-trunc); do
    group="$(as_root grep --only-matching --no-messages "\"CgroupParent\":\"/$1[^\"]*" "$records/$id/userdata/buildah.json" || true)"
    [[ -z "$group" ]] || printf '%s %s\n' "$id" "${group##*\"}"
  done
}

# control_groups GROUP: those of builds, deepest first, by how their path begins.
control_groups() {
  find /sys/fs/cgroup -depth -mindepth 1 -type d -path "/sys/fs/cgroup*/$1*" 2>/dev/null || true
}

# remove_builds ID: what cut-off builds of an installation left. Its Podman service must have ended.
remove_builds() {
  local pid found
  [[ -n "$1" ]] || return 0
  for pid in $(as_root grep --files-with-matches --no-messages --fixed-strings ":/pvdify-build-$1/" /proc/[0-9]*/cgroup | cut -d/ -f3); do
    end_process "$pid" 0
  done
  mapfile -t found < <(working_containers "pvdify-build-$1/" | cut -d' ' -f1)
  ((${#found[@]} == 0)) || as_root podman rm --force "${found[@]}" >/dev/null
  mapfile -t found < <(control_groups "pvdify-build-$1")
  ((${#found[@]} == 0)) || as_root rmdir "${found[@]}" 2>/dev/null || true
}

# names_of_images FILTER [PREFIX]: each name of each image that a filter of Podman's finds or that begins like
# this; the id of one without a name.
names_of_images() {
  local format='{{.Repository}} {{.Tag}} {{.Digest}} {{.ID}}'
  {
    as_root podman images --all --no-trunc --filter "$1" --format "$format"
    [[ -z "${2:-}" ]] || as_root podman images --all --no-trunc --format "$format" | grep -- "^$2" || true
  } | awk '$1 == "<none>" { print $4; next } $2 == "<none>" { print $1 "@" $3; next } { print $1 ":" $2 }' | sort --unique
}

# remove_images ID [REGISTRY]: the images that an installation built, and those that came from its registry.
remove_images() {
  local found before=-1
  [[ -n "$1" ]] || return 0
  mapfile -t found < <(names_of_images "label=pvdify.installation=$1" "${2:+$2/}")
  # An image can stand on another one: as long as some go, more may. By name and without force: with force,
  # Podman also removes builds of others that stand on the same layers.
  while ((${#found[@]} > 0 && ${#found[@]} != before)); do
    before=${#found[@]}
    as_root podman rmi "${found[@]}" >/dev/null 2>&1 || true
    mapfile -t found < <(names_of_images "label=pvdify.installation=$1" "${2:+$2/}")
  done
}

# listed ARG...: what Podman lists. It fails when something of a list goes while it is read: it is asked again then.
listed() {
  local tries=5 list
  until list="$(as_root podman "$@")"; do
    ((--tries > 0)) || return 1
    sleep 1
  done
  [[ -z "$list" ]] || printf '%s\n' "$list"
}

# all_there_is: what all installations on this host have, a line each, for a comparison.
all_there_is() {
  local label=pvdify.installation image='{{.Repository}}:{{.Tag}} {{.ID}}'
  listed ps --all --filter "label=$label" --format 'container {{.ID}} {{.Names}} {{.Labels}}'
  working_containers pvdify-build- | sed 's/^/working container /'
  listed network ls --filter "label=$label" --format 'network {{.Name}} {{.Labels}}'
  listed volume ls --filter "label=$label" --format 'volume {{.Name}} {{.Labels}}'
  listed images --all --filter "label=$label" --format "image $image {{.Labels}}"
  # Those that no build of ours made: imported ones, and the tests' own.
  listed images --format "image $image" |
    grep '^image \(127\.0\.0\.1:[0-9]\|localhost/pvdify-\(test\|scenario\|bench\)\)' || true
  control_groups pvdify-build- | sed 's/^/control group /'
  traces_of_networks
}

# traces_of_networks: what there is of networks that are not there any more, a line each: rules of the firewall for their
# bridges, and names of their containers.
traces_of_networks() {
  local names bridges
  names="$(listed network ls --format '{{.Name}}')"
  bridges="$(listed network ls --format '{{.NetworkInterface}}')"
  as_root iptables --wait=5 --table=mangle -S PVDIFY_ISOLATION 2>/dev/null | sed -n 's/^-A.* -i \([^ ]*\) .*/\1/p' |
    sort --unique | grep --invert-match --line-regexp --fixed-strings "$bridges" | sed 's/^/rules of the bridge /' || true
  served_networks | grep '^pvdify-' |
    grep --invert-match --line-regexp --fixed-strings "$names" | sed 's/^/names of the network /' || true
}

# served_networks: whose containers' names Podman's DNS server answers for.
served_networks() {
  as_root find /run/containers/networks/aardvark-dns -type f ! -name aardvark.pid -printf '%f\n' 2>/dev/null || true
}
