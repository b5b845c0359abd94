// SPDX-License-Identifier: Apache-2.0
// DNS visibility and dns-deny with real software: dnsmasq in a pod, behind a service or not, asked by
// dig in another.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <random>

#include "tests/support/cluster.h"
#include "tests/support/traffic.h"

namespace bonsai::testing {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using Clock = std::chrono::steady_clock;

std::string Service() {
  return "apiVersion: v1\nkind: Service\nmetadata: {name: dns, namespace: demo}\n"
         "spec:\n  clusterIPs: [10.96.0.53, 'fd96::53']\n  clusterIP: 10.96.0.53\n"
         "  ports: [{name: dns, protocol: UDP, port: 53, targetPort: 5300},"
         " {name: dns-tcp, protocol: TCP, port: 53, targetPort: 5300}]\n";
}

std::string Slice(const std::string& family, const std::string& address) {
  return "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: dns-" +
         std::string(family == "IPv4" ? "v4" : "v6") +
         ", namespace: demo, labels: {kubernetes.io/service-name: dns}}\naddressType: " + family +
         "\nendpoints: [{addresses: ['" + address + "'], conditions: {ready: true}}]\n"
         "ports: [{name: dns, protocol: UDP, port: 5300}, {name: dns-tcp, protocol: TCP, port: 5300}]\n";
}

class L7Dns : public ::testing::Test {
 protected:
  void SetUp() override {
    if (Shell("command -v dnsmasq && command -v dig").exit_code != 0) {
      GTEST_SKIP() << "SKIPPED: needs dnsmasq and dig (deploy/install-deps.sh test)";
    }
  }

  void TearDown() override {
    for (const std::string& pid_file : pid_files_) {
      Shell("test -s " + pid_file + " && kill $(cat " + pid_file + ")");
    }
  }

  // dnsmasq in pod-b; answers for test. and refuses the rest.
  void Serve(uint16_t port) {
    const std::string pid_file = cluster.directory() / ("dnsmasq-" + std::to_string(port));
    pid_files_.push_back(pid_file);
    std::string big;
    for (int i = 0; i < 12; ++i) big += " --txt-record=big.test," + std::string(200, static_cast<char>('a' + i));
    cluster.pod_b.MustExec(
        "dnsmasq --no-resolv --no-hosts --conf-file=/dev/null --user=root --bind-interfaces --local=/test/ "
        "--local-ttl=60 --port=" + std::to_string(port) + " --pid-file=" + pid_file +
        " --edns-packet-max=1232 --host-record=www.test,192.0.2.80,2001:db8::80 "
        "--cname=alias.test,other.test --cname=other.test,www.test --host-record=a.deep.test,192.0.2.81 "
        "--host-record=deny.test,192.0.2.82 --host-record=below.zone.test,192.0.2.83 "
        "--host-record=zone.test,192.0.2.84" + big);
  }

  void Start(const ConfigMap& more = {}) {
    ConfigMap config = {{"pod-devices", "veth-*"}, {"uplink-devices", "uplink"},
                        {"ct-entries", "4096"}, {"enable-dns-visibility", "true"}};
    for (const auto& [key, value] : more) config[key] = value;
    cluster.SetConfig(config);
    cluster.StartAgent();
    ASSERT_TRUE(cluster.WaitInSync());
  }

  std::string Dig(const std::string& arguments) {
    return cluster.pod_a.Exec("dig +tries=1 +timeout=3 " + arguments).output;
  }

