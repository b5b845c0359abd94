#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing, and only that: install-deps.sh build|test|run ...
#   build  compiler and libraries        test  what the tests use        run  what the quickstart uses
# Debian 12 and 13, Ubuntu 24.04. Starts no service, asks nothing, does nothing when all is there.
set -euo pipefail
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

say() { echo "install-deps: $*"; }
die() { echo "install-deps: $*" >&2; exit 1; }

BUILD=(cmake ninja-build g++ clang-19 ccache pkg-config
  libgrpc++-dev protobuf-compiler protobuf-compiler-grpc libprotobuf-dev libabsl-dev libspdlog-dev
  libfmt-dev prometheus-cpp-dev libcivetweb-dev libyaml-cpp-dev libcli11-dev nlohmann-json3-dev
  libbpf-dev libmnl-dev libelf-dev zlib1g-dev libssl-dev libc-ares-dev libre2-dev linux-libc-dev)
TEST=(libclang-rt-19-dev libgtest-dev libgmock-dev librapidcheck-dev libbenchmark-dev iproute2
  iputils-ping ethtool curl jq netcat-openbsd socat iperf3 prometheus nginx-light procps util-linux
  python3 python3-yaml python3-jsonschema shellcheck qemu-system-x86 dnsmasq-base bind9-dnsutils)
RUN=(iproute2 iputils-ping curl jq socat procps util-linux)

# Oldest usable version of a package, nothing when any will do. libbpf 1.3 and kernel headers 6.6
# know TCX, bpftool 7.3 shows it.
oldest() {
  case $1 in
    libbpf-dev) echo 1:1.3 ;;
    linux-libc-dev) echo 6.6 ;;
    bpftool) echo 7.3 ;;
  esac
}

is_missing() {
  local state version oldest
  state=$(dpkg-query -W -f '${db:Status-Status} ${Version}\n' "$1" 2>/dev/null | sort | head -n 1)
  [[ $state == "installed "* ]] || return 0
  version=${state#installed } oldest=$(oldest "$1")
  [[ -n $oldest ]] && dpkg --compare-versions "$version" lt "$oldest~"
}

# Every source of this machine's apt as one line a URI: "<uri> <option>=<value>...", from both file
# formats. Only options that a new source of the same archive needs.
apt_sources() {
  local file
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [[ -f $file ]] || continue
    sed -nE 's/^deb[[:space:]]+(\[([^]]*)\][[:space:]]+)?([^[:space:]]+).*/\3 \2/p' "$file"
  done
  for file in /etc/apt/sources.list.d/*.sources; do
    [[ -f $file ]] || continue
    grep -v '^#' "$file" | awk -v RS= -F '\n' '
      { uris = options = ""
        for (i = 1; i <= NF; i++) {
          name = tolower($i); sub(/:.*/, "", name); value = $i; sub(/^[^:]*:[ \t]*/, "", value)
          if (name == "uris") uris = value
          if (name == "signed-by" && value ~ /^\//) options = options " signed-by=" value
          if (name == "trusted") options = options " trusted=" value
        }
        n = split(uris, each, /[ \t]+/)
        for (i = 1; i <= n; i++) if (each[i] != "") print each[i] options }'
  done
}

# The address this machine gets libbpf-dev of SUITE from, as apt itself reports it; or nothing.
archive_of() {
  apt-cache madison libbpf-dev |
    awk -v part="$1/main" '$6 == part && !found {print $5; found = 1}'
}

# Debian 12 needs its own backports suite. When no source carries it, one is added beside the
# source the machine already has: same address, same key.
add_backports() {
  local suite=$1 file=/etc/apt/sources.list.d/bonsai-backports.sources uri line option
  [[ -z $(archive_of "$suite-backports") ]] || return 0
  uri=$(archive_of "$suite")
  [[ -n $uri ]] || die "no apt source carries $suite/main: add one to /etc/apt/sources.list"
  line=$(apt_sources | awk -v uri="${uri%/}" \
    '{u = $1; sub(/\/$/, "", u)} u == uri && !found {print; found = 1}')
  say "adding $suite-backports from $uri to $file"
  {
    printf 'Types: deb\nURIs: %s\nSuites: %s-backports\nComponents: main\n' "$uri" "$suite"
    for option in ${line#* }; do
      case $option in
        signed-by=*) echo "Signed-By: ${option#*=}" ;;
        trusted=*) echo "Trusted: ${option#*=}" ;;
      esac
    done
  } > "$file"
  update
  if [[ -z $(archive_of "$suite-backports") ]]; then
    rm -f "$file"
    die "$uri has no $suite-backports suite, which carries a libbpf that knows TCX: use a mirror that has it"
  fi
}

