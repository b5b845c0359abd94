// SPDX-License-Identifier: Apache-2.0
// A kernel booted under QEMU with some of this machine's programs in its memory disk.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace bonsai::testing {

// The memory disk: files under the paths they have here, with the folders above them.
class MemoryDisk {
 public:
  void AddFile(const std::filesystem::path& file, const std::filesystem::path& as);
  void AddText(const std::string& text, const std::filesystem::path& as);
  // A program and the libraries it loads.
  void AddProgram(const std::filesystem::path& program);
  // In the format the kernel unpacks (cpio "newc").
  void Write(const std::filesystem::path& to) const;

 private:
  void Add(const std::filesystem::path& as, const std::string& bytes, bool executable);
  std::map<std::filesystem::path, std::pair<std::string, bool>> files_;
  std::set<std::filesystem::path> folders_;
};

struct BootResult {
  std::string console;             // all of it
  std::string release;             // of the kernel; "" when it did not get to its first process
  std::map<std::string, int> exit_codes;  // by command
  bool done = false;               // all commands were run
  double seconds = 0;
};

// Boots `kernel` (a bzImage), runs `commands` one after the other and turns the machine off. The
// machine is killed after `timeout_seconds`. Emulated always: nested virtualisation cannot be relied on.
BootResult Boot(const std::filesystem::path& kernel, MemoryDisk disk,
                const std::vector<std::string>& commands, int timeout_seconds);

}  // namespace bonsai::testing
