// SPDX-License-Identifier: Apache-2.0
// DesiredState: endpoints, services and policies as tables/ wants them, whatever their source
// (manifests, API server). Immutable values; tables/ turns them into map contents.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bonsai::tables {

// An IPv4 or IPv6 address; v4 in the first 4 bytes. Comparable.
struct Address {
  uint8_t family = 4;  // 4 or 6
  uint8_t bytes[16] = {};
  auto operator<=>(const Address&) const = default;
};
std::optional<Address> ParseAddress(const std::string& text);
std::string ToString(const Address& address);

struct Cidr {
  Address address;       // host bits cleared
  uint32_t prefix = 0;   // 0..32 or 0..128
  auto operator<=>(const Cidr&) const = default;
};
// "10.0.0.0/8"; a bare address is a /32 or /128.
std::optional<Cidr> ParseCidr(const std::string& text);
std::string ToString(const Cidr& cidr);

using Labels = std::map<std::string, std::string>;

struct Pod {
  std::string namespace_name, name;
  Labels labels;
  std::map<std::string, uint16_t> named_ports;  // "name/PROTO" -> port, for policies
  std::vector<Address> addresses;
  std::string node;       // spec.nodeName, "" unknown
  std::string device;     // annotation bonsai.io/device: host-side device; "" = found by route
  bool host_network = false;
};

struct ServicePort {
  std::string name;
  uint8_t protocol = 6;   // IPPROTO_TCP or IPPROTO_UDP
  uint16_t port = 0;
  // Ready endpoints of both families; each service address gets those of its own.
  std::vector<std::pair<Address, uint16_t>> backends;
};
struct Service {
  std::string namespace_name, name;
  std::vector<Address> addresses;  // cluster IPs, both families; none for headless
  std::vector<ServicePort> ports;
};

struct LabelRequirement {
  enum class Op { kIn, kNotIn, kExists, kDoesNotExist } op = Op::kExists;
  std::string key;
  std::vector<std::string> values;
};
using LabelSelector = std::vector<LabelRequirement>;  // all must hold; empty selects everything

struct PolicyPeer {
  // Either a CIDR with exceptions, or selectors. No namespace selector: the policy's namespace.
  std::optional<Cidr> cidr;
  std::vector<Cidr> except;
  std::optional<LabelSelector> pods;
  std::optional<LabelSelector> namespaces;
};
struct PolicyPort {
  uint8_t protocol = 6;
  std::optional<uint16_t> port;      // absent: all ports of the protocol
  std::optional<uint16_t> end_port;  // inclusive range
  std::string named_port;            // resolved against the pods
};
struct PolicyRule {
  std::vector<PolicyPeer> peers;  // empty: everyone
  std::vector<PolicyPort> ports;  // empty: everything
};
struct NetworkPolicy {
  std::string namespace_name, name;
  LabelSelector pods;
  bool ingress = false, egress = false;  // policyTypes
  std::vector<PolicyRule> ingress_rules, egress_rules;
};

struct DesiredState {
  std::vector<Pod> pods;
  std::map<std::string, Labels> namespaces;  // name -> labels
  std::vector<Service> services;
  std::vector<NetworkPolicy> policies;
};

}  // namespace bonsai::tables
