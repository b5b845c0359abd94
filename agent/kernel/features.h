// SPDX-License-Identifier: Apache-2.0
// What this kernel can do, found by trying.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace bonsai::kernel {

// The oldest kernel that is supported.
inline constexpr uint32_t kMinimumMajor = 5, kMinimumMinor = 15;

struct Features {
  std::string release;            // "6.18.44-..."
  uint32_t major = 0, minor = 0;
  bool tcx = false;               // tc programs by bpf_link (6.6)
  bool xdp = false;
  bool jit = false;
  bool btf = false;               // the kernel carries its own types
  bool map_mem_usage = false;     // fdinfo's memlock is what a map takes (6.4); before: an estimate
  bool syscall_programs = false;  // for JiffiesClock
  bool loop = false;              // helper bpf_loop (5.17), for life
  std::vector<std::string> missing_map_types;  // of those the datapath may use, by name

  // One line each: what is missing and what that means.
  std::vector<std::string> Degradations() const;
};

// FailedPrecondition: kernel older than 5.15, no BPF, or not permitted (says which capability).
absl::StatusOr<Features> Probe();

// Major and minor number of a release string.
absl::StatusOr<std::pair<uint32_t, uint32_t>> ParseRelease(const std::string& release);

}  // namespace bonsai::kernel
