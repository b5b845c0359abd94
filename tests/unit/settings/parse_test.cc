// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/settings/sample_schema.h"

namespace bonsai::settings {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

Settings MustParse(const RawSettings& raw) {
  auto settings = Parse(SampleSchema(), raw);
  if (!settings.ok()) ADD_FAILURE() << settings.status();
  return settings.ok() ? *std::move(settings) : Settings();
}

TEST(Parse, GivesDefaultsWhenNothingIsSet) {
  const Settings settings = MustParse({});
  EXPECT_TRUE(settings.Bool("enable-ipv4"));
  EXPECT_FALSE(settings.Bool("enable-policy"));
  EXPECT_EQ(settings.Uint("ct-tcp-timeout"), 8000u);
  EXPECT_EQ(settings.Uint("ct-entries"), 131072u);
  EXPECT_EQ(settings.String("metrics-address"), "127.0.0.1:9962");
  EXPECT_EQ(settings.String("log-level"), "info");
  EXPECT_THAT(settings.List("prefilter-cidrs"), IsEmpty());
  EXPECT_THAT(settings.List("pod-devices"), ElementsAre("veth*", "cali*", "lxc*"));
  EXPECT_TRUE(settings.IsDefault("enable-ipv4"));
  EXPECT_EQ(settings.values().size(), SampleSpecs().size());
}

TEST(Parse, TakesWhatTheOperatorSets) {
  const Settings settings = MustParse({{"enable-ipv6", "false"},
                                       {"ct-tcp-timeout", "10"},
                                       {"prefilter-cidrs", "10.0.0.0/8, fd00::/8"},
                                       {"log-level", "debug"}});
  EXPECT_FALSE(settings.Bool("enable-ipv6"));
  EXPECT_FALSE(settings.IsDefault("enable-ipv6"));
  EXPECT_EQ(settings.Uint("ct-tcp-timeout"), 10u);
  EXPECT_THAT(settings.List("prefilter-cidrs"), ElementsAre("10.0.0.0/8", "fd00::/8"));
  EXPECT_EQ(settings.String("log-level"), "debug");
  EXPECT_EQ(settings.given().size(), 4u);
}

TEST(Parse, ReadsSwitchesAsYamlDoes) {
  for (const char* text : {"true", "True", "TRUE", "yes", "on", "On", " true\n"}) {
    EXPECT_TRUE(MustParse({{"enable-policy", text}}).Bool("enable-policy")) << text;
  }
  for (const char* text : {"false", "no", "off", "OFF"}) {
    EXPECT_FALSE(MustParse({{"enable-ipv4", text}}).Bool("enable-ipv4")) << text;
  }
  for (const char* text : {"", "1", "0", "tRuE", "maybe", "\"true\"", "true false", "[true]"}) {
    EXPECT_THAT(Refusal({{"enable-ipv4", text}}), HasSubstr("allowed true or false")) << text;
  }
}

TEST(Parse, ReadsNumbersInDecimalAndHex) {
  EXPECT_EQ(MustParse({{"ct-tcp-timeout", "604800"}}).Uint("ct-tcp-timeout"), 604800u);
  EXPECT_EQ(MustParse({{"ct-tcp-timeout", "0xff"}}).Uint("ct-tcp-timeout"), 255u);
  EXPECT_EQ(MustParse({{"ct-tcp-timeout", " +60 "}}).Uint("ct-tcp-timeout"), 60u);
  for (const char* text : {"", "abc", "60s", "6 0", "0x", "1e3", "60.0", "010", "--60", "+-60",
                           "0x-10", "-", "+"}) {
    EXPECT_THAT(Refusal({{"ct-tcp-timeout", text}}), HasSubstr("is not a whole number")) << text;
  }
}

TEST(Parse, NamesTheRangeWhenANumberIsOutsideOfIt) {
  EXPECT_EQ(Refusal({{"ct-tcp-timeout", "5"}}),
            "ct-tcp-timeout: \"5\" is out of range, allowed 10..604800");
  for (const char* text : {"9", "604801", "-60", "18446744073709551615", "18446744073709551616",
                           "99999999999999999999999", "-99999999999999999999999"}) {
    EXPECT_THAT(Refusal({{"ct-tcp-timeout", text}}), HasSubstr("out of range, allowed 10..604800"))
        << text;
  }
}

TEST(Parse, AsksForAPowerOfTwoWhereOneIsNeeded) {
  EXPECT_EQ(MustParse({{"events-bytes", "65536"}}).Uint("events-bytes"), 65536u);
  EXPECT_EQ(MustParse({{"events-bytes", "0x10000000"}}).Uint("events-bytes"), 268435456u);
  const std::string refusal = Refusal({{"events-bytes", "1000000"}});
  EXPECT_THAT(refusal, HasSubstr("events-bytes: \"1000000\" is not a power of two"));
  EXPECT_THAT(refusal, HasSubstr("nearest: 524288 or 1048576"));
  EXPECT_THAT(Refusal({{"events-bytes", "32768"}}), HasSubstr("out of range"));
}

TEST(Parse, ReadsSignedNumbers) {
  const SettingSpec spec = {.key = "bias", .kind = Kind::kInt, .default_value = int64_t{0},
                            .min = -5, .max = 5};
  const auto schema = Schema::Make({spec});
  ASSERT_TRUE(schema.ok()) << schema.status();
  const auto settings = Parse(*schema, {{"bias", "-5"}});
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(std::get<int64_t>(settings->values().at("bias")), -5);
  EXPECT_FALSE(Parse(*schema, {{"bias", "-6"}}).ok());
  EXPECT_FALSE(Parse(*schema, {{"bias", "6"}}).ok());
}

TEST(Parse, TakesTheWholeTypeWhenThereIsNoRange) {
  const auto schema = Schema::Make(
      {{.key = "wide", .kind = Kind::kUint, .default_value = uint64_t{0}},
       {.key = "deep", .kind = Kind::kInt, .default_value = int64_t{0}}});
  ASSERT_TRUE(schema.ok()) << schema.status();
  const auto settings = Parse(*schema, {{"wide", "18446744073709551615"},
                                        {"deep", "-9223372036854775808"}});
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->Uint("wide"), UINT64_MAX);
  EXPECT_EQ(std::get<int64_t>(settings->values().at("deep")), INT64_MIN);
  EXPECT_FALSE(Parse(*schema, {{"wide", "18446744073709551616"}}).ok());
  EXPECT_FALSE(Parse(*schema, {{"wide", "-1"}}).ok());
}

