// SPDX-License-Identifier: Apache-2.0
// Network policies -> contents of the policy map, and the rules that its entries point to.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "agent/tables/desired_state.h"
#include "agent/tables/identity.h"
#include "agent/tables/map_contents.h"
#include "agent/tables/stable_ids.h"
#include "datapath/include/contract.h"

namespace bonsai::tables {

// One ingress or egress rule of one policy. Its id stays while policy, direction and index do.
struct RuleInfo {
  uint32_t id = 0;  // never 0; what policy_value.rule, ct_entry.rule and flow_event.rule say
  std::string policy_namespace, policy_name;
  policy_direction direction = POLICY_EGRESS;
  uint32_t index = 0;       // within the policy's ingress or egress list
  std::string description;  // "from default app=web, 10.0.0.0/8 except 10.1.0.0/16 to TCP/80"
};

// A pod of this node as far as policies look at it.
struct PolicySubject {
  uint32_t endpoint_id = 0;
  const Pod* pod = nullptr;  // borrowed for the call
};

struct PolicyTable {
  MapContents entries;          // policy_key -> policy_value
  std::vector<uint32_t> flags;  // enum endpoint_flags, one for each subject, in their order
  std::vector<RuleInfo> rules;  // of all policies, by namespace, name, direction, index
};

// Numbers the rules and expands them. Not thread-safe.
class PolicyCompiler {
 public:
  PolicyCompiler();
  // ResourceExhausted when there are more rules than numbers; nothing changes then.
  absl::StatusOr<PolicyTable> Compile(const std::vector<NetworkPolicy>& policies,
                                      const std::vector<Identity>& identities,
                                      const std::vector<PolicySubject>& subjects);

 private:
  StableIds rule_ids_;
};

// What a rule allows, in one line.
std::string Describe(const PolicyRule& rule, policy_direction direction,
                     const std::string& policy_namespace);

}  // namespace bonsai::tables
