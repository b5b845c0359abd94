// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "agent/kube/field.h"
#include "agent/tables/address.h"

namespace bonsai::kube {
namespace {

using tables::LabelRequirement;

LabelRequirement DecodeRequirement(const Field& field) {
  field.AllowOnly({"key", "operator", "values"});
  LabelRequirement requirement{.key = field["key"].RequiredString()};
  for (const Field& value : field["values"].Items()) requirement.values.push_back(value.String());
  const std::string op = field["operator"].RequiredString();
  if (op == "In") {
    requirement.op = LabelRequirement::Op::kIn;
  } else if (op == "NotIn") {
    requirement.op = LabelRequirement::Op::kNotIn;
  } else if (op == "Exists") {
    requirement.op = LabelRequirement::Op::kExists;
  } else if (op == "DoesNotExist") {
    requirement.op = LabelRequirement::Op::kDoesNotExist;
  } else {
    field["operator"].Fail(
        fmt::format("must be In, NotIn, Exists or DoesNotExist, not \"{}\"", op));
  }
  const bool listed = op == "In" || op == "NotIn";
  if (listed && requirement.values.empty()) field["values"].Fail("missing; " + op + " needs some");
  if (!listed && !requirement.values.empty()) field["values"].Fail("must be empty with " + op);
  return requirement;
}

tables::LabelSelector DecodeSelector(const Field& field) {
  field.AllowOnly({"matchLabels", "matchExpressions"});
  tables::LabelSelector selector;
  for (const auto& [key, value] : field["matchLabels"].StringMap()) {
    selector.push_back({LabelRequirement::Op::kIn, key, {value}});
  }
  for (const Field& expression : field["matchExpressions"].Items()) {
    selector.push_back(DecodeRequirement(expression));
  }
  return selector;
}

void DecodeBlock(const Field& field, tables::PolicyPeer& peer) {
  field.AllowOnly({"cidr", "except"});
  peer.cidr = field["cidr"].Cidr();
  for (const Field& each : field["except"].Items()) {
    const tables::Cidr except = each.Cidr();
    if (except == *peer.cidr || !tables::Contains(*peer.cidr, except)) {
      each.Fail(fmt::format("{} is not within {}", tables::ToString(except),
                            tables::ToString(*peer.cidr)));
    }
    peer.except.push_back(except);
  }
}

tables::PolicyPeer DecodePeer(const Field& field) {
  field.AllowOnly({"podSelector", "namespaceSelector", "ipBlock"});
  tables::PolicyPeer peer;
  const Field pods = field["podSelector"], namespaces = field["namespaceSelector"];
  if (pods.present()) peer.pods = DecodeSelector(pods);
  if (namespaces.present()) peer.namespaces = DecodeSelector(namespaces);
  const bool selects = peer.pods || peer.namespaces;
  if (field["ipBlock"].present()) {
    if (selects) field.Fail("ipBlock cannot stand beside podSelector or namespaceSelector");
    DecodeBlock(field["ipBlock"], peer);
  } else if (!selects) {
    field.Fail("must have a podSelector, a namespaceSelector or an ipBlock");
  }
  return peer;
}

tables::PolicyPort DecodePort(const Field& field) {
  field.AllowOnly({"port", "endPort", "protocol"});
  tables::PolicyPort port{.protocol = field["protocol"].Protocol()};
  const Field number = field["port"], end = field["endPort"];
  if (number.present()) {
    if (number.IsNumber()) {
      port.port = number.Port();
    } else {
      port.named_port = number.RequiredString();
    }
  }
  if (end.present()) {
    if (!port.port) end.Fail("needs a port that is a number");
    port.end_port = end.Port();
    if (*port.end_port < *port.port) end.Fail("must not be less than port");
  }
  return port;
}

std::vector<tables::PolicyRule> DecodeRules(const Field& field, const char* peers) {
  std::vector<tables::PolicyRule> rules;
  for (const Field& each : field.Items()) {
    each.AllowOnly({peers, "ports"});
    tables::PolicyRule rule;
    for (const Field& peer : each[peers].Items()) rule.peers.push_back(DecodePeer(peer));
    for (const Field& port : each["ports"].Items()) rule.ports.push_back(DecodePort(port));
    rules.push_back(std::move(rule));
  }
  return rules;
}

}  // namespace

Object DecodeNetworkPolicy(const ObjectKey& key, const Field& object) {
  const Field spec = object["spec"];
  if (!spec.present()) spec.Fail("missing");
  spec.AllowOnly({"podSelector", "policyTypes", "ingress", "egress"});
  tables::NetworkPolicy policy{.namespace_name = key.namespace_name, .name = key.name};
  policy.pods = DecodeSelector(spec["podSelector"]);
  policy.ingress_rules = DecodeRules(spec["ingress"], "from");
  policy.egress_rules = DecodeRules(spec["egress"], "to");
  const std::vector<Field> types = spec["policyTypes"].Items();
  for (const Field& type : types) {
    const std::string text = type.String();
    if (text != "Ingress" && text != "Egress") {
      type.Fail(fmt::format("must be Ingress or Egress, not \"{}\"", text));
    }
    (text == "Ingress" ? policy.ingress : policy.egress) = true;
  }
  if (types.empty()) {
    policy.ingress = true;
    policy.egress = !policy.egress_rules.empty();
  }
  return policy;
}

}  // namespace bonsai::kube
