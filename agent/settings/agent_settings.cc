// SPDX-License-Identifier: Apache-2.0
// The settings that are not constants of the datapath.
#include "agent/settings/settings.h"

namespace bonsai::settings {
namespace {

using Strings = std::vector<std::string>;

SettingSpec Number(const char* key, const char* feature, uint64_t value, int64_t min, int64_t max,
                   const char* doc) {
  return {.key = key, .kind = Kind::kUint, .default_value = value, .min = min, .max = max,
          .feature = feature, .doc = doc};
}

SettingSpec Bytes(const char* key, const char* feature, uint64_t value, int64_t min, int64_t max,
                  const char* doc) {
  SettingSpec spec = Number(key, feature, value, min, max, doc);
  spec.power_of_two = true;
  return spec;
}

SettingSpec List(const char* key, const char* feature, const char* element, Strings value,
                 const char* doc) {
  return {.key = key, .kind = Kind::kList, .default_value = std::move(value), .element = element,
          .feature = feature, .doc = doc};
}

SettingSpec Choice(const char* key, const char* feature, Strings choices, const char* value,
                   const char* doc) {
  return {.key = key, .kind = Kind::kString, .default_value = std::string(value),
          .choices = std::move(choices), .feature = feature, .doc = doc};
}

SettingSpec Text(const char* key, const char* feature, const char* element, const char* value,
                 const char* doc) {
  return {.key = key, .kind = Kind::kString, .default_value = std::string(value),
          .element = element, .feature = feature, .doc = doc};
}

constexpr int64_t kMostEntries = 16777216;

std::vector<SettingSpec> MapSizes() {
  return {
      Number("ct-entries", "conntrack", 131072, 1024, kMostEntries,
             "Connections tracked, for each address family."),
      Number("endpoint-entries", "policy", 1024, 16, 65536, "Pods of this node."),
      Number("ipcache-entries", "policy", 65536, 256, kMostEntries,
             "Addresses and CIDRs with an identity, for each address family."),
      Number("policy-entries", "policy", 65536, 256, kMostEntries,
             "Policy rules of all pods of this node."),
      Number("service-entries", "load-balancer", 16384, 16, 1048576,
             "Service ports, for each address family."),
      Number("backend-entries", "load-balancer", 65536, 16, kMostEntries,
             "Backends of all services, for each address family."),
      Number("prefilter-entries", "prefilter", 16384, 16, kMostEntries,
             "Denied CIDRs, for each address family."),
      Bytes("events-bytes", "flow-events", 1048576, 65536, 268435456,
            "Size of the ring buffer that flow events travel through."),
      Number("dns-deny-entries", "dns-visibility", 4096, 16, 1048576,
             "Names that may not be asked for; one behind *. takes two entries."),
      Bytes("dns-events-bytes", "dns-visibility", 262144, 65536, 268435456,
            "Size of the ring buffer that DNS events travel through."),
      Bytes("http-events-bytes", "http-visibility", 262144, 65536, 268435456,
            "Size of the ring buffer that HTTP events travel through."),
  };
}

std::vector<SettingSpec> Behaviour() {
  return {
      List("prefilter-cidrs", "prefilter", "cidr", {},
           "CIDRs whose packets are dropped at the uplinks."),
      List("dns-ports", "dns-visibility", "port", {"53"},
           "Ports and ranges of ports that DNS servers listen on: of a service, its target ports."),
      List("dns-deny", "dns-visibility", "dns-name", {},
           "Names whose queries by pods are refused: example.com alone, .example.com with all below "
           "it, *.example.com only what is below it."),
      List("http-ports", "http-visibility", "port", {"80", "8080"},
           "Ports and ranges of ports that HTTP servers listen on: of a service, its target ports. "
           "What dns-ports has, too, is DNS's."),
      List("pod-devices", "agent", "device-pattern", {"veth*", "cali*", "lxc*"},
           "Host-side devices of pods: names or shell patterns."),
      List("uplink-devices", "agent", "device-pattern", {},
           "Devices to the outside: names or shell patterns; empty: those of the default routes."),
      Number("ct-gc-interval", "conntrack", 10, 1, 3600,
             "Seconds between two collections of expired connections."),
      Choice("log-level", "agent", {"error", "warning", "info", "debug"}, "info",
             "The least severe messages that are logged."),
      Text("metrics-address", "agent", "host-port", "127.0.0.1:9962",
           "Where /metrics, /healthz and /readyz are served."),
  };
}

std::vector<SettingSpec> Life() {
  return {
      Number("life-interval-ms", "life", 100, 0, 3600000,
             "Milliseconds from one generation to the next, at least."),
      Choice("life-seed", "life", {"glider", "gun", "random"}, "random",
             "What a new board begins with; glider and gun where they fit, else random."),
  };
}

std::vector<SettingSpec> MakeTable() {
  std::vector<SettingSpec> table = MapSizes();
  for (SettingSpec& spec : Life()) table.push_back(std::move(spec));
  for (SettingSpec& spec : Behaviour()) table.push_back(std::move(spec));
  return table;
}

}  // namespace

const std::vector<SettingSpec>& AgentSettings() {
  static const std::vector<SettingSpec> table = MakeTable();
  return table;
}

}  // namespace bonsai::settings
