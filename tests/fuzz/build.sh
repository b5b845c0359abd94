#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the libFuzzer targets and their seeds: tests/fuzz/build.sh DIR
set -euo pipefail
build=$(realpath -m "$1")
cd "$(dirname "$0")/../.."
cmake --preset fuzz -B "$build"
cmake --build "$build" --target fuzz
