// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <tuple>

#include "agent/base/status.h"
#include "agent/report/labels.h"
#include "agent/report/summary.h"
#include "agent/report/to_proto.h"
#include "agent/settings/value.h"

namespace bonsai::report {
namespace {

v1::LoadState ToState(bool loaded) {
  return loaded ? v1::LOAD_STATE_LOADED : v1::LOAD_STATE_PRUNED;
}

template <typename From, typename To>
void CopyStrings(const From& from, To* to) {
  for (const auto& text : from) to->Add(std::string(text));
}

template <typename Row, typename Less>
std::vector<const Row*> Sorted(const std::vector<Row>& rows, Less less) {
  std::vector<const Row*> sorted;
  for (const Row& row : rows) sorted.push_back(&row);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](const Row* a, const Row* b) { return less(*a, *b); });
  return sorted;
}

void FillMap(const plan::MapPlan& map, const Snapshot& snapshot, v1::Map& row) {
  auto loaded = snapshot.maps.find(map.name);
  const bool exists = loaded != snapshot.maps.end();
  row.set_name(map.name);
  row.set_feature(map.feature);
  row.set_type(MapTypeLabel(map.type));
  row.set_state(ToState(exists));
  row.set_reason(map.reason);
  row.set_key_bytes(map.key_size);
  row.set_value_bytes(map.value_size);
  row.set_max_entries(map.max_entries);
  row.set_sized_by(map.sized_by);
  row.set_bytes(BytesOf(map, snapshot));
  row.set_predicted_bytes(map.bytes);
  if (!exists) return;
  row.set_id(loaded->second.id);
  row.set_entries_known(loaded->second.entries_known);
  if (!loaded->second.entries_known) return;
  row.set_entries(loaded->second.entries);
  row.set_peak_entries(loaded->second.peak_entries);
}

void FillAttachments(uint32_t program_id, const Snapshot& snapshot, v1::Program& row) {
  for (const Attachment& attachment : snapshot.attachments) {
    if (attachment.program_id != program_id) continue;
    auto& place = *row.add_attachments();
    place.set_device(attachment.device);
    place.set_ifindex(attachment.ifindex);
    place.set_hook(attachment.hook);
    place.set_mode(attachment.mode);
  }
}

void FillProgram(const plan::ProgramPlan& program, const Snapshot& snapshot, v1::Program& row) {
  auto loaded = snapshot.programs.find(program.object + "/" + program.name);
  const bool exists = loaded != snapshot.programs.end();
  row.set_object(program.object);
  row.set_name(program.name);
  row.set_tail_call(program.is_tail);
  row.set_tail_map(program.tail_map);
  row.set_tail_slot(program.tail_slot);
  row.set_state(ToState(exists));
  row.set_reason(program.reason);
  row.set_instructions(program.slots);
  row.set_live_instructions(program.live_slots);
  CopyStrings(program.maps, row.mutable_maps());
  if (!exists) return;
  row.set_id(loaded->second.id);
  row.set_translated_instructions(loaded->second.translated_insns);
  row.set_verified_instructions(loaded->second.verified_insns);
  row.set_jited_bytes(loaded->second.jited_bytes);
  row.set_memory_bytes(loaded->second.memlock_bytes);
  FillAttachments(loaded->second.id, snapshot, row);
}

}  // namespace

v1::ListFeaturesResponse ToFeatures(const Snapshot& snapshot) {
  v1::ListFeaturesResponse response;
  for (const FeatureState& feature : snapshot.features) {
    auto& row = *response.add_features();
    row.set_name(feature.name);
    row.set_setting(feature.setting);
    row.set_on(feature.on);
    row.set_degraded(feature.degraded);
    row.set_doc(feature.doc);
    CopyStrings(feature.maps, row.mutable_maps());
    row.set_loaded_bytes(feature.bytes_loaded);
    row.set_saved_bytes(feature.bytes_saved);
  }
  return response;
}

v1::ListMapsResponse ToMaps(const Snapshot& snapshot) {
  v1::ListMapsResponse response;
  if (!snapshot.plan) return response;
  for (const plan::MapPlan& map : snapshot.plan->maps) FillMap(map, snapshot, *response.add_maps());
  return response;
}

