// SPDX-License-Identifier: Apache-2.0
#include "agent/kube/decode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bonsai::kube {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> Problems(const std::string& text) {
  std::vector<std::string> problems;
  for (const DecodeProblem& each : Decode(text).problems) {
    problems.push_back(std::to_string(each.line) + " " + each.object + ": " + each.message);
  }
  return problems;
}

template <typename T>
T Only(const std::string& text) {
  const Decoded decoded = Decode(text);
  EXPECT_THAT(Problems(text), IsEmpty());
  EXPECT_EQ(decoded.objects.size(), 1u);
  if (decoded.objects.empty()) return T();
  const T* object = std::get_if<T>(&decoded.objects.begin()->second);
  EXPECT_NE(object, nullptr);
  return object == nullptr ? T() : *object;
}

std::vector<std::string> Texts(const std::vector<tables::Address>& addresses) {
  std::vector<std::string> texts;
  for (const auto& address : addresses) texts.push_back(ToString(address));
  return texts;
}

constexpr char kPod[] = R"(apiVersion: v1
kind: Pod
metadata:
  name: a
  namespace: demo
  labels: {app: web, tier: ""}
  annotations: {bonsai.io/device: veth-a, other: x}
spec:
  nodeName: node-a
  containers:
  - name: main
    ports:
    - {name: http, containerPort: 8080}
    - {name: dns, containerPort: 53, protocol: UDP}
    - {containerPort: 9}
  - name: sidecar
status:
  phase: Running
  podIP: 10.0.0.1
  podIPs: [{ip: 10.0.0.1}, {ip: "fd00::1"}]
)";

TEST(DecodePod, ReadsWhatBonsaiNeeds) {
  const auto pod = Only<tables::Pod>(kPod);
  EXPECT_EQ(pod.namespace_name, "demo");
  EXPECT_EQ(pod.name, "a");
  EXPECT_EQ(pod.labels, (tables::Labels{{"app", "web"}, {"tier", ""}}));
  EXPECT_EQ(pod.named_ports,
            (std::map<std::string, uint16_t>{{"http/TCP", 8080}, {"dns/UDP", 53}}));
  EXPECT_THAT(Texts(pod.addresses), ElementsAre("10.0.0.1", "fd00::1"));
  EXPECT_EQ(pod.node, "node-a");
  EXPECT_EQ(pod.device, "veth-a");
  EXPECT_FALSE(pod.host_network);
}

TEST(DecodePod, NeedsLittle) {
  const auto pod = Only<tables::Pod>("{apiVersion: v1, kind: Pod, metadata: {name: a}}");
  EXPECT_EQ(pod.namespace_name, "default");
  EXPECT_TRUE(pod.addresses.empty());
  EXPECT_EQ(pod.node, "");
}

TEST(DecodePod, TakesPodIpWithoutPodIps) {
  const auto pod = Only<tables::Pod>(
      "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {hostNetwork: true}, "
      "status: {podIP: 10.0.0.1}}");
  EXPECT_THAT(Texts(pod.addresses), ElementsAre("10.0.0.1"));
  EXPECT_TRUE(pod.host_network);
}

TEST(DecodePod, LeavesOutThoseThatHaveFinished) {
  for (const std::string phase : {"Succeeded", "Failed"}) {
    Only<std::monostate>("{apiVersion: v1, kind: Pod, metadata: {name: a}, status: {phase: " +
                         phase + ", podIP: 10.0.0.1}}");
  }
}

TEST(DecodeNamespace, AddsItsNameAsALabel) {
  const auto space = Only<NamespaceObject>(
      "{apiVersion: v1, kind: Namespace, metadata: {name: demo, labels: {env: test}}}");
  EXPECT_EQ(space.labels,
            (tables::Labels{{"env", "test"}, {"kubernetes.io/metadata.name", "demo"}}));
}

std::string ServiceText(const std::string& spec) {
  return "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: " + spec + "\n";
}

TEST(DecodeService, ReadsAddressesAndPorts) {
  const auto service = Only<ServiceObject>(ServiceText(
      "{clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1, \"fd96::1\"], ports: [{name: http, port: 80, "
      "targetPort: web}, {name: dns, port: 53, protocol: UDP}, {name: x, port: 7, protocol: "
      "SCTP}]}"));
  EXPECT_THAT(Texts(service.addresses), ElementsAre("10.96.0.1", "fd96::1"));
  ASSERT_EQ(service.ports.size(), 2u);  // SCTP is not balanced
  EXPECT_EQ(service.ports[0].name, "http");
  EXPECT_EQ(service.ports[0].protocol, 6);
  EXPECT_EQ(service.ports[0].port, 80);
  EXPECT_EQ(service.ports[1].protocol, 17);
}

