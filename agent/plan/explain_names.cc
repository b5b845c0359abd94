// SPDX-License-Identifier: Apache-2.0
#include "agent/plan/explain_names.h"

#include <algorithm>
#include <map>
#include <set>

#include "agent/base/status.h"
#include "agent/settings/nearest.h"
#include "agent/settings/text.h"

namespace bonsai::plan {
namespace {

using object::ObjectSpec;
using reachability::ThingKind;

constexpr size_t kLongestName = 128;  // keeps hostile names cheap

// By bare name.
using Spots = std::map<std::string, std::vector<Spot>>;

template <typename T>
void AddAll(size_t object, ThingKind kind, const std::vector<T>& items, Spots& spots) {
  for (uint32_t i = 0; i < items.size(); ++i) {
    spots[items[i].name].push_back({.object = object, .thing = {kind, i}});
  }
}

Spots SpotsOf(const Inputs& inputs, Subject subject) {
  Spots spots;
  for (size_t i = 0; i < inputs.objects->size(); ++i) {
    const ObjectSpec& spec = (*inputs.objects)[i];
    if (subject == Subject::kProgram) AddAll(i, ThingKind::kProgram, spec.programs, spots);
    if (subject == Subject::kFunction) AddAll(i, ThingKind::kFunction, spec.functions, spots);
    if (subject != Subject::kMap) continue;
    AddAll(i, ThingKind::kMap, spec.maps, spots);
    for (uint32_t s = 0; s < spec.data_sections.size(); ++s) {
      spots[spec.name + spec.data_sections[s].name].push_back({.object = i, .section = s});
    }
  }
  return spots;
}

// Maps of one name are one map; programs and functions of one name are several.
bool Apart(Subject subject, const std::vector<Spot>& spots) {
  return subject != Subject::kMap && spots.size() > 1;
}

std::string FullName(const Inputs& inputs, const Spot& spot, const std::string& name) {
  return (*inputs.objects)[spot.object].name + "/" + name;
}

absl::Status Unknown(Subject subject, const std::string& name,
                     const std::vector<std::string>& known) {
  size_t best = SIZE_MAX;
  std::string nearest;
  for (const std::string& candidate : known) {
    const size_t distance = settings::EditDistance(name.substr(0, kLongestName),
                                                   candidate.substr(0, kLongestName));
    if (distance >= best) continue;
    best = distance;
    nearest = candidate;
  }
  return base::NotFound("explaining {} {}: there is none of that name; {}", SubjectName(subject),
                        settings::Quote(name),
                        nearest.empty() ? "there is none at all" : "the nearest is " + nearest);
}

}  // namespace

const char* SubjectName(Subject subject) {
  switch (subject) {
    case Subject::kMap: return "map";
    case Subject::kProgram: return "program";
    case Subject::kFunction: return "function";
    case Subject::kSetting: return "setting";
  }
  return "";
}

std::vector<std::string> NamesOf(const Inputs& inputs, Subject subject) {
  std::vector<std::string> names;
  if (subject == Subject::kSetting) {
    for (const auto& [key, spec] : inputs.schema->specs()) names.push_back(key);
    return names;
  }
  for (const auto& [name, spots] : SpotsOf(inputs, subject)) {
    if (!Apart(subject, spots)) names.push_back(name);
    for (const Spot& spot : spots) {
      if (Apart(subject, spots)) names.push_back(FullName(inputs, spot, name));
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

absl::StatusOr<Found> FindThing(const Inputs& inputs, Subject subject, const std::string& name) {
  const Spots all = SpotsOf(inputs, subject);
  if (const auto found = all.find(name); found != all.end()) {
    return Found{.name = name, .spots = found->second};
  }
  for (const auto& [bare, spots] : all) {
    for (const Spot& spot : spots) {
      if (subject == Subject::kMap || FullName(inputs, spot, bare) != name) continue;
      return Found{.name = Apart(subject, spots) ? name : bare, .spots = {spot}};
    }
  }
  return Unknown(subject, name, NamesOf(inputs, subject));
}

absl::StatusOr<const settings::SettingSpec*> FindSetting(const Inputs& inputs,
                                                         const std::string& name) {
  std::string key = name;
  std::replace(key.begin(), key.end(), '_', '-');
  const settings::SettingSpec* spec = inputs.schema->Find(key);
  if (spec != nullptr) return spec;
  return Unknown(Subject::kSetting, name, NamesOf(inputs, Subject::kSetting));
}

}  // namespace bonsai::plan
