// SPDX-License-Identifier: Apache-2.0
#include "agent/tables/policy.h"

#include <arpa/inet.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "agent/base/status.h"
#include "agent/tables/address.h"
#include "agent/tables/ports.h"
#include "agent/tables/selector.h"

namespace bonsai::tables {
namespace {

constexpr uint32_t kLastRuleId = 0xffffff;

bool InBlock(const PolicyPeer& peer, const Cidr& cidr) {
  const auto holds = [&](const Cidr& outer) { return Contains(outer, cidr); };
  return holds(*peer.cidr) && std::ranges::none_of(peer.except, holds);
}

bool MatchesPeer(const PolicyPeer& peer, const std::string& policy_namespace,
                 const Identity& identity) {
  if (peer.cidr) {
    // All CIDRs of an address form a chain, so the longest one tells which of them hold it.
    if (identity.cidr) return InBlock(peer, *identity.cidr);
    return identity.kind == Identity::Kind::kHost &&
           std::ranges::any_of(identity.addresses, [&](const Address& address) {
             return InBlock(peer, HostCidr(address));
           });
  }
  if (identity.kind != Identity::Kind::kPod) return false;
  const bool in_namespace = peer.namespaces ? Matches(*peer.namespaces, identity.namespace_labels)
                                            : identity.namespace_name == policy_namespace;
  return in_namespace && (!peer.pods || Matches(*peer.pods, identity.labels));
}

struct PortRange {
  uint8_t protocol = 0;
  uint16_t first = 0, last = 0xffff;
};

std::vector<PortRange> NumericPorts(const PolicyRule& rule) {
  std::vector<PortRange> ranges;
  for (const PolicyPort& port : rule.ports) {
    if (!port.named_port.empty()) continue;
    if (!port.port) {
      ranges.push_back({port.protocol});
    } else {
      ranges.push_back({port.protocol, *port.port, port.end_port.value_or(*port.port)});
    }
  }
  return ranges;
}

std::vector<PortRange> NamedPorts(const PolicyRule& rule,
                                  const std::map<std::string, uint16_t>& named_ports) {
  std::vector<PortRange> ranges;
  for (const PolicyPort& port : rule.ports) {
    if (port.named_port.empty()) continue;
    const auto found = named_ports.find(port.named_port + "/" + ProtocolName(port.protocol));
    if (found == named_ports.end()) continue;
    ranges.push_back({port.protocol, found->second, found->second});
  }
  return ranges;
}

// A rule with what does not depend on the subject worked out.
struct CompiledRule {
  const PolicyRule* rule = nullptr;
  uint32_t id = 0;
  policy_direction direction = POLICY_EGRESS;
  std::vector<const Identity*> peers;  // those that match; all pods when any peer does
  std::vector<PortRange> numeric;

  bool any_peer() const { return rule->peers.empty(); }
};

class Expander {
 public:
  explicit Expander(MapContents& entries) : entries_(entries) {}

  void Expand(const CompiledRule& rule, const PolicySubject& subject) {
    rule_ = &rule;
    endpoint_ = subject.endpoint_id;
    if (rule.rule->ports.empty()) return ForEachPeer([&](uint32_t peer) { EnterL3(peer); });

    // A named port is a port of the receiving pod: the subject's own on ingress, each peer's on
    // egress.
    std::vector<PortRange> ranges = rule.numeric;
    if (rule.direction == POLICY_INGRESS) {
      const auto named = NamedPorts(*rule.rule, subject.pod->named_ports);
      ranges.insert(ranges.end(), named.begin(), named.end());
    } else {
      for (const Identity* peer : rule.peers) {
        EnterRanges(peer->id, NamedPorts(*rule.rule, peer->named_ports));
      }
    }
    ForEachPeer([&](uint32_t peer) { EnterRanges(peer, ranges); });
  }

 private:
  template <typename Function>
  void ForEachPeer(Function enter) {
    if (rule_->any_peer()) return enter(IDENTITY_ANY);
    for (const Identity* peer : rule_->peers) enter(peer->id);
  }

  void EnterL3(uint32_t peer) { Enter(POLICY_PREFIX_L3, peer, 0, 0); }

  void EnterRanges(uint32_t peer, const std::vector<PortRange>& ranges) {
    for (const PortRange& range : ranges) {
      for (const PortPrefix& prefix : SplitPortRange(range.first, range.last)) {
        Enter(POLICY_PREFIX_PROTO + prefix.bits, peer, range.protocol, prefix.port);
      }
    }
  }

