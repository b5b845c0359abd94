// SPDX-License-Identifier: Apache-2.0
#include "agent/plan/world.h"

#include "agent/base/status.h"
#include "agent/reachability/liveness.h"

namespace bonsai::plan {
namespace {

// Of one object; that of `near` where nothing differs that it depends on.
absl::StatusOr<reachability::Liveness> LivenessOf(const object::ObjectSpec& spec,
                                                  const constants::ConstantSet& set,
                                                  Reasons reasons, const AnalyzedObject* near,
                                                  const Cancelled& cancelled) {
  if (near != nullptr && near->constants.sections == set.sections) return near->liveness;
  if (cancelled && cancelled()) return absl::CancelledError("analysing: nobody waits for it any more");
  ASSIGN_OR_RETURN(reachability::Liveness liveness, reachability::Analyze(spec, set));
  if (reasons == Reasons::kExplained) reachability::Explain(spec, set, liveness);
  return liveness;
}

}  // namespace

absl::StatusOr<World> MakeWorld(const Inputs& inputs, const settings::Settings& settings,
                                Reasons reasons, const World* near, const Cancelled& cancelled) {
  World world{.settings = settings};
  for (size_t i = 0; i < inputs.objects->size(); ++i) {
    const object::ObjectSpec& spec = (*inputs.objects)[i];
    ASSIGN_OR_RETURN(constants::ConstantSet set,
                     constants::Resolve(settings, inputs.node, spec));
    const AnalyzedObject* known = near == nullptr ? nullptr : &near->objects[i];
    ASSIGN_OR_RETURN(reachability::Liveness liveness,
                     LivenessOf(spec, set, reasons, known, cancelled));
    world.objects.push_back({&spec, std::move(set), std::move(liveness)});
  }
  ASSIGN_OR_RETURN(world.plan, Make(world.objects, settings, inputs.costs));
  return world;
}

Things ThingsIn(const World& world) {
  Things things;
  for (const MapPlan& map : world.plan.maps) {
    if (map.create) things.maps.insert(map.name);
  }
  for (const AnalyzedObject& object : world.objects) {
    const std::string prefix = object.spec->name + "/";
    for (uint32_t p = 0; p < object.spec->programs.size(); ++p) {
      const std::string& name = object.spec->programs[p].name;
      const ProgramPlan* plan = world.plan.FindProgram(object.spec->name, name);
      if (plan == nullptr || !plan->load) continue;
      things.programs.insert(prefix + name);
      for (const uint32_t function : object.liveness.programs[p].functions) {
        things.functions.insert(prefix + object.spec->functions[function].name);
      }
    }
  }
  return things;
}

}  // namespace bonsai::plan