TEST(DecodeService, HasNoAddressWhenHeadlessOrExternal) {
  EXPECT_TRUE(Only<ServiceObject>(ServiceText("{clusterIP: None}")).addresses.empty());
  EXPECT_TRUE(Only<ServiceObject>(ServiceText("{clusterIPs: [None]}")).addresses.empty());
  EXPECT_TRUE(Only<ServiceObject>(ServiceText("{clusterIP: \"\"}")).addresses.empty());
  EXPECT_TRUE(Only<ServiceObject>(ServiceText("{type: ExternalName, externalName: x.example}"))
                  .addresses.empty());
}

std::string SliceText(const std::string& rest) {
  return "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s-1, labels: "
         "{kubernetes.io/service-name: s}}\n" +
         rest;
}

TEST(DecodeEndpointSlice, TakesReadyEndpoints) {
  const auto slice = Only<EndpointSliceObject>(SliceText(R"(addressType: IPv4
ports:
- {name: http, port: 8080}
- {name: "", port: 53, protocol: UDP}
- {name: all}
endpoints:
- addresses: [10.0.0.1]
  conditions: {ready: true}
- addresses: [10.0.0.2]
- addresses: [10.0.0.3]
  conditions: {ready: false}
- addresses: [10.0.0.4]
  conditions: {ready: null}
)"));
  EXPECT_EQ(slice.service, "s");
  EXPECT_THAT(Texts(slice.addresses), ElementsAre("10.0.0.1", "10.0.0.2", "10.0.0.4"));
  ASSERT_EQ(slice.ports.size(), 2u);
  EXPECT_EQ(slice.ports[1].name, "");
  EXPECT_EQ(slice.ports[1].port, 53);
}

TEST(DecodeEndpointSlice, SkipsNamesAndAcceptsNoEndpoints) {
  Only<std::monostate>(SliceText("addressType: FQDN\nendpoints: [{addresses: [a.example]}]\n"));
  EXPECT_TRUE(
      Only<EndpointSliceObject>(SliceText("addressType: IPv6\nendpoints: null\nports: []\n"))
          .addresses.empty());
}

TEST(Decode, ReadsStreamsListsAndJson) {
  const Decoded stream = Decode(std::string("---\n") + kPod + "---\n\n---\n# nothing\n---\n" +
                                ServiceText("{clusterIP: None}"));
  EXPECT_THAT(stream.problems, IsEmpty());
  EXPECT_EQ(stream.objects.size(), 2u);
  const Decoded list = Decode(
      "{\n\t\"apiVersion\": \"v1\", \"kind\": \"List\",\n\t\"items\": [\n"
      "\t\t{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"a\"}},\n"
      "\t\t{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"a\"}}]}");
  EXPECT_THAT(list.problems, IsEmpty());
  EXPECT_EQ(list.objects.size(), 1u);
  EXPECT_EQ(list.ignored, 1u);
  const Decoded typed = Decode("{apiVersion: v1, kind: PodList, items: [{metadata: {name: a}}]}");
  EXPECT_THAT(typed.problems, IsEmpty());
  EXPECT_EQ(typed.objects.begin()->first.kind, Kind::kPod);
}

TEST(Decode, CountsOtherKinds) {
  const Decoded decoded = Decode(
      "{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}}\n---\n"
      "{apiVersion: crd.example/v1, kind: NetworkPolicy, metadata: {name: a}}\n");
  EXPECT_THAT(decoded.problems, IsEmpty());
  EXPECT_EQ(decoded.ignored, 2u);
  EXPECT_TRUE(decoded.objects.empty());
}

TEST(Decode, RemembersWhereObjectsBegin) {
  const Decoded decoded = Decode(std::string(kPod) + "---\n" + ServiceText("{}"));
  EXPECT_EQ(decoded.lines.at({Kind::kPod, "demo", "a"}), 1u);
  EXPECT_EQ(decoded.lines.at({Kind::kService, "default", "s"}), 22u);
}

struct BadCase {
  const char* text;
  const char* problem;
};

class DecodeBad : public ::testing::TestWithParam<BadCase> {};

TEST_P(DecodeBad, SaysWhereAndWhat) {
  EXPECT_THAT(Problems(GetParam().text), ElementsAre(HasSubstr(GetParam().problem)));
}

INSTANTIATE_TEST_SUITE_P(
    Inputs, DecodeBad,
    ::testing::Values(
        BadCase{"a: b: c", "1 : no valid YAML: "},
        BadCase{"apiVersion: v1\nkind: [", "no valid YAML: "}, BadCase{"\x01\x02", ": "},
        BadCase{"just text", "1 document 1: must be a map, not a single value"},
        BadCase{"- a\n- b", "1 document 1: must be a map, not a list"},
        BadCase{"kind: Pod", "1 document 1: apiVersion: missing"},
        BadCase{"apiVersion: v1", "1 document 1: kind: missing"},
        BadCase{"apiVersion: v1\nkind: {}",
                "2 document 1: kind: must be a single value, not a map"},
        BadCase{"apiVersion: v1\nkind: Pod", "1 Pod: metadata.name: missing"},
        BadCase{"apiVersion: v1\nkind: Pod\nmetadata:\n  name: A_b",
                "4 Pod: metadata.name: \"A_b\": only a-z"},
        BadCase{"apiVersion: v1\nkind: Pod\nmetadata: x",
                "3 Pod: metadata: must be a map, not a single value"},
        BadCase{"apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: [b]}",
                "3 Pod default/a: metadata.labels: must be a map, not a list"},
        BadCase{"apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {b: {c: d}}}",
                "3 Pod default/a: metadata.labels.b: must be a single value, not a map"},
        BadCase{"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nstatus:\n  podIP: 10.0.0.256",
                "5 Pod default/a: status.podIP: \"10.0.0.256\" is no IP address"},
        BadCase{"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nstatus:\n  podIPs:\n  - {}",
                "6 Pod default/a: status.podIPs[0].ip: missing"},
        BadCase{"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {hostNetwork: maybe}",
                "spec.hostNetwork: must be true or false, not \"maybe\""},
        BadCase{"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{ports: "
                "[{containerPort: 70000}]}]}",
                "spec.containers[0].ports[0].containerPort: must be a number from 1 to 65535, not "
                "\"70000\""},
        BadCase{"apiVersion: v1\nkind: Pod\nmetadata: {name: a, annotations: {bonsai.io/device: "
                "a-name-that-is-too-long}}",
                "bonsai.io/device: \"a-name-that-is-too-long\" is no name of a network device"},
        BadCase{"apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {clusterIP: nine}",
                "4 Service default/s: spec.clusterIP: \"nine\" is no IP address"},
        BadCase{"apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec:\n  ports:\n  - name: x",
                "6 Service default/s: spec.ports[0].port: missing"},
        BadCase{"apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80, "
                "protocol: tcp}]}",
                "spec.ports[0].protocol: must be TCP, UDP or SCTP, not \"tcp\""},
        BadCase{"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s}",
                "1 EndpointSlice default/s: addressType: missing"},
        BadCase{"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s}\n"
                "addressType: IPv4\nendpoints:\n- addresses: [\"fd00::1\"]",
                "6 EndpointSlice default/s: endpoints[0].addresses[0]: fd00::1 is no IPv4 address"},
        BadCase{"apiVersion: discovery.k8s.io/v1beta1\nkind: EndpointSlice\nmetadata: {name: s}",
                "apiVersion: discovery.k8s.io/v1beta1 is not supported; write discovery.k8s.io/v1"},
        BadCase{"apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: List, items: []}]",
                "a list within a list is not supported"},
        BadCase{"apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod}",
                "4 Pod: items[0].metadata.name: missing"}));

TEST(Decode, FindsOneProblemInEachBrokenObject) {
  EXPECT_THAT(Problems("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: 1\n---\n" +
                       ServiceText("{}") + "---\nkind: Pod\n"),
              ElementsAre("4 Pod default/a: spec: must be a map, not a single value",
                          "11 document 3: apiVersion: missing"));
}

TEST(Decode, RefusesAnObjectTwice) {
  EXPECT_THAT(Problems(std::string(kPod) + "---\n" + kPod),
              ElementsAre("22 Pod demo/a: it is in the file already, in line 1"));
}

TEST(Decode, SurvivesDeepAndEndlessInput) {
  EXPECT_FALSE(Problems(std::string(100000, '[')).empty());
  EXPECT_FALSE(Problems(std::string(100000, '{')).empty());
  std::string nested;
  for (int i = 0; i < 5000; ++i) nested += "- ";
  EXPECT_FALSE(Problems(nested).empty());
  EXPECT_FALSE(Problems(std::string(1000, '\0')).empty());
  EXPECT_FALSE(Problems("\xc3\x28 \xa0\xa1").empty());
}

// A stray comma made the YAML library produce empty documents until memory was gone.
TEST(Decode, RefusesAStrayCommaInsteadOfEatingAllMemory) {
  for (const char* text : {",", ", kind: Pod\n", "kind\n,\n", "a,\n---\n,"}) {
    EXPECT_TRUE(Decode(text).objects.empty()) << text;
    EXPECT_FALSE(Decode(text).problems.empty()) << text;
  }
}

}  // namespace
}  // namespace bonsai::kube
