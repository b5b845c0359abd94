// SPDX-License-Identifier: Apache-2.0
#include "agent/tables/local_pods.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/base/status.h"

namespace bonsai::tables {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Pod MakePod(const std::string& name, const std::string& address, const std::string& node,
            const std::string& device = "") {
  Pod pod{.namespace_name = "default", .name = name, .node = node, .device = device};
  if (!address.empty()) pod.addresses = {*ParseAddress(address)};
  return pod;
}

DeviceFinder Finder() {
  return {.by_name = [](const std::string& device) -> absl::StatusOr<uint32_t> {
            if (device == "veth7") return 7u;
            return base::NotFound("no device {}", device);
          },
          .by_route = [](const Address& address) -> absl::StatusOr<uint32_t> {
            if (ToString(address) == "10.0.0.1") return 1u;
            if (ToString(address) == "10.0.0.2") return 2u;
            return base::NotFound("no route to {}", ToString(address));
          }};
}

std::vector<std::string> Names(const LocalPods& local) {
  std::vector<std::string> names;
  for (const LocalPod& each : local.pods) {
    names.push_back(each.pod.name + "@" + std::to_string(each.ifindex));
  }
  return names;
}

TEST(FindLocalPods, TakesPodsOfThisNodeByRouteOrDeviceName) {
  const DesiredState state = {.pods = {MakePod("a", "10.0.0.1", "here"),
                                       MakePod("b", "10.0.9.9", "here", "veth7"),
                                       MakePod("c", "10.0.0.2", "elsewhere")}};
  const LocalPods local = FindLocalPods(state, "here", Finder());
  EXPECT_THAT(Names(local), ElementsAre("a@1", "b@7"));
  EXPECT_THAT(local.problems, IsEmpty());
}

TEST(FindLocalPods, TakesPodsWithoutANodeWhenTheirDeviceIsHere) {
  const DesiredState state = {.pods = {MakePod("a", "10.0.0.1", ""), MakePod("b", "10.0.9.9", "")}};
  const LocalPods local = FindLocalPods(state, "here", Finder());
  EXPECT_THAT(Names(local), ElementsAre("a@1"));
  EXPECT_THAT(local.problems, IsEmpty());
}

TEST(FindLocalPods, SaysWhichDeviceOfAPodIsMissing) {
  const DesiredState state = {.pods = {MakePod("a", "10.0.9.9", "here"), MakePod("b", "", "here"),
                                       MakePod("c", "10.0.0.1", "", "veth8")}};
  const LocalPods local = FindLocalPods(state, "here", Finder());
  EXPECT_THAT(Names(local), IsEmpty());
  EXPECT_THAT(local.problems,
              ElementsAre("finding the device of pod default/a: no route to 10.0.9.9",
                          "finding the device of pod default/b: it has no address yet",
                          "finding the device of pod default/c: no device veth8"));
}

TEST(FindLocalPods, SaysWhenItCouldNotBeTold) {
  DeviceFinder finder = Finder();
  finder.by_route = [](const Address&) -> absl::StatusOr<uint32_t> {
    return base::Unavailable("no answer");
  };
  const DesiredState state = {.pods = {MakePod("a", "10.0.0.1", "")}};
  EXPECT_THAT(FindLocalPods(state, "here", finder).problems,
              ElementsAre("finding the device of pod default/a: no answer"));
}

TEST(FindLocalPods, RefusesASecondPodBehindOneDevice) {
  const DesiredState state = {
      .pods = {MakePod("a", "10.0.9.1", "", "veth7"), MakePod("b", "10.0.9.2", "", "veth7")}};
  const LocalPods local = FindLocalPods(state, "here", Finder());
  EXPECT_THAT(Names(local), ElementsAre("a@7"));
  EXPECT_THAT(local.problems,
              ElementsAre("finding the device of pod default/b: device 7 belongs to "
                          "pod default/a already"));
}

TEST(FindLocalPods, LeavesHostNetworkPodsOut) {
  DesiredState state = {.pods = {MakePod("a", "10.0.0.1", "here")}};
  state.pods[0].host_network = true;
  EXPECT_THAT(Names(FindLocalPods(state, "here", Finder())), IsEmpty());
}

}  // namespace
}  // namespace bonsai::tables
