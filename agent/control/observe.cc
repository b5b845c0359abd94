// SPDX-License-Identifier: Apache-2.0
#include "agent/control/observe.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "agent/base/status.h"
#include "agent/plan/feature_cost.h"
#include "agent/report/labels.h"
#include "agent/tables/map_contents.h"
#include "datapath/include/contract.h"

namespace bonsai::control {
namespace {

using plan::IsToggle;

}  // namespace

void EntryPeaks::Count(const std::string& map, uint64_t entries) {
  const auto [peak, is_new] = peaks_.try_emplace(map);
  if (is_new) peak->second.since = std::chrono::system_clock::now();
  peak->second.entries = std::max(peak->second.entries, entries);
}

void EntryPeaks::Show(const std::string& name, report::LoadedMap& map) const {
  const auto peak = peaks_.find(name);
  if (peak == peaks_.end()) return;
  map.peak_entries = peak->second.entries;
  map.counted_since = peak->second.since;
}

absl::StatusOr<std::vector<report::ReasonCount>> ReadReasons(const kernel::BpfMap& metrics) {
  std::vector<report::ReasonCount> counts;
  std::vector<uint8_t> value(metrics.ValueBytes());
  for (uint8_t reason = 0; reason < REASON_COUNT; ++reason) {
    for (uint8_t hook = 0; hook < HOOK_COUNT; ++hook) {
      const uint32_t slot = METRICS_SLOT(reason, hook);
      RETURN_IF_ERROR(metrics.Lookup(&slot, value.data()));
      report::ReasonCount count{.reason = report::ReasonLabel(reason),
                                .hook = report::HookLabel(hook),
                                .is_drop = report::IsDropReason(reason)};
      for (size_t at = 0; at + sizeof(metrics_value) <= value.size(); at += sizeof(metrics_value)) {
        metrics_value one;
        std::memcpy(&one, value.data() + at, sizeof(one));
        count.packets += one.packets;
        count.bytes += one.bytes;
      }
      if (count.packets != 0) counts.push_back(std::move(count));
    }
  }
  return counts;
}

absl::StatusOr<std::vector<uint64_t>> ReadCounters(const kernel::BpfMap& counters) {
  std::vector<uint64_t> sums(counters.info().max_entries);
  std::vector<uint64_t> value(counters.ValueBytes() / sizeof(uint64_t));
  for (uint32_t slot = 0; slot < sums.size(); ++slot) {
    RETURN_IF_ERROR(counters.Lookup(&slot, value.data()));
    sums[slot] = std::accumulate(value.begin(), value.end(), uint64_t{0});
  }
  return sums;
}

std::vector<report::FeatureState> Features(const settings::Schema& schema,
                                           const settings::Settings& settings,
                                           const plan::LoadPlan& plan,
                                           const std::map<std::string, report::LoadedMap>& maps) {
  std::vector<report::FeatureState> features;
  for (const auto& [key, spec] : schema.specs()) {
    if (!IsToggle(spec)) continue;
    report::FeatureState feature{.name = spec.feature, .setting = key, .on = settings.Bool(key),
                                 .doc = spec.doc};
    for (const plan::MapPlan& map : plan.maps) {
      if (map.feature != spec.feature) continue;
      feature.maps.push_back(map.name);
      const auto loaded = maps.find(map.name);
      if (loaded != maps.end()) {
        feature.bytes_loaded += loaded->second.bytes;
      } else if (!map.create) {
        feature.bytes_saved += map.bytes;
      }
    }
    features.push_back(std::move(feature));
  }
  return features;
}

uint64_t MapsSaved(const plan::LoadPlan& plan) {
  uint64_t saved = 0;
  for (const plan::MapPlan& map : plan.maps) saved += map.create ? 0 : map.bytes;
  return saved;
}

void JitedBytes::Take(const Programs& programs) {
  double jited = 0, translated = 0;
  for (const auto& [name, program] : programs) {
    seen_[name] = program.info.jited_bytes;
    jited += program.info.jited_bytes;
    translated += program.info.xlated_bytes / 8.0;
  }
  if (!per_insn_ && translated > 0) per_insn_ = jited / translated;
}

uint64_t JitedBytes::Of(const std::string& program, uint32_t slots) const {
  const auto known = seen_.find(program);
  if (known != seen_.end()) return known->second;
  return static_cast<uint64_t>(per_insn_.value_or(plan::kJitBytesPerInstruction) * slots);
}

uint64_t ProgramsSaved(const plan::LoadPlan& plan, const JitedBytes& jited) {
  uint64_t saved = 0;
  for (const plan::ProgramPlan& program : plan.programs) {
    if (!program.load) saved += jited.Of(program.object + "/" + program.name, program.slots);
  }
  return saved;
}

std::vector<report::Endpoint> Endpoints(const tables::Tables& tables,
                                        const std::map<uint32_t, std::string>& device_names) {
  std::vector<report::Endpoint> rows;
  for (const tables::EndpointInfo& info : tables.endpoints) {
    const auto device = device_names.find(info.ifindex);
    rows.push_back({.pod = info.namespace_name + "/" + info.name,
                    .addresses = info.addresses,
                    .endpoint_id = info.endpoint_id,
                    .identity = info.identity,
                    .device = device == device_names.end() ? "" : device->second,
                    .enforce_ingress = (info.flags & ENDPOINT_ENFORCE_INGRESS) != 0,
                    .enforce_egress = (info.flags & ENDPOINT_ENFORCE_EGRESS) != 0});
  }
  return rows;
}

std::vector<report::ServiceRow> Services(const std::vector<tables::Service>& services) {
  std::vector<report::ServiceRow> rows;
  for (const tables::Service& service : services) {
    const std::string name = service.namespace_name + "/" + service.name;
    for (const tables::ServicePort& port : service.ports) {
      for (const tables::Address& address : service.addresses) {
        report::ServiceRow row{.service = name + ":" + (port.name.empty() ? std::to_string(port.port)
                                                                           : port.name),
                               .address = address,
                               .port = port.port,
                               .protocol = port.protocol};
        for (const auto& backend : port.backends) {
          if (backend.first.family == address.family) row.backends.push_back(backend);
        }
        rows.push_back(std::move(row));
      }
    }
  }
  return rows;
}

std::vector<report::PolicyRuleRow> PolicyRules(const tables::Tables& tables) {
  std::map<uint32_t, uint32_t> entries;
  const auto policy = tables.maps.find("policy");
  if (policy != tables.maps.end()) {
    for (const auto& [key, value] : policy->second) {
      ++entries[tables::FromBytes<policy_value>(value).rule];
    }
  }
  std::vector<report::PolicyRuleRow> rows;
  for (const tables::RuleInfo& rule : tables.rules) {
    rows.push_back({.rule = rule.id,
                    .policy = rule.policy_namespace + "/" + rule.policy_name,
                    .direction = rule.direction == POLICY_INGRESS ? "ingress" : "egress",
                    .description = rule.description,
                    .entries = entries[rule.id]});
  }
  return rows;
}

}  // namespace bonsai::control
