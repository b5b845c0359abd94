// SPDX-License-Identifier: Apache-2.0
#include "agent/load/image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>

#include <algorithm>
#include <random>

#include "agent/base/status.h"
#include "agent/object/object_spec.h"

namespace bonsai::load {
namespace {

using ::testing::HasSubstr;
using object::ObjectSpec;
using object::Ref;
using object::RefKind;

const std::string kPath = std::string(BONSAI_TEST_BPF_DIR) + "/neutralise.bpf.o";

Image Whole() {
  auto image = ReadImage("neutralise", kPath);
  EXPECT_TRUE(image.ok()) << image.status();
  return image.ok() ? *image : Image();
}

ObjectSpec Spec(const Image& image) {
  auto spec = object::ReadBytes("neutralise.bpf.o", image);
  EXPECT_TRUE(spec.ok()) << spec.status();
  return spec.ok() ? *spec : ObjectSpec();
}

// All calls of one function.
std::vector<plan::CodePlace> CallsOf(const ObjectSpec& spec, const std::string& name) {
  std::vector<plan::CodePlace> calls;
  for (const object::Function& function : spec.functions) {
    for (const Ref& ref : function.refs) {
      if (ref.kind != RefKind::kCall || spec.functions[ref.index].name != name) continue;
      calls.push_back({function.section, function.section_slot + ref.slot});
    }
  }
  return calls;
}

size_t RefCount(const ObjectSpec& spec) {
  size_t count = 0;
  for (const object::Function& function : spec.functions) count += function.refs.size();
  return count;
}

TEST(CutCalls, TakesOutTheCallsAndNothingElse) {
  Image image = Whole();
  const ObjectSpec before = Spec(image);
  const std::vector<plan::CodePlace> calls = CallsOf(before, "extra");
  ASSERT_EQ(calls.size(), 2u) << "one in the entry, one in another function";
  ASSERT_TRUE(CutCalls("neutralise", calls, 7, image).ok());
  const ObjectSpec after = Spec(image);
  EXPECT_TRUE(CallsOf(after, "extra").empty());
  EXPECT_EQ(CallsOf(after, "broken").size(), CallsOf(before, "broken").size());
  EXPECT_EQ(CallsOf(after, "always").size(), CallsOf(before, "always").size());
  EXPECT_EQ(RefCount(after), RefCount(before) - 2);
  size_t changed = 0;
  for (size_t f = 0; f < before.functions.size(); ++f) {
    const object::Function &was = before.functions[f], &is = after.functions[f];
    ASSERT_EQ(is.insns.size(), was.insns.size()) << was.name;
    EXPECT_EQ(is.lines.size(), was.lines.size()) << was.name;
    for (size_t slot = 0; slot < was.insns.size(); ++slot) {
      if (is.insns[slot].imm == was.insns[slot].imm && is.insns[slot].src == was.insns[slot].src) {
        continue;
      }
      ++changed;
      EXPECT_EQ(is.insns[slot].opcode, BPF_JMP | BPF_CALL);
      EXPECT_EQ(is.insns[slot].src, 0);
      EXPECT_EQ(CutCallIn("invalid func unknown#" + std::to_string(is.insns[slot].imm)), 7u);
    }
  }
  EXPECT_EQ(changed, 2u);
}

TEST(CutCalls, RefusesWhatIsNoCall) {
  const ObjectSpec spec = Spec(Whole());
  const plan::CodePlace call = CallsOf(spec, "extra").front();
  const std::vector<std::pair<plan::CodePlace, const char*>> wrong = {
      {{call.section, call.slot + 1}, "no call there"},
      {{call.section, 1u << 20}, "no code there"},
      {{"nosuch", 0}, "no code section"},
      {{".maps", 0}, "no code section"}};
  for (const auto& [place, why] : wrong) {
    Image image = Whole();
    const absl::Status status = CutCalls("neutralise", {place}, 0, image);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(base::Message(status), HasSubstr(why));
  }
  Image garbage(100, 0xff);
  EXPECT_FALSE(CutCalls("garbage", {call}, 0, garbage).ok());
}

// For the address sanitizer: nothing outside of the image is touched, whatever its headers say.
TEST(CutCalls, StaysInsideForgedFiles) {
  const Image whole = Whole();
  const std::vector<plan::CodePlace> calls = CallsOf(Spec(whole), "extra");
  std::mt19937_64 random(7);
  size_t refused = 0;
  for (int round = 0; round < 3000; ++round) {
    Image image = whole;
    // Half of the changes go where the headers are: at the start and at the end.
    const size_t range = round % 2 == 0 ? image.size() : 64;
    for (int change = 0; change < 4; ++change) {
      const size_t at = random() % range;
      image[round % 4 == 1 ? image.size() - 1 - at * 16 : at] = static_cast<uint8_t>(random());
    }
    refused += !CutCalls("forged", calls, 1, image).ok();
    EXPECT_EQ(image.size(), whole.size());
  }
  EXPECT_GT(refused, 100u);
}

TEST(CutCallIn, KnowsOnlyItsOwnMarks) {
  EXPECT_EQ(CutCallIn("12: (85) call unknown#1900000003\ninvalid func unknown#1900000003\n"
                      "processed 10 insns (limit 1000000)\n"),
            3u);
  EXPECT_EQ(CutCallIn("invalid func unknown#2001000003"), std::nullopt) << "libbpf's";
  EXPECT_EQ(CutCallIn("invalid func unknown#1899999999"), std::nullopt);
  EXPECT_EQ(CutCallIn("invalid func unknown#"), std::nullopt);
  EXPECT_EQ(CutCallIn("R0 !read_ok"), std::nullopt);
}

TEST(ReadImage, SaysWhichFile) {
  const auto missing = ReadImage("from_pod", "/nonexistent/from_pod.bpf.o");
  EXPECT_TRUE(absl::IsNotFound(missing.status())) << missing.status();
  EXPECT_THAT(base::Message(missing.status()), HasSubstr("/nonexistent/from_pod.bpf.o"));
  EXPECT_FALSE(ReadImage("directory", "/proc").ok());
}

}  // namespace
}  // namespace bonsai::load
