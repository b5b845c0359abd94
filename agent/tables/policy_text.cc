// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "agent/tables/policy.h"
#include "agent/tables/ports.h"
#include "agent/tables/selector.h"

namespace bonsai::tables {
namespace {

std::string PeerText(const PolicyPeer& peer, const std::string& policy_namespace) {
  if (peer.cidr) {
    std::string text = ToString(*peer.cidr);
    for (const Cidr& except : peer.except) text += " except " + ToString(except);
    return text;
  }
  const std::string where = peer.namespaces ? "namespaces (" + ToString(*peer.namespaces) + ")"
                                            : "namespace " + policy_namespace;
  return fmt::format("pods ({}) in {}", ToString(peer.pods.value_or(LabelSelector())), where);
}

std::string PortText(const PolicyPort& port) {
  const std::string protocol = ProtocolName(port.protocol);
  if (!port.named_port.empty()) return fmt::format("{}/{}", protocol, port.named_port);
  if (!port.port) return protocol;
  if (port.end_port) return fmt::format("{}/{}-{}", protocol, *port.port, *port.end_port);
  return fmt::format("{}/{}", protocol, *port.port);
}

}  // namespace

std::string Describe(const PolicyRule& rule, policy_direction direction,
                     const std::string& policy_namespace) {
  std::vector<std::string> peers, ports;
  for (const PolicyPeer& peer : rule.peers) peers.push_back(PeerText(peer, policy_namespace));
  for (const PolicyPort& port : rule.ports) ports.push_back(PortText(port));
  return fmt::format("{} {}; {}", direction == POLICY_INGRESS ? "from" : "to",
                     peers.empty() ? "anyone" : fmt::format("{}", fmt::join(peers, ", ")),
                     ports.empty() ? "all ports" : fmt::format("{}", fmt::join(ports, ", ")));
}

}  // namespace bonsai::tables
