// SPDX-License-Identifier: Apache-2.0
#include "agent/base/status.h"

#include <gtest/gtest.h>

namespace bonsai::base {
namespace {

TEST(Place, OfAFailureStaysTheNearestOne) {
  absl::Status status = At(FailedPrecondition("no"), "create map", "ct4");
  SetVerifierLog(status, "log");
  status = Append(Annotate(At(status, "load", "datapath"), "loading"), "; and more");
  EXPECT_EQ(PlaceOf(status).step, "create map");
  EXPECT_EQ(PlaceOf(status).object, "ct4");
  EXPECT_EQ(VerifierLog(status), "log");
  EXPECT_EQ(Message(status), "loading: no; and more");
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
}

TEST(Place, IsNothingForSuccess) {
  EXPECT_TRUE(At(absl::OkStatus(), "create map", "ct4").ok());
  EXPECT_TRUE(Append(absl::OkStatus(), "more").ok());
  EXPECT_EQ(PlaceOf(absl::OkStatus()).step, "");
  EXPECT_EQ(PlaceOf(Internal("no place")).object, "");
}

}  // namespace
}  // namespace bonsai::base
