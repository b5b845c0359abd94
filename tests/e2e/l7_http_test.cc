// SPDX-License-Identifier: Apache-2.0
// HTTP visibility on curl and nginx, between pods, through a service, and among rubbish.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <sstream>
#include <thread>

#include "tests/e2e/nginx.h"
#include "tests/support/cluster.h"
#include "tests/support/traffic.h"

namespace bonsai::testing {
namespace {

using ::testing::HasSubstr;
using Flows = std::vector<nlohmann::json>;

// Of a flow of another kind the field is null.
bool IsHttp(const nlohmann::json& flow) { return flow.contains("http") && flow["http"].is_object(); }

std::string Url(const std::string& address, const std::string& path, uint16_t port = kServerPort) {
  const bool v6 = address.find(':') != std::string::npos;
  return "'http://" + (v6 ? "[" + address + "]" : address) + ":" + std::to_string(port) + path + "'";
}

class L7Http : public ::testing::Test {
 protected:
  void Start(const ConfigMap& more = {}) {
    ConfigMap config = {{"pod-devices", "veth-*"}, {"uplink-devices", "uplink"},
                        {"ct-entries", "4096"},    {"enable-http-visibility", "true"}};
    for (const auto& [key, value] : more) config[key] = value;
    cluster.SetConfig(config);
    cluster.StartAgent();
    ASSERT_TRUE(cluster.WaitInSync());
    ASSERT_TRUE(WaitFor([&] {
      const auto pods = cluster.Ctl("endpoints");
      return pods.is_object() && pods.value("endpoints", nlohmann::json::array()).size() == 3;
    }));
  }

  // What curl prints with these arguments in pod a, -w "%{http_code}" unless they say otherwise.
  std::string Curl(const std::string& arguments) {
    return cluster.pod_a.Exec("curl -sS --max-time 10 -o /dev/null -w '%{http_code}' " + arguments)
        .output;
  }

  static Flows Parse(const std::string& lines) {
    Flows flows;
    std::istringstream in(lines);
    for (std::string line; std::getline(in, line);) {
      flows.push_back(nlohmann::json::parse(line, nullptr, false));
      EXPECT_TRUE(flows.back().is_object()) << line;
    }
    return flows;
  }
  Flows Told(const std::string& more = "") {
    return Parse(cluster.RawCtl("flows --l7 http --last 4000 -o json " + more).output);
  }
  // Waits for a flow of which all of `wanted` is true; the flow, or null.
  nlohmann::json Await(const std::function<bool(const nlohmann::json&)>& wanted) {
    nlohmann::json found;
    EXPECT_TRUE(WaitFor([&] {
      for (const nlohmann::json& flow : Told()) {
        if (!wanted(flow)) continue;
        found = flow;
        return true;
      }
      return false;
    }));
    return found;
  }
  nlohmann::json AwaitRequest(const std::string& path, const std::string& hook) {
    SCOPED_TRACE(path + " at " + hook);
    return Await([&](const nlohmann::json& flow) {
      return flow["kind"] == "FLOW_KIND_REQUEST" && flow["hook"] == hook &&
             flow["http"]["path"] == path;
    });
  }
  nlohmann::json AwaitResponse(int status, const std::string& hook, const std::string& address) {
    SCOPED_TRACE(std::to_string(status) + " at " + hook);
    return Await([&](const nlohmann::json& flow) {
      return flow["kind"] == "FLOW_KIND_RESPONSE" && flow["hook"] == hook &&
             flow["http"]["status"] == status && flow["source"]["address"] == address;
    });
  }
  double Metric(const std::string& name) { return cluster.Metric(name).value_or(-1); }
  bool AwaitMetric(const std::string& name, double least) {
    return WaitFor([&] { return Metric(name) >= least; });
  }

