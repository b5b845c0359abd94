// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/bpf_program.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "agent/base/status.h"
#include "agent/kernel/fdinfo.h"

namespace bonsai::kernel {
namespace {

// A packet may grow (tunnel headers, tails); the kernel says ENOSPC if this is not enough.
constexpr size_t kGrowth = 512;

}  // namespace

absl::StatusOr<ProgramInfo> GetProgramInfo(int fd) {
  std::vector<uint32_t> map_ids(64);  // the verifier's limit of maps a program
  bpf_prog_info raw = {};
  raw.nr_map_ids = static_cast<uint32_t>(map_ids.size());
  raw.map_ids = reinterpret_cast<uint64_t>(map_ids.data());
  uint32_t length = sizeof(raw);
  if (bpf_prog_get_info_by_fd(fd, &raw, &length) != 0) {
    return base::ErrnoStatus(errno, "reading what the kernel says of a program");
  }
  map_ids.resize(std::min<size_t>(raw.nr_map_ids, map_ids.size()));
  return ProgramInfo{.id = raw.id,
                     .type = raw.type,
                     .name = raw.name,
                     .xlated_bytes = raw.xlated_prog_len,
                     .jited_bytes = raw.jited_prog_len,
                     .verified_insns = raw.verified_insns,
                     .loaded_at_ns = raw.load_time,
                     .map_ids = std::move(map_ids)};
}

absl::StatusOr<uint64_t> ProgramMemoryBytes(int fd) { return FdInfoNumber(fd, "memlock"); }

absl::StatusOr<base::UniqueFd> DuplicateProgram(int fd) {
  base::UniqueFd copy(fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy.valid()) return base::ErrnoStatus(errno, "duplicating a program's descriptor");
  return copy;
}

absl::StatusOr<base::UniqueFd> OpenPinnedProgram(const std::string& path) {
  base::UniqueFd fd(bpf_obj_get(path.c_str()));
  if (!fd.valid()) return base::ErrnoStatus(errno, "opening pinned program " + path);
  if (!FdInfoNumber(fd.get(), "prog_id").ok() || !FdInfoNumber(fd.get(), "prog_type").ok()) {
    return base::FailedPrecondition("opening pinned program {}: not a program", path);
  }
  return fd;
}

absl::StatusOr<base::UniqueFd> OpenProgramById(uint32_t id) {
  base::UniqueFd fd(bpf_prog_get_fd_by_id(id));
  if (!fd.valid()) return base::ErrnoStatus(errno, fmt::format("opening program id {}", id));
  return fd;
}

absl::Status PinProgram(int fd, const std::string& path) {
  if (bpf_obj_pin(fd, path.c_str()) == 0) return absl::OkStatus();
  return base::ErrnoStatus(errno, "pinning a program at " + path);
}

absl::StatusOr<RunResult> RunProgram(int fd, std::span<const uint8_t> data,
                                     std::span<const uint8_t> context, uint32_t repeat) {
  RunResult result;
  ASSIGN_OR_RETURN(uint64_t type, FdInfoNumber(fd, "prog_type"));
  // A syscall program works on the context in place; for the others the kernel writes a copy.
  bool in_place = type == BPF_PROG_TYPE_SYSCALL;
  result.context.assign(context.begin(), context.end());
  if (!data.empty()) result.data.resize(data.size() + kGrowth);
  LIBBPF_OPTS(bpf_test_run_opts, options);
  if (!data.empty()) {
    options.data_in = data.data();
    options.data_size_in = static_cast<uint32_t>(data.size());
    options.data_out = result.data.data();
    options.data_size_out = static_cast<uint32_t>(result.data.size());
  }
  if (!context.empty()) {
    options.ctx_in = in_place ? result.context.data() : context.data();
    options.ctx_size_in = static_cast<uint32_t>(context.size());
    options.ctx_out = in_place ? nullptr : result.context.data();
    options.ctx_size_out = in_place ? 0 : static_cast<uint32_t>(result.context.size());
  }
  options.repeat = in_place ? 0 : repeat;
  if (bpf_prog_test_run_opts(fd, &options) != 0) {
    return base::ErrnoStatus(errno, "running a program on test input");
  }
  result.retval = options.retval;
  result.duration_ns = options.duration;
  result.data.resize(data.empty() ? 0 : options.data_size_out);
  return result;
}

void WaitForRunningPrograms() {
  if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0) return;
  // Not there on nodes with nohz_full CPUs: a program runs for microseconds, this is ample.
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
}

absl::StatusOr<base::UniqueFd> LoadRaw(uint32_t type, const std::string& name,
                                       std::span<const RawInsn> insns, uint32_t prog_flags) {
  std::vector<bpf_insn> code;
  for (const RawInsn& insn : insns) {
    code.push_back({.code = insn.code,
                    .dst_reg = static_cast<uint8_t>(insn.regs & 0xf),
                    .src_reg = static_cast<uint8_t>(insn.regs >> 4),
                    .off = insn.offset,
                    .imm = insn.imm});
  }
  LIBBPF_OPTS(bpf_prog_load_opts, options, .prog_flags = prog_flags);
  base::UniqueFd fd(bpf_prog_load(static_cast<bpf_prog_type>(type), name.c_str(), "GPL",
                                  code.data(), code.size(), &options));
  if (!fd.valid()) return base::ErrnoStatus(errno, "loading program " + name);
  return fd;
}

absl::StatusOr<JiffiesClock> JiffiesClock::Make() {
  const RawInsn code[] = {
      {BPF_ALU64 | BPF_MOV | BPF_X, 6 | 1 << 4, 0, 0},            // r6 = context
      {BPF_JMP | BPF_CALL, 0, 0, BPF_FUNC_jiffies64},             // r0 = jiffies64
      {BPF_STX | BPF_MEM | BPF_DW, 6 | 0 << 4, 0, 0},             // *(u64 *)r6 = r0
      {BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0},                     // r0 = 0
      {BPF_JMP | BPF_EXIT, 0, 0, 0},
  };
  auto program = LoadRaw(BPF_PROG_TYPE_SYSCALL, "bonsai_jiffies", code, BPF_F_SLEEPABLE);
  if (!program.ok()) return base::Annotate(program.status(), "preparing to read jiffies");
  return JiffiesClock(*std::move(program));
}

absl::StatusOr<uint64_t> JiffiesClock::Now() const {
  const uint8_t zero[sizeof(uint64_t)] = {};
  auto run = RunProgram(program_.get(), {}, zero);
  if (!run.ok()) return base::Annotate(run.status(), "reading jiffies");
  uint64_t jiffies = 0;
  std::memcpy(&jiffies, run->context.data(), sizeof(jiffies));
  return jiffies;
}

}  // namespace bonsai::kernel
