// SPDX-License-Identifier: Apache-2.0
// TableBuilder: the whole desired state -> what each map shall hold. No kernel, no I/O: the same
// inputs to the same builder give the same tables. Writing them is writer.h's work.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "agent/tables/desired_state.h"
#include "agent/tables/identity.h"
#include "agent/tables/local_pods.h"
#include "agent/tables/map_contents.h"
#include "agent/tables/policy.h"
#include "agent/tables/services.h"
#include "agent/tables/stable_ids.h"

namespace bonsai::tables {

struct TableInputs {
  DesiredState state;
  std::vector<LocalPod> local_pods;
  std::vector<Address> node_addresses;       // this node's own
  std::vector<std::string> prefilter_cidrs;  // rule number = place in the list
  std::vector<std::string> dns_ports, http_ports;  // as BuildL7Ports takes them
  std::vector<std::string> dns_deny;               // as BuildDnsDeny takes them
};

// For `agentctl endpoints`.
struct EndpointInfo {
  uint32_t endpoint_id = 0;  // never 0; stays as long as the pod does
  uint32_t identity = 0;
  uint32_t ifindex = 0;
  uint32_t flags = 0;  // enum endpoint_flags
  std::string namespace_name, name;
  std::vector<Address> addresses;
};

struct Tables {
  // By map name: endpoints, ipcache4, ipcache6, policy, prefilter4, prefilter6, dns_ports,
  // dns_deny, http_ports. All always there.
  std::map<std::string, MapContents> maps;
  ServiceTable services;
  std::vector<EndpointInfo> endpoints;  // in the order of the inputs
  std::vector<Identity> identities;     // ascending id
  std::vector<RuleInfo> rules;
  std::vector<std::string> warnings;  // what was left out and why, one line each
};

// Keeps identities, endpoint and rule ids stable from one build to the next. Not thread-safe.
class TableBuilder {
 public:
  TableBuilder();
  // InvalidArgument: a prefilter entry is no CIDR, a port or a denied name is none.
  // ResourceExhausted: out of identities or ids.
  absl::StatusOr<Tables> Build(const TableInputs& inputs);

 private:
  IdentityAllocator identities_;
  StableIds endpoint_ids_;
  PolicyCompiler policies_;
};

}  // namespace bonsai::tables