  Cluster cluster;
  Nginx nginx{cluster.pod_b, cluster.directory()};
};

TEST_F(L7Http, TellsWhatCurlAskedAndNginxAnswered) {
  Start();
  for (const std::string server : {kPodB4, kPodB6}) {
    SCOPED_TRACE(server);
    const std::string tag = server == kPodB4 ? "4" : "6";
    EXPECT_EQ(Curl(Url(server, "/page?" + tag)), "200");
    EXPECT_EQ(Curl("-H 'Host: other.example' " + Url(server, "/none?" + tag)), "404");
    EXPECT_EQ(Curl("-I " + Url(server, "/moved?" + tag)), "301");
    EXPECT_EQ(Curl("-d key=value " + Url(server, "/upload?" + tag)), "204");
    const auto asked = AwaitRequest("/page?" + tag, "from-pod");
    EXPECT_EQ(asked["source"]["pod"], "demo/a");
    EXPECT_EQ(asked["destination"]["pod"], "demo/b");
    EXPECT_EQ(asked["destination"]["address"], server);
    EXPECT_EQ(asked["destination"]["port"], kServerPort);
    EXPECT_EQ(asked["device"], "veth-a");
    EXPECT_EQ(asked["http"]["method"], "GET");
    EXPECT_EQ(asked["http"]["minor"], 1);
    EXPECT_THAT(asked["http"]["host"].get<std::string>(), HasSubstr(server));
    EXPECT_EQ(AwaitRequest("/page?" + tag, "to-pod")["device"], "veth-b");
    EXPECT_EQ(AwaitRequest("/none?" + tag, "from-pod")["http"]["host"], "other.example");
    EXPECT_EQ(AwaitRequest("/moved?" + tag, "from-pod")["http"]["method"], "HEAD");
    EXPECT_EQ(AwaitRequest("/upload?" + tag, "from-pod")["http"]["method"], "POST");
    for (const int status : {200, 404, 301, 204}) {
      EXPECT_EQ(AwaitResponse(status, "from-pod", server)["device"], "veth-b");
      EXPECT_EQ(AwaitResponse(status, "to-pod", server)["destination"]["pod"], "demo/a");
    }
  }
  // Each message at both pods' devices, for both families.
  EXPECT_TRUE(AwaitMetric("bonsai_http_requests_total{method=\"GET\"}", 8));
  EXPECT_EQ(Metric("bonsai_http_requests_total{method=\"HEAD\"}"), 4);
  EXPECT_EQ(Metric("bonsai_http_requests_total{method=\"POST\"}"), 4);
  EXPECT_EQ(Metric("bonsai_http_responses_total{class=\"2xx\"}"), 8);
  EXPECT_EQ(Metric("bonsai_http_responses_total{class=\"3xx\"}"), 4);
  EXPECT_EQ(Metric("bonsai_http_responses_total{class=\"4xx\"}"), 4);
  EXPECT_EQ(Metric("bonsai_http_malformed_total"), 0);
  EXPECT_EQ(Metric("bonsai_http_events_lost_total"), 0);
  EXPECT_EQ(cluster.node.Exec("curl -s http://" + cluster.metrics_address() +
                              "/metrics | promtool check metrics").output, "");
}

TEST_F(L7Http, EachRequestOfAConnectionThatIsKept) {
  Start();
  EXPECT_EQ(Curl("-w '%{num_connects} ' " + Url(kPodB4, "/page?1") + " -o /dev/null " +
                 Url(kPodB4, "/chunked?2") + " -o /dev/null --compressed " +
                 Url(kPodB4, "/none?3")), "1 0 0 ");
  for (const std::string path : {"/page?1", "/chunked?2", "/none?3"}) AwaitRequest(path, "from-pod");
  EXPECT_EQ(AwaitRequest("/page?1", "from-pod")["source"]["port"],
            AwaitRequest("/none?3", "from-pod")["source"]["port"]);
  EXPECT_TRUE(AwaitMetric("bonsai_http_responses_total{class=\"2xx\"}", 4));
  EXPECT_EQ(Metric("bonsai_http_requests_total{method=\"GET\"}"), 6);
}

TEST_F(L7Http, ThroughAServiceByItsTargetPort) {
  cluster.WriteService({kPodB4}, {kPodB6});
  Start({{"enable-load-balancer", "true"}, {"http-ports", "8080"}});
  ASSERT_TRUE(WaitFor([&] {
    const auto listed = cluster.Ctl("services");
    return listed.is_object() && !listed.value("services", nlohmann::json::array()).empty();
  }));
  for (const std::string service : {kService4, kService6}) {
    SCOPED_TRACE(service);
    const std::string path = "/page?to=" + service;
    EXPECT_EQ(Curl(Url(service, path, kServicePort)), "200");
    const auto asked = AwaitRequest(path, "from-pod");
    EXPECT_EQ(asked["destination"]["pod"], "demo/b");
    EXPECT_EQ(asked["destination"]["port"], kServerPort);
    EXPECT_THAT(asked["http"]["host"].get<std::string>(), HasSubstr(service));
    const auto answered = AwaitResponse(200, "to-pod", service);
    EXPECT_THAT(answered["source"]["service"].get<std::string>(), HasSubstr("demo/echo"));
    EXPECT_EQ(answered["source"]["port"], kServicePort);
  }
}

TEST_F(L7Http, LeavesBigBodiesIntact) {
  Start({{"enable-conntrack", "true"}, {"enable-flow-events", "true"}});
  const std::string sum = nginx.MakeFile("big", 40);
  for (const std::string server : {kPodB4, kPodB6}) {
    const std::string copy = cluster.directory() / "copy";
    EXPECT_EQ(cluster.pod_a.Exec("curl -sS --max-time 60 -o " + copy + " " + Url(server, "/big"), 70)
                  .exit_code, 0);
    EXPECT_EQ(Sha256(copy), sum);
    EXPECT_EQ(Curl("--max-time 60 -H Expect: --data-binary @" + copy + " " + Url(server, "/upload")),
              "204");
    EXPECT_EQ(nginx.TakeUploadSum(), sum);
  }
  EXPECT_TRUE(AwaitMetric("bonsai_http_requests_total{method=\"POST\"}", 4));
  EXPECT_EQ(Metric("bonsai_http_requests_total{method=\"POST\"}"), 4);
  EXPECT_EQ(Metric("bonsai_http_requests_total{method=\"other\"}"), 0) << "a body is no request";
  EXPECT_EQ(Metric("bonsai_http_malformed_total"), 0);
}

TEST_F(L7Http, FollowsAndFiltersByPod) {
  Start({{"enable-flow-events", "true"}, {"enable-conntrack", "true"}});
  std::string followed, of_c;
  {
    std::jthread follower([&] {
      followed = cluster.RawCtl("flows --l7 http --follow --last 0 --limit 6 --timeout 15 -o json").output;
    });
    std::jthread other([&] {
      of_c = cluster.RawCtl("flows --l7 http --pod c --follow --last 0 --limit 2 --timeout 15 -o json").output;
    });
    std::this_thread::sleep_for(std::chrono::seconds(1));
    for (int i = 0; i < 3; ++i) EXPECT_EQ(Curl(Url(kPodB4, "/page")), "200");
    cluster.pod_c.Exec("curl -s -o /dev/null " + Url(kPodB6, "/page?c"));
  }
  const Flows all = Parse(followed), filtered = Parse(of_c);
  EXPECT_EQ(all.size(), 6u);
  for (const nlohmann::json& flow : all) EXPECT_TRUE(IsHttp(flow));
  EXPECT_EQ(filtered.size(), 2u);
  for (const nlohmann::json& flow : filtered) {
    EXPECT_TRUE(flow["source"]["pod"] == "demo/c" || flow["destination"]["pod"] == "demo/c");
  }
  EXPECT_TRUE(Told("--pod nobody").empty());
  // Without --l7 everything is shown.
  const Flows every = Parse(cluster.RawCtl("flows --last 4000 -o json").output);
  const auto http = std::count_if(every.begin(), every.end(), [](const nlohmann::json& flow) { return IsHttp(flow); });
  EXPECT_GT(http, 0);
  EXPECT_LT(http, static_cast<long>(every.size()));
}

TEST_F(L7Http, RubbishNeitherBreaksConnectionsNorTerminals) {
  Start();
  const std::vector<std::string> rubbish = {
      "printf 'GET /\\033[2J\\007 HTTP/1.1\\r\\n\\r\\n'",
      "printf 'GET /\\377\\200\\\\x HTTP/1.1\\r\\nHost: \\033]0;x\\007\\r\\n\\r\\n'",
      "printf 'GET  / HTTP/1.1\\r\\n\\r\\n'",
      "printf '\\026\\003\\001\\002\\000\\001\\000\\001\\374\\003\\003'",
      "printf 'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n'",
      "head -c 200000 /dev/urandom",
      "head -c 100000 /dev/zero",
      "(printf 'GET /'; head -c 70000 /dev/zero | tr '\\000' a)"};
  std::atomic<bool> over{false};
  std::atomic<int> good{0}, bad{0};
  {
    std::jthread steady([&] {
      while (!over) (Curl(Url(kPodB4, "/page")) == "200" ? good : bad)++;
    });
    for (const std::string& payload : rubbish) {
      for (const char* server : {kPodB4, kPodB6}) {
        cluster.pod_c.Exec("(" + payload + ") | nc -N -w 1 " + server + " 8080 > /dev/null");
      }
    }
    over = true;
  }
  EXPECT_GT(good, 3);
  EXPECT_EQ(bad, 0);
  EXPECT_TRUE(AwaitMetric("bonsai_http_malformed_total", 4));
  const std::string text = cluster.RawCtl("flows --l7 http --last 4000").output;
  EXPECT_TRUE(std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return c == '\n' || (c >= 0x20 && c < 0x7f);
  }));
  EXPECT_THAT(text, HasSubstr("/\\xff\\x80\\\\x"));
  EXPECT_THAT(text, HasSubstr("http, not to be parsed"));
}

