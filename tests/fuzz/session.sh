#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fuzzes for some seconds with bounded time and memory: tests/fuzz/session.sh BUILD object|engine SECONDS
#   CORPUS=DIR   keeps what it finds interesting there, for later sessions to go on from
# Input that crashes, hangs or takes too much is left in BUILD/findings, and the session fails.
set -euo pipefail
build=$1 target=$2 seconds=$3
corpus=${CORPUS:-$(mktemp -d)}
[[ -n ${CORPUS:-} ]] || trap 'rm -rf "$corpus"' EXIT
mkdir -p "$corpus" "$build/findings"
export ASAN_OPTIONS=detect_leaks=1:quarantine_size_mb=64 UBSAN_OPTIONS=print_stacktrace=1
case $target in
  object) most=65536 ;;
  engine) most=2048 ;;
  *) echo "session.sh: no target $target" >&2; exit 1 ;;
esac
"$build/bin/${target}_fuzz" -max_total_time="$seconds" -timeout=60 -rss_limit_mb=1024 \
  -malloc_limit_mb=256 -max_len=$most -print_final_stats=1 -verbosity=1 \
  -artifact_prefix="$build/findings/$target-" "$corpus" "$build/seeds/$target"
