// SPDX-License-Identifier: Apache-2.0
// Properties over generated specs, values and garbage.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <random>

#include "agent/settings/settings_source.h"
#include "agent/settings/value.h"
#include "tests/unit/settings/sample_schema.h"

namespace bonsai::settings {
namespace {

void RoundTrips(const SettingSpec& spec, const Value& value) {
  const auto parsed = ParseValue(spec, Format(value));
  RC_ASSERT(parsed.ok());
  RC_ASSERT(*parsed == value);
}

SettingSpec Ranged(Kind kind, int64_t a, int64_t b, Value value) {
  return {.key = "x", .kind = kind, .default_value = std::move(value), .min = std::min(a, b),
          .max = std::max(a, b)};
}

TEST(Format, RoundTripsNumbersThroughParseValue) {
  EXPECT_TRUE(rc::check([](uint64_t value) {
    RoundTrips(Ranged(Kind::kUint, 0, 0, value), value);
  }));
  EXPECT_TRUE(rc::check([](int64_t value) {
    RoundTrips(Ranged(Kind::kInt, 0, 0, value), value);
  }));
  EXPECT_TRUE(rc::check([](bool value) {
    RoundTrips({.key = "x", .kind = Kind::kBool}, value);
  }));
}

TEST(ParseValue, AcceptsANumberExactlyWhenItIsInRange) {
  EXPECT_TRUE(rc::check([](int64_t value, int64_t a, int64_t b) {
    RC_PRE(a != 0 || b != 0);
    const SettingSpec spec = Ranged(Kind::kInt, a, b, value);
    const bool inside = value >= spec.min && value <= spec.max;
    RC_ASSERT(ParseValue(spec, std::to_string(value)).ok() == inside);
  }));
  EXPECT_TRUE(rc::check([](int64_t value, int64_t a, int64_t b) {
    RC_PRE(a != 0 || b != 0);
    const SettingSpec spec = Ranged(Kind::kUint, a, b, uint64_t{0});
    const bool inside = value >= 0 && value >= spec.min && value <= spec.max;
    RC_ASSERT(ParseValue(spec, std::to_string(value)).ok() == inside);
  }));
}

// A canonical CIDR out of random bytes: bits after the prefix are cleared.
std::string RandomCidr4(uint32_t address, int prefix) {
  const uint32_t mask = prefix == 0 ? 0 : ~uint32_t{0} << (32 - prefix);
  const uint32_t network = address & mask;
  return fmt::format("{}.{}.{}.{}/{}", network >> 24, (network >> 16) & 255, (network >> 8) & 255,
                     network & 255, prefix);
}

TEST(Format, RoundTripsListsOfCidrs) {
  const SettingSpec spec = {.key = "x", .kind = Kind::kList, .element = "cidr"};
  EXPECT_TRUE(rc::check([&](const std::vector<uint32_t>& addresses) {
    std::vector<std::string> cidrs;
    for (uint32_t address : addresses) {
      const std::string cidr = RandomCidr4(address, *rc::gen::inRange(0, 33));
      if (std::find(cidrs.begin(), cidrs.end(), cidr) == cidrs.end()) cidrs.push_back(cidr);
    }
    RoundTrips(spec, cidrs);
  }));
}

TEST(ParseValue, CorrectsACidrToOneThatItAccepts) {
  const SettingSpec spec = {.key = "x", .kind = Kind::kList, .element = "cidr"};
  EXPECT_TRUE(rc::check([&](uint32_t address) {
    const int prefix = *rc::gen::inRange(0, 33);
    const std::string right = RandomCidr4(address, prefix);
    const std::string given = fmt::format("{}/{}", RandomCidr4(address, 32).substr(
        0, RandomCidr4(address, 32).find('/')), prefix);
    const auto parsed = ParseValue(spec, given);
    RC_ASSERT(parsed.ok() == (given == right));
    if (!parsed.ok()) {
      RC_ASSERT(base::Message(parsed.status()).find("write " + right) != std::string::npos);
      RC_ASSERT(ParseValue(spec, right).ok());
    }
  }));
}

TEST(Parse, KeepsWhatItFormatsForEverySetting) {
  const Schema schema = SampleSchema();
  const auto defaults = Parse(schema, {});
  ASSERT_TRUE(defaults.ok());
  RawSettings raw;
  for (const auto& [key, value] : defaults->values()) raw[key] = Format(value);
  const auto again = Parse(schema, raw);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->values(), defaults->values());
}

std::string RandomText(std::mt19937& random, size_t longest) {
  static const std::string likely = "0123456789abcdefx/:.,-*[]{}&!|>'\"%#\n \ttrueonyes";
  std::string text(random() % longest, '\0');
  const bool printable = random() % 2 == 0;
  for (char& c : text) {
    c = printable ? likely[random() % likely.size()] : static_cast<char>(random());
  }
  return text;
}

bool IsOneLineOfText(const std::string& line) {
  return !line.empty() && line.size() < 4096 && std::all_of(line.begin(), line.end(), [](char c) {
    return c >= 0x20 && c < 0x7f;
  });
}

void ExpectPrintableLines(const absl::Status& status) {
  const std::string message = base::Message(status) + "\n";
  for (size_t at = 0; at < message.size();) {
    const size_t end = message.find('\n', at);
    EXPECT_TRUE(IsOneLineOfText(message.substr(at, end - at))) << message;
    at = end + 1;
  }
}

TEST(Parse, SurvivesGarbage) {
  const Schema schema = SampleSchema();
  std::vector<std::string> keys;
  for (const auto& [key, spec] : schema.specs()) keys.push_back(key);
  std::mt19937 random(20240601);
  for (int round = 0; round < 20000; ++round) {
    RawSettings raw;
    for (int i = 0; i < 3; ++i) raw[keys[random() % keys.size()]] = RandomText(random, 40);
    if (round % 4 == 0) raw[RandomText(random, 40)] = "x";
    const auto settings = Parse(schema, raw);
    if (!settings.ok()) ExpectPrintableLines(settings.status());
  }
}

TEST(ParseYaml, SurvivesGarbage) {
  std::mt19937 random(20240602);
  const std::string good = "enable-ipv4: true\nprefilter-cidrs: [10.0.0.0/8, fd00::/8]\nx: &a y\n";
  for (int round = 0; round < 20000; ++round) {
    std::string text = round % 2 == 0 ? RandomText(random, 200) : good;
    for (size_t i = random() % 4; i > 0 && !text.empty(); --i) {
      text[random() % text.size()] = static_cast<char>(random());
    }
    const auto raw = ParseYaml("file", text);
    if (!raw.ok()) ExpectPrintableLines(raw.status());
  }
}

TEST(ParseYaml, SurvivesDeepNesting) {
  for (const std::string open : {"[", "{a: ", "- ", "? "}) {
    std::string text;
    for (int i = 0; i < 20000; ++i) text += open;
    EXPECT_EQ(ParseYaml("file", text).status().code(), absl::StatusCode::kInvalidArgument) << open;
  }
}

TEST(ParseValue, SurvivesADeepSequence) {
  const SettingSpec spec = {.key = "x", .kind = Kind::kList, .element = "device-pattern"};
  const auto value = ParseValue(spec, std::string(20000, '[') + std::string(20000, ']'));
  EXPECT_EQ(value.status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace bonsai::settings
