// SPDX-License-Identifier: Apache-2.0
// Network namespaces of a test's own: made by the constructor, removed by the destructor, so that
// nothing survives a failed test. Names carry the test process's pid.
#pragma once

#include <string>

#include "agent/base/unique_fd.h"

namespace bonsai::testing {

struct CommandResult {
  int exit_code = -1;
  std::string output;  // stdout and stderr together
};

// Runs `command` with sh -c; a command over `timeout_seconds` is ended and its exit code is 124.
CommandResult Shell(const std::string& command, int timeout_seconds = 20);

// As Shell, and the test fails (ADD_FAILURE, with the output) unless the command exits with 0.
void MustRun(const std::string& command);

class Netns {
 public:
  // Namespace "bt<pid>-<role>" with lo up.
  explicit Netns(const std::string& role);
  Netns(const Netns&) = delete;
  Netns& operator=(const Netns&) = delete;
  ~Netns();

  const std::string& name() const { return name_; }
  std::string path() const { return "/run/netns/" + name_; }
  // "nsenter --net=... -- sh -c 'command'"; keeps the caller's mounts (bpffs) visible.
  std::string Wrap(const std::string& command) const;
  CommandResult Exec(const std::string& command, int timeout_seconds = 20) const;
  void MustExec(const std::string& command) const;
  // Interface index of `device` in the namespace, 0 if there is none.
  unsigned IfIndex(const std::string& device) const;

 private:
  std::string name_;
};

// The calling thread is inside the namespace while this lives; sockets made meanwhile stay there.
class NetnsScope {
 public:
  explicit NetnsScope(const Netns& ns);
  NetnsScope(const NetnsScope&) = delete;
  NetnsScope& operator=(const NetnsScope&) = delete;
  ~NetnsScope();

 private:
  base::UniqueFd home_;
};

}  // namespace bonsai::testing
