// SPDX-License-Identifier: Apache-2.0
#include "tests/e2e/node_state.h"

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "tests/support/traffic.h"

namespace bonsai::testing {
namespace fs = std::filesystem;
namespace {

// A program's pin and a map's record of its layout carry an id, which is another one each time.
std::string WithoutId(const std::string& pin) {
  const std::string layouts = "/layouts/";
  if (pin.rfind("/progs/", 0) == 0) return pin.substr(0, pin.rfind('-'));
  return pin.rfind(layouts, 0) == 0 ? layouts + pin.substr(pin.find('-')) : pin;
}

std::string MetricsText(const Cluster& cluster) { return Fetch(cluster.node, 9962, "/metrics"); }

}  // namespace

ConfigMap SmallConfig() {
  return {{"pod-devices", "veth-*"},   {"uplink-devices", "uplink"},
          {"ct-entries", "4096"},      {"events-bytes", "65536"},
          {"ipcache-entries", "1024"}, {"policy-entries", "1024"},
          {"service-entries", "64"},   {"backend-entries", "64"},
          {"prefilter-entries", "64"}, {"ct-gc-interval", "3600"},
          {"enable-datapath-metrics", "false"}};
}

ConfigMap LargeConfig() {
  ConfigMap config = SmallConfig();
  for (const char* key : {"enable-policy", "enable-load-balancer", "enable-prefilter",
                          "enable-flow-events", "enable-datapath-metrics",
                          "enable-game-of-life"}) {
    config[key] = "true";
  }
  return config;
}

NodeState NodeState::Of(const Cluster& cluster) {
  NodeState state;
  state.objects = HeldBy(cluster.agent_pid());
  state.objects.Merge(PinnedBelow(cluster.bpf_root()));
  std::error_code gone;
  for (const std::string& pin : PinsBelow(cluster.bpf_root())) {
    state.pins.push_back(pin.substr(cluster.bpf_root().size()));
  }
  std::sort(state.pins.begin(), state.pins.end());
  const fs::path descriptors = "/proc/" + std::to_string(cluster.agent_pid()) + "/fd";
  for (const auto& fd : fs::directory_iterator(descriptors, gone)) {
    const std::string target = fs::read_symlink(fd.path(), gone);
    state.descriptors += !target.empty() && target.rfind("socket:", 0) != 0;
  }
  return state;
}

bool NodeState::LooksLike(const NodeState& other) const {
  const auto names = [](std::vector<std::string> list) {
    for (std::string& pin : list) pin = WithoutId(pin);
    std::sort(list.begin(), list.end());
    return list;
  };
  return objects.maps.size() == other.objects.maps.size() &&
         objects.programs.size() == other.objects.programs.size() &&
         objects.links.size() == other.objects.links.size() && names(pins) == names(other.pins) &&
         descriptors <= other.descriptors;  // a watcher may have been reading when `other` was seen
}

uint64_t Generation(const Cluster& cluster) {
  return static_cast<uint64_t>(cluster.Metric("bonsai_configuration_generation").value_or(0));
}

bool HasProblem(const Cluster& cluster, const std::string& but) {
  std::istringstream lines(MetricsText(cluster));
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("bonsai_problems{", 0) != 0) continue;
    if (but.empty() || line.find('"' + but + '"') == std::string::npos) return true;
  }
  return false;
}

std::string FailureInfo(const Cluster& cluster) {
  const std::string text = MetricsText(cluster);
  std::string lines;
  const std::string name = "\nbonsai_change_failure_info{";
  for (size_t at = text.find(name); at != std::string::npos; at = text.find(name, at + 1)) {
    lines += text.substr(at, text.find('\n', at + 1) - at);
  }
  return lines;
}

}  // namespace bonsai::testing
