#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing, builds, runs the tests: sudo tests/run.sh [--label NAME] [--strict] [-- ctest args]
#   --label NAME   only tests of that label; unit and arch need no root
#   --strict       a skipped test is a failure
# Ends with ctest's own summary. Fails, too, when a test left something in the kernel.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=deploy/preflight.sh
. deploy/preflight.sh

die() { echo "tests/run.sh: $*" >&2; exit 1; }

label="" strict=0 needs_root=1
while [[ $# -gt 0 ]]; do
  case $1 in
    --label) [[ $# -ge 2 ]] || die "--label needs a name"; label=$2; shift 2 ;;
    --strict) strict=1; shift ;;
    --) shift; break ;;
    *) die "unknown argument \"$1\": --label NAME, --strict, -- ctest arguments" ;;
  esac
done
case $label in unit | arch) needs_root=0 ;; esac

if [[ $needs_root == 1 ]]; then
  for check in root kernel bpf bpffs; do
    problem=$("preflight_$check" 2>&1) || die "$problem"
  done
  preflight_bpffs
fi
deploy/install-deps.sh build test
case $label in
  "" | kernels) tests/kernels/fetch.sh || echo "tests/run.sh: what boots a kernel will be skipped" >&2 ;;
esac

echo "== configure and build (preset dev)"
mkdir -p build
cmake --preset dev > build/configure.log 2>&1 ||
  { tail -n 20 build/configure.log >&2; die "cmake failed: see the lines above"; }
cmake --build --preset dev

# What tests could leave behind: network namespaces, pins, programs and maps. Those that systemd
# loads for its units (sd_*) come and go by themselves.
residue() {
  [[ $needs_root == 1 ]] || return 0
  local -x LC_ALL=C  # one order for sort and join
  find /run/netns -mindepth 1 -printf 'network namespace %f\n' 2> /dev/null || true
  find /sys/fs/bpf -mindepth 1 -printf 'pin %p\n' 2> /dev/null || true
  local named='select(.name // "" | startswith("sd_") | not) | "\(.id) \(.name // "")"'
  bpftool -j prog show | jq -r ".[] | $named" | sed 's/^/prog /'
  # Of maps those that a program or a process holds; pins are above. What nobody holds nobody left
  # behind: kernel 6.18 now and then keeps a tail-call array of an agent that was killed.
  join <(bpftool -j map show | jq -r ".[] | $named" | sort) <(
    { bpftool -j prog show | jq -r '.[].map_ids[]?'
      grep -hs '^map_id:' /proc/[0-9]*/fdinfo/* | awk '{print $2}'; } | sort -u) | sed 's/^/map /'
}

residue | sort > build/residue-before

echo "== test"
status=0
# The summary is held back, so that it closes the output whatever is said after the tests.
ctest --preset dev -j2 ${label:+-L "^$label\$"} --no-tests=error --output-junit junit.xml "$@" 2>&1 |
  tee build/ctest.log |
  awk '/tests passed, .*tests failed out of/ {held = 1} held {print > "build/ctest-summary"; next} {print; fflush()}' ||
  status=1

if [[ $strict == 1 ]] && grep -E '\*\*\*(Skipped|Not Run)' build/ctest.log >&2; then
  echo "tests/run.sh: the tests above were skipped, and --strict forbids that" >&2
  status=1
fi

# Kernel objects are freed a moment after their last user is gone.
for _ in 1 2 3 4 5; do
  residue | sort > build/residue-after
  left=$(comm -13 build/residue-before build/residue-after)
  [[ -n $left ]] || break
  sleep 1
done
if [[ -n $left ]]; then
  printf 'tests/run.sh: the tests left behind:\n%s\n' "$left" >&2
  status=1
fi
cat build/ctest-summary 2> /dev/null || true
rm -f build/ctest-summary
exit $status
