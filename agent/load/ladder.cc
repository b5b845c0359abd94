// SPDX-License-Identifier: Apache-2.0
#include "agent/load/ladder.h"

#include <algorithm>

#include "agent/base/status.h"
#include "agent/kernel/bpf_object.h"
#include "agent/load/image.h"

namespace bonsai::load {
namespace {

bool IsSection(const std::string& name) { return name.rfind('.', 0) == 0; }

// libbpf names a data section's map after the section, with the object's name before it or not.
bool NamesMap(const std::string& reported, const std::string& name) {
  return reported == name || (IsSection(name) && reported.ends_with(name));
}

bool IsAbout(const Retry& retry, const std::string& name) {
  return retry.kind == Retry::Kind::kEverything || retry.name == name;
}

void KeepMaps(const Retry& retry, plan::ObjectPlan& object, plan::LoadPlan& plan) {
  if (retry.kind == Retry::Kind::kFunction) return;
  for (const std::string& skipped : object.skip_maps) {
    if (!IsAbout(retry, skipped)) continue;
    const std::string name = IsSection(skipped) ? object.name + skipped : skipped;
    for (plan::MapPlan& map : plan.maps) {
      if (map.name != name || map.create) continue;
      map.create = true;
      map.reason = "kept although nothing should reach it: the verifier walked into it in " +
                   object.name;
    }
  }
  std::erase_if(object.skip_maps, [&](const std::string& name) { return IsAbout(retry, name); });
}

void KeepFunctions(const Retry& retry, plan::ObjectPlan& object) {
  if (retry.kind == Retry::Kind::kMap) return;
  std::erase_if(object.neutralised, [&](const plan::NeutralisedFunction& function) {
    return IsAbout(retry, function.name);
  });
}

}  // namespace

std::string ToString(const Retry& retry) {
  std::string what = "everything";
  if (retry.kind == Retry::Kind::kMap) what = "map " + retry.name;
  if (retry.kind == Retry::Kind::kFunction) what = "function " + retry.name;
  return fmt::format("object {}: {} was kept although nothing should reach it: {}", retry.object,
                     what, retry.detail);
}

Ladder::Ladder(const plan::ObjectPlan& object)
    : object_(object), maps_(object.skip_maps.begin(), object.skip_maps.end()) {
  for (uint32_t i = 0; i < object.neutralised.size(); ++i) functions_.insert(i);
}

std::optional<Retry> Ladder::FindCulprit(const std::string& log) const {
  if (const std::optional<uint32_t> mark = CutCallIn(log)) {
    if (!functions_.contains(*mark)) return std::nullopt;
    return Retry{.kind = Retry::Kind::kFunction, .object = object_.name,
                 .name = object_.neutralised[*mark].name, .detail = kernel::LastVerifierLine(log)};
  }
  const std::optional<std::string> missing = kernel::MissingMap(log);
  if (!missing) return std::nullopt;
  const auto at = std::find_if(maps_.begin(), maps_.end(), [&](const std::string& name) {
    return NamesMap(*missing, name);
  });
  if (at == maps_.end()) return std::nullopt;
  return Retry{.kind = Retry::Kind::kMap, .object = object_.name, .name = *at,
               .detail = kernel::LastVerifierLine(log)};
}

std::optional<Retry> Ladder::Climb(const absl::Status& refusal) {
  std::optional<Retry> retry = FindCulprit(base::VerifierLog(refusal));
  if (!retry) return std::nullopt;
  if (++steps_ > kSingleSteps) {
    retry->kind = Retry::Kind::kEverything;
    retry->name.clear();
    maps_.clear();
    functions_.clear();
  } else if (retry->kind == Retry::Kind::kMap) {
    maps_.erase(retry->name);
  } else {
    std::erase_if(functions_, [&](uint32_t f) { return object_.neutralised[f].name == retry->name; });
  }
  return retry;
}

plan::LoadPlan CarriedOut(plan::LoadPlan plan, const std::vector<Retry>& retries) {
  for (const Retry& retry : retries) {
    for (plan::ObjectPlan& object : plan.objects) {
      if (object.name != retry.object) continue;
      KeepMaps(retry, object, plan);
      KeepFunctions(retry, object);
    }
  }
  return plan;
}

}  // namespace bonsai::load
