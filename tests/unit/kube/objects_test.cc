// SPDX-License-Identifier: Apache-2.0
#include "agent/kube/objects.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/kube/decode.h"

namespace bonsai::kube {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

tables::DesiredState StateOf(const std::string& text) {
  const Decoded decoded = Decode(text);
  for (const auto& each : decoded.problems) ADD_FAILURE() << each.line << ": " << each.message;
  return Assemble(decoded.objects);
}

std::vector<std::string> Backends(const tables::ServicePort& port) {
  std::vector<std::string> backends;
  for (const auto& [address, number] : port.backends) {
    backends.push_back(ToString(address) + " " + std::to_string(number));
  }
  return backends;
}

std::string Slice(const std::string& space, const std::string& name, const std::string& service,
                  const std::string& type, const std::string& addresses, const std::string& ports) {
  return "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: " + name +
         ", namespace: " + space + ", labels: {kubernetes.io/service-name: " + service +
         "}}\naddressType: " + type + "\nendpoints: [{addresses: " + addresses +
         "}]\nports: " + ports + "\n";
}

constexpr char kService[] =
    "apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: n}\n"
    "spec: {clusterIPs: [10.96.0.1, \"fd96::1\"], ports: [{name: a, port: 80}, "
    "{name: b, port: 53, protocol: UDP}]}\n";

TEST(Assemble, JoinsServicesWithTheirSlicesByPortNameAndProtocol) {
  const auto state =
      StateOf(kService +
              Slice("n", "s-1", "s", "IPv4", "[10.0.0.1]",
                    "[{name: a, port: 8080}, {name: b, port: 5353}]") +
              Slice("n", "s-2", "s", "IPv6", "[\"fd00::1\"]",
                    "[{name: a, port: 8081}, {name: b, port: 54, protocol: UDP}]") +
              Slice("n", "t-1", "t", "IPv4", "[10.0.0.2]", "[{name: a, port: 8080}]") +
              Slice("m", "s-1", "s", "IPv4", "[10.0.0.3]", "[{name: a, port: 8080}]"));
  ASSERT_EQ(state.services.size(), 1u);
  const auto& ports = state.services[0].ports;
  ASSERT_EQ(ports.size(), 2u);
  EXPECT_THAT(Backends(ports[0]), ElementsAre("10.0.0.1 8080", "fd00::1 8081"));
  EXPECT_THAT(Backends(ports[1]), ElementsAre("fd00::1 54"));  // s-1's b is TCP
}

TEST(Assemble, LeavesServicesWithoutSlicesEmpty) {
  const auto state = StateOf(kService);
  ASSERT_EQ(state.services.size(), 1u);
  EXPECT_EQ(state.services[0].addresses.size(), 2u);
  EXPECT_THAT(state.services[0].ports[0].backends, IsEmpty());
}

TEST(Assemble, KnowsNamespacesWithoutAnObject) {
  const auto state = StateOf(
      "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: seen}}\n---\n"
      "{apiVersion: v1, kind: Namespace, metadata: {name: demo, labels: {env: test}}}\n---\n"
      "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: demo}}\n");
  EXPECT_EQ(state.namespaces,
            (std::map<std::string, tables::Labels>{
                {"demo", {{"env", "test"}, {"kubernetes.io/metadata.name", "demo"}}},
                {"seen", {{"kubernetes.io/metadata.name", "seen"}}}}));
  EXPECT_EQ(state.pods.size(), 2u);
}

}  // namespace
}  // namespace bonsai::kube
