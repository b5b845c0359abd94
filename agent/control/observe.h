// SPDX-License-Identifier: Apache-2.0
// From what control holds to what a Snapshot shows: sums, names and rows. Reads the kernel, changes
// nothing.
#pragma once

#include <absl/status/statusor.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/kernel/bpf_map.h"
#include "agent/load/loaded.h"
#include "agent/plan/load_plan.h"
#include "agent/report/snapshot.h"
#include "agent/settings/settings.h"
#include "agent/tables/table_builder.h"

namespace bonsai::control {

// Sums over all CPUs of the datapath's metrics map; only what is not zero.
absl::StatusOr<std::vector<report::ReasonCount>> ReadReasons(const kernel::BpfMap& metrics);

// Sums over all CPUs of a per-CPU array of 64-bit counters, slot by slot.
absl::StatusOr<std::vector<uint64_t>> ReadCounters(const kernel::BpfMap& counters);

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

// Predicted bytes of the plan's maps that were not created.
uint64_t MapsSaved(const plan::LoadPlan& plan);

// How much machine code a program is: as it was when it was last loaded; of one that never was, by the
// bytes an instruction of the first generation seen, so that a guess stays the same guess.
class JitedBytes {
 public:
  using Programs = std::map<std::string, load::LoadedProgram>;  // by "object/program"
  void Take(const Programs& programs);
  uint64_t Of(const std::string& program, uint32_t slots) const;

 private:
  std::map<std::string, uint64_t> seen_;
  std::optional<double> per_insn_;
};

// Bytes of machine code of the plan's programs that were not loaded.
uint64_t ProgramsSaved(const plan::LoadPlan& plan, const JitedBytes& jited);

std::vector<report::Endpoint> Endpoints(const tables::Tables& tables,
                                        const std::map<uint32_t, std::string>& device_names);
std::vector<report::ServiceRow> Services(const std::vector<tables::Service>& services);
std::vector<report::PolicyRuleRow> PolicyRules(const tables::Tables& tables);

}  // namespace bonsai::control
