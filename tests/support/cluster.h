// SPDX-License-Identifier: Apache-2.0
// A node of one's own: namespaces for the node, three pods and a client outside, joined by veths
// through the node; a ConfigMap directory as a kubelet projects it; a manifests directory; and the
// shipped bonsai-agent running in the node. All of it goes with the object.
//
//   pod-a 10.20.0.10 fd20::10 -- veth-a \                         / client 192.0.2.2 fd30::2
//                                        node (uplink 192.0.2.1) -
//   pod-b 10.20.0.11 fd20::11 -- veth-b /        fd30::1
//   pod-c 10.20.0.12 fd20::12 -- veth-c /
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/support/netns.h"

namespace bonsai::testing {

constexpr char kPodA4[] = "10.20.0.10", kPodA6[] = "fd20::10";
constexpr char kPodB4[] = "10.20.0.11", kPodB6[] = "fd20::11";
constexpr char kPodC4[] = "10.20.0.12", kPodC6[] = "fd20::12";
constexpr char kClient4[] = "192.0.2.2", kClient6[] = "fd30::2";
constexpr char kService4[] = "10.96.0.10", kService6[] = "fd96::10";
constexpr uint16_t kServicePort = 80, kServerPort = 8080;

using ConfigMap = std::map<std::string, std::string>;

class Cluster {
 public:
  Cluster();
  ~Cluster();

  Netns node, pod_a, pod_b, pod_c, client;

  // A load that had to be repeated with more kept fails the test, unless it is what is tested.
  bool may_retry = false;

  // --- the ConfigMap, swapped as a kubelet does: new directory, then rename of the ..data symlink
  void SetConfig(const ConfigMap& config);
  // Called right after that rename.
  std::function<void()> on_swap;
  // Adds or replaces keys, keeps the others.
  void ChangeConfig(const ConfigMap& changes);

  // --- manifests: Pods a, b, c (label app=NAME) in namespace "demo", and whatever a test adds
  void WriteManifest(const std::string& file, const std::string& yaml);
  void RemoveManifest(const std::string& file);
  // Service "echo" (kService*:80, TCP and UDP) with the given pods' addresses as backends.
  void WriteService(const std::vector<std::string>& backends4,
                    const std::vector<std::string>& backends6);

  // --- the agent
  // `wrapper`: a command that runs the agent as its last arguments, e.g. setpriv with its flags.
  void StartAgent(const std::vector<std::string>& extra_flags = {},
                  const std::vector<std::string>& wrapper = {});
  // The same, but does not wait until it answers.
  void SpawnAgent(const std::vector<std::string>& extra_flags = {},
                  const std::vector<std::string>& wrapper = {});
  // Sends `signal` and reaps; returns the wait status.
  int StopAgent(int signal);
  bool AgentRuns() const;
  // Run in the agent's process before it becomes the agent: async-signal-safe, false to give up.
  std::function<bool()> in_child;
  pid_t agent_pid() const { return agent_; }
  // `agentctl <arguments> -o json` against the agent; a null json when it cannot be reached.
  nlohmann::json Ctl(const std::string& arguments) const;
  CommandResult RawCtl(const std::string& arguments) const;
  std::string AgentLog() const;
  // A number of the agent's /metrics, asked for without a process in between; nullopt while it does
  // not serve. `name` with its labels, as it is written: bonsai_problems{code="load"}.
  std::optional<double> Metric(const std::string& name) const;
  // Waits until the configuration generation is `generation` or later.
  bool WaitGeneration(uint64_t generation, int timeout_seconds = 20) const;
  // Waits until what is on disk (ConfigMap and manifests) is in force, or the time is over.
  bool WaitInSync(int timeout_seconds = 20) const;
  // Waits until status has a problem with this code, or has none when `present` is false.
  bool WaitProblem(const std::string& code, bool present = true, int timeout_seconds = 20) const;

  // --- what the kernel says, without asking the agent
  // Names of the BPF maps that the programs attached to the node's devices, and the pins, hold.
  std::set<std::string> KernelMaps() const;
  // Names of the programs that are attached or stand in tail-call arrays of the agent.
  std::set<std::string> KernelPrograms() const;
  std::set<unsigned> KernelMapIds() const;
  std::set<unsigned> KernelProgramIds() const;

  std::filesystem::path directory() const { return directory_; }
  std::string socket() const { return directory_ / "agent.sock"; }
  std::string bpf_root() const { return bpf_root_; }
  std::string metrics_address() const { return "127.0.0.1:9962"; }  // inside the node's namespace

 private:
  void Wire(const Netns& pod, const std::string& device, const std::string& v4,
            const std::string& v6);
  std::set<unsigned> MapIdsOf(unsigned program) const;
  std::vector<std::string> AgentCommand(const std::vector<std::string>& extra_flags) const;

  std::filesystem::path directory_;
  std::string bpf_root_;
  ConfigMap config_;
  uint64_t swaps_ = 0;
  pid_t agent_ = -1;
};

bool WaitForFunction(bool (*call)(void*), void* context, int timeout_seconds);

// Polls `condition` every 50 ms until it holds or the time is over.
template <typename Condition>
bool WaitFor(Condition condition, int timeout_seconds = 10) {
  return WaitForFunction([](void* c) { return (*static_cast<Condition*>(c))(); }, &condition,
                         timeout_seconds);
}

}  // namespace bonsai::testing
