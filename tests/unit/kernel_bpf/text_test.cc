// SPDX-License-Identifier: Apache-2.0
// What kernel/ reads out of text: verifier logs and release strings.
#include <gtest/gtest.h>

#include "agent/kernel/bpf_object.h"
#include "agent/kernel/features.h"

namespace bonsai::kernel {
namespace {

TEST(MissingMap, IsFoundInAVerifierLog) {
  EXPECT_EQ(MissingMap("0: R1=ctx() R10=fp0\n"
                       "7: <invalid BPF map reference>\n"
                       "BPF map 'ct4' is referenced but wasn't created\n"
                       "processed 8 insns (limit 1000000)\n"),
            "ct4");
  EXPECT_EQ(MissingMap("BPF map 'from_pod.rodata' is referenced but wasn't created"),
            "from_pod.rodata");
}

TEST(MissingMap, IsNotInOtherLogs) {
  EXPECT_EQ(MissingMap(""), std::nullopt);
  EXPECT_EQ(MissingMap("R0 invalid mem access 'map_value_or_null'\n"), std::nullopt);
  EXPECT_EQ(MissingMap("' is referenced but wasn't created"), std::nullopt);
}

TEST(UnknownHelper, IsFoundInAVerifierLog) {
  EXPECT_EQ(UnknownHelper("3: (85) call unknown#1900000001\ninvalid func unknown#1900000001\n"
                          "processed 4 insns\n"),
            1900000001);
  EXPECT_EQ(UnknownHelper("invalid func unknown#"), std::nullopt);
  EXPECT_EQ(UnknownHelper("unknown func bpf_timer_init#169\n"), std::nullopt);
}

TEST(LastVerifierLines, KeepTheirOrderAndSkipStatistics) {
  const std::string log = "first\n\nsecond\nthird\nprocessed 5 insns (limit 1000000)\n";
  EXPECT_EQ(LastVerifierLines(log, 2), (std::vector<std::string>{"second", "third"}));
  EXPECT_EQ(LastVerifierLines(log, 9), (std::vector<std::string>{"first", "second", "third"}));
  EXPECT_EQ(LastVerifierLines("processed 5 insns\n", 3), std::vector<std::string>{});
  EXPECT_EQ(LastVerifierLines("", 3), std::vector<std::string>{});
}

TEST(LastVerifierLine, SkipsStatistics) {
  EXPECT_EQ(LastVerifierLine("0: (b7) r0 = 0\nR0 invalid mem access 'scalar'\n"
                             "verification time 12 usec\nstack depth 8\n"
                             "processed 5 insns (limit 1000000) max_states_per_insn 0\n\n"),
            "R0 invalid mem access 'scalar'");
  EXPECT_EQ(LastVerifierLine("only line"), "only line");
  EXPECT_EQ(LastVerifierLine("processed 5 insns\n"), "no reason given");
  EXPECT_EQ(LastVerifierLine(""), "no reason given");
  EXPECT_EQ(LastVerifierLine("\n\n"), "no reason given");
}

TEST(ParseRelease, TakesMajorAndMinor) {
  EXPECT_EQ(*ParseRelease("6.18.44-fc"), std::pair(6u, 18u));
  EXPECT_EQ(*ParseRelease("5.15.0-1042-azure"), std::pair(5u, 15u));
  EXPECT_EQ(*ParseRelease("6.1"), std::pair(6u, 1u));
  EXPECT_FALSE(ParseRelease("next").ok());
  EXPECT_FALSE(ParseRelease("").ok());
}

TEST(Features, SayWhatDegrades) {
  Features all{.tcx = true, .xdp = true, .jit = true, .btf = true, .map_mem_usage = true,
               .syscall_programs = true, .loop = true};
  EXPECT_TRUE(all.Degradations().empty());
  Features old = all;
  old.tcx = old.map_mem_usage = false;
  old.missing_map_types = {"ringbuf"};
  ASSERT_EQ(old.Degradations().size(), 3u);
  EXPECT_NE(old.Degradations()[0].find("clsact"), std::string::npos);
  EXPECT_NE(old.Degradations()[2].find("ringbuf"), std::string::npos);
  Features loopless = all;
  loopless.loop = false;
  ASSERT_EQ(loopless.Degradations().size(), 1u);
  EXPECT_NE(loopless.Degradations()[0].find("Game of Life"), std::string::npos);
}

}  // namespace
}  // namespace bonsai::kernel
