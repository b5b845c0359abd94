// SPDX-License-Identifier: Apache-2.0
#include "tests/support/netns.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <sys/wait.h>

#include <cstdio>

namespace bonsai::testing {
namespace {

std::string Quote(const std::string& text) {
  std::string quoted = "'";
  for (char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

}  // namespace

CommandResult Shell(const std::string& command, int timeout_seconds) {
  CommandResult result;
  std::string wrapped =
      "timeout " + std::to_string(timeout_seconds) + " sh -c " + Quote(command) + " 2>&1";
  FILE* pipe = popen(wrapped.c_str(), "re");
  if (pipe == nullptr) return result;
  char buffer[4096];
  size_t n;
  while ((n = fread(buffer, 1, sizeof(buffer), pipe)) > 0) result.output.append(buffer, n);
  int status = pclose(pipe);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

void MustRun(const std::string& command) {
  CommandResult result = Shell(command);
  if (result.exit_code != 0) {
    ADD_FAILURE() << command << "\nexit code " << result.exit_code << ": " << result.output;
  }
}

Netns::Netns(const std::string& role) : name_("bt" + std::to_string(getpid()) + "-" + role) {
  Shell("ip netns del " + name_ + " 2>/dev/null");
  MustRun("ip netns add " + name_);
  MustExec("ip link set lo up");
}

Netns::~Netns() { Shell("ip netns del " + name_); }

std::string Netns::Wrap(const std::string& command) const {
  return "nsenter --net=" + path() + " -- sh -c " + Quote(command);
}

CommandResult Netns::Exec(const std::string& command, int timeout_seconds) const {
  return Shell(Wrap(command), timeout_seconds);
}

void Netns::MustExec(const std::string& command) const { MustRun(Wrap(command)); }

unsigned Netns::IfIndex(const std::string& device) const {
  NetnsScope scope(*this);
  return if_nametoindex(device.c_str());
}

NetnsScope::NetnsScope(const Netns& ns)
    : home_(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
  base::UniqueFd target(open(ns.path().c_str(), O_RDONLY | O_CLOEXEC));
  if (setns(target.get(), CLONE_NEWNET) != 0) ADD_FAILURE() << "entering " << ns.path();
}

NetnsScope::~NetnsScope() {
  if (setns(home_.get(), CLONE_NEWNET) != 0) abort();  // the thread would go on in the wrong place
}

}  // namespace bonsai::testing
