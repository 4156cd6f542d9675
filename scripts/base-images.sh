#!/usr/bin/env bash
# base-images.sh: makes pvdify/run:trixie and pvdify/build:trixie from Debian 13 packages, unless Podman
# has them already as described here.
#
# One bootstrap makes both: the run image is packed when its packages are in, then the build image's
# packages go on top. So apt's indexes and every common package are fetched and unpacked once. The mirror is
# the one that this host's apt uses (PVDIFY_DEBIAN_MIRROR overrides); packages are fetched by the host's own
# apt, so its proxy and its CAs count, and none of that goes into an image.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

need_root
run_packages=(ca-certificates netbase tzdata)
build_packages=(
  build-essential pkg-config git curl unzip xz-utils
  python3 python3-venv python3-pip python3-dev
  nodejs npm
)
# Documentation is of no use in a container; licences stay. Packages installed later follow the same rule.
dpkg_options=(
  'path-exclude=/usr/share/man/*'
  'path-exclude=/usr/share/info/*'
  'path-exclude=/usr/share/locale/*'
  'path-include=/usr/share/locale/locale.alias'
  'path-exclude=/usr/share/doc/*'
  'path-include=/usr/share/doc/*/copyright'
  force-unsafe-io
)
path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# The images carry this: a changed recipe is a changed stamp, and the images are made anew.
stamp="$(sha256sum scripts/base-images.sh | cut -c1-16)"

stamp_of() {
  as_root podman image inspect --format '{{ index .Labels "pvdify.base" }}' "$1" 2>/dev/null || true
}

if [[ "$(stamp_of "$RUN_IMAGE")" == "$stamp" && "$(stamp_of "$BUILD_IMAGE")" == "$stamp" ]]; then
  detail "Base images are there: $RUN_IMAGE, $BUILD_IMAGE"
  exit 0
fi

# sources: the `deb` lines for trixie that correspond to what this host's apt is set to.
sources() {
  if [[ -n "${PVDIFY_DEBIAN_MIRROR:-}" ]]; then
    echo "deb $PVDIFY_DEBIAN_MIRROR trixie main"
    return
  fi
  # apt reads both of its own formats; the label in a Release file tells what a mirror holds.
  # shellcheck disable=SC2016
  apt-get indextargets --format '$(CREATED_BY)|$(ORIGIN)|$(LABEL)|$(SUITE)|$(CODENAME)|$(REPO_URI)' |
    awk -F'|' '
      $1 != "Packages" || $2 != "Debian" { next }
      $3 == "Debian-Security" { suite = "trixie-security" }
      $3 == "Debian" { suite = ($5 ~ /-updates$/) ? "trixie-updates" : "trixie" }
      $3 == "Debian" && $5 ~ /-(backports|proposed-updates)/ { next }
      suite && !seen[suite]++ { print "deb " $6 " " suite " main" }
      { suite = "" }'
}

# apt_options: how this host's apt reaches its mirrors, as options for one run; an image keeps none of it.
apt_options() {
  apt-config dump | grep -E '^Acquire::(https?|ftp|Retries|Check-(Valid-Until|Date)|ForceIPv[46])\b.*"[^"]+";$' || true
}

