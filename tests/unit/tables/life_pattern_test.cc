// SPDX-License-Identifier: Apache-2.0
#include "agent/tables/life_pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "agent/base/status.h"

namespace bonsai::tables {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

std::string Refusal(const std::string& text) {
  const auto parsed = ParseLifeRle(text);
  return parsed.ok() ? "" : base::Message(parsed.status());
}

TEST(ParseLifeRle, ReadsRunsRowsAndComments) {
  const auto glider = ParseLifeRle("#N Glider\n#C of 1970\nx = 3, y = 3, rule = B3/S23\nbo$2bo$3o!");
  ASSERT_TRUE(glider.ok()) << glider.status();
  EXPECT_EQ(glider->width, 3u);
  EXPECT_EQ(glider->height, 3u);
  EXPECT_THAT(glider->alive, ElementsAre(Pair(1, 0), Pair(2, 1), Pair(0, 2), Pair(1, 2), Pair(2, 2)));
}

TEST(ParseLifeRle, TakesWhatCollectionsWrite) {
  for (const char* text : {"x=3,y=3\nbo$2bo$3o!", "x = 3, y = 3\r\nbo$\r\n2bo$3o!\r\n",
                           "X = 3 , Y = 3 , RULE = 23/3\nb o $ 2 b o\t$ 3 o !",
                           "\n\n#C\nx = 3, y = 3, rule = b3/s23:T100,100\nbo$2b\no$3\no!!! and more",
                           "x = 3, y = 3, rule = B3S23\nbo$2bo$3o!",
                           "\xef\xbb\xbfx = 3, y = 3\nbo$2bo$3o!",
                           "\xef\xbb\xbf#C\nx = 3, y = 3\nbo$2bo$3o!",
                           "x = 3, y = 3, rule = Life\nbo2$$!"}) {
    EXPECT_EQ(Refusal(text), "") << text;
  }
  const auto sparse = ParseLifeRle("x = 4, y = 9\n#C between\n3$bo4$4o!");
  ASSERT_TRUE(sparse.ok()) << sparse.status();
  EXPECT_THAT(sparse->alive, ElementsAre(Pair(1, 3), Pair(0, 7), Pair(1, 7), Pair(2, 7), Pair(3, 7)));
  EXPECT_THAT(ParseLifeRle("x = 2048, y = 2048\n!")->alive, IsEmpty());
}

TEST(ParseLifeRle, SaysWhereItIsWrong) {
  EXPECT_THAT(Refusal(""), HasSubstr("line 1, column 1"));
  EXPECT_THAT(Refusal("bo$2bo$3o!"), AllOf(HasSubstr("line 1, column 1"), HasSubstr("header")));
  EXPECT_THAT(Refusal("#C\nx = 3 y = 3\no!"), AllOf(HasSubstr("line 2, column 7"), HasSubstr("','")));
  EXPECT_THAT(Refusal("x = 0, y = 3\no!"), AllOf(HasSubstr("line 1"), HasSubstr("1..2048")));
  EXPECT_THAT(Refusal("x = 3, y = 2049\no!"), HasSubstr("y has to be 1..2048"));
  EXPECT_THAT(Refusal("x = 99999999999999999999, y = 3\no!"), HasSubstr("1..2048"));
  EXPECT_THAT(Refusal("x = -3, y = 3\no!"), HasSubstr("1..2048"));
  EXPECT_THAT(Refusal("x = 3, y = 3, rule = B36/S23\no!"),
              AllOf(HasSubstr("line 1, column 22"), HasSubstr("B3/S23")));
  EXPECT_THAT(Refusal("\xef\xbb\xbfo!"), HasSubstr("line 1, column 1"));
  EXPECT_THAT(Refusal("x = 3, y = 3, role = B3/S23\no!"), HasSubstr("'u'"));
  EXPECT_THAT(Refusal("x = 3, y = 3\nbo$\n2bX!"),
              AllOf(HasSubstr("line 3, column 3"), HasSubstr("'X'")));
  EXPECT_THAT(Refusal(std::string("x = 3, y = 3\n\0!", 15)), HasSubstr("byte 0x00"));
  EXPECT_THAT(Refusal("x = 3, y = 3\nbo$2bo"), AllOf(HasSubstr("line 2"), HasSubstr("without '!'")));
  EXPECT_THAT(Refusal("x = 3, y = 3\n4"), HasSubstr("without '!'"));
  EXPECT_THAT(Refusal("x = 3, y = 3\n0o!"), HasSubstr("count"));
  EXPECT_THAT(Refusal("x = 3, y = 3\n4294967297o!"), HasSubstr("count"));
  EXPECT_THAT(Refusal("x = 3, y = 3\n2bo$4o!"),
              AllOf(HasSubstr("line 2, column 5"), HasSubstr("more cells")));
  EXPECT_THAT(Refusal("x = 3, y = 3\n2b2o!"), HasSubstr("more cells"));
  EXPECT_THAT(Refusal("x = 3, y = 3\n3$o!"), HasSubstr("more rows"));
  EXPECT_THAT(Refusal("x = 3, y = 3\n4$!"), HasSubstr("more rows"));
}

// Nothing that is typed in breaks it, and what it takes lies within the pattern.
TEST(ParseLifeRle, EndsOnAnyText) {
  std::mt19937 random(7);
  const std::string letters = "bo$!0123456789 \n\r\t#xy=,ruleRULEB3/S23:\x80";
  int taken = 0;
  for (int round = 0; round < 50'000; ++round) {
    std::string text = random() % 2 ? "x = 9, y = 9\n" : "";
    for (size_t length = random() % 40; length > 0; --length) {
      text += random() % 50 == 0 ? static_cast<char>(random()) : letters[random() % letters.size()];
    }
    if (random() % 2) text += "!";
    const auto parsed = ParseLifeRle(text);
    if (!parsed.ok()) {
      EXPECT_THAT(base::Message(parsed.status()), HasSubstr("line "));
      continue;
    }
    ++taken;
    for (const auto& [x, y] : parsed->alive) {
      ASSERT_LT(x, parsed->width);
      ASSERT_LT(y, parsed->height);
    }
  }
  EXPECT_GT(taken, 100);
}

TEST(ToLifeRle, IsReadBackAsTheSameBoard) {
  for (const auto& [width, height] : {std::pair{1u, 1u}, {7u, 9u}, {64u, 3u}, {200u, 130u}}) {
    for (uint64_t number = 0; number < 5; ++number) {
      const LifeGrid grid = number == 0 ? LifeGrid(width, height) : RandomLife(width, height, number);
      const std::string text = ToLifeRle(grid);
      const auto parsed = ParseLifeRle(text);
      ASSERT_TRUE(parsed.ok()) << parsed.status() << text;
      const auto placed = PlaceLifePattern(*parsed, width, height);
      ASSERT_TRUE(placed.ok());
      EXPECT_TRUE(*placed == grid) << text;
      size_t line = 0;
      for (const char c : text) {
        line = c == '\n' ? 0 : line + 1;
        EXPECT_LE(line, 70u);
      }
    }
  }
}

TEST(ToLifeRle, LeavesOutWhatIsDeadAtTheEnds) {
  LifeGrid grid(5, 6);
  grid.Set(1, 1);
  grid.Set(2, 1);
  grid.Set(0, 4);
  EXPECT_EQ(ToLifeRle(grid), "x = 5, y = 6, rule = B3/S23\n$b2o3$o!\n");
}

TEST(NamedLifePattern, KnowsGliderAndGun) {
  EXPECT_EQ(NamedLifePattern("glider")->alive.size(), 5u);
  EXPECT_EQ(NamedLifePattern("gun")->alive.size(), 36u);
  EXPECT_TRUE(absl::IsNotFound(NamedLifePattern("random").status()));
}

TEST(PlaceLifePattern, PutsItInTheMiddleOrRefuses) {
  const auto glider = NamedLifePattern("glider");
  const auto grid = PlaceLifePattern(*glider, 10, 5);
  ASSERT_TRUE(grid.ok());
  EXPECT_TRUE(grid->Get(4, 1) && grid->Get(5, 2) && grid->Get(3, 3));
  EXPECT_EQ(grid->Population(), 5u);
  EXPECT_TRUE(PlaceLifePattern(*glider, 3, 3).ok());
  const auto refused = PlaceLifePattern(*glider, 3, 2);
  EXPECT_TRUE(absl::IsInvalidArgument(refused.status()));
  EXPECT_THAT(base::Message(refused.status()), AllOf(HasSubstr("3 x 3"), HasSubstr("3 x 2")));
}

TEST(RandomLife, IsTheSameForTheSameNumber) {
  const LifeGrid one = RandomLife(100, 100, 1);
  EXPECT_TRUE(one == RandomLife(100, 100, 1));
  EXPECT_FALSE(one == RandomLife(100, 100, 2));
  EXPECT_NEAR(static_cast<double>(one.Population()), 3333, 300);
}

}  // namespace
}  // namespace bonsai::tables
