// SPDX-License-Identifier: Apache-2.0
// From what control holds to what a Snapshot shows: sums, names and rows. Reads the kernel, changes
// nothing.
#pragma once

#include <absl/status/statusor.h>

#include <map>
#include <string>
#include <vector>

#include "agent/kernel/bpf_map.h"
#include "agent/plan/load_plan.h"
#include "agent/report/snapshot.h"
#include "agent/settings/settings.h"
#include "agent/tables/table_builder.h"

namespace bonsai::control {

// Sums over all CPUs of the datapath's metrics map; only what is not zero.
absl::StatusOr<std::vector<report::ReasonCount>> ReadReasons(const kernel::BpfMap& metrics);

// The fullest that each counted map was; forgets maps that went.
class EntryPeaks {
 public:
  void Count(const std::string& map, uint64_t entries);
  template <typename Maps>
  void KeepOnly(const Maps& maps) {
    std::erase_if(peaks_, [&](const auto& peak) { return !maps.contains(peak.first); });
  }
  // Into a map that has been counted; leaves others alone.
  void Show(const std::string& name, report::LoadedMap& map) const;

 private:
  struct Peak {
    uint64_t entries = 0;
    report::WallTime since;
  };
  std::map<std::string, Peak> peaks_;
};

// One row a feature that has a toggle, sorted by name. `maps`: what exists.
std::vector<report::FeatureState> Features(const settings::Schema& schema,
                                           const settings::Settings& settings,
                                           const plan::LoadPlan& plan,
                                           const std::map<std::string, report::LoadedMap>& maps);

// Predicted bytes of the plan's maps that were not created, and of the machine code of programs that
// were not loaded. The latter at the bytes an instruction that the loaded programs show; where none
// is loaded, at kTypicalJitBytes.
uint64_t MemorySaved(const plan::LoadPlan& plan,
                     const std::map<std::string, report::LoadedProgram>& programs);
inline constexpr double kTypicalJitBytes = 5.0;  // x86-64, over this datapath with all on

std::vector<report::Endpoint> Endpoints(const tables::Tables& tables,
                                        const std::map<uint32_t, std::string>& device_names);
std::vector<report::ServiceRow> Services(const std::vector<tables::Service>& services);
std::vector<report::PolicyRuleRow> PolicyRules(const tables::Tables& tables);

}  // namespace bonsai::control
