// SPDX-License-Identifier: Apache-2.0
// Stands between a child process and chosen system calls of it (seccomp user notification): each
// waits until a judge has let it run, made it fail, or killed the child before it. What the child
// does between two of its calls is thereby no matter of luck.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "agent/base/unique_fd.h"

namespace bonsai::testing {

class SyscallGate {
 public:
  struct Call {
    pid_t thread = 0;  // of the child
    int number = 0;    // SYS_*
    uint64_t args[6] = {};
  };
  // Called on the gate's thread, one call at a time. 0: the call runs; else the errno it fails with.
  using Judge = std::function<int(const Call&)>;

  // `numbers`: the system calls that are judged, of every child that ran InChild().
  explicit SyscallGate(std::vector<int> numbers);
  SyscallGate(const SyscallGate&) = delete;
  SyscallGate& operator=(const SyscallGate&) = delete;
  // The children must have ended, or not need these calls any more: they fail with ENOSYS then.
  ~SyscallGate();

  // In the child, between fork and exec. Async-signal-safe.
  bool InChild() const;
  // Without a judge all calls run. The earlier judge is not running any more on return.
  void SetJudge(Judge judge);

 private:
  void Serve(std::stop_token stop);
  base::UniqueFd ReceiveListener() const;
  void Answer(int listener);

  std::vector<int> numbers_;
  base::UniqueFd here_, there_;  // a child hands its listener over
  std::mutex mutex_;
  Judge judge_;
  std::jthread thread_;
};

// System calls by which a process changes what the kernel keeps of BPF and of its pins.
std::vector<int> BpfStateCalls();
// Command of a bpf() call (BPF_MAP_CREATE, ...), -1 for any other call.
int BpfCommand(const SyscallGate::Call& call);
// "bpf(MAP_CREATE)", "renameat", ... for messages.
std::string Describe(const SyscallGate::Call& call);

}  // namespace bonsai::testing
