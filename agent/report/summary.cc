// SPDX-License-Identifier: Apache-2.0
#include "agent/report/summary.h"

#include <algorithm>
#include <set>

namespace bonsai::report {

DatapathSummary SummarizeDatapath(const Snapshot& snapshot) {
  DatapathSummary summary;
  if (!snapshot.plan) return summary;
  for (const plan::ProgramPlan& program : snapshot.plan->programs) {
    if (program.by_agent) continue;
    const bool loaded = snapshot.programs.contains(program.object + "/" + program.name);
    (program.is_tail ? summary.tails_total : summary.entries_total) += 1;
    if (loaded) (program.is_tail ? summary.tails_loaded : summary.entries_loaded) += 1;
  }
  for (const plan::ObjectPlan& object : snapshot.plan->objects) {
    summary.total_insns += object.total_insns;
    if (object.needed) summary.live_insns += object.live_insns;
    for (const plan::NeutralisedFunction& function : object.neutralised) {
      summary.neutralised += function.everywhere;
    }
  }
  return summary;
}

std::vector<Pressure> Pressures(const Snapshot& snapshot) {
  std::vector<Pressure> pressures;
  if (!snapshot.plan) return pressures;
  for (const plan::MapPlan& map : snapshot.plan->maps) {
    auto loaded = snapshot.maps.find(map.name);
    if (loaded == snapshot.maps.end() || !loaded->second.entries_known) continue;
    Pressure pressure{.map = map.name,
                      .entries = loaded->second.entries,
                      .max_entries = map.max_entries};
    if (map.max_entries > 0) {
      pressure.ratio = static_cast<double>(pressure.entries) / map.max_entries;
    }
    pressures.push_back(std::move(pressure));
  }
  std::stable_sort(pressures.begin(), pressures.end(),
                   [](const Pressure& a, const Pressure& b) { return a.ratio > b.ratio; });
  return pressures;
}

std::vector<plan::SizingAdvice> SizingAdvices(const Snapshot& snapshot) {
  if (!snapshot.plan || !snapshot.inputs) return {};
  std::map<std::string, plan::MapPeak> peaks;
  for (const auto& [name, map] : snapshot.maps) {
    if (!map.entries_known) continue;
    const std::chrono::duration<double> watched = snapshot.taken - map.counted_since;
    peaks[name] = {.entries = map.peak_entries, .watched_seconds = watched.count(),
                   .bytes = map.bytes};
  }
  return plan::AdviseSizes(*snapshot.inputs->schema, *snapshot.plan, peaks,
                           snapshot.inputs->costs);
}

uint32_t CountServices(const Snapshot& snapshot) {
  std::set<std::string> names;
  for (const ServiceRow& row : snapshot.services) {
    names.insert(row.service.substr(0, row.service.rfind(':')));
  }
  return static_cast<uint32_t>(names.size());
}

uint64_t BytesOf(const plan::MapPlan& map, const Snapshot& snapshot) {
  auto loaded = snapshot.maps.find(map.name);
  return loaded == snapshot.maps.end() ? map.bytes : loaded->second.bytes;
}

}  // namespace bonsai::report
