#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Measures the engine, how fast a change takes effect and the Game of Life, and writes the figures into
# tests/bench/README.md: sudo tests/bench/run.sh [engine|reload|life]
#   BUILD=DIR   where to build (build/dev)
# Needs root for the kernel's own times, and a machine that is not busy.
set -euo pipefail
cd "$(dirname "$0")/../.."

die() { echo "tests/bench/run.sh: $*" >&2; exit 1; }

[[ $(id -u) == 0 ]] || die "not root: the kernel's load times cannot be measured"
build=${BUILD:-build/dev}
if [[ ! -f $build/build.ninja ]]; then cmake --preset dev -B "$build" > /dev/null; fi
what=${1:-all}
if [[ $what == all || $what == engine ]]; then
  cmake --build "$build" --target object_bench
  results=$build/bench/results.json
  "$build/bin/object_bench" --benchmark_min_warmup_time=0.03 --benchmark_min_time=0.1 \
    --benchmark_repetitions=5 \
    --benchmark_enable_random_interleaving=true --benchmark_report_aggregates_only=false \
    --benchmark_out="$results" --benchmark_out_format=json
  python3 tests/bench/report.py "$results" tests/bench/README.md
fi
if [[ $what == all || $what == reload ]]; then
  cmake --build "$build" --target reload_bench
  "$build/bin/reload_bench" "$build/bench/reload.json"
  python3 tests/bench/report_reload.py "$build/bench/reload.json" tests/bench/README.md
fi
if [[ $what == all || $what == life ]]; then
  cmake --build "$build" --target life_bench
  "$build/bin/life_bench" "$build/bench/life.json"
  python3 tests/bench/report_life.py "$build/bench/life.json" tests/bench/README.md
fi