TEST_F(L7Http, ComesAndGoesUnderTrafficAndLeavesNothing) {
  Start({{"enable-http-visibility", "false"}});
  EXPECT_EQ(cluster.Metric("bonsai_http_malformed_total"), std::nullopt);
  auto connection = Connection::Open(cluster.pod_a, Proto::kTcp, kPodB4, 9090);
  EchoServer echo(cluster.pod_b, Proto::kTcp, 9090, "echo");
  connection = Connection::Open(cluster.pod_a, Proto::kTcp, kPodB4, 9090);
  ASSERT_TRUE(connection);
  std::atomic<bool> over{false};
  std::atomic<int> good{0}, bad{0};
  {
    std::jthread steady([&] {
      while (!over) (Curl(Url(kPodB4, "/page")) == "200" ? good : bad)++;
    });
    for (int round = 0; round < 5; ++round) {
      cluster.ChangeConfig({{"enable-http-visibility", round % 2 == 0 ? "true" : "false"},
                            {"http-ports", "8080,9090"}});
      ASSERT_TRUE(cluster.WaitInSync());
      EXPECT_EQ(connection->Ask(), "echo");
      EXPECT_EQ(cluster.KernelMaps().contains("http_events"), round % 2 == 0);
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
    over = true;
  }
  EXPECT_GT(good, 5);
  EXPECT_EQ(bad, 0);
  EXPECT_FALSE(Told().empty());
  cluster.ChangeConfig({{"enable-http-visibility", "false"}});
  ASSERT_TRUE(cluster.WaitInSync());
  EXPECT_TRUE(WaitFor([&] {
    const std::set<std::string> maps = cluster.KernelMaps(), programs = cluster.KernelPrograms();
    return std::none_of(maps.begin(), maps.end(), [](auto& map) { return map.starts_with("http"); }) &&
           !programs.contains("fp_http") && !programs.contains("tp_http");
  }));
  EXPECT_TRUE(WaitFor([&] { return !cluster.Metric("bonsai_http_malformed_total"); }));
}

TEST_F(L7Http, AnotherListOfPortsLoadsNothing) {
  Start({{"http-ports", "8080"}});
  const std::set<unsigned> programs = cluster.KernelProgramIds();
  EXPECT_EQ(Curl(Url(kPodB4, "/page?first")), "200");
  AwaitRequest("/page?first", "from-pod");
  EXPECT_THAT(cluster.RawCtl("plan --set http-ports=8000-8079,8081").output, HasSubstr("live"));
  cluster.ChangeConfig({{"http-ports", "8000-8079,8081"}});
  ASSERT_TRUE(cluster.WaitInSync());
  EXPECT_EQ(Curl(Url(kPodB4, "/page?unseen")), "200");
  EXPECT_EQ(Curl(Url(kPodB4, "/page?second", 8081)), "200");
  AwaitRequest("/page?second", "to-pod");
  for (const nlohmann::json& flow : Told()) EXPECT_NE(flow["http"]["path"], "/page?unseen");
  EXPECT_EQ(cluster.KernelProgramIds(), programs);
}

}  // namespace
}  // namespace bonsai::testing
