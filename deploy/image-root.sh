#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Lays out the root of the image: image-root.sh BUILD_DIRECTORY ROOT
# What the build installs, the shared libraries it names, and the licences of all of it.
set -euo pipefail
[[ $# == 2 && -d $1 ]] || { echo "usage: image-root.sh BUILD_DIRECTORY ROOT" >&2; exit 1; }
build=$1 root=$2

mkdir -p "$root/run/bonsai" "$root/etc/bonsai" "$root/usr/share/doc/bonsai"
cmake --install "$build" --prefix "$root/usr" --strip > /dev/null
cp LICENSE datapath/LICENSE.* "$root/usr/share/doc/bonsai/"

# `ldd` prints "name => /path (address)", and the loader as "/path (address)".
mapfile -t libraries < <(ldd "$root"/usr/bin/* | grep -oE '(=> |^\s+)/[^ ]+' | grep -oE '/.*' | sort -u)
for library in "${libraries[@]}"; do
  mkdir -p "$root$(dirname "$library")"
  cp -L "$library" "$root$library"
  # Debian merged /lib into /usr/lib: the package may own the file under either name.
  package=$(dpkg-query -S "$library" "$(readlink -f "$library")" 2> /dev/null | head -n 1 | cut -d: -f1) || true
  [[ -n $package ]] || { echo "image-root: no package owns $library" >&2; exit 1; }
  mkdir -p "$root/usr/share/doc/$package"
  cp -L "/usr/share/doc/$package/copyright" "$root/usr/share/doc/$package/"
done
echo "image-root: ${#libraries[@]} shared libraries, $(du -sh "$root" | cut -f1) in $root"
