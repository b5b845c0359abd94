// SPDX-License-Identifier: Apache-2.0
// What is on disk is not what is in force: said in status and metrics, with its beginning, until it
// is over.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/cluster.h"

namespace bonsai::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Drift : public ::testing::Test {
 protected:
  void SetUp() override {
    cluster.SetConfig(
        {{"pod-devices", "veth-*"}, {"uplink-devices", "uplink"}, {"ct-entries", "4096"}});
    cluster.StartAgent();
    ASSERT_TRUE(cluster.WaitInSync());
  }
  double Metric(const std::string& name) {
    const auto text =
        cluster.node.Exec("curl -s http://" + cluster.metrics_address() + "/metrics").output;
    const size_t at = text.find("\nbonsai_" + name + " ");
    return at == std::string::npos ? -1 : std::stod(text.substr(at + name.size() + 9));
  }
  nlohmann::json Configuration() { return cluster.Ctl("status")["configuration"]; }

  void ExpectInSync() {
    EXPECT_EQ(Configuration()["in_sync"], true);
    EXPECT_EQ(Configuration()["drift_since"], nullptr);
    EXPECT_EQ(Metric("configuration_in_sync"), 1);
    EXPECT_EQ(Metric("configuration_drift_seconds"), 0);
    EXPECT_THAT(cluster.RawCtl("status").output, Not(HasSubstr("NOT in sync")));
  }
  // Its beginning stays while it lasts.
  void ExpectDrift() {
    const auto since = Configuration()["drift_since"];
    EXPECT_EQ(Configuration()["in_sync"], false);
    EXPECT_TRUE(since.is_string()) << since;
    EXPECT_EQ(Metric("configuration_in_sync"), 0);
    EXPECT_THAT(cluster.RawCtl("status").output, HasSubstr("NOT in sync"));
    const double before = Metric("configuration_drift_seconds");
    EXPECT_TRUE(WaitFor([&] { return Metric("configuration_drift_seconds") > before + 1; }));
    EXPECT_EQ(Configuration()["drift_since"], since);
  }

  Cluster cluster;
};

TEST_F(Drift, BeginsWithARefusedConfigurationAndEndsWhenItIsMended) {
  ExpectInSync();
  const auto generation = Configuration()["generation"];
  cluster.ChangeConfig({{"ct-tcp-timeout", "5"}});
  ASSERT_TRUE(cluster.WaitProblem("configuration"));
  ExpectDrift();
  EXPECT_EQ(Configuration()["generation"], generation);
  cluster.ChangeConfig({{"ct-tcp-timeout", "8000"}});
  ASSERT_TRUE(cluster.WaitInSync());
  ExpectInSync();
}

TEST_F(Drift, BeginsWithAFailedLoadAndEndsWhenTheEarlierConfigurationIsBack) {
  const std::string pin = "/sys/fs/bpf/bonsai-test-drift-" + std::to_string(getpid());
  const auto taken = cluster.node.Exec("bpftool prog load " BONSAI_BPF_DIR "/xdp.bpf.o " + pin +
                                       " && bpftool net attach xdp pinned " + pin +
                                       " dev uplink; rm " + pin);
  ASSERT_EQ(taken.exit_code, 0) << taken.output;
  cluster.ChangeConfig({{"enable-prefilter", "true"}});
  ASSERT_TRUE(cluster.WaitProblem("attach"));
  ExpectDrift();
  cluster.ChangeConfig({{"enable-prefilter", "false"}});
  ASSERT_TRUE(cluster.WaitInSync());
  EXPECT_TRUE(cluster.WaitProblem("attach", false));
  ExpectInSync();
}

TEST_F(Drift, EndsByItselfWhenWhatFailedSucceeds) {
  const std::string pin = "/sys/fs/bpf/bonsai-test-drift-" + std::to_string(getpid());
  cluster.node.MustExec("bpftool prog load " BONSAI_BPF_DIR "/xdp.bpf.o " + pin +
                        " && bpftool net attach xdp pinned " + pin + " dev uplink; rm " + pin);
  cluster.ChangeConfig({{"enable-prefilter", "true"}});
  ASSERT_TRUE(cluster.WaitProblem("attach"));
  EXPECT_EQ(Configuration()["in_sync"], false);
  cluster.node.MustExec("bpftool net detach xdp dev uplink");
  ASSERT_TRUE(cluster.WaitInSync(40));
  ExpectInSync();
}

}  // namespace
}  // namespace bonsai::testing