v1::ListProgramsResponse ToPrograms(const Snapshot& snapshot) {
  v1::ListProgramsResponse response;
  if (!snapshot.plan) return response;
  for (const plan::ProgramPlan& program : snapshot.plan->programs) {
    FillProgram(program, snapshot, *response.add_programs());
  }
  return response;
}

v1::ListConstantsResponse ToConstants(const Snapshot& snapshot) {
  v1::ListConstantsResponse response;
  if (!snapshot.plan) return response;
  for (const plan::ObjectPlan& object : snapshot.plan->objects) {
    for (const constants::NamedValue& value : object.constants.values) {
      auto& row = *response.add_constants();
      row.set_object(object.name);
      row.set_name(value.name);
      row.set_value(value.value);
      row.set_feature(value.feature);
      row.set_origin(value.origin);
      row.set_is_default(value.is_default);
    }
  }
  return response;
}

v1::GetConfigResponse ToConfig(const Snapshot& snapshot) {
  v1::GetConfigResponse response;
  response.set_generation(snapshot.configuration.generation);
  response.set_source(snapshot.configuration.source);
  if (!snapshot.settings || !snapshot.schema) return response;
  for (const auto& [key, spec] : snapshot.schema->specs()) {
    *response.add_settings() = ToSetting(spec, *snapshot.settings);
  }
  return response;
}

v1::Setting ToSetting(const settings::SettingSpec& spec, const settings::Settings& settings) {
  v1::Setting row;
  row.set_key(spec.key);
  auto value = settings.values().find(spec.key);
  const bool known = value != settings.values().end();
  row.set_value(settings::Format(known ? value->second : spec.default_value));
  row.set_default_value(settings::Format(spec.default_value));
  row.set_is_given(!settings.IsDefault(spec.key));
  row.set_feature(spec.feature);
  row.set_allowed(settings::Allowed(spec));
  CopyStrings(spec.requires_keys, row.mutable_required_keys());
  row.set_doc(spec.doc);
  return row;
}

v1::ListEndpointsResponse ToEndpoints(const Snapshot& snapshot) {
  v1::ListEndpointsResponse response;
  const auto by_pod = [](const Endpoint& a, const Endpoint& b) { return a.pod < b.pod; };
  for (const Endpoint* endpoint : Sorted(snapshot.endpoints, by_pod)) {
    auto& row = *response.add_endpoints();
    row.set_pod(endpoint->pod);
    for (const tables::Address& address : endpoint->addresses) {
      row.add_addresses(tables::ToString(address));
    }
    row.set_endpoint_id(endpoint->endpoint_id);
    row.set_identity(endpoint->identity);
    row.set_device(endpoint->device);
    row.set_enforce_ingress(endpoint->enforce_ingress);
    row.set_enforce_egress(endpoint->enforce_egress);
  }
  return response;
}

v1::ListServicesResponse ToServices(const Snapshot& snapshot) {
  v1::ListServicesResponse response;
  const auto by_name = [](const ServiceRow& a, const ServiceRow& b) {
    return std::tie(a.service, a.address) < std::tie(b.service, b.address);
  };
  for (const ServiceRow* service : Sorted(snapshot.services, by_name)) {
    auto& row = *response.add_services();
    row.set_service(service->service);
    row.set_address(tables::ToString(service->address));
    row.set_port(service->port);
    row.set_protocol(ProtocolLabel(service->protocol));
    for (const auto& [address, port] : service->backends) {
      auto& backend = *row.add_backends();
      backend.set_address(tables::ToString(address));
      backend.set_port(port);
    }
  }
  return response;
}

v1::ListPoliciesResponse ToPolicies(const Snapshot& snapshot) {
  v1::ListPoliciesResponse response;
  response.set_policies(snapshot.policies);
  const auto by_id = [](const PolicyRuleRow& a, const PolicyRuleRow& b) { return a.rule < b.rule; };
  for (const PolicyRuleRow* rule : Sorted(snapshot.policy_rules, by_id)) {
    auto& row = *response.add_rules();
    row.set_id(rule->rule);
    row.set_policy(rule->policy);
    row.set_direction(rule->direction);
    row.set_description(rule->description);
    row.set_entries(rule->entries);
  }
  return response;
}

}  // namespace bonsai::report