  // The kept flows of DNS, oldest first: those about `name`.
  std::vector<json> Flows(const std::string& name) {
    std::vector<json> flows;
    const CommandResult listed = cluster.RawCtl("flows --l7 dns --last 200 -o json");
    std::istringstream lines(listed.output);
    for (std::string line; std::getline(lines, line);) {
      const json flow = json::parse(line, nullptr, false);
      if (flow.is_object() && flow.contains("dns") && flow["dns"].value("name", "") == name) {
        flows.push_back(flow);
      }
    }
    return flows;
  }
  // Waits for `count` of them.
  std::vector<json> Await(const std::string& name, size_t count) {
    std::vector<json> flows;
    EXPECT_TRUE(WaitFor([&] {
      flows = Flows(name);
      return flows.size() >= count;
    })) << name << ": " << flows.size() << " flows\n" << cluster.RawCtl("flows --l7 dns --last 50").output;
    flows.resize(std::max(flows.size(), count));
    return flows;
  }
  double Metric(const std::string& name) { return cluster.Metric(name).value_or(-1); }
  bool WaitMetric(const std::string& name, double least) {
    return WaitFor([&] { return Metric(name) >= least; });
  }

  Cluster cluster;
  std::vector<std::string> pid_files_;
};

TEST_F(L7Dns, ShowsNamesTypesCodesAndAddresses) {
  Serve(53);
  Start();
  const std::string at = std::string(" @") + kPodB4;
  EXPECT_THAT(Dig("alias.test A" + at), HasSubstr("192.0.2.80"));
  const std::vector<json> flows = Await("alias.test.", 4);  // asked and answered, at both pods
  const json& ask = flows[0];
  EXPECT_EQ(ask["dns"]["type"], "A");
  EXPECT_EQ(ask["source"]["pod"], "demo/a");
  EXPECT_EQ(ask["destination"]["pod"], "demo/b");
  EXPECT_THAT(flows.back()["dns"]["answers"], ElementsAre("192.0.2.80"));
  EXPECT_EQ(flows.back()["dns"]["rcode"], "NOERROR");
  EXPECT_EQ(flows.back()["dns"]["id"], ask["dns"]["id"]);

  EXPECT_THAT(Dig("www.test AAAA +tcp @" + std::string(kPodB6)), HasSubstr("2001:db8::80"));
  const std::vector<json> tcp = Await("www.test.", 4);
  EXPECT_EQ(tcp[0]["protocol"], "tcp");
  EXPECT_EQ(tcp[0]["dns"]["type"], "AAAA");
  EXPECT_THAT(tcp.back()["dns"]["answers"], ElementsAre("2001:db8::80"));

  EXPECT_THAT(Dig("no.test A" + at), HasSubstr("NXDOMAIN"));
  EXPECT_EQ(Await("no.test.", 4).back()["dns"]["rcode"], "NXDOMAIN");
  EXPECT_THAT(Dig("elsewhere.org A" + at), HasSubstr("REFUSED"));
  EXPECT_EQ(Await("elsewhere.org.", 4).back()["dns"]["rcode"], "REFUSED");
  Dig("-t TYPE65280 www.test" + at);
  EXPECT_TRUE(WaitFor([&] { return Flows("www.test.").back()["dns"]["type"] == "TYPE65280"; }));

  EXPECT_TRUE(WaitMetric("bonsai_dns_queries_total", 10));
  EXPECT_TRUE(WaitMetric("bonsai_dns_responses_total{rcode=\"NOERROR\"}", 4));
  EXPECT_TRUE(WaitMetric("bonsai_dns_responses_total{rcode=\"NXDOMAIN\"}", 2));
  EXPECT_TRUE(WaitMetric("bonsai_dns_responses_total{rcode=\"REFUSED\"}", 2));
  EXPECT_EQ(Metric("bonsai_dns_malformed_total"), 0);
  EXPECT_EQ(Metric("bonsai_dns_denied_total"), 0);
}

TEST_F(L7Dns, LargeAnswersAreTruncatedOrGoOverTcp) {
  Serve(53);
  Start();
  const std::string at = std::string(" @") + kPodB4;
  EXPECT_THAT(Dig("big.test TXT +ignore +bufsize=512" + at), HasSubstr("flags: qr aa tc"));
  const std::vector<json> cut = Await("big.test.", 4);
  EXPECT_EQ(cut.back()["dns"].value("truncated", false), true);
  const std::string whole = Dig("big.test TXT +bufsize=1232" + at);  // again over TCP
  EXPECT_THAT(whole, HasSubstr("ANSWER: 12"));
  EXPECT_THAT(whole, HasSubstr("(TCP)"));
  EXPECT_TRUE(WaitFor([&] {
    const std::vector<json> flows = Flows("big.test.");
    return flows.back()["protocol"] == "tcp" && flows.back()["dns"]["rcode"] == "NOERROR";
  }));
  EXPECT_THAT(Dig("big.test TXT +bufsize=4096" + at), HasSubstr("ANSWER: 12"));
  EXPECT_EQ(Metric("bonsai_dns_malformed_total"), 0);
}

TEST_F(L7Dns, DenyIsAnsweredAtOnceAndChangesWithoutAReload) {
  Serve(53);
  Start({{"dns-deny", "deny.test,*.zone.test"}});
  const std::set<unsigned> programs = cluster.KernelProgramIds();
  for (const std::string& at : {std::string(" @") + kPodB4, std::string(" @") + kPodB6}) {
    const auto begun = Clock::now();
    const std::string refused = Dig("dEnY.TEST A" + at);
    EXPECT_LT(Clock::now() - begun, std::chrono::seconds(1));
    EXPECT_THAT(refused, HasSubstr("status: REFUSED"));
    EXPECT_THAT(refused, HasSubstr("ra; QUERY: 1, ANSWER: 0"));
    EXPECT_THAT(refused, Not(HasSubstr("WARNING")));
    EXPECT_THAT(Dig("below.zone.test A" + at), HasSubstr("status: REFUSED"));
    EXPECT_THAT(Dig("zone.test A" + at), HasSubstr("192.0.2.84"));
    EXPECT_THAT(Dig("www.test A" + at), HasSubstr("192.0.2.80"));
    EXPECT_THAT(Dig("sub.deny.test A" + at), HasSubstr("NXDOMAIN"));
    EXPECT_THAT(Dig("deny.test A +tcp" + at), HasSubstr("connection reset"));
    EXPECT_THAT(Dig("www.test A +tcp" + at), HasSubstr("192.0.2.80"));
  }
  const std::vector<json> flows = Await("dEnY.TEST.", 4);
  EXPECT_EQ(flows[0]["kind"], "FLOW_KIND_DENIED");
  EXPECT_EQ(flows[0]["reason"], "dns-denied");
  EXPECT_TRUE(WaitMetric("bonsai_dns_denied_total", 6));
  EXPECT_TRUE(WaitMetric("bonsai_drops_total{reason=\"dns-denied\",hook=\"from-pod\"}", 6));

  cluster.ChangeConfig({{"dns-deny", ".zone.test"}});
  ASSERT_TRUE(cluster.WaitInSync());
  EXPECT_THAT(Dig(std::string("deny.test A @") + kPodB4), HasSubstr("192.0.2.82"));
  EXPECT_THAT(Dig(std::string("zone.test A @") + kPodB4), HasSubstr("status: REFUSED"));
  cluster.ChangeConfig({{"dns-deny", ""}});
  ASSERT_TRUE(cluster.WaitInSync());
  EXPECT_THAT(Dig(std::string("zone.test A @") + kPodB4), HasSubstr("192.0.2.84"));
  EXPECT_EQ(cluster.KernelProgramIds(), programs);
}

// Checksums that the pod's device leaves to the other side (CHECKSUM_PARTIAL), and those it does not.
TEST_F(L7Dns, RefusalsHaveRightChecksumsWhoeverComputesThem) {
  Serve(53);
  Start({{"dns-deny", "deny.test"}});
  // Only a device that does not take the sum over makes the kernel work it out from what we left, and
  // only a pod without help checks it.
  const std::pair<const char*, const char*> kOffloads[] = {
      {"on", "off"}, {"on", "on"}, {"off", "off"}, {"off", "on"}};
  for (const auto& [pod, host] : kOffloads) {
    cluster.pod_a.MustExec(std::string("ethtool -K eth0 rx off tx ") + pod);
    cluster.node.MustExec(std::string("ethtool -K veth-a tx ") + host);
    for (const std::string& at : {std::string(" @") + kPodB4, std::string(" @") + kPodB6}) {
      SCOPED_TRACE(std::string(pod) + " " + host + at);
      EXPECT_THAT(Dig("deny.test A" + at), HasSubstr("status: REFUSED"));
      EXPECT_THAT(Dig("deny.test A +tcp" + at), HasSubstr("connection reset"));
    }
  }
}

TEST_F(L7Dns, ServiceIsDeniedAndSeenByItsTargetPort) {
  Serve(5300);
  cluster.WriteManifest("dns.yaml", Service());
  cluster.WriteManifest("dns4.yaml", Slice("IPv4", kPodB4));
  cluster.WriteManifest("dns6.yaml", Slice("IPv6", kPodB6));
  Start({{"dns-ports", "5300"}, {"dns-deny", "deny.test"}, {"enable-load-balancer", "true"}});
  for (const char* policy : {"false", "true"}) {
    cluster.ChangeConfig({{"enable-policy", policy}});
    ASSERT_TRUE(cluster.WaitInSync());
    for (const std::string at : {" @10.96.0.53", " @fd96::53"}) {
      SCOPED_TRACE(policy + at);
      EXPECT_THAT(Dig("www.test A" + at), HasSubstr("192.0.2.80"));
      EXPECT_THAT(Dig("deny.test A" + at), HasSubstr("status: REFUSED"));
      EXPECT_THAT(Dig("deny.test A +tcp" + at), HasSubstr("connection reset"));
      EXPECT_THAT(Dig("www.test A +tcp" + at), HasSubstr("192.0.2.80"));
    }
  }
  EXPECT_FALSE(Await("deny.test.", 1).empty());
}

TEST_F(L7Dns, HostilePayloadsHarmNobody) {
  Serve(53);
  Start({{"dns-deny", "deny.test"}});
  std::mt19937 random(53);
  {
    const NetnsScope scope(cluster.pod_a);
    const base::UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_storage to = {};
    const socklen_t size = MakeAddress(kPodB4, 53, to);
    for (int i = 0; i < 5000; ++i) {
      std::string payload(random() % 300, '\0');
      for (char& c : payload) c = static_cast<char>(random());
      if (payload.size() > 6 && i % 2) payload[2] = payload[4] = 0, payload[5] = 1;
      sendto(socket.get(), payload.data(), payload.size(), 0, reinterpret_cast<sockaddr*>(&to), size);
    }
  }
  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(Dig(std::string("www.test A @") + kPodB4), HasSubstr("192.0.2.80"));
    EXPECT_THAT(Dig(std::string("deny.test A @") + kPodB4), HasSubstr("status: REFUSED"));
  }
  EXPECT_TRUE(WaitMetric("bonsai_dns_malformed_total", 1000));
  EXPECT_TRUE(cluster.AgentRuns());
  const std::string shown = cluster.RawCtl("flows --l7 dns --last 100").output;
  for (const char c : shown) {
    ASSERT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7f)) << static_cast<int>(c);
  }
}

TEST_F(L7Dns, OffIsGone) {
  Serve(53);
  Start({{"dns-deny", "deny.test"}});
  EXPECT_TRUE(cluster.KernelMaps().contains("dns_deny"));
  EXPECT_TRUE(cluster.KernelPrograms().contains("fp_dns_read"));
  cluster.ChangeConfig({{"enable-dns-visibility", "false"}});
  ASSERT_TRUE(cluster.WaitInSync());
  ASSERT_TRUE(WaitFor([&] { return !cluster.KernelMaps().contains("dns_deny"); }));
  for (const std::string& map : cluster.KernelMaps()) EXPECT_THAT(map, Not(HasSubstr("dns")));
  for (const std::string& name : cluster.KernelPrograms()) EXPECT_THAT(name, Not(HasSubstr("dns")));
  EXPECT_THAT(Dig(std::string("deny.test A @") + kPodB4), HasSubstr("192.0.2.82"));
  EXPECT_EQ(Metric("bonsai_dns_queries_total"), -1);
}

}  // namespace
}  // namespace bonsai::testing
