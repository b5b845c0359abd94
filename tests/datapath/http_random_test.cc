// SPDX-License-Identifier: Apache-2.0
// Payloads by the thousand, made and mutated at random: each passes unchanged, and the datapath says of
// it what the rules say. BONSAI_HTTP_SEED tries others, BONSAI_HTTP_ROUNDS more.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "tests/datapath/http_fixture.h"

namespace bonsai::testing {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

class Payloads {
 public:
  explicit Payloads(uint64_t seed) : random_(seed) {}

  bool Coin() { return Below(2) == 0; }
  size_t Below(size_t limit) { return std::uniform_int_distribution<size_t>(0, limit - 1)(random_); }

  std::string Next() {
    std::string text = Coin() ? Request() : Response();
    for (size_t mutations = Below(4); mutations > 0; --mutations) Mutate(text);
    if (Below(4) == 0) text.resize(Below(text.size() + 1));
    if (text.size() > 1400) text.resize(1400);
    return text;
  }

 private:
  std::string OneOf(std::initializer_list<const char*> words) {
    return *(words.begin() + Below(words.size()));
  }
  std::string Run(size_t most) {
    std::string text;
    for (size_t n = Below(most + 1); n > 0; --n) text += static_cast<char>(' ' + Below(96));
    return text;
  }
  std::string Word(size_t most) {
    std::string text;
    for (size_t n = Below(most + 1); n > 0; --n) text += static_cast<char>('!' + Below(94));
    return text;
  }
  std::string End() { return OneOf({"\r\n", "\r\n", "\r\n", "\n", "\r", "\r\r\n"}); }
  std::string Space() { return OneOf({" ", " ", " ", " ", "", "  ", "\t"}); }
  std::string Version() {
    return OneOf({"HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.9", "HTTP/1.", "HTTP/2.0", "http/1.1"});
  }
  std::string Headers() {
    std::string text;
    for (size_t n = Below(8); n > 0; --n) {
      const std::string name = OneOf({"Host", "HOST", "host", "Hos", "Hostt", " Host", "X", "Accept"});
      const std::string value = Below(6) ? Word(40) : Word(200);
      text += name + OneOf({":", ": ", ":\t ", " :", ""}) + value + OneOf({"", "", " ", "\t"}) + End();
    }
    return text + OneOf({"\r\n", "\n", ""}) + (Coin() ? Run(300) : "");
  }
  std::string Request() {
    const std::string method = OneOf({"GET", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT",
                                      "OPTIONS", "TRACE", "PATCH", "BREW", "get", ""});
    const std::string target = Below(8) ? "/" + Word(60) : Word(1100);
    return method + Space() + target + Space() + Version() + End() + Headers();
  }
  std::string Response() {
    const std::string status = Below(4) ? std::to_string(100 + Below(900)) : Word(5);
    return Version() + Space() + status + Space() + OneOf({"OK", "", "Not Found"}) + End() + Headers();
  }
  void Mutate(std::string& text) {
    if (text.empty()) return;
    const size_t at = Below(Coin() ? text.size() : std::min<size_t>(text.size(), 40));
    switch (Below(4)) {
      case 0: text[at] = static_cast<char>(Below(256)); break;
      case 1: text.erase(at, 1 + Below(4)); break;
      case 2: text.insert(at, 1, static_cast<char>(Below(256))); break;
      case 3: text.insert(at, OneOf({" HTTP/1.", "\n", "\r\n", " ", "Host: x\r\n", "GET "})); break;
    }
  }

  std::mt19937_64 random_;
};

class HttpRandom : public HttpTest {};
INSTANTIATE_FAMILIES(HttpRandom);

TEST_P(HttpRandom, EventsAgreeWithTheRulesAndPacketsPassUnchanged) {
  const uint64_t seed = FromEnvironment("BONSAI_HTTP_SEED", 20260501 + GetParam());
  const uint64_t rounds = FromEnvironment("BONSAI_HTTP_ROUNDS", 20000);
  Payloads payloads(seed);
  SetPorts({80});
  uint64_t by_kind[5] = {};
  for (uint64_t round = 0; round < rounds; ++round) {
    const std::string payload = payloads.Next();
    const Way way{.to_server = payloads.Coin(), .from_pod = payloads.Coin()};
    const auto wanted = JudgeHttp(payload, way.to_server, !way.to_server);
    const auto seen = Seen(payload, way);
    ASSERT_EQ(seen, wanted) << "seed " << seed << " round " << round << "\nseen   " << ToString(seen)
                            << "\nwanted " << ToString(wanted) << "\nof \"" << payload << "\"";
    ++by_kind[wanted ? wanted->kind : 0];
    if (HasFailure()) FAIL() << "seed " << seed << " round " << round;
  }
  // Every judgement was met often enough to mean something.
  for (const int kind : {0, int{L7_REQUEST}, int{L7_RESPONSE}, int{L7_MALFORMED}}) {
    EXPECT_GT(by_kind[kind], rounds / 50) << "kind " << kind;
  }
}

}  // namespace
}  // namespace bonsai::testing