TEST(Parse, NamesTheChoices) {
  EXPECT_EQ(Refusal({{"log-level", "loud"}}),
            "log-level: \"loud\" is unknown, allowed error, warning, info, debug");
  EXPECT_THAT(Refusal({{"log-level", ""}}), HasSubstr("allowed error, warning, info, debug"));
}

TEST(Parse, SuggestsTheNearestKey) {
  EXPECT_EQ(Refusal({{"enable-polcy", "true"}}),
            "enable-polcy: unknown setting; did you mean enable-policy?");
  EXPECT_EQ(Refusal({{"colour-of-the-sky", "blue"}}),
            "colour-of-the-sky: unknown setting, and no known name is near it");
}

TEST(Parse, FindsAllProblemsAtOnceOnePerLine) {
  EXPECT_EQ(Refusal({{"enable-ipv5", "true"},
                     {"ct-tcp-timeout", "5"},
                     {"enable-policy", "true"},
                     {"enable-conntrack", "no"},
                     {"log-level", "a\nb"}}),
            "ct-tcp-timeout: \"5\" is out of range, allowed 10..604800\n"
            "enable-ipv5: unknown setting; did you mean enable-ipv4?\n"
            "log-level: \"a\\nb\" is unknown, allowed error, warning, info, debug\n"
            "enable-policy: needs enable-conntrack, which is off");
}

TEST(Parse, RefusesSwitchesThatCannotStandTogether) {
  EXPECT_EQ(Refusal({{"enable-policy", "true"}, {"enable-conntrack", "false"}}),
            "enable-policy: needs enable-conntrack, which is off");
  EXPECT_EQ(Refusal({{"policy-default-deny", "true"}}),
            "policy-default-deny: needs enable-policy, which is off");
  EXPECT_EQ(Refusal({{"policy-default-deny", "false"}}), "accepted");
  EXPECT_EQ(Refusal({{"policy-default-deny", "true"}, {"enable-policy", "true"}}), "accepted");
}

