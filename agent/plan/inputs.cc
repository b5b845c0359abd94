// SPDX-License-Identifier: Apache-2.0
#include "agent/plan/inputs.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "agent/base/status.h"
#include "agent/kernel/bpf_map.h"
#include "agent/kernel/node_facts.h"
#include "agent/reachability/liveness.h"

namespace bonsai::plan {
namespace {

constexpr char kSuffix[] = ".bpf.o";

absl::StatusOr<std::vector<std::string>> ObjectFiles(const std::string& directory) {
  std::vector<std::string> paths;
  std::error_code error;
  std::filesystem::directory_iterator file(directory, error);
  for (const std::filesystem::directory_iterator end; !error && file != end;
       file.increment(error)) {
    std::string path = file->path().string();
    if (path.ends_with(kSuffix)) paths.push_back(std::move(path));
  }
  if (error) return base::NotFound("reading objects in {}: {}", directory, error.message());
  if (paths.empty()) return base::NotFound("reading objects in {}: no *{} there", directory, kSuffix);
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace

absl::StatusOr<settings::Schema> MakeSchema(const std::vector<object::ObjectSpec>& objects) {
  ASSIGN_OR_RETURN(std::vector<settings::SettingSpec> specs, object::SettingSpecs(objects));
  const std::vector<settings::SettingSpec>& own = settings::AgentSettings();
  specs.insert(specs.end(), own.begin(), own.end());
  return settings::Schema::Make(std::move(specs));
}

CostFacts GatherCostFacts() {
  CostFacts facts;
  facts.possible_cpus = kernel::PossibleCpus().value_or(1);
  facts.page_size = static_cast<uint32_t>(sysconf(_SC_PAGESIZE));
  const absl::StatusOr<kernel::MapCosts> measured = kernel::MeasureMapCosts();
  facts.measured = measured.ok();
  if (measured.ok()) facts.costs = *measured;
  return facts;
}

absl::StatusOr<Inputs> ReadInputs(const std::string& directory) {
  ASSIGN_OR_RETURN(const std::vector<std::string> paths, ObjectFiles(directory));
  std::vector<object::ObjectSpec> objects;
  for (const std::string& path : paths) {
    ASSIGN_OR_RETURN(object::ObjectSpec object, object::Read(path));
    objects.push_back(std::move(object));
  }
  ASSIGN_OR_RETURN(settings::Schema schema, MakeSchema(objects));
  Inputs inputs{.costs = GatherCostFacts()};
  const absl::StatusOr<kernel::NodeFacts> node = kernel::GatherNodeFacts();
  if (node.ok()) inputs.node = {{"kernel_hz", node->kernel_hz}};
  inputs.objects = std::make_shared<const std::vector<object::ObjectSpec>>(std::move(objects));
  inputs.schema = std::make_shared<const settings::Schema>(std::move(schema));
  return inputs;
}

absl::StatusOr<LoadPlan> MakeFor(const Inputs& inputs, const settings::Settings& settings,
                                 Reasons reasons, const Cancelled& cancelled) {
  std::vector<AnalyzedObject> analyzed;
  for (const object::ObjectSpec& spec : *inputs.objects) {
    if (cancelled && cancelled()) return absl::CancelledError("planning: nobody waits for it");
    ASSIGN_OR_RETURN(constants::ConstantSet set, constants::Resolve(settings, inputs.node, spec));
    ASSIGN_OR_RETURN(reachability::Liveness liveness, reachability::Analyze(spec, set));
    if (reasons == Reasons::kExplained) reachability::Explain(spec, set, liveness);
    analyzed.push_back({&spec, std::move(set), std::move(liveness)});
  }
  return Make(analyzed, settings, inputs.costs);
}

}  // namespace bonsai::plan
