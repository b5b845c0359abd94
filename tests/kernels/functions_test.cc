// SPDX-License-Identifier: Apache-2.0
// What dead global functions cost a kernel, and that neutralising them is what saves it. Runs inside
// a booted kernel, and on any other.
#include <gmock/gmock.h>

#include "agent/base/status.h"
#include "agent/kernel/features.h"
#include "tests/integration/lab.h"

namespace bonsai::testing {
namespace {

using ::testing::HasSubstr;

// Kernels verify a global function only where it is called since 6.8.
bool VerifiesDeadFunctions() {
  const auto features = kernel::Probe();
  EXPECT_TRUE(features.ok()) << features.status();
  return std::pair(features->major, features->minor) < std::pair(6u, 8u);
}

plan::LoadPlan Plan(const std::string& file, bool neutralise) {
  plan::LoadPlan plan = PlanOf({{.file = file, .analyzed = true}});
  EXPECT_FALSE(plan.objects[0].neutralised.empty());
  if (!neutralise) plan.objects[0].neutralised.clear();
  return plan;
}

// One of them refers to a pruned map, another would never verify.
TEST(DeadFunctions, FailALoadOnlyWhereTheyAreVerifiedAndNotNeutralised) {
  REQUIRE_ROOT();
  auto cut = load::Execute(Plan("neutralise", true), {}, {});
  ASSERT_TRUE(cut.ok()) << base::Message(cut.status());
  EXPECT_TRUE(cut->retries().empty());
  EXPECT_EQ(cut->FindMap("big"), nullptr);
  auto whole = load::Execute(Plan("neutralise", false), {}, {});
  EXPECT_EQ(whole.ok(), !VerifiesDeadFunctions()) << base::Message(whole.status());
  if (!whole.ok()) {
    EXPECT_THAT(base::Message(whole.status()), HasSubstr("invalid mem access"));
  }
}

TEST(DeadFunctions, CostVerificationOnlyWhereTheyAreNotNeutralised) {
  REQUIRE_ROOT();
  auto cut = load::Execute(Plan("costly", true), {}, {});
  ASSERT_TRUE(cut.ok()) << base::Message(cut.status());
  auto whole = load::Execute(Plan("costly", false), {}, {});
  ASSERT_TRUE(whole.ok()) << base::Message(whole.status());
  const uint32_t with = whole->programs().at("from_pod/entry").info.verified_insns;
  const uint32_t without = cut->programs().at("from_pod/entry").info.verified_insns;
  std::printf("VERIFIED costly: whole %u, neutralised %u\n", with, without);
  EXPECT_LT(without, 100u);
  if (VerifiesDeadFunctions()) {
    EXPECT_GT(with, without + 1000);
    // The function's map was pruned, and came back because the verifier wanted it.
    EXPECT_EQ(whole->retries().size(), 1u);
    EXPECT_NE(whole->FindMap("big"), nullptr);
  } else {
    EXPECT_EQ(with, without);
    EXPECT_TRUE(whole->retries().empty());
  }
  EXPECT_TRUE(cut->retries().empty());
  EXPECT_EQ(cut->FindMap("big"), nullptr);
}

}  // namespace
}  // namespace bonsai::testing
