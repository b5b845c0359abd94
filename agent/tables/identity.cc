// SPDX-License-Identifier: Apache-2.0
#include "agent/tables/identity.h"

#include <algorithm>
#include <set>
#include <utility>

#include "agent/base/status.h"
#include "agent/tables/address.h"
#include "datapath/include/contract.h"

namespace bonsai::tables {
namespace {

// Every CIDR and exception that a policy names.
std::set<Cidr> PolicyCidrs(const DesiredState& state) {
  std::set<Cidr> cidrs;
  for (const NetworkPolicy& policy : state.policies) {
    for (const auto* rules : {&policy.ingress_rules, &policy.egress_rules}) {
      for (const PolicyRule& rule : *rules) {
        for (const PolicyPeer& peer : rule.peers) {
          if (!peer.cidr) continue;
          cidrs.insert(*peer.cidr);
          cidrs.insert(peer.except.begin(), peer.except.end());
        }
      }
    }
  }
  return cidrs;
}

// Lengths in front keep any two different lists apart, whatever the labels contain.
void Append(std::string& text, const std::string& part) {
  text += std::to_string(part.size()) + ":" + part;
}

void Append(std::string& text, const Labels& labels) {
  text += std::to_string(labels.size()) + "{";
  for (const auto& [key, value] : labels) {
    Append(text, key);
    Append(text, value);
  }
}

std::string Fingerprint(const Identity& identity) {
  std::string text;
  Append(text, identity.namespace_name);
  Append(text, identity.namespace_labels);
  Append(text, identity.labels);
  for (const auto& [name, port] : identity.named_ports) {
    Append(text, name);
    text += std::to_string(port) + ";";
  }
  if (identity.cidr) Append(text, ToString(*identity.cidr));
  return text;
}

Identity PodIdentity(const DesiredState& state, const Pod& pod, std::optional<Cidr> cidr) {
  Identity identity{.kind = Identity::Kind::kPod, .namespace_name = pod.namespace_name};
  if (auto found = state.namespaces.find(pod.namespace_name); found != state.namespaces.end()) {
    identity.namespace_labels = found->second;
  }
  identity.labels = pod.labels;
  identity.named_ports = pod.named_ports;
  identity.cidr = std::move(cidr);
  return identity;
}

using Fingerprints = std::map<std::string, Identity>;

// Identities of all pods by fingerprint, and to whom each address belongs.
Fingerprints CollectPods(const DesiredState& state, const std::set<Cidr>& cidrs,
                         const std::set<Address>& node, std::vector<std::string>& warnings) {
  Fingerprints found;
  std::map<Address, std::string> owners;
  for (const Pod& pod : state.pods) {
    if (pod.host_network) continue;
    const std::string name = pod.namespace_name + "/" + pod.name;
    for (const Address& address : pod.addresses) {
      if (node.contains(address)) {
        warnings.push_back(
            fmt::format("pod {}: address {} is this node's own; ignored", name, ToString(address)));
        continue;
      }
      if (auto [owner, fresh] = owners.emplace(address, name); !fresh) {
        if (owner->second == name) continue;
        warnings.push_back(fmt::format("pod {}: address {} belongs to pod {} already; ignored",
                                       name, ToString(address), owner->second));
        continue;
      }
      Identity identity = PodIdentity(state, pod, MostSpecific(cidrs, address));
      found.try_emplace(Fingerprint(identity), identity).first->second.addresses.push_back(address);
    }
  }
  return found;
}

void Enter(IdentityTable& table, const Cidr& cidr, uint32_t identity) {
  MapContents& map = cidr.address.family == 4 ? table.ipcache4 : table.ipcache6;
  map.emplace(LpmKey(cidr), ToBytes(ipcache_value{.identity = identity}));
}

void EnterAddresses(IdentityTable& table, const Identity& identity) {
  for (const Address& address : identity.addresses) {
    table.by_address.emplace(address, identity.id);
    Enter(table, HostCidr(address), identity.id);
  }
}

}  // namespace

std::string ToString(const Identity& identity) {
  if (identity.kind == Identity::Kind::kHost) return "host";
  if (identity.kind == Identity::Kind::kCidr) return ToString(*identity.cidr);
  std::string text = identity.namespace_name;
  for (const auto& [key, value] : identity.labels) text += " " + key + "=" + value;
  return text;
}

IdentityAllocator::IdentityAllocator()
    : pod_ids_("pod identities", IDENTITY_FIRST_POD, IDENTITY_FIRST_CIDR - 1),
      cidr_ids_("CIDR identities", IDENTITY_FIRST_CIDR, 2 * IDENTITY_FIRST_CIDR - 1) {}

absl::StatusOr<IdentityTable> IdentityAllocator::Update(
    const DesiredState& state, const std::vector<Address>& node_addresses) {
  IdentityTable table;
  const std::set<Cidr> cidrs = PolicyCidrs(state);
  const std::set<Address> node(node_addresses.begin(), node_addresses.end());
  Fingerprints pods = CollectPods(state, cidrs, node, table.warnings);

  std::set<std::string> pod_names, cidr_names;
  for (const auto& [fingerprint, identity] : pods) pod_names.insert(fingerprint);
  for (const Cidr& cidr : cidrs) cidr_names.insert(ToString(cidr));
  RETURN_IF_ERROR(cidr_ids_.Assign(cidr_names));
  RETURN_IF_ERROR(pod_ids_.Assign(pod_names));

  // Node and pods come before CIDRs: a policy's own /32 does not hide who has the address.
  table.identities.push_back({.id = IDENTITY_HOST,
                              .kind = Identity::Kind::kHost,
                              .addresses = {node.begin(), node.end()}});
  for (auto& [fingerprint, identity] : pods) {
    identity.id = pod_ids_.at(fingerprint);
    table.identities.push_back(std::move(identity));
  }
  for (const Identity& identity : table.identities) EnterAddresses(table, identity);
  for (const Cidr& cidr : cidrs) {
    const uint32_t id = cidr_ids_.at(ToString(cidr));
    table.identities.push_back({.id = id, .kind = Identity::Kind::kCidr, .cidr = cidr});
    Enter(table, cidr, id);
  }
  std::ranges::sort(table.identities, {}, &Identity::id);
  return table;
}

}  // namespace bonsai::tables
