// SPDX-License-Identifier: Apache-2.0
// Takes everything off the node that agents with these paths left there: links, tc filters, clsact
// qdiscs that they made and nobody else uses, pins, socket and lock. Nothing else: foreign programs,
// qdiscs and files stay. One thread.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

namespace bonsai::control {

struct UninstallOptions {
  std::string bpf_root = "/sys/fs/bpf/bonsai";
  std::string socket = "/run/bonsai/agent.sock";
  bool dry_run = false;  // change nothing
};

struct Uninstalled {
  std::vector<std::string> removed;  // or would be, one line each, in this order
  std::vector<std::string> left;     // what lies below the pin root and is not ours
};

// FailedPrecondition while an agent runs that uses one of these paths, with its pid; the datapath of
// a running agent is never taken away. PermissionDenied says what is needed. After an error what is
// left can be removed by another call; when nothing is left, that is no error.
absl::StatusOr<Uninstalled> Uninstall(const UninstallOptions& options);

// One line each for people: "removed ...", "would remove ...", or that there was nothing.
std::string ToText(const Uninstalled& result, bool dry_run);

}  // namespace bonsai::control
