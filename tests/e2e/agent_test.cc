// SPDX-License-Identifier: Apache-2.0
// The agent as an operator meets it: wrong input, restarts, agreement with the kernel.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <fstream>

#include "tests/support/cluster.h"
#include "tests/support/traffic.h"

namespace bonsai::testing {
namespace {

using ::testing::HasSubstr;

class Agent : public ::testing::Test {
 protected:
  void Start(const ConfigMap& more = {}) {
    ConfigMap config = {
        {"pod-devices", "veth-*"}, {"uplink-devices", "uplink"}, {"ct-entries", "4096"}};
    for (const auto& [key, value] : more) config[key] = value;
    cluster.SetConfig(config);
    cluster.StartAgent();
    ASSERT_TRUE(cluster.WaitInSync());
  }
  std::string Problems() {
    return cluster.Ctl("status").value("problems", nlohmann::json::array()).dump();
  }
  std::string Metrics() {
    return cluster.node.Exec("curl -s http://" + cluster.metrics_address() + "/metrics").output;
  }

  Cluster cluster;
  EchoServer server{cluster.pod_b, Proto::kTcp, kServerPort, "b"};
  EchoServer udp{cluster.pod_b, Proto::kUdp, kServerPort, "b"};
};

TEST_F(Agent, KeepsTheLastGoodConfigurationWhenASettingIsWrong) {
  Start();
  auto before = cluster.Ctl("status")["configuration"]["generation"];
  SteadyTraffic traffic(cluster.pod_a, kPodB4, kServerPort);
  cluster.ChangeConfig({{"enable-polcy", "true"}, {"ct-tcp-timeout", "5"}, {"enable-ipv6", "perhaps"}});
  ASSERT_TRUE(cluster.WaitProblem("configuration"));
  std::string problems = Problems();
  EXPECT_THAT(problems, HasSubstr("enable-polcy"));
  EXPECT_THAT(problems, HasSubstr("enable-policy"));  // the nearest known name
  EXPECT_THAT(problems, HasSubstr("10..604800"));
  EXPECT_THAT(problems, HasSubstr("perhaps"));
  EXPECT_EQ(cluster.Ctl("status")["configuration"]["generation"], before);
  EXPECT_THAT(Metrics(), HasSubstr("bonsai_configuration_rejections_total{reason=\"settings\"} 1"));
  EXPECT_EQ(cluster.RawCtl("status").exit_code, 3) << "degraded";
  cluster.SetConfig({{"pod-devices", "veth-*"}, {"uplink-devices", "uplink"}, {"ct-entries", "8192"}});
  EXPECT_TRUE(cluster.WaitProblem("configuration", false));
  EXPECT_TRUE(cluster.WaitInSync());
  EXPECT_EQ(cluster.RawCtl("status").exit_code, 0);
  EXPECT_EQ(traffic.lost(), 0u);
}

TEST_F(Agent, RefusesSettingsThatCannotStandTogetherNamingBoth) {
  Start();
  cluster.ChangeConfig({{"enable-policy", "true"}, {"enable-conntrack", "false"}});
  ASSERT_TRUE(cluster.WaitProblem("configuration"));
  EXPECT_THAT(Problems(), HasSubstr("enable-policy"));
  EXPECT_THAT(Problems(), HasSubstr("enable-conntrack"));
}

TEST_F(Agent, KeepsServingWhenTheConfigDirectoryDisappearsAndComesBack) {
  Start();
  std::filesystem::rename(cluster.directory() / "config", cluster.directory() / "gone");
  ASSERT_TRUE(cluster.WaitProblem("configuration"));
  EXPECT_EQ(Ask(cluster.pod_a, Proto::kTcp, kPodB4, kServerPort), "b");
  std::filesystem::rename(cluster.directory() / "gone", cluster.directory() / "config");
  EXPECT_TRUE(cluster.WaitProblem("configuration", false));
  cluster.ChangeConfig({{"enable-policy", "true"}});
  EXPECT_TRUE(WaitFor([&] { return cluster.KernelMaps().contains("policy"); }));
}

TEST_F(Agent, KeepsTheLastGoodManifestsWhenOneIsBroken) {
  Start({{"enable-load-balancer", "true"}});
  cluster.WriteService({kPodB4}, {kPodB6});
  ASSERT_TRUE(WaitFor(
      [&] { return Ask(cluster.pod_a, Proto::kTcp, kService4, kServicePort, 200) == "b"; }));
  cluster.WriteManifest("service.yaml", "kind: Service\nmetadata: [not, a, map\n");
  ASSERT_TRUE(cluster.WaitProblem("manifests"));
  EXPECT_THAT(Problems(), HasSubstr("service.yaml"));
  EXPECT_EQ(Ask(cluster.pod_a, Proto::kTcp, kService4, kServicePort), "b");
  cluster.WriteService({kPodB4}, {kPodB6});
  EXPECT_TRUE(cluster.WaitProblem("manifests", false));
}

TEST_F(Agent, KeepsTheEarlierGenerationAndTheForeignProgramWhenAHookIsTaken) {
  Start();
  std::string pin = "/sys/fs/bpf/bonsai-test-foreign-" + std::to_string(getpid());
  auto taken = cluster.node.Exec("bpftool prog load " BONSAI_BPF_DIR "/xdp.bpf.o " + pin +
                                 " && bpftool net attach xdp pinned " + pin + " dev uplink; rm " + pin);
  ASSERT_EQ(taken.exit_code, 0) << taken.output;
  std::string foreign = cluster.node.Exec("bpftool net show dev uplink").output;
  std::set<unsigned> maps = cluster.KernelMapIds();
  auto generation = cluster.Ctl("status")["configuration"]["generation"];
  cluster.ChangeConfig({{"enable-prefilter", "true"}, {"enable-flow-events", "true"}});
  ASSERT_TRUE(cluster.WaitProblem("attach")) << Problems();
  EXPECT_THAT(Problems(), HasSubstr("uplink"));
  EXPECT_EQ(cluster.node.Exec("bpftool net show dev uplink").output, foreign);
  EXPECT_TRUE(WaitFor([&] { return cluster.KernelMapIds() == maps; })) << "between two attempts";
  EXPECT_EQ(cluster.Ctl("status")["configuration"]["generation"], generation);
  EXPECT_EQ(Ask(cluster.pod_a, Proto::kTcp, kPodB4, kServerPort), "b");
  cluster.node.MustExec("bpftool net detach xdp dev uplink");
  cluster.ChangeConfig({{"enable-datapath-metrics", "false"}});
  EXPECT_TRUE(cluster.WaitProblem("attach", false));
  EXPECT_TRUE(cluster.KernelMaps().contains("prefilter4"));
}

TEST_F(Agent, LeavesTheDatapathRunningWhenTerminatedAndAdoptsItWhenStartedAgain) {
  Start();
  auto connection = Connection::Open(cluster.pod_a, Proto::kTcp, kPodB4, kServerPort);
  ASSERT_TRUE(connection && connection->Ask());
  for (int signal : {SIGTERM, SIGKILL}) {
    int status = cluster.StopAgent(signal);
    EXPECT_TRUE(signal == SIGKILL || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    EXPECT_FALSE(cluster.KernelPrograms().empty()) << "signal " << signal;
    EXPECT_EQ(connection->Ask(), "b");
    size_t links = cluster.KernelProgramIds().size();
    cluster.StartAgent();
    ASSERT_TRUE(cluster.WaitInSync());
    EXPECT_EQ(cluster.KernelProgramIds().size(), links) << "attached twice";
    EXPECT_EQ(connection->Ask(), "b");
  }
}

TEST_F(Agent, KeepsThePoliciesInForceWhenRestartedOverABrokenManifest) {
  Start({{"enable-policy", "true"}});
  const std::string isolate =
      "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: b, namespace: demo}\n"
      "spec:\n  podSelector: {matchLabels: {app: b}}\n  policyTypes: [Ingress]\n";
  auto denied = [&] { return !Ask(cluster.pod_a, Proto::kTcp, kPodB4, kServerPort, 200); };
  cluster.WriteManifest("policy.yaml", isolate);
  ASSERT_TRUE(WaitFor(denied));
  cluster.StopAgent(SIGTERM);
  cluster.WriteManifest("policy.yaml", isolate + "  bad: [\n");
  cluster.StartAgent();
  ASSERT_TRUE(cluster.WaitInSync());
  ASSERT_TRUE(cluster.WaitProblem("manifests"));
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(denied());
  cluster.RemoveManifest("policy.yaml");
  EXPECT_TRUE(WaitFor([&] { return !denied(); })) << "a manifest that is gone is no longer waited for";
}

TEST_F(Agent, RefusesAGenerationWhoseTablesDoNotFit) {
  std::string policy =
      "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: b, namespace: demo}\n"
      "spec:\n  podSelector: {matchLabels: {app: b}}\n  policyTypes: [Ingress]\n  ingress:\n"
      "  - ports:\n    - {port: 8080}\n";
  for (int port = 10000; port < 10800; port += 2) {
    policy += "    - {port: " + std::to_string(port) + "}\n";
  }
  cluster.WriteManifest("policy.yaml", policy);
  Start({{"enable-policy", "true"}});
  ASSERT_EQ(Ask(cluster.pod_a, Proto::kTcp, kPodB4, kServerPort), "b");
  ASSERT_FALSE(Ask(cluster.pod_a, Proto::kTcp, kPodB4, 9999, 200));
  auto generation = cluster.Ctl("status")["configuration"]["generation"];
  cluster.ChangeConfig({{"policy-entries", "256"}});
  ASSERT_TRUE(cluster.WaitProblem("tables"));
  EXPECT_THAT(Problems(), HasSubstr("policy-entries"));
  EXPECT_EQ(cluster.Ctl("status")["configuration"]["generation"], generation);
  EXPECT_EQ(Ask(cluster.pod_a, Proto::kTcp, kPodB4, kServerPort), "b");
  EXPECT_FALSE(Ask(cluster.pod_a, Proto::kUdp, kPodB4, kServerPort, 200));
  cluster.ChangeConfig({{"policy-entries", "4096"}});
  EXPECT_TRUE(cluster.WaitInSync());
  EXPECT_TRUE(cluster.WaitProblem("tables", false));
}

TEST_F(Agent, SharesItsPinRootWithNoOtherAgentAndNoUninstall) {
  Start();
  std::string other = std::string(BONSAI_BIN_DIR "/bonsai-agent --socket ") +
                      (cluster.directory() / "other.sock").string() + " --bpf-root " + cluster.bpf_root();
  for (const char* flags : {"", " --uninstall"}) {
    auto second = cluster.node.Exec(other + flags);
    EXPECT_EQ(second.exit_code, 1) << flags;
    EXPECT_THAT(second.output, HasSubstr(cluster.bpf_root()));
  }
  EXPECT_FALSE(cluster.KernelPrograms().empty());
}

TEST_F(Agent, PutsBackWhatSomeoneElseHasDetached) {
  Start();
  std::set<unsigned> programs = cluster.KernelProgramIds();
  auto detached = Shell("for l in " + cluster.bpf_root() + "/links/to_pod-*; do bpftool link detach pinned $l; done");
  ASSERT_EQ(detached.exit_code, 0) << detached.output;
  EXPECT_NE(cluster.KernelProgramIds(), programs);
  EXPECT_TRUE(WaitFor([&] { return cluster.KernelProgramIds() == programs; }, 15));
}

TEST_F(Agent, NeedsNoMoreThanTheCapabilitiesOfTheChart) {
  cluster.SetConfig({{"pod-devices", "veth-*"}, {"uplink-devices", "uplink"}, {"ct-entries", "4096"}});
  const std::vector<std::string> wrapper = {"setpriv", "--bounding-set",
                                            "-all,+bpf,+net_admin,+perfmon"};
  for (int start = 0; start < 2; ++start) {  // the second adopts what the first left
    cluster.StartAgent({}, wrapper);
    ASSERT_TRUE(cluster.WaitInSync());
    cluster.ChangeConfig({{"enable-policy", "true"}, {"enable-load-balancer", "true"},
                          {"enable-prefilter", "true"}, {"enable-flow-events", "true"},
                          {"ct-gc-interval", std::to_string(start + 1)}});
    ASSERT_TRUE(cluster.WaitInSync());
    EXPECT_EQ(Problems(), "[]");
    EXPECT_EQ(cluster.RawCtl("status").exit_code, 0);
    EXPECT_EQ(Ask(cluster.pod_a, Proto::kTcp, kPodB4, kServerPort), "b");
    std::string status = Shell("grep CapEff /proc/" + std::to_string(cluster.agent_pid()) + "/status").output;
    EXPECT_EQ(status, "CapEff:\t000000c000001000\n");
    cluster.StopAgent(SIGKILL);
  }
}

TEST_F(Agent, RefusesToStartBesideALiveOne) {
  Start();
  auto second = cluster.node.Exec(std::string(BONSAI_BIN_DIR "/bonsai-agent --config-dir ") +
                                  (cluster.directory() / "config").string() + " --bpf-root " +
                                  cluster.bpf_root() + " --socket " + cluster.socket());
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_THAT(second.output, HasSubstr("live agent"));
  EXPECT_TRUE(cluster.AgentRuns());
  EXPECT_TRUE(cluster.Ctl("status").is_object());
}

TEST_F(Agent, SaysWhichDirectoryOrObjectIsUnusable) {
  auto run = [&](const std::string& flags) {
    return cluster.node.Exec(std::string(BONSAI_BIN_DIR "/bonsai-agent --socket ") +
                                 cluster.socket() + " --bpf-root " + cluster.bpf_root() + " " + flags, 10);
  };
  auto no_objects = run("--config-dir /nonexistent/x --bpf-dir /nonexistent/bpf");
  EXPECT_EQ(no_objects.exit_code, 1);
  EXPECT_THAT(no_objects.output, HasSubstr("/nonexistent/bpf"));
  std::filesystem::copy(BONSAI_BPF_DIR, cluster.directory() / "bpf");
  std::filesystem::resize_file(cluster.directory() / "bpf" / "from_pod.bpf.o", 3000);
  auto truncated = run("--config-dir /nonexistent/x --bpf-dir " + (cluster.directory() / "bpf").string());
  EXPECT_EQ(truncated.exit_code, 1);
  EXPECT_THAT(truncated.output, HasSubstr("from_pod.bpf.o"));
  std::ofstream(cluster.directory() / "bpf" / "from_pod.bpf.o") << "not an object";
  EXPECT_EQ(run("--config-dir /nonexistent/x --bpf-dir " + (cluster.directory() / "bpf").string()).exit_code, 1);
}

TEST_F(Agent, ReportsAPortInUseAndGoesOnWithoutIt) {
  Start();
  EchoServer taken(cluster.node, Proto::kTcp, 9963, "taken");
  cluster.ChangeConfig({{"metrics-address", "127.0.0.1:9963"}});
  ASSERT_TRUE(WaitFor([&] { return Problems().find("9963") != std::string::npos; })) << Problems();
  EXPECT_EQ(Ask(cluster.pod_a, Proto::kTcp, kPodB4, kServerPort), "b");
  EXPECT_THAT(Metrics(), HasSubstr("bonsai_build_info")) << "the earlier address serves on";
  cluster.ChangeConfig({{"metrics-address", "127.0.0.1:9962"}});
  EXPECT_TRUE(cluster.WaitProblem("metrics", false));
  EXPECT_TRUE(WaitFor([&] { return Metrics().find("bonsai_build_info") != std::string::npos; }));
}

TEST_F(Agent, AgreesWithBpftoolOnMapsBytesAndPrograms) {
  Start({{"enable-policy", "true"}, {"enable-load-balancer", "true"}, {"enable-prefilter", "true"},
         {"enable-flow-events", "true"}, {"enable-game-of-life", "true"},
         {"enable-dns-visibility", "true"}, {"enable-http-visibility", "true"}});
  auto maps = cluster.Ctl("maps");
  std::set<unsigned> ids;
  uint64_t bytes = 0;
  std::set<std::string> pruned;
  for (const auto& map : maps["maps"]) {
    if (map["state"] != "LOAD_STATE_LOADED") {
      pruned.insert(map["name"]);
      continue;
    }
    unsigned id = map["id"];
    ids.insert(id);
    auto shown = nlohmann::json::parse(Shell("bpftool -j map show id " + std::to_string(id)).output);
    // All objects' constants have one name in the kernel.
    std::string name = map["name"];
    EXPECT_EQ(shown["name"], name.find('.') == std::string::npos ? name : name.substr(name.find('.')));
    EXPECT_EQ(std::to_string(shown["bytes_memlock"].get<uint64_t>()), map["bytes"]) << map["name"];
    EXPECT_EQ(shown["max_entries"], map["max_entries"]) << map["name"];
    bytes += shown["bytes_memlock"].get<uint64_t>();
  }
  for (unsigned id : cluster.KernelMapIds()) {
    auto shown = nlohmann::json::parse(Shell("bpftool -j map show id " + std::to_string(id)).output);
    std::string name = shown.value("name", "");
    if (name.find(".rodata") == std::string::npos) {
      EXPECT_TRUE(ids.contains(id)) << name << " exists in the kernel, the agent does not list it";
    }
  }
  size_t loaded = 0;
  const auto programs = cluster.Ctl("programs");
  for (const auto& program : programs["programs"]) {
    if (program["id"] == 0) continue;
    loaded += program["object"] != "life";  // on no hook
    auto shown = nlohmann::json::parse(Shell("bpftool -j prog show id " + program["id"].dump()).output);
    EXPECT_EQ(shown["name"], program["name"]);
    EXPECT_EQ(std::to_string(shown["bytes_jited"].get<uint64_t>()), program["jited_bytes"]);
  }
  EXPECT_EQ(loaded, cluster.KernelProgramIds().size());
  std::string metrics = Metrics();
  for (const auto& map : maps["maps"]) {
    if (pruned.contains(map["name"])) continue;
    EXPECT_NE(metrics.find("bonsai_map_bytes{map=\"" + map["name"].get<std::string>() +
                           "\",feature=\"" + map["feature"].get<std::string>() +
                           "\",state=\"loaded\"} " + map["bytes"].get<std::string>() + "\n"),
              std::string::npos) << map["name"];
  }
  EXPECT_EQ(pruned, (std::set<std::string>{"ct4_old", "ct6_old"})) << "everything is on, none moves";
  const auto status = cluster.Ctl("status");
  ASSERT_TRUE(status.is_object()) << cluster.RawCtl("status").output;
  EXPECT_EQ(std::to_string(bytes), status["memory"]["loaded_bytes"]);
}

TEST_F(Agent, LoadsItsProgramsOnceForAnyNumberOfPods) {
  Start();
  size_t programs = cluster.KernelProgramIds().size();
  for (int i = 0; i < 40; ++i) {
    std::string name = "veth-x" + std::to_string(i);
    cluster.node.MustExec("ip link add " + name + " type veth peer name x" + std::to_string(i) +
                          " netns " + cluster.pod_c.name() + " && ip link set " + name + " up");
  }
  ASSERT_TRUE(WaitFor([&] {
    auto net = cluster.node.Exec("bpftool net show | grep -c veth-x").output;
    return std::stoi(net) == 80;  // both directions of each
  }, 20)) << cluster.node.Exec("bpftool net show").output;
  EXPECT_EQ(cluster.KernelProgramIds().size(), programs);
  for (int i = 0; i < 40; ++i) cluster.node.MustExec("ip link del veth-x" + std::to_string(i));
  EXPECT_TRUE(WaitFor([&] {
    return cluster.RawCtl("status -o json").output.find("veth-x") == std::string::npos;
  }));
  EXPECT_EQ(Ask(cluster.pod_a, Proto::kTcp, kPodB4, kServerPort), "b");
}

TEST_F(Agent, IsScrapedByPrometheusAndItsMetricsAreClean) {
  Start({{"enable-flow-events", "true"}});
  auto lint = cluster.node.Exec("curl -s http://" + cluster.metrics_address() +
                                "/metrics | promtool check metrics");
  EXPECT_EQ(lint.exit_code, 0) << lint.output;
  EXPECT_EQ(lint.output, "");
  std::ofstream(cluster.directory() / "prometheus.yml")
      << "global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: bonsai\n  static_configs:\n"
         "  - targets: ['" << cluster.metrics_address() << "']\n";
  std::string dir = cluster.directory().string();
  auto started = cluster.node.Exec(
      "prometheus --config.file=" + dir + "/prometheus.yml --storage.tsdb.path=" + dir +
      "/tsdb --web.listen-address=127.0.0.1:9090 >" + dir + "/prometheus.log 2>&1 & echo $!");
  std::string pid = started.output.substr(0, started.output.find('\n'));
  EXPECT_TRUE(WaitFor([&] {
    auto answer = cluster.node.Exec(
        "curl -s 'http://127.0.0.1:9090/api/v1/query?query=bonsai_configuration_generation'");
    return answer.output.find("\"value\"") != std::string::npos;
  }, 40)) << Shell("tail -5 " + dir + "/prometheus.log").output;
  Shell("kill " + pid + "; sleep 1");
  EXPECT_EQ(cluster.node.Exec("curl -s -o /dev/null -w '%{http_code}' http://" +
                              cluster.metrics_address() + "/healthz").output, "200");
  EXPECT_EQ(cluster.node.Exec("curl -s -o /dev/null -w '%{http_code}' http://" +
                              cluster.metrics_address() + "/readyz").output, "200");
}

TEST_F(Agent, LeavesTheNodeAsItWasAfterUninstall) {
  auto looks = [&] {
    return cluster.node.Exec("bpftool net show; tc qdisc show; tc filter show dev uplink ingress; "
                             "ip -d link show | grep -v 'link/\\|RX\\|TX'").output +
           Shell("ls -R " + cluster.bpf_root() + " 2>&1").output;
  };
  std::string before = looks();
  Start();
  EXPECT_NE(looks(), before);
  cluster.StopAgent(SIGTERM);
  auto uninstall = cluster.node.Exec(std::string(BONSAI_BIN_DIR "/bonsai-agent --uninstall --socket ") +
                                     cluster.socket() + " --bpf-root " + cluster.bpf_root());
  EXPECT_EQ(uninstall.exit_code, 0) << uninstall.output;
  EXPECT_EQ(looks(), before);
}

}  // namespace
}  // namespace bonsai::testing
