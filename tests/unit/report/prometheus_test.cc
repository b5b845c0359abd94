// SPDX-License-Identifier: Apache-2.0
// A real Prometheus server scrapes the agent's endpoint.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <sstream>
#include <thread>

#include "agent/report/http_server.h"
#include "tests/unit/report/http_client.h"
#include "tests/unit/report/sample.h"

namespace bonsai::report {
namespace {

using ::testing::HasSubstr;
using bonsai::testing::HttpGet;

// The server as a child process that dies with this object.
class PrometheusServer {
 public:
  PrometheusServer(const std::string& directory, int target_port) : port_(testing::FreePort()) {
    const std::string config = directory + "/prometheus.yml";
    std::ofstream(config) << "scrape_configs:\n- job_name: bonsai\n  scrape_interval: 500ms\n"
                          << "  scrape_timeout: 400ms\n  static_configs:\n  - targets: ['127.0.0.1:"
                          << target_port << "']\n";
    const std::string log = directory + "/prometheus.log";
    std::vector<std::string> words = {"prometheus", "--config.file=" + config,
                                      "--storage.tsdb.path=" + directory + "/data",
                                      "--web.listen-address=127.0.0.1:" + std::to_string(port_)};
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT, 0600);
    ::posix_spawn_file_actions_adddup2(&actions, 1, 2);
    EXPECT_EQ(::posix_spawnp(&pid_, "prometheus", &actions, nullptr, argv.data(), environ), 0);
    ::posix_spawn_file_actions_destroy(&actions);
  }
  ~PrometheusServer() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  int port() const { return port_; }

 private:
  const int port_;
  pid_t pid_ = 0;
};

std::string ReadAll(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

TEST(Prometheus, ScrapesTheAgent) {
  Publisher publisher;
  publisher.Publish(testing::SampleSnapshot());
  auto server = HttpServer::Start({.address = "127.0.0.1:0"}, publisher);
  ASSERT_TRUE(server.ok()) << server.status();
  testing::TemporaryDirectory directory;
  PrometheusServer prometheus(directory.path(), (*server)->port());
  const std::string query = "/api/v1/query?query=";
  testing::HttpAnswer up;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (std::chrono::steady_clock::now() < deadline) {
    up = HttpGet(prometheus.port(), query + "up");
    if (up.body.find(",\"1\"]") != std::string::npos) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  ASSERT_THAT(up.body, HasSubstr(",\"1\"]")) << ReadAll(directory.path() + "/prometheus.log");
  const auto info = HttpGet(prometheus.port(), query + "bonsai_build_info");
  EXPECT_EQ(info.code, 200);
  EXPECT_THAT(info.body, HasSubstr("\"version\":\"0.1.0\""));
  EXPECT_THAT(info.body, HasSubstr("\"node\":\"node-a\""));
  const auto saved = HttpGet(prometheus.port(), query + "sum(bonsai_memory_saved_bytes)");
  EXPECT_THAT(saved.body, HasSubstr("\"20975616\""));
}

}  // namespace
}  // namespace bonsai::report
