// SPDX-License-Identifier: Apache-2.0
#include "agent/report/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/base/status.h"
#include "tests/unit/report/http_client.h"
#include "tests/unit/report/sample.h"

namespace bonsai::report {
namespace {

using ::testing::HasSubstr;
using bonsai::testing::HttpGet;

std::unique_ptr<HttpServer> StartOrFail(const Publisher& publisher,
                                        std::chrono::seconds stale_after = std::chrono::seconds(30)) {
  auto server = HttpServer::Start({.address = "127.0.0.1:0", .stale_after = stale_after}, publisher);
  EXPECT_TRUE(server.ok()) << server.status();
  return server.ok() ? *std::move(server) : nullptr;
}

TEST(HttpServer, ServesMetrics) {
  Publisher publisher;
  publisher.Publish(testing::SampleSnapshot());
  auto server = StartOrFail(publisher);
  ASSERT_NE(server, nullptr);
  const auto answer = HttpGet(server->port(), "/metrics");
  EXPECT_EQ(answer.code, 200);
  EXPECT_THAT(answer.head, HasSubstr("Content-Type: text/plain; version=0.0.4"));
  EXPECT_THAT(answer.body, HasSubstr("bonsai_configuration_generation 7\n"));
}

TEST(HttpServer, KnowsNoOtherPathAndNoOtherMethod) {
  Publisher publisher;
  auto server = StartOrFail(publisher);
  ASSERT_NE(server, nullptr);
  for (const char* path : {"/", "/metrics/x", "/metricsx", "/../etc/passwd", "/CMakeLists.txt"}) {
    EXPECT_EQ(HttpGet(server->port(), path).code, 404) << path;
  }
  EXPECT_EQ(testing::HttpRequest(server->port(), "POST", "/metrics").code, 405);
  const auto head = testing::HttpRequest(server->port(), "HEAD", "/healthz");
  EXPECT_EQ(head.code, 200);
  EXPECT_EQ(head.body, "");
}

TEST(HttpServer, ReadyOnceAConfigurationIsInForceUnlessUnhealthy) {
  Publisher publisher;
  auto server = StartOrFail(publisher);
  ASSERT_NE(server, nullptr);
  EXPECT_EQ(HttpGet(server->port(), "/readyz").code, 503);
  publisher.Publish(testing::SampleSnapshot());
  EXPECT_EQ(HttpGet(server->port(), "/readyz").code, 200);
  Snapshot degraded = testing::SampleSnapshot();
  degraded.health = Health::kDegraded;
  publisher.Publish(std::move(degraded));
  EXPECT_EQ(HttpGet(server->port(), "/readyz").code, 200);
  Snapshot unhealthy = testing::SampleSnapshot();
  unhealthy.health = Health::kUnhealthy;
  publisher.Publish(std::move(unhealthy));
  EXPECT_EQ(HttpGet(server->port(), "/readyz").code, 503);
}

TEST(HttpServer, AliveThoughUnhealthyAndWithoutAConfiguration) {
  Publisher publisher;
  Snapshot refused;
  refused.health = Health::kUnhealthy;
  publisher.Publish(std::move(refused));
  auto patient = StartOrFail(publisher);
  auto strict = StartOrFail(publisher, std::chrono::seconds(-1));
  ASSERT_TRUE(patient && strict);
  EXPECT_EQ(HttpGet(patient->port(), "/healthz").code, 200);
  EXPECT_EQ(HttpGet(patient->port(), "/readyz").code, 503);
  EXPECT_EQ(HttpGet(strict->port(), "/healthz").code, 503);
}

TEST(HttpServer, AliveWhileStartingDeadWhenTheReconcilerIsSilent) {
  Publisher publisher;
  auto patient = StartOrFail(publisher);
  auto strict = StartOrFail(publisher, std::chrono::seconds(-1));
  ASSERT_TRUE(patient && strict);
  EXPECT_EQ(HttpGet(patient->port(), "/healthz").code, 200);
  const auto dead = HttpGet(strict->port(), "/healthz");
  EXPECT_EQ(dead.code, 503);
  EXPECT_THAT(dead.body, HasSubstr("silent"));
}

TEST(HttpServer, NamesTheAddressWhenThePortIsInUse) {
  Publisher publisher;
  auto first = StartOrFail(publisher);
  ASSERT_NE(first, nullptr);
  const std::string address = "127.0.0.1:" + std::to_string(first->port());
  auto second = HttpServer::Start({.address = address}, publisher);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable) << second.status();
  EXPECT_THAT(base::Message(second.status()), HasSubstr(address));
  EXPECT_THAT(base::Message(second.status()), HasSubstr("in use"));
  first.reset();
  auto third = HttpServer::Start({.address = address}, publisher);
  EXPECT_TRUE(third.ok()) << third.status();
}

TEST(HttpServer, ListensOnAllAddressesWithoutAHost) {
  Publisher publisher;
  auto server = HttpServer::Start({.address = ":0"}, publisher);
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_EQ(HttpGet((*server)->port(), "/healthz").code, 200);
}

TEST(HttpServer, RefusesWhatIsNoAddress) {
  Publisher publisher;
  for (const char* address : {"", "9962", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x",
                              "127.0.0.1:99999", "127.0.0.1:80s", "1.1.1.1:80,2.2.2.2:90",
                              "300.1.1.1:80", "[::1]:9000", "[::]:9962"}) {
    auto server = HttpServer::Start({.address = address}, publisher);
    ASSERT_FALSE(server.ok()) << address;
    EXPECT_EQ(server.status().code(), absl::StatusCode::kInvalidArgument) << server.status();
  }
}

}  // namespace
}  // namespace bonsai::report