log=$(mktemp)
policy=/usr/sbin/policy-rc.d
policy_state=untouched

# While packages are set up, a policy forbids that services start; the machine's own comes back.
forbid_services() {
  if [[ -e $policy ]]; then
    mv "$policy" "$policy.bonsai-saved"
    policy_state=saved
  else
    policy_state=absent
  fi
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod 755 "$policy"
}

cleanup() {
  case $policy_state in
    saved) mv -f "$policy.bonsai-saved" "$policy" ;;
    absent) rm -f "$policy" ;;
  esac
  rm -f "$log"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

update() {
  say "apt-get update"
  apt-get -q -o DPkg::Lock::Timeout=300 update > "$log" 2>&1 ||
    { tail -n 5 "$log" >&2; die "apt-get update failed: see the lines above"; }
}

# apt's own output is long: show how far it is, keep the rest for the case of failure.
install_packages() {
  say "installing ${#@} packages and what they need: ${*%%/*}"
  apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold \
    install --no-install-recommends "$@" 2>&1 | tee "$log" |
    awk '/^Need to get/ {print "install-deps: " $0; fflush()}
         /^Setting up/ && ++n % 25 == 0 {print "install-deps: " n " packages set up"; fflush()}' ||
    { tail -n 12 "$log" >&2; die "apt-get install failed: see the lines above"; }
}

# Installed for the tests, which run their own: not to be started at the next boot.
disable_services() {
  local package
  command -v systemctl > /dev/null || return 0
  for package in "$@"; do
    case $package in
      prometheus | iperf3) systemctl disable --quiet "$package" 2> /dev/null || true ;;
      nginx-light) systemctl disable --quiet nginx 2> /dev/null || true ;;
    esac
  done
}

main() {
  local wanted=() missing=() group package suite=""
  [[ $# -gt 0 ]] || die "usage: install-deps.sh build|test|run ..."
  [[ -r /etc/os-release ]] || die "no /etc/os-release: Debian 12, 13 or Ubuntu 24.04 is needed"
  # shellcheck source=/dev/null
  . /etc/os-release
  case $ID:${VERSION_ID:-} in
    debian:12) suite=bookworm ;;
    debian:1[3-9] | ubuntu:2[4-9].*) ;;
    *) die "${PRETTY_NAME:-$ID} is not supported: Debian 12, 13 or Ubuntu 24.04 is needed" ;;
  esac
  # Ubuntu's bpftool comes with the tools of the running kernel.
  case $ID in
    ubuntu) TEST+=(linux-tools-common "linux-tools-$(uname -r)") ;;
    *) TEST+=(bpftool) ;;
  esac
  # The oldest compiler that objects are tested from, where it is still to be had.
  case $ID:${VERSION_ID:-} in
    debian:12 | ubuntu:*) TEST+=(clang-14) ;;
  esac
  for group in "$@"; do
    case $group in
      build) wanted+=("${BUILD[@]}") ;;
      test) wanted+=("${TEST[@]}") ;;
      run) wanted+=("${RUN[@]}") ;;
      *) die "unknown group \"$group\": build, test or run" ;;
    esac
  done
  mapfile -t wanted < <(printf '%s\n' "${wanted[@]}" | sort -u)
  for package in "${wanted[@]}"; do
    if is_missing "$package"; then missing+=("$package"); fi
  done
  if [[ ${#missing[@]} -eq 0 ]]; then
    say "nothing is missing ($*)"
    return
  fi
  [[ $(id -u) == 0 ]] || die "not root, and these packages are missing: ${missing[*]}"
  update
  local from_backports=0 i
  for i in "${!missing[@]}"; do
    if [[ -n $suite && -n $(oldest "${missing[i]}") ]]; then
      missing[i]+=/$suite-backports
      from_backports=1
    fi
  done
  if [[ $from_backports == 1 ]]; then add_backports "$suite"; fi
  forbid_services
  install_packages "${missing[@]}"
  disable_services "${missing[@]}"
  for package in "${missing[@]%%/*}"; do
    if is_missing "$package"; then die "$package is still missing or too old after installing it"; fi
  done
  say "done"
}

main "$@"
