# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Sourced. What this machine must offer, each check one line on stderr and status 1 when it does not.

preflight_root() {
  [[ $(id -u) == 0 ]] && return
  echo "root is needed to load BPF programs: run it with sudo" >&2
  return 1
}

preflight_kernel() {
  local release major minor
  release=$(uname -r)
  major=${release%%.*}
  minor=${release#*.}
  minor=${minor%%[!0-9]*}
  ((major > 5 || (major == 5 && minor >= 15))) && return
  echo "kernel $release is too old: 5.15 or later is needed" >&2
  return 1
}

# Asks the kernel for the smallest map there is, with what every Debian has: perl-base.
preflight_bpf() {
  local number problem
  case $(uname -m) in
    x86_64) number=321 ;;
    aarch64) number=280 ;;
    *) echo "$(uname -m) is not supported: x86_64 or aarch64 is needed" >&2; return 1 ;;
  esac
  problem=$(perl -e '$attr = pack("L16", 2, 4, 4, 1);
    print "$!" if syscall($ARGV[0] + 0, 0, $attr, length $attr) < 0' "$number")
  [[ -z $problem ]] && return
  echo "the kernel refuses the bpf() call ($problem): run on the host or with capability BPF" >&2
  return 1
}

# Mounts the BPF file system where it belongs unless it is there. PREFLIGHT_MOUNTED says if it did.
PREFLIGHT_MOUNTED=0
preflight_bpffs() {
  [[ $(stat -f -c %T /sys/fs/bpf 2> /dev/null) == bpf_fs ]] && return
  if mount -t bpf bpf /sys/fs/bpf 2> /dev/null; then
    # Read by who sources this file.
    # shellcheck disable=SC2034
    PREFLIGHT_MOUNTED=1
    return
  fi
  echo "mounting the BPF file system on /sys/fs/bpf failed: does the kernel have CONFIG_BPF_SYSCALL?" >&2
  return 1
}
