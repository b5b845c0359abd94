// SPDX-License-Identifier: Apache-2.0
// Loaded eBPF programs, seen from their fd. Free functions; fds are borrowed unless UniqueFd.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "agent/base/unique_fd.h"

namespace bonsai::kernel {

struct ProgramInfo {
  uint32_t id = 0;
  uint32_t type = 0;             // BPF_PROG_TYPE_*
  std::string name;              // at most 15 characters
  uint32_t xlated_bytes = 0;     // after the verifier's own work; 8 bytes a slot
  uint32_t jited_bytes = 0;      // 0: not JITed
  uint32_t verified_insns = 0;   // instructions the verifier walked; 0 before kernel 5.16
  uint64_t loaded_at_ns = 0;     // CLOCK_BOOTTIME
  std::vector<uint32_t> map_ids;
};

absl::StatusOr<ProgramInfo> GetProgramInfo(int fd);
// Kernel memory as fdinfo's memlock says, in bytes; without the JIT image.
absl::StatusOr<uint64_t> ProgramMemoryBytes(int fd);
absl::StatusOr<base::UniqueFd> DuplicateProgram(int fd);
absl::StatusOr<base::UniqueFd> OpenPinnedProgram(const std::string& path);
// Needs CAP_SYS_ADMIN. NotFound when no program has that id.
absl::StatusOr<base::UniqueFd> OpenProgramById(uint32_t id);
absl::Status PinProgram(int fd, const std::string& path);

struct RunResult {
  uint32_t retval = 0;           // what the program returned
  uint32_t duration_ns = 0;      // of one run, averaged over the repeats
  std::vector<uint8_t> data;     // the packet afterwards; empty without data_in
  std::vector<uint8_t> context;  // afterwards; empty without context
};
// BPF_PROG_TEST_RUN. `data`: the packet (empty: none); `context`: struct __sk_buff, xdp_md or a
// syscall program's own.
absl::StatusOr<RunResult> RunProgram(int fd, std::span<const uint8_t> data,
                                     std::span<const uint8_t> context, uint32_t repeat = 1);

// Returns after every program run that was under way at the call is over (an RCU grace period, tens
// of milliseconds): from then on no packet is inside a program that was swapped out before.
void WaitForRunningPrograms();

// One instruction slot for LoadRaw: the code, dst | src << 4, offset and immediate.
struct RawInsn {
  uint8_t code = 0, regs = 0;
  int16_t offset = 0;
  int32_t imm = 0;
};
// A small program without an ELF, e.g. for probing. `type`: BPF_PROG_TYPE_*.
absl::StatusOr<base::UniqueFd> LoadRaw(uint32_t type, const std::string& name,
                                       std::span<const RawInsn> insns, uint32_t prog_flags = 0);

// The kernel's jiffies64, which user space can read in no other way with the resolution that
// conntrack entries are stamped with. Holds a four-instruction program of its own.
class JiffiesClock {
 public:
  static absl::StatusOr<JiffiesClock> Make();
  absl::StatusOr<uint64_t> Now() const;

 private:
  explicit JiffiesClock(base::UniqueFd program) : program_(std::move(program)) {}
  base::UniqueFd program_;
};

}  // namespace bonsai::kernel
