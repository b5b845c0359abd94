// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/features.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <tuple>
#include <utility>

#include "agent/base/status.h"
#include "agent/kernel/bpf_map.h"
#include "agent/kernel/bpf_program.h"
#include "agent/kernel/map_costs.h"

namespace bonsai::kernel {
namespace {

constexpr RawInsn kReturnNext[] = {
    {BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, -1},
    {BPF_JMP | BPF_EXIT, 0, 0, 0},
};

// A kernel that knows TCX looks for the device and finds none; one that does not refuses the
// attach type before that.
bool HasTcx(int program_fd) {
  LIBBPF_OPTS(bpf_link_create_opts, options);
  const auto tcx_ingress = static_cast<bpf_attach_type>(46);
  base::UniqueFd link(bpf_link_create(program_fd, INT_MAX, tcx_ingress, &options));
  return errno == ENODEV;
}

std::vector<std::string> MissingMapTypes() {
  std::vector<std::string> missing;
  for (bpf_map_type type :
       {BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_PERCPU_ARRAY, BPF_MAP_TYPE_PROG_ARRAY, BPF_MAP_TYPE_HASH,
        BPF_MAP_TYPE_LRU_HASH, BPF_MAP_TYPE_LPM_TRIE, BPF_MAP_TYPE_RINGBUF}) {
    if (libbpf_probe_bpf_map_type(type, nullptr) != 1) missing.push_back(MapTypeName(type));
  }
  return missing;
}

absl::Status RefusedProgram(const absl::Status& status) {
  if (absl::IsPermissionDenied(status)) {
    return absl::PermissionDeniedError(
        "trying BPF: not permitted; the agent needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON (or "
        "root)");
  }
  return base::FailedPrecondition("trying BPF: the kernel refuses a two-instruction program: {}",
                                  base::Message(status));
}

}  // namespace

absl::StatusOr<std::pair<uint32_t, uint32_t>> ParseRelease(const std::string& release) {
  uint32_t major = 0, minor = 0;
  if (std::sscanf(release.c_str(), "%u.%u", &major, &minor) != 2) {
    return base::Internal("reading kernel release \"{}\": not of the form MAJOR.MINOR", release);
  }
  return std::make_pair(major, minor);
}

absl::StatusOr<Features> Probe() {
  Features features;
  utsname name = {};
  if (uname(&name) != 0) return base::ErrnoStatus(errno, "asking for the kernel's release");
  features.release = name.release;
  ASSIGN_OR_RETURN(auto version, ParseRelease(features.release));
  std::tie(features.major, features.minor) = version;
  if (version < std::make_pair(kMinimumMajor, kMinimumMinor)) {
    return base::FailedPrecondition("kernel {} is too old: Bonsai needs {}.{} or later",
                                    features.release, kMinimumMajor, kMinimumMinor);
  }
  auto program = LoadRaw(BPF_PROG_TYPE_SCHED_CLS, "bonsai_probe", kReturnNext);
  if (!program.ok()) return RefusedProgram(program.status());
  ASSIGN_OR_RETURN(ProgramInfo info, GetProgramInfo(program->get()));
  features.jit = info.jited_bytes > 0;
  features.tcx = HasTcx(program->get());
  features.xdp = libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_XDP, nullptr) == 1;
  features.btf = access("/sys/kernel/btf/vmlinux", R_OK) == 0;
  features.map_mem_usage = MeasureMapCosts().ok();
  features.syscall_programs = JiffiesClock::Make().ok();
  features.loop =
      libbpf_probe_bpf_helper(BPF_PROG_TYPE_SYSCALL, BPF_FUNC_loop, nullptr) == 1;
  features.missing_map_types = MissingMapTypes();
  return features;
}

std::vector<std::string> Features::Degradations() const {
  std::vector<std::string> lines;
  if (!tcx) lines.push_back("no TCX (kernel 6.6): programs are attached as clsact filters");
  if (!xdp) lines.push_back("no XDP: the prefilter cannot be used");
  if (!jit) lines.push_back("no BPF JIT: the datapath is interpreted and slow "
                            "(sysctl net.core.bpf_jit_enable=1)");
  if (!map_mem_usage) {
    lines.push_back("map memory is not told by this kernel (6.4): bytes are computed");
  }
  if (!syscall_programs) {
    lines.push_back("no BPF syscall programs: idle connections are not collected early");
  }
  if (!loop) lines.push_back("no helper bpf_loop (5.17): the Game of Life does not run");
  for (const std::string& type : missing_map_types) {
    lines.push_back("no maps of type " + type + ": features that need one cannot be used");
  }
  return lines;
}

}  // namespace bonsai::kernel
