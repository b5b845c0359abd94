// SPDX-License-Identifier: Apache-2.0
// One BPF ELF on its way into the kernel: open, set constants, prune, load. A thin owner of
// libbpf's bpf_object; used by one thread.
//
// The kernel's verifier is asked to keep a log only in a second attempt after a refusal, so that a
// good load pays nothing for it. libbpf's own messages go nowhere (see bpf_object.cc): every error
// here names object, map or program itself.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bonsai::kernel {

class BpfObject {
 public:
  // InvalidArgument: not a BPF ELF, truncated; NotFound: no such file.
  static absl::StatusOr<BpfObject> Open(const std::string& name, const std::string& path);
  static absl::StatusOr<BpfObject> OpenBytes(const std::string& name,
                                             const std::vector<uint8_t>& bytes);
  BpfObject(BpfObject&&) noexcept;
  BpfObject& operator=(BpfObject&&) noexcept;
  ~BpfObject();  // closes what it loaded; duplicate fds that must live on

  // Before Load. `section`: .rodata, .rodata.config, .data, ...; `bytes` has exactly its size.
  absl::Status SetSectionBytes(const std::string& section, const std::vector<uint8_t>& bytes);
  absl::Status SetMaxEntries(const std::string& map, uint32_t max_entries);
  absl::Status SetAutocreate(const std::string& map, bool create);
  absl::Status SetAutoload(const std::string& program, bool load);
  // Use the map behind `fd` (borrowed; duplicated inside) in place of creating `map`.
  absl::Status ReuseMap(const std::string& map, int fd);

  // All or nothing. On a refusal by the verifier: FailedPrecondition naming the program and the
  // verifier's last line, with the whole log as payload (base::VerifierLog).
  absl::Status Load();

  // Maps and data sections (".rodata.config"), in the ELF's order.
  std::vector<std::string> MapNames() const;
  std::vector<std::string> ProgramNames() const;
  // After Load. Borrowed; -1 for what was not created or loaded, or does not exist.
  int MapFd(const std::string& map) const;
  int ProgramFd(const std::string& program) const;

 private:
  struct State;
  explicit BpfObject(std::unique_ptr<State> state);
  absl::Status ExplainFailure(int error) const;
  std::unique_ptr<State> state_;
};

// The map that a live instruction asked for although it was not created, when that is what the
// verifier's log (base::VerifierLog of a failed Load) says.
std::optional<std::string> MissingMap(const std::string& verifier_log);

// The number of the helper that a live instruction called and that this kernel does not have, when
// that is what the verifier's log says.
std::optional<int64_t> UnknownHelper(const std::string& verifier_log);

// The last lines of a verifier log that say what is wrong, at most `count`, without its closing
// statistics.
std::vector<std::string> LastVerifierLines(const std::string& verifier_log, size_t count);
std::string LastVerifierLine(const std::string& verifier_log);

}  // namespace bonsai::kernel