TEST(Parse, SaysWhenTheOneThatNeedsIsOnByDefault) {
  const auto schema = Schema::Make({Toggle("base", true), Toggle("extra", true, {"base"})});
  ASSERT_TRUE(schema.ok()) << schema.status();
  const auto settings = Parse(*schema, {{"base", "false"}});
  EXPECT_EQ(base::Message(settings.status()),
            "extra: needs base, which is off (extra is on by default)");
  EXPECT_TRUE(Parse(*schema, {{"base", "false"}, {"extra", "false"}}).ok());
}

TEST(Parse, RefusesASwitchWhoseNeedDoesNotExist) {
  const auto schema = Schema::Make({Toggle("extra", false, {"base"})});
  ASSERT_TRUE(schema.ok()) << schema.status();
  EXPECT_TRUE(Parse(*schema, {}).ok());
  EXPECT_EQ(base::Message(Parse(*schema, {{"extra", "true"}}).status()),
            "extra: needs base, which does not exist");
}

TEST(Parse, DoesNotRepeatABadValueAsAMissingNeed) {
  EXPECT_THAT(Refusal({{"enable-policy", "true"}, {"enable-conntrack", "perhaps"}}),
              Not(HasSubstr("needs")));
}

TEST(Parse, ChecksCidrs) {
  const auto cidrs = [](const std::string& text) {
    return MustParse({{"prefilter-cidrs", text}}).List("prefilter-cidrs");
  };
  EXPECT_THAT(cidrs(""), IsEmpty());
  EXPECT_THAT(cidrs("0.0.0.0/0,::/0"), ElementsAre("0.0.0.0/0", "::/0"));
  EXPECT_THAT(cidrs("192.0.2.1/32\n2001:DB8:0::/32\n\n"),
              ElementsAre("192.0.2.1/32", "2001:db8::/32"));
  EXPECT_THAT(cidrs("fd00::/8,FD00:0::/8"), ElementsAre("fd00::/8"));
  EXPECT_EQ(Refusal({{"prefilter-cidrs", "10.1.2.3/8"}}),
            "prefilter-cidrs: \"10.1.2.3/8\" has bits set after its prefix; write 10.0.0.0/8");
  EXPECT_THAT(Refusal({{"prefilter-cidrs", "fd00::1/9"}}), HasSubstr("write fd00::/9"));
  EXPECT_THAT(Refusal({{"prefilter-cidrs", "10.0.0.1"}}), HasSubstr("write 10.0.0.1/32"));
  EXPECT_THAT(Refusal({{"prefilter-cidrs", "::1"}}), HasSubstr("write ::1/128"));
  for (const char* text : {"10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/08",
                           "10.0.0.0/8/8", "10.0.0/8", "300.0.0.0/8", "fe80::1%eth0/64", "/8"}) {
    EXPECT_NE(Refusal({{"prefilter-cidrs", text}}), "accepted") << text;
  }
  EXPECT_NE(Refusal({{"prefilter-cidrs", std::string("10.0.0.0\0/8", 11)}}), "accepted");
}

TEST(Parse, ChecksPortsAndRangesOfPorts) {
  const auto ports = [](const std::string& text) {
    return MustParse({{"http-ports", text}}).List("http-ports");
  };
  EXPECT_THAT(MustParse({}).List("http-ports"), ElementsAre("80", "8080"));
  EXPECT_THAT(MustParse({}).List("dns-ports"), ElementsAre("53"));
  EXPECT_THAT(ports(""), IsEmpty());
  EXPECT_THAT(ports("1, 65535,8000-8100"), ElementsAre("1", "65535", "8000-8100"));
  EXPECT_THAT(ports("80,80,80-80,81"), ElementsAre("80", "81"));
  EXPECT_EQ(Refusal({{"http-ports", "0"}}),
            "http-ports: \"0\" is not a port 1..65535 or a range of ports such as 8000-8100");
  EXPECT_EQ(Refusal({{"dns-ports", "90-80"}}),
            "dns-ports: \"90-80\" is a range that ends before it begins; write 80-90");
  for (const char* text : {"65536", "-1", "+80", "080", "0x50", "80-", "-80", "80-90-100", "http",
                           "80 81", "0-80", "80-65536", "8 0", "99999999999999999999"}) {
    EXPECT_NE(Refusal({{"http-ports", text}}), "accepted") << text;
  }
}

