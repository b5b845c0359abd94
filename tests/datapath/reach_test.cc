// SPDX-License-Identifier: Apache-2.0
// What a set of toggles reaches, shown by the kernel: the maps that are left in the instructions
// after it dropped dead code, from the entry programs through the tail calls.
#include <set>

#include "tests/datapath/fixture.h"

namespace bonsai::testing {
namespace {

using Names = std::set<std::string>;

class Reach : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "SKIPPED: loading BPF programs needs root";
  }
};

Constants Only(const Names& on) {
  Constants constants = Off();
  for (auto& [name, value] : constants) value = on.count(name);
  return constants;
}

// Stages of both families.
Names Layer7Stages(const Names& on) {
  Names stages;
  if (!on.count("enable_ipv4") && !on.count("enable_ipv6")) return stages;
  if (on.count("enable_dns_visibility")) 
    stages.insert({"fp_dns", "fp_dns_read", "tp_dns", "tp_dns_read"});
  if (on.count("enable_http_visibility")) stages.insert({"fp_http", "tp_http"});
  return stages;
}

// Stages that each feature adds in one family, by the end of their names.
Names Stages(const Names& on, const std::string& family) {
  if (!on.count("enable_ipv" + family) || !on.count("enable_conntrack")) return {};
  const bool policy = on.count("enable_policy");
  Names stages;
  for (const std::string hook : {"fp_", "tp_"}) {
    stages.insert(hook + "related" + family);
    stages.insert(hook + (policy ? "policy" : "create") + family);
    if (policy) stages.insert(hook + "recheck" + family);
  }
  if (on.count("enable_load_balancer")) stages.insert("fp_lb" + family);
  return stages;
}

Names Maps(const Names& on) {
  Names maps;
  for (const std::string family : {"4", "6"}) {
    if (!on.count("enable_ipv" + family)) continue;
    if (on.count("enable_conntrack")) maps.insert("ct" + family);
    if (on.count("enable_policy")) maps.insert("ipcache" + family);
    if (on.count("enable_prefilter")) maps.insert("prefilter" + family);
    if (on.count("enable_load_balancer"))
      maps.insert({"services" + family, "backends" + family});
  }
  if (on.count("enable_conntrack") || !Layer7Stages(on).empty())
    maps.insert({"from_pod_calls", "to_pod_calls"});
  if (on.count("enable_dns_visibility"))
    maps.insert({"dns_ports", "dns_events", "dns_metrics", "dns_deny", "dns_scratch"});
  if (on.count("enable_http_visibility"))
    maps.insert({"http_ports", "http_events", "http_metrics", "http_scratch"});
  if (on.count("enable_policy")) maps.insert({"endpoints", "policy", "policy_epoch"});
  if (on.count("enable_flow_events")) maps.insert("events");
  if (on.count("enable_datapath_metrics")) maps.insert("metrics");
  if (on.count("enable_game_of_life"))
    maps.insert({"life_even", "life_odd", "life_state", "life_timer", "life_events"});
  return maps;
}

// Follows the tail calls from the entry programs and compares the stages and maps that are met with
// those the features stand for.
void ExpectExactly(const Names& on) {
  DatapathConfig config;
  config.objects = {"xdp", "from_pod", "to_pod", "from_netdev", "life"};
  config.constants = Only(on);
  Datapath datapath(config);
  ASSERT_EQ(datapath.error(), "");
  const std::map<std::string, Live> programs = datapath.LivePrograms();
  Names maps;
  Names stages;
  std::vector<std::string> open = {"xdp_prefilter", "from_pod",   "to_pod",
                                   "from_netdev",   "life_start", "life_stop"};
  while (!open.empty()) {
    const Live& live = programs.at(open.back());
    open.pop_back();
    maps.insert(live.maps.begin(), live.maps.end());
    for (const std::string& call : live.calls) {
      if (stages.insert(call).second) open.push_back(call);
    }
  }
  Names expected = Stages(on, "4");
  expected.merge(Stages(on, "6"));
  expected.merge(Layer7Stages(on));
  EXPECT_EQ(stages, expected);
  EXPECT_EQ(maps, Maps(on));
}

TEST_F(Reach, NoMapWithEverythingOff) {
  ExpectExactly({"enable_ipv4"});
  ExpectExactly({"enable_ipv6"});
  ExpectExactly({"enable_ipv4", "enable_ipv6"});
}

TEST_F(Reach, EachFeatureBringsExactlyItsMaps) {
  for (const Names& family : {Names{"enable_ipv4"}, Names{"enable_ipv6"},
                              Names{"enable_ipv4", "enable_ipv6"}}) {
    for (Names on : {Names{"enable_prefilter"}, Names{"enable_conntrack"},
                     Names{"enable_conntrack", "enable_policy"},
                     Names{"enable_conntrack", "enable_policy", "policy_default_deny"},
                     Names{"enable_conntrack", "enable_policy", "policy_audit_mode"},
                     Names{"enable_conntrack", "enable_load_balancer"},
                     Names{"enable_datapath_metrics"}, Names{"enable_game_of_life"},
                     Names{"enable_dns_visibility"},
                     Names{"enable_http_visibility"},
                     Names{"enable_dns_visibility", "enable_http_visibility"},
                     Names{"enable_conntrack", "enable_policy", "enable_http_visibility"},
                     Names{"enable_conntrack", "enable_load_balancer", "enable_policy"}}) {
      on.insert(family.begin(), family.end());
      ExpectExactly(on);
    }
  }
}

// Sub-settings of a feature that is off must not wake it up.
TEST_F(Reach, PolicySettingsMeanNothingWithoutPolicy) {
  ExpectExactly({"enable_ipv4", "policy_default_deny", "policy_audit_mode"});
  ExpectExactly({"enable_ipv4", "enable_conntrack", "policy_default_deny", "policy_audit_mode"});
}

TEST_F(Reach, EverythingOnUsesEveryMap) {
  ExpectExactly({"enable_ipv4", "enable_ipv6", "enable_prefilter", "enable_conntrack",
                 "enable_policy", "enable_load_balancer", "enable_flow_events",
                 "enable_datapath_metrics", "enable_dns_visibility", "enable_http_visibility",
                 "enable_game_of_life"});
}

}  // namespace
}  // namespace bonsai::testing