mapfile -t deb_lines < <(sources)
if ((${#deb_lines[@]} == 0)) && [[ -z "${PVDIFY_DEBIAN_MIRROR:-}" ]]; then
  as_root apt-get --quiet --quiet update >/dev/null || true
  mapfile -t deb_lines < <(sources)
fi
printf '%s\n' "${deb_lines[@]}" | grep -q ' trixie main$' ||
  die "this host's apt has no Debian mirror to take trixie from" \
    "set PVDIFY_DEBIAN_MIRROR to one's URL (as in /etc/apt/sources.list of a Debian machine) and run again"

# Debian 12 as first published lacks Debian 13's keys; its updates have them.
if ! compgen -G '/usr/share/keyrings/debian-archive-trixie-stable.*' >/dev/null; then
  say "Updating debian-archive-keyring: Debian 13's keys are missing"
  as_root apt-get --quiet --quiet --yes install --only-upgrade debian-archive-keyring >/dev/null || true
  compgen -G '/usr/share/keyrings/debian-archive-trixie-stable.*' >/dev/null ||
    die "debian-archive-keyring holds no keys of Debian 13" \
      "run: apt-get update && apt-get install debian-archive-keyring"
fi

work="$(mktemp -d)"
trap 'as_root rm -rf "$work"' EXIT
chmod 755 "$work"
free_mb="$(df --output=avail --block-size=1M "$work" | tail -n 1 | tr -d ' ')"
((free_mb > 3000)) ||
  die "$(dirname "$work") has ${free_mb} MB free, making the base images needs 3000" "free some space or set TMPDIR elsewhere"

apt_options >"$work/apt.conf"

# finish ROOTFS: what a Debian system needs to be a good base for containers.
cat >"$work/finish" <<'HOOK'
#!/bin/sh
set -eu
root="$1"
# Services are not started when their package is installed.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
# A RUN apt-get keeps no packages, translations or uncompressed indexes in its layer.
cat >"$root/etc/apt/apt.conf.d/90container" <<'CONF'
Binary::apt::APT::Keep-Downloaded-Packages "false";
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Acquire::Languages "none";
Acquire::GzipIndexes "true";
APT::AutoRemove::SuggestsImportant "false";
CONF
# Some packages' scripts (Java's) link manual pages and fail where the directory is missing.
mkdir -p "$root/usr/share/man/man1"
# The host's name and resolver are no part of an image.
rm -f "$root/etc/hostname" "$root/etc/resolv.conf"
HOOK

# pack ROOTFS: the run image as it stands in the middle of the bootstrap.
cat >"$work/pack" <<HOOK
#!/bin/sh
set -eu
tar --create --file="$work/run.tar" --directory="\$1" --one-file-system --numeric-owner --sort=name \\
  --exclude='./dev/*' --exclude='./proc/*' --exclude='./sys/*' --exclude='./run/*' --exclude='./tmp/*' \\
  --exclude='./var/lib/apt/lists/*' --exclude='./var/cache/apt/*' --exclude='./var/log/*' \\
  --exclude='./etc/apt/apt.conf.d/99mmdebstrap' --exclude='./var/cache/debconf/*-old' --exclude='./var/lib/dpkg/*-old' .
HOOK

# grow ROOTFS: the build image's packages, by the host's apt into the new system.
cat >"$work/grow" <<HOOK
#!/bin/sh
set -eu
echo 'pvdify: build packages' >&2
APT_CONFIG="\$MMDEBSTRAP_APT_CONFIG" apt-get --yes --quiet --no-install-recommends \\
  -o DPkg::Chroot-Directory="\$1" install ${build_packages[*]}
rm -f "\$1/etc/apt/apt.conf.d/99mmdebstrap" "\$1"/var/cache/apt/*.bin
HOOK
chmod 755 "$work"/{finish,pack,grow}

# import TAR IMAGE: an older image of that name goes, unless a container or an app's image still needs it.
import() {
  local old
  old="$(as_root podman image inspect --format '{{ .Id }}' "$2" 2>/dev/null || true)"
  as_root podman import --quiet \
    --change "ENV PATH=$path" --change 'ENV LANG=C.UTF-8' --change 'CMD ["/bin/bash"]' \
    --change "LABEL pvdify.base=$stamp" \
    --message 'Debian 13 packages, made by Pvdify' "$1" "$2" >/dev/null
  [[ -z "$old" ]] || as_root podman rmi "$old" >/dev/null 2>&1 || true
}

size_of() { as_root podman image inspect --format '{{ .Size }}' "$1" | awk '{ printf "%d MB", $1 / 1000000 }'; }

mmdebstrap=(
  mmdebstrap --mode=root --variant=apt --format=tar
  --include="$(IFS=,; echo "${run_packages[*]}")"
  --aptopt="$work/apt.conf"
  --customize-hook="$work/finish" --customize-hook="$work/pack" --customize-hook="$work/grow"
)
for option in "${dpkg_options[@]}"; do mmdebstrap+=(--dpkgopt="$option"); done

say "Making the base images from Debian 13 packages (once; a few minutes)"
for line in "${deb_lines[@]}"; do detail "$line"; done
start=$SECONDS
: >"$work/log"
DEBIAN_FRONTEND=noninteractive as_root "${mmdebstrap[@]}" trixie "$work/build.tar" "${deb_lines[@]}" \
  >"$work/log" 2>&1 &
bootstrap=$!
# The log is long and the terminal is for people: it gets the steps.
tail --pid="$bootstrap" --lines=+1 --follow "$work/log" 2>/dev/null |
  sed -n --unbuffered -e 's/^I: \(running apt-get update\|downloading packages\|extracting archives\|installing essential\|installing remaining\|creating tarball\).*/       \1/p' \
    -e 's/^pvdify: \(.*\)/       installing \1/p' >&2 || true
if ! wait "$bootstrap"; then
  tail -n 25 "$work/log" >&2
  die "mmdebstrap could not make the base images" \
    "fix what it says above; is Debian 13 (trixie) on the mirror? PVDIFY_DEBIAN_MIRROR names another"
fi
detail "importing into Podman"
import "$work/run.tar" "$RUN_IMAGE"
import "$work/build.tar" "$BUILD_IMAGE"
detail "$RUN_IMAGE $(size_of "$RUN_IMAGE"), $BUILD_IMAGE $(size_of "$BUILD_IMAGE"), in $(elapsed "$start")"
