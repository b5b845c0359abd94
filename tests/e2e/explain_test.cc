// SPDX-License-Identifier: Apache-2.0
// agentctl explain of the agent that runs: its remedies, applied, do what they say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/cluster.h"

namespace bonsai::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class ExplainAgent : public ::testing::Test {
 protected:
  ExplainAgent() {
    cluster.SetConfig({{"pod-devices", "veth-*"}, {"uplink-devices", "uplink"},
                       {"ct-entries", "4096"}});
    cluster.StartAgent();
  }
  Cluster cluster;
};

TEST_F(ExplainAgent, NamedRemediesBringAndRemoveMapsInTheKernel) {
  ASSERT_TRUE(cluster.WaitInSync());
  for (const char* name : {"policy", "services6", "prefilter4"}) {
    SCOPED_TRACE(name);
    const auto pruned = cluster.Ctl("explain map " + std::string(name));
    ASSERT_EQ(pruned["thing"]["state"], "LOAD_STATE_PRUNED") << pruned.dump();
    EXPECT_FALSE(cluster.KernelMaps().contains(name));
    EXPECT_FALSE(pruned["thing"]["objects"][0]["deciding"].empty());
    const auto effect = pruned["thing"]["alone"][0];
    ConfigMap changes, back;
    for (const auto& change : effect["changes"]) {
      changes[change["setting"]] = change["to"];
      back[change["setting"]] = change["from"];
    }
    cluster.ChangeConfig(changes);
    ASSERT_TRUE(WaitFor([&] { return cluster.KernelMaps().contains(name); }));
    ASSERT_TRUE(cluster.WaitInSync());
    for (const auto& come : effect["maps_come"]) {
      const std::string map = come;
      if (map.find(".rodata") == std::string::npos) {
        EXPECT_TRUE(cluster.KernelMaps().contains(map)) << map;
      }
    }
    const auto loaded = cluster.Ctl("explain map " + std::string(name));
    EXPECT_EQ(loaded["thing"]["state"], "LOAD_STATE_LOADED");
    EXPECT_FALSE(loaded["thing"]["kept_for_verifier"]);
    EXPECT_FALSE(loaded["thing"]["objects"][0]["witness"].empty());
    const auto maps = cluster.Ctl("maps");  // a range over a temporary would dangle
    for (const auto& map : maps["maps"]) {
      EXPECT_TRUE(map["name"] != name || map["bytes"] == loaded["thing"]["bytes"]) << map.dump();
    }
    cluster.ChangeConfig(back);
    ASSERT_TRUE(WaitFor([&] { return !cluster.KernelMaps().contains(name); }));
    ASSERT_TRUE(cluster.WaitInSync());
  }
}

TEST_F(ExplainAgent, AnswersForEveryNameItListsAndForNoOther) {
  ASSERT_TRUE(cluster.WaitInSync());
  for (const char* kind : {"map", "program", "function", "setting"}) {
    const auto names = cluster.Ctl("explain " + std::string(kind))["names"];
    ASSERT_GT(names.size(), 10u) << kind;
    // Programs' own functions are most of those there are: some are enough.
    const size_t step = kind == std::string("function") ? 5 : 1;
    for (size_t i = 0; i < names.size(); i += step) {
      const std::string name = names[i];
      const auto answer = cluster.Ctl("explain " + std::string(kind) + " " + name);
      EXPECT_EQ(answer["name"], name) << kind;
    }
  }
  const CommandResult unknown = cluster.RawCtl("explain map ct44");
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.output, HasSubstr("the nearest is ct4"));
  EXPECT_EQ(cluster.RawCtl("explain map $(printf '\\377')").exit_code, 2);
  EXPECT_EQ(cluster.RawCtl("explain map " + std::string(100000, 'x')).exit_code, 2);
  EXPECT_TRUE(cluster.AgentRuns());
  EXPECT_EQ(cluster.RawCtl("status").exit_code, 0);
}

TEST_F(ExplainAgent, SaysWhereASettingComesFrom) {
  ASSERT_TRUE(cluster.WaitInSync());
  EXPECT_THAT(cluster.RawCtl("explain setting ct-entries").output,
              AllOf(HasSubstr("ct-entries = 4096 (configured)"), HasSubstr("map ct4, ct6")));
  EXPECT_THAT(cluster.RawCtl("explain setting enable-policy").output,
              HasSubstr("enable-policy = false (default)"));
}

}  // namespace
}  // namespace bonsai::testing