TEST(Parse, ChecksDnsNames) {
  const auto names = [](const std::string& text) {
    return MustParse({{"dns-deny", text}}).List("dns-deny");
  };
  EXPECT_THAT(MustParse({}).List("dns-deny"), IsEmpty());
  EXPECT_THAT(names("Example.COM., .test,*.A_b-c.org.,com"),
              ElementsAre("example.com", ".test", "*.a_b-c.org", "com"));
  EXPECT_THAT(names("a.test,A.TEST."), ElementsAre("a.test"));
  const std::string label(63, 'x'), three = label + "." + label + "." + label + ".";
  EXPECT_THAT(names("*." + three + std::string(61, 'y')).size(), 1u);
  EXPECT_THAT(Refusal({{"dns-deny", three + std::string(62, 'y')}}), HasSubstr("at most 253"));
  EXPECT_THAT(Refusal({{"dns-deny", "b\xc3\xbc" "cher.example"}}), HasSubstr("xn--"));
  EXPECT_THAT(Refusal({{"dns-deny", "a..b"}}), HasSubstr("is not a DNS name"));
  for (const std::string& text : std::vector<std::string>{
           ".", "*", "*.", "..", "a b", "a.*.b", "**.a", "a*", "\\065", "a/b", "..a", "a..",
           std::string(64, 'x')}) {
    EXPECT_NE(Refusal({{"dns-deny", text}}), "accepted") << text;
  }
}

TEST(Parse, RefusesMoreDeniedNamesThanFit) {
  std::string names;
  for (int i = 0; i < 8; ++i) names += (i ? ",*.n" : "*.n") + std::to_string(i);
  EXPECT_EQ(Refusal({{"dns-deny", names}, {"dns-deny-entries", "16"}}), "accepted");
  EXPECT_EQ(Refusal({{"dns-deny", names + ",x"}, {"dns-deny-entries", "16"}}),
            "dns-deny: may take 17 entries; raise dns-deny-entries, which is 16");
}

TEST(Parse, NamesEveryBadElementOfAList) {
  const std::string refusal = Refusal({{"prefilter-cidrs", "10.0.0.1/8,,x,::/0"}});
  EXPECT_THAT(refusal, HasSubstr("10.0.0.0/8"));
  EXPECT_THAT(refusal, HasSubstr("empty element"));
  EXPECT_THAT(refusal, HasSubstr("\"x\" is not a CIDR"));
  EXPECT_THAT(refusal, Not(HasSubstr("\n")));
}

TEST(Parse, RefusesMoreCidrsThanTheTableHolds) {
  std::string cidrs = "10.0.0.0/32";
  for (int i = 1; i < 17; ++i) cidrs += fmt::format(",10.0.0.{}/32", i);
  EXPECT_EQ(Refusal({{"prefilter-cidrs", cidrs}, {"prefilter-entries", "16"}}),
            "prefilter-cidrs: has 17 CIDRs of one family; raise prefilter-entries, which is 16");
  EXPECT_EQ(Refusal({{"prefilter-cidrs", cidrs}, {"prefilter-entries", "17"}}), "accepted");
}

TEST(Parse, ChecksDevicePatterns) {
  EXPECT_THAT(MustParse({{"uplink-devices", "eth0, bond[0-9],[!a]*,en?1s_0-a.b@"}})
                  .List("uplink-devices"),
              ElementsAre("eth0", "bond[0-9]", "[!a]*", "en?1s_0-a.b@"));
  for (const char* text : {"eth 0", "/dev/null", "eth0:1", "caf\xc3\xa9", "\"veth*\"", "'veth*'",
                           "[veth-a, veth-b", "veth-a, veth-b]", "veth[", "veth]", "veth[]",
                           "veth[!]", "veth[a[b]", "veth[a]]", "veth[*]", "[*]", "{veth*}"}) {
    EXPECT_THAT(Refusal({{"pod-devices", text}}), HasSubstr("is not a device name")) << text;
    EXPECT_THAT(Refusal({{"pod-devices", text}}), HasSubstr("veth*,cali*")) << text;
  }
}

TEST(Parse, CountsWhatADevicePatternMatches) {
  for (const char* text : {"fifteen-letters", "*fifteen*letters*", "fifteen-letter[a-z0-9]"}) {
    EXPECT_EQ(Refusal({{"pod-devices", text}}), "accepted") << text;
  }
  for (const char* text : {"sixteen-letters-", "sixteen-letters*?", "sixteen-letters[a]"}) {
    EXPECT_THAT(Refusal({{"pod-devices", text}}), HasSubstr("at most 15 characters")) << text;
  }
  EXPECT_THAT(Refusal({{"pod-devices", std::string(65, '*')}}), HasSubstr("is not a device name"));
}

