#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fetches Debian's 6.1 and 6.12 cloud kernels for the tests: tests/kernels/fetch.sh [DIRECTORY]
# They are unpacked into DIRECTORY (build/kernels), one <series>/vmlinuz each, and never installed.
# 61 MB from this machine's own apt sources (Debian 12: its security archive carries both). What is
# there already stays.
set -euo pipefail
cd "$(dirname "$0")/../.."
export LC_ALL=C

target=${1:-build/kernels}
die() { echo "fetch-kernels: $*" >&2; exit 1; }

[[ $(uname -m) == x86_64 ]] || die "kernels are booted on x86-64 only"

# The newest signed cloud kernel of a series as "package version", nothing when no source has one.
newest() {
  apt-cache pkgnames "linux-image-$1." |
    grep -E "^linux-image-${1/./\\.}\.[^-]*(-[0-9]+)?-cloud-amd64\$" |
    xargs -r apt-cache madison | awk -F ' *\\| *' '$3 ~ /Packages/ {print $1, $2}' |
    sort -k 2,2V | tail -n 1
}

fetch() {
  local series=$1 package version
  [[ ! -s $target/$series/vmlinuz ]] || return 0
  read -r package version < <(newest "$series") || true
  [[ -n ${version:-} ]] || return 1
  echo "fetch-kernels: $package $version"
  local work
  work=$(mktemp -d)
  # shellcheck disable=SC2064
  trap "rm -rf '$work'" RETURN
  (cd "$work" && apt-get -q -o APT::Sandbox::User=root download "$package=$version" > log 2>&1) || return 1
  dpkg-deb --fsys-tarfile "$work"/*.deb | tar -x -C "$work" --wildcards './boot/vmlinuz-*'
  mkdir -p "$target/$series"
  mv "$work"/boot/vmlinuz-* "$target/$series/vmlinuz.new"
  mv "$target/$series/vmlinuz.new" "$target/$series/vmlinuz"
}

for series in 6.1 6.12; do
  if fetch "$series"; then continue; fi
  # The lists may be old, or not there at all.
  apt-get -q -o DPkg::Lock::Timeout=300 update > /dev/null || die "apt-get update failed"
  fetch "$series" || die "no apt source has a linux-image-$series*-cloud-amd64 that can be downloaded"
done
