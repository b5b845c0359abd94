// SPDX-License-Identifier: Apache-2.0
// Flow: one event of the datapath, decoded and with names instead of numbers: of a packet's verdict, or
// of what a layer 7 feature saw in one. A value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/report/l7.h"
#include "agent/report/snapshot.h"
#include "agent/tables/desired_state.h"

namespace bonsai::report {

struct FlowPeer {
  tables::Address address;
  uint16_t port = 0;       // host byte order; 0 for protocols without ports
  uint32_t identity = 0;   // 0: not known
  std::string pod;         // "namespace/name", "" for no pod of this node
  std::string service;     // "namespace/name:port" when address and port are a service's
};

struct Flow {
  WallTime time;
  uint8_t kind = 0;        // enum flow_event_kind; 0 when dns or http is there
  uint8_t l7_kind = 0;     // enum l7_kind; 0 unless dns or http is there
  std::string reason;      // label of contract.h; of layer 7 only for what is denied, else ""
  bool is_drop = false;
  std::string hook;
  std::string device;      // "" when the interface is not one of ours
  uint8_t protocol = 0;
  uint8_t tcp_flags = 0;
  uint8_t icmp_type = 0, icmp_code = 0;
  FlowPeer source, destination;       // as the packet arrived at the hook; of layer 7: as it left it
  std::optional<FlowPeer> backend;    // where the load balancer sent it
  uint32_t rule = 0;                  // 0: none decided
  std::string policy;                 // of that rule, "" none
  uint64_t packets = 0, bytes = 0;    // 0 of layer 7
  std::optional<DnsDetails> dns;      // at most one of the two
  std::optional<HttpDetails> http;
};

struct FlowFilter {
  bool drops_only = false;
  std::string pod;                    // "namespace/name" or "name"; "" any
  std::optional<tables::Cidr> cidr;   // source, destination or backend
  bool dns = false, http = false;     // only these layer 7 protocols; neither: everything
  bool Matches(const Flow& flow) const;
};

}  // namespace bonsai::report