TEST(Parse, ReadsAListAsAFlowSequenceOfYaml) {
  const auto devices = [](const std::string& text) {
    return MustParse({{"pod-devices", text}}).List("pod-devices");
  };
  EXPECT_THAT(devices("[\"veth*\"]"), ElementsAre("veth*"));
  EXPECT_THAT(devices(" [\"veth*\", 'cali*',\n lxc*, \"veth*\"]\n"),
              ElementsAre("veth*", "cali*", "lxc*"));
  EXPECT_THAT(devices("[\"veth[ab]\"]"), ElementsAre("veth[ab]"));
  EXPECT_THAT(devices("[ab]"), ElementsAre("ab"));
  EXPECT_THAT(devices("[]"), IsEmpty());
  EXPECT_THAT(MustParse({{"prefilter-cidrs", "[10.0.0.0/8, \"fd00::/8\"]"}}).List("prefilter-cidrs"),
              ElementsAre("10.0.0.0/8", "fd00::/8"));
  EXPECT_EQ(Refusal({{"prefilter-cidrs", "[10.1.2.3/8]"}}),
            "prefilter-cidrs: \"10.1.2.3/8\" has bits set after its prefix; write 10.0.0.0/8");
  for (const char* text : {"[[veth*]]", "[a: b]", "[~]", "[\"\"]", "[\"a,b\"]", "[a] b]", "[a"}) {
    EXPECT_THAT(Refusal({{"pod-devices", text}}), HasSubstr("is not a device name")) << text;
  }
}

TEST(Parse, DoesNotTakeClassesOfCharactersForASequence) {
  const auto devices = [](const std::string& text) {
    return MustParse({{"pod-devices", text}}).List("pod-devices");
  };
  EXPECT_THAT(devices("[ab]*"), ElementsAre("[ab]*"));
  EXPECT_THAT(devices("veth[ab]"), ElementsAre("veth[ab]"));
  EXPECT_THAT(devices("[ab]*,[cd]"), ElementsAre("[ab]*", "[cd]"));
  EXPECT_THAT(devices("[ab]0,eth[cd]"), ElementsAre("[ab]0", "eth[cd]"));
}

TEST(Parse, ChecksAddresses) {
  for (const char* text : {"", "0.0.0.0:1", "0.0.0.0:9962", "127.0.0.1:65535"}) {
    EXPECT_EQ(MustParse({{"metrics-address", text}}).String("metrics-address"), text);
  }
  for (const char* text : {"9962", ":9962", "localhost:9962", "127.0.0.1", "127.0.0.1:0", "[::1",
                           "127.0.0.1:65536", "127.0.0.1:+80", "[127.0.0.1]:80", "[::1]"}) {
    EXPECT_THAT(Refusal({{"metrics-address", text}}), HasSubstr("is not ADDRESS:PORT")) << text;
  }
  for (const char* text : {"[::1]:9000", "[::]:9962", "::1:80", "[fd00::1]:0"}) {
    EXPECT_THAT(Refusal({{"metrics-address", text}}),
                HasSubstr("is an IPv6 address, which cannot be served; write an IPv4 address"))
        << text;
  }
}

TEST(Parse, CutsLongAndUnprintableTextInMessages) {
  const std::string refusal = Refusal({{"log-level", std::string(100000, 'x')},
                                       {std::string("\x1b[31m") + std::string(5000, 'k'), "v"}});
  EXPECT_LT(refusal.size(), 600u);
  EXPECT_THAT(refusal, HasSubstr("(100000 characters)"));
  EXPECT_THAT(refusal, Not(HasSubstr("\x1b")));
}

TEST(SettingsDeathTest, AbortsWhenAskedForAWrongKeyOrType) {
  const Settings settings = MustParse({});
  EXPECT_DEATH(settings.Bool("no-such-key"), "bug: setting no-such-key");
  EXPECT_DEATH(settings.Uint("enable-ipv4"), "bug: setting enable-ipv4");
}

}  // namespace
}  // namespace bonsai::settings