  // The first rule that makes an entry keeps it; all entries allow, so the verdict is the same.
  void Enter(uint32_t prefix, uint32_t peer, uint8_t protocol, uint16_t port) {
    const policy_key key = {.prefixlen = prefix,
                            .endpoint_id = endpoint_,
                            .identity = peer,
                            .direction = static_cast<uint8_t>(rule_->direction),
                            .protocol = protocol,
                            .port = htons(port)};
    entries_.try_emplace(ToBytes(key),
                         ToBytes(policy_value{.rule = rule_->id, .action = POLICY_ALLOW}));
  }

  MapContents& entries_;
  const CompiledRule* rule_ = nullptr;
  uint32_t endpoint_ = 0;
};

std::string RuleName(const NetworkPolicy& policy, policy_direction direction, size_t index) {
  return fmt::format("{}/{} {} {}", policy.namespace_name, policy.name,
                     direction == POLICY_INGRESS ? "ingress" : "egress", index);
}

template <typename Function>
void ForEachRule(const NetworkPolicy& policy, Function visit) {
  const auto each = [&](const std::vector<PolicyRule>& rules, policy_direction direction) {
    for (size_t i = 0; i < rules.size(); ++i) visit(rules[i], direction, i);
  };
  if (policy.ingress) each(policy.ingress_rules, POLICY_INGRESS);
  if (policy.egress) each(policy.egress_rules, POLICY_EGRESS);
}

CompiledRule CompileRule(const PolicyRule& rule, const std::string& policy_namespace,
                         const std::vector<Identity>& identities) {
  CompiledRule compiled{.rule = &rule, .numeric = NumericPorts(rule)};
  for (const Identity& identity : identities) {
    const bool matches = rule.peers.empty()
                             ? identity.kind == Identity::Kind::kPod
                             : std::ranges::any_of(rule.peers, [&](const PolicyPeer& peer) {
                                 return MatchesPeer(peer, policy_namespace, identity);
                               });
    if (matches) compiled.peers.push_back(&identity);
  }
  return compiled;
}

}  // namespace

PolicyCompiler::PolicyCompiler() : rule_ids_("policy rules", 1, kLastRuleId) {}

absl::StatusOr<PolicyTable> PolicyCompiler::Compile(const std::vector<NetworkPolicy>& policies,
                                                    const std::vector<Identity>& identities,
                                                    const std::vector<PolicySubject>& subjects) {
  std::vector<const NetworkPolicy*> sorted;
  std::set<std::string> names;
  for (const NetworkPolicy& policy : policies) {
    sorted.push_back(&policy);
    ForEachRule(policy, [&](const PolicyRule&, policy_direction direction, size_t index) {
      names.insert(RuleName(policy, direction, index));
    });
  }
  RETURN_IF_ERROR(rule_ids_.Assign(names));
  std::ranges::sort(sorted, {}, [](const NetworkPolicy* policy) {
    return std::tie(policy->namespace_name, policy->name);
  });

  PolicyTable table;
  table.flags.resize(subjects.size());
  Expander expander(table.entries);
  for (const NetworkPolicy* policy : sorted) {
    std::vector<size_t> selected;
    for (size_t i = 0; i < subjects.size(); ++i) {
      const Pod& pod = *subjects[i].pod;
      if (pod.namespace_name != policy->namespace_name || !Matches(policy->pods, pod.labels))
        continue;
      selected.push_back(i);
      if (policy->ingress) table.flags[i] |= ENDPOINT_ENFORCE_INGRESS;
      if (policy->egress) table.flags[i] |= ENDPOINT_ENFORCE_EGRESS;
    }
    ForEachRule(*policy, [&](const PolicyRule& rule, policy_direction direction, size_t index) {
      const uint32_t id = rule_ids_.at(RuleName(*policy, direction, index));
      table.rules.push_back({id, policy->namespace_name, policy->name, direction,
                             static_cast<uint32_t>(index),
                             Describe(rule, direction, policy->namespace_name)});
      if (selected.empty()) return;
      CompiledRule compiled = CompileRule(rule, policy->namespace_name, identities);
      compiled.id = id;
      compiled.direction = direction;
      for (const size_t i : selected) expander.Expand(compiled, subjects[i]);
    });
  }
  return table;
}

}  // namespace bonsai::tables
