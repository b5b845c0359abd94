// SPDX-License-Identifier: Apache-2.0
// Random pods and policies: what the built maps decide for every packet must be what Kubernetes'
// definition of NetworkPolicy, evaluated here directly on the objects, says.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>

#include "datapath_model.h"

namespace bonsai::tables {
namespace {

// ---- the definition, written without any helper of the code under test ----

bool InCidr(const Address& address, const Cidr& cidr) {
  if (address.family != cidr.address.family) return false;
  for (uint32_t i = 0; i < cidr.prefix; ++i) {
    const int bit = 7 - static_cast<int>(i % 8);
    if (((address.bytes[i / 8] ^ cidr.address.bytes[i / 8]) >> bit) & 1) return false;
  }
  return true;
}

bool Selects(const LabelSelector& selector, const Labels& labels) {
  for (const LabelRequirement& need : selector) {
    const bool has = labels.contains(need.key);
    const bool in = has && std::count(need.values.begin(), need.values.end(), labels.at(need.key));
    if (need.op == LabelRequirement::Op::kIn && !in) return false;
    if (need.op == LabelRequirement::Op::kNotIn && in) return false;
    if (need.op == LabelRequirement::Op::kExists && !has) return false;
    if (need.op == LabelRequirement::Op::kDoesNotExist && has) return false;
  }
  return true;
}

const Pod* PodAt(const DesiredState& state, const Address& address) {
  for (const Pod& pod : state.pods) {
    if (std::count(pod.addresses.begin(), pod.addresses.end(), address)) return &pod;
  }
  return nullptr;
}

bool PeerSelected(const DesiredState& state, const NetworkPolicy& policy, const PolicyPeer& peer,
                  const Address& address) {
  if (peer.cidr) {
    if (!InCidr(address, *peer.cidr)) return false;
    return std::none_of(peer.except.begin(), peer.except.end(),
                        [&](const Cidr& except) { return InCidr(address, except); });
  }
  const Pod* pod = PodAt(state, address);
  if (pod == nullptr) return false;
  if (peer.namespaces ? !Selects(*peer.namespaces, state.namespaces.at(pod->namespace_name))
                      : pod->namespace_name != policy.namespace_name) {
    return false;
  }
  return !peer.pods || Selects(*peer.pods, pod->labels);
}

bool PortSelected(const PolicyPort& port, const Pod* receiver, const Query& query) {
  if (port.protocol != query.protocol) return false;
  if (!port.named_port.empty()) {
    const std::string name = port.named_port + (query.protocol == 6 ? "/TCP" : "/UDP");
    return receiver != nullptr && receiver->named_ports.contains(name) &&
           receiver->named_ports.at(name) == query.port;
  }
  if (!port.port) return true;
  return query.port >= *port.port && query.port <= port.end_port.value_or(*port.port);
}

bool DefinitionAllows(const DesiredState& state, const Pod& subject, const Query& query) {
  const bool ingress = query.direction == POLICY_INGRESS;
  const Pod* receiver = ingress ? &subject : PodAt(state, query.peer);
  bool isolated = false;
  for (const NetworkPolicy& policy : state.policies) {
    if (policy.namespace_name != subject.namespace_name) continue;
    if (!Selects(policy.pods, subject.labels)) continue;
    if (ingress ? !policy.ingress : !policy.egress) continue;
    isolated = true;
    for (const PolicyRule& rule : ingress ? policy.ingress_rules : policy.egress_rules) {
      const bool peer = rule.peers.empty() ||
                        std::any_of(rule.peers.begin(), rule.peers.end(), [&](const auto& each) {
                          return PeerSelected(state, policy, each, query.peer);
                        });
      const bool port = rule.ports.empty() ||
                        std::any_of(rule.ports.begin(), rule.ports.end(), [&](const auto& each) {
                          return PortSelected(each, receiver, query);
                        });
      if (peer && port) return true;
    }
  }
  return !isolated;
}

// ---- random worlds: few names and addresses, so that things meet often ----

// Over the whole range from the first trial on: rapidcheck starts with small sizes, where a range
// is its first number only and a world has no policy.
int Number(int below) {
  return *rc::gen::resize(rc::kNominalSize, rc::gen::inRange(0, below));
}

template <typename T>
T Pick(const std::vector<T>& choices) {
  return choices[static_cast<size_t>(Number(static_cast<int>(choices.size())))];
}

Labels RandomLabels() {
  Labels labels;
  if (Number(3)) labels["app"] = Pick<std::string>({"a", "b"});
  if (Number(2)) labels["tier"] = Pick<std::string>({"x", "y"});
  return labels;
}

LabelSelector RandomSelector() {
  LabelSelector selector;
  for (int count = Number(3); count > 0; --count) {
    LabelRequirement need;
    need.op = static_cast<LabelRequirement::Op>(Number(4));
    need.key = Pick<std::string>({"app", "tier"});
    const bool listed =
        need.op == LabelRequirement::Op::kIn || need.op == LabelRequirement::Op::kNotIn;
    if (listed)
      need.values = Pick<std::vector<std::string>>({{"a"}, {"b", "x"}, {"x"}, {"a", "y"}});
    selector.push_back(need);
  }
  return selector;
}

Cidr RandomCidr() {
  return *ParseCidr(
      Pick<std::string>({"0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/24", "10.0.1.0/24", "10.0.0.0/30",
                         "10.0.0.2/32", "192.0.2.0/24", "192.0.2.128/25", "192.0.2.1/32",
                         "172.16.0.1/32", "::/0", "fd00::/64", "fd00::2/127", "2001:db8::/32"}));
}

PolicyPeer RandomPeer() {
  PolicyPeer peer;
  if (Number(2)) {
    peer.cidr = RandomCidr();
    for (int count = Number(3); count > 0; --count) peer.except.push_back(RandomCidr());
    return peer;
  }
  const int kind = Number(3);
  if (kind != 0) peer.pods = RandomSelector();
  if (kind != 1) peer.namespaces = RandomSelector();
  return peer;
}

PolicyPort RandomPort() {
  PolicyPort port;
  port.protocol = Pick<uint8_t>({6, 6, 17, 132});
  const int kind = Number(4);
  if (kind == 0) return port;
  if (kind == 1 && port.protocol != 132) {
    port.named_port = Pick<std::string>({"web", "dns", "none"});
    return port;
  }
  port.port = Pick<uint16_t>({1, 53, 80, 8000});
  if (kind == 3) port.end_port = *port.port + Pick<uint16_t>({0, 1, 27, 1000});
  return port;
}

std::vector<PolicyRule> RandomRules() {
  std::vector<PolicyRule> rules(static_cast<size_t>(Number(3)));
  for (PolicyRule& rule : rules) {
    for (int count = Number(3); count > 0; --count) rule.peers.push_back(RandomPeer());
    for (int count = Number(3); count > 0; --count) rule.ports.push_back(RandomPort());
  }
  return rules;
}

TableInputs RandomWorld() {
  TableInputs world;
  for (const std::string name : {"one", "two", "three"}) {
    world.state.namespaces[name] = RandomLabels();
  }
  const int pods = 1 + Number(8);
  for (int i = 0; i < pods; ++i) {
    Pod pod{.namespace_name = Pick<std::string>({"one", "two", "three"}),
            .name = "pod-" + std::to_string(i)};
    pod.labels = RandomLabels();
    if (Number(2)) pod.named_ports["web/TCP"] = Pick<uint16_t>({80, 8000});
    if (Number(2)) pod.named_ports["dns/UDP"] = Pick<uint16_t>({53, 80});
    const std::string number = std::to_string(i);
    if (Number(4))
      pod.addresses.push_back(*ParseAddress("10.0." + Pick<std::string>({"0.", "1."}) + number));
    if (Number(2)) pod.addresses.push_back(*ParseAddress("fd00::" + number));
    world.state.pods.push_back(pod);
    if (Number(2)) world.local_pods.push_back({pod, static_cast<uint32_t>(100 + i)});
  }
  for (int i = Number(5); i > 0; --i) {
    NetworkPolicy policy{.namespace_name = Pick<std::string>({"one", "two", "three"}),
                         .name = "policy-" + std::to_string(i)};
    policy.pods = RandomSelector();
    policy.ingress = Number(2);
    policy.egress = Number(2);
    policy.ingress_rules = RandomRules();
    policy.egress_rules = RandomRules();
    world.state.policies.push_back(policy);
  }
  if (Number(2)) world.node_addresses.push_back(*ParseAddress("172.16.0.1"));
  return world;
}

std::vector<Address> Peers(const TableInputs& world) {
  std::vector<Address> peers;
  for (const Pod& pod : world.state.pods) {
    peers.insert(peers.end(), pod.addresses.begin(), pod.addresses.end());
  }
  for (const char* text : {"10.0.0.3", "10.9.9.9", "172.16.0.1", "192.0.2.1", "192.0.2.129",
                           "203.0.113.7", "fd00::3", "fd00::99", "2001:db8::1", "2a00::1"}) {
    peers.push_back(*ParseAddress(text));
  }
  return peers;
}

void CheckSubject(const TableInputs& world, const Tables& tables, const LocalPod& local) {
  for (const Address& peer : Peers(world)) {
    for (const policy_direction direction : {POLICY_INGRESS, POLICY_EGRESS}) {
      for (const uint8_t protocol : {6, 17, 132, 1}) {
        for (const uint16_t port :
             {1, 53, 54, 79, 80, 81, 107, 108, 8000, 8027, 9000, 9001, 65535}) {
          const Query query = {local.ifindex, direction, peer, protocol,
                               protocol == 1 ? uint16_t{0} : port};
          const bool node = std::ranges::count(world.node_addresses, peer) > 0;
          const bool expected = (node && direction == POLICY_INGRESS) ||
                                DefinitionAllows(world.state, local.pod, query);
          if (Decide(tables, query).allowed != expected) {
            RC_FAIL(local.pod.name + (direction == POLICY_INGRESS ? " from " : " to ") +
                    ToString(peer) + " protocol " + std::to_string(protocol) + " port " +
                    std::to_string(query.port) + (expected ? ": must pass" : ": must not pass"));
          }
        }
      }
    }
  }
}

TEST(PolicyOracle, MapsDecideAsTheDefinitionDoesForRandomWorlds) {
  int isolated = 0;
  // Four worlds a trial: another check() would draw the same hundred again, its seed being the
  // process's.
  EXPECT_TRUE(rc::check([&] {
    for (int count = 0; count < 4; ++count) {
      const TableInputs world = RandomWorld();
      TableBuilder builder;
      const auto tables = builder.Build(world);
      RC_ASSERT(tables.ok());
      for (const LocalPod& local : world.local_pods) CheckSubject(world, *tables, local);
      isolated +=
          std::ranges::any_of(tables->endpoints, [](const auto& each) { return each.flags; });
    }
  }));
  EXPECT_GT(isolated, 40);  // else the worlds would prove nothing
}

TEST(PolicyOracle, MapsStayRightWhenTheWorldChangesUnderOneBuilder) {
  EXPECT_TRUE(rc::check([] {
    TableBuilder builder;
    for (int step = 0; step < 3; ++step) {
      const TableInputs world = RandomWorld();
      const auto tables = builder.Build(world);
      RC_ASSERT(tables.ok());
      for (const LocalPod& local : world.local_pods) CheckSubject(world, *tables, local);
    }
  }));
}

}  // namespace
}  // namespace bonsai::tables
