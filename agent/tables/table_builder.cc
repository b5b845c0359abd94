// SPDX-License-Identifier: Apache-2.0
#include "agent/tables/table_builder.h"

#include <cstring>
#include <set>
#include <utility>

#include "agent/base/status.h"
#include "agent/tables/dns_deny.h"
#include "agent/tables/l7_ports.h"
#include "agent/tables/prefilter.h"
#include "datapath/include/contract.h"

namespace bonsai::tables {
namespace {

std::string PodName(const Pod& pod) { return pod.namespace_name + "/" + pod.name; }

EndpointInfo Describe(const LocalPod& local, uint32_t id, const IdentityTable& identities) {
  EndpointInfo info{.endpoint_id = id, .ifindex = local.ifindex};
  info.namespace_name = local.pod.namespace_name;
  info.name = local.pod.name;
  info.addresses = local.pod.addresses;
  for (const Address& address : info.addresses) {
    const auto found = identities.by_address.find(address);
    if (found == identities.by_address.end() || info.identity != 0) continue;
    info.identity = found->second;
  }
  return info;
}

endpoint_value EndpointValue(const EndpointInfo& info) {
  endpoint_value value = {
      .endpoint_id = info.endpoint_id, .identity = info.identity, .flags = info.flags};
  bool have4 = false, have6 = false;
  for (const Address& address : info.addresses) {
    if (address.family == 4 && !std::exchange(have4, true)) {
      std::memcpy(&value.ipv4, address.bytes, sizeof(value.ipv4));
    } else if (address.family == 6 && !std::exchange(have6, true)) {
      std::memcpy(value.ipv6, address.bytes, sizeof(value.ipv6));
    }
  }
  return value;
}

MapContents EndpointMap(const std::vector<EndpointInfo>& endpoints) {
  MapContents map;
  for (const EndpointInfo& info : endpoints) {
    map.emplace(ToBytes(info.ifindex), ToBytes(EndpointValue(info)));
  }
  return map;
}

}  // namespace

TableBuilder::TableBuilder() : endpoint_ids_("endpoint ids", 1, 0xffff) {}

absl::StatusOr<Tables> TableBuilder::Build(const TableInputs& inputs) {
  ASSIGN_OR_RETURN(auto prefilter, BuildPrefilter(inputs.prefilter_cidrs));
  ASSIGN_OR_RETURN(auto dns_ports, BuildL7Ports(inputs.dns_ports));
  ASSIGN_OR_RETURN(auto dns_deny, BuildDnsDeny(inputs.dns_deny));
  ASSIGN_OR_RETURN(auto http_ports, BuildL7Ports(inputs.http_ports));
  ASSIGN_OR_RETURN(auto identities, identities_.Update(inputs.state, inputs.node_addresses));

  std::set<std::string> names;
  for (const LocalPod& local : inputs.local_pods) names.insert(PodName(local.pod));
  RETURN_IF_ERROR(endpoint_ids_.Assign(names));

  Tables tables;
  std::vector<PolicySubject> subjects;
  for (const LocalPod& local : inputs.local_pods) {
    const uint32_t id = endpoint_ids_.at(PodName(local.pod));
    tables.endpoints.push_back(Describe(local, id, identities));
    subjects.push_back({id, &local.pod});
  }
  ASSIGN_OR_RETURN(auto policy,
                   policies_.Compile(inputs.state.policies, identities.identities, subjects));
  for (size_t i = 0; i < subjects.size(); ++i) tables.endpoints[i].flags = policy.flags[i];

  tables.maps["endpoints"] = EndpointMap(tables.endpoints);
  tables.maps["ipcache4"] = std::move(identities.ipcache4);
  tables.maps["ipcache6"] = std::move(identities.ipcache6);
  tables.maps["policy"] = std::move(policy.entries);
  tables.maps["prefilter4"] = std::move(prefilter.prefilter4);
  tables.maps["prefilter6"] = std::move(prefilter.prefilter6);
  tables.maps["dns_ports"] = std::move(dns_ports);
  tables.maps["dns_deny"] = std::move(dns_deny);
  tables.maps["http_ports"] = std::move(http_ports);
  tables.services = BuildServices(inputs.state.services);
  tables.identities = std::move(identities.identities);
  tables.rules = std::move(policy.rules);
  tables.warnings = std::move(identities.warnings);
  tables.warnings.insert(tables.warnings.end(), tables.services.warnings.begin(),
                         tables.services.warnings.end());
  return tables;
}

}  // namespace bonsai::tables
