// SPDX-License-Identifier: Apache-2.0
#include "agent/plan/explain_remedies.h"

#include <algorithm>
#include <tuple>

#include "agent/base/status.h"
#include "agent/reachability/what_if.h"

namespace bonsai::plan {
namespace {

using settings::RawSettings;
using settings::SettingSpec;

constexpr int kMostPasses = 4;  // of leaving settings out of a combination

class Search {
 public:
  Search(Trials& trials, const settings::Schema& schema, Subject subject, const Found& found,
         bool exists)
      : trials_(trials), schema_(schema), subject_(subject), found_(found), exists_(exists) {}

  absl::StatusOr<Remedies> Run() {
    Remedies remedies;
    for (const auto& [key, spec] : schema_.specs()) {
      // The size of a map never says whether it is there.
      if (spec.target != settings::Target::kConstant) continue;
      for (const std::string& value : trials_.ValuesOf(spec)) {
        ASSIGN_OR_RETURN(std::optional<Effect> effect, Try({{key, value}}));
        if (!effect) continue;
        remedies.alone.push_back(*std::move(effect));
        break;  // one value of a setting is enough
      }
    }
    std::stable_sort(remedies.alone.begin(), remedies.alone.end(), Before);
    DropSupersets(remedies.alone);
    if (!remedies.alone.empty()) return remedies;
    ASSIGN_OR_RETURN(remedies.together, Together());
    return remedies;
  }

 private:
  static bool Before(const Effect& a, const Effect& b) {
    const auto size = [](const Effect& effect) {
      const auto of = [](const Things& t) {
        return t.maps.size() + t.programs.size() + t.functions.size();
      };
      return std::tuple(effect.changes.size(), of(effect.come) + of(effect.gone));
    };
    return size(a) < size(b);
  }

  // Fewest changes stand first.
  static void DropSupersets(std::vector<Effect>& effects) {
    std::vector<Effect> kept;
    for (Effect& effect : effects) {
      const auto more = [&](const Effect& other) {
        return std::all_of(other.changes.begin(), other.changes.end(), [&](const auto& change) {
          return std::find(effect.changes.begin(), effect.changes.end(), change) !=
                 effect.changes.end();
        });
      };
      if (std::none_of(kept.begin(), kept.end(), more)) kept.push_back(std::move(effect));
    }
    effects = std::move(kept);
  }

  // The effect of changes under which the thing comes or goes; nullopt: it stays as it is, or they
  // cannot stand.
  absl::StatusOr<std::optional<Effect>> Try(const RawSettings& changes) {
    const absl::StatusOr<World> world = trials_.With(changes);
    if (absl::IsInvalidArgument(world.status())) return std::optional<Effect>();
    RETURN_IF_ERROR(world.status());
    if (ExistsIn(ThingsIn(*world)) == exists_) return std::optional<Effect>();
    return std::optional<Effect>(trials_.EffectOf(*world));
  }

  bool ExistsIn(const Things& things) const {
    if (subject_ == Subject::kMap) return things.maps.contains(found_.name);
    const auto& names = subject_ == Subject::kProgram ? things.programs : things.functions;
    return std::any_of(found_.spots.begin(), found_.spots.end(), [&](const Spot& spot) {
      const object::ObjectSpec& spec = *trials_.base().objects[spot.object].spec;
      return names.contains(spec.name + "/" + reachability::NameOf(spec, spot.thing));
    });
  }

  // Starts from what the engine finds for one object, else from all switches the other way, and
  // leaves out what is not needed.
  absl::StatusOr<std::optional<Effect>> Together() {
    for (const Spot& spot : found_.spots) {
      if (exists_ || spot.section) continue;
      ASSIGN_OR_RETURN(const RawSettings changes, FromEngine(spot));
      if (changes.empty()) continue;
      ASSIGN_OR_RETURN(std::optional<Effect> effect, Try(changes));
      if (effect) return Least(*std::move(effect));
    }
    RawSettings switches;
    for (const auto& [key, spec] : schema_.specs()) {
      const bool toggle = spec.target == settings::Target::kConstant &&
                          spec.kind == settings::Kind::kBool;
      if (toggle && trials_.base().settings.Bool(key) == exists_) {
        switches[key] = exists_ ? "false" : "true";
      }
    }
    ASSIGN_OR_RETURN(std::optional<Effect> effect, Try(switches));
    if (effect) return Least(*std::move(effect));
    return std::optional<Effect>();
  }

  absl::StatusOr<RawSettings> FromEngine(const Spot& spot) {
    const AnalyzedObject& object = trials_.base().objects[spot.object];
    ASSIGN_OR_RETURN(const reachability::Combination combination,
                     reachability::Bring(*object.spec, object.constants, spot.thing));
    RawSettings changes;
    for (const reachability::Change& change : combination.changes) {
      for (const auto& [key, spec] : schema_.specs()) {
        if (spec.constant == change.name) changes[key] = change.to;
      }
    }
    return changes;
  }

  // Without the changes that make no difference to the thing.
  absl::StatusOr<std::optional<Effect>> Least(Effect effect) {
    for (int pass = 0; pass < kMostPasses; ++pass) {
      const size_t before = effect.changes.size();
      for (size_t i = 0; i < effect.changes.size();) {
        RawSettings changes;
        for (size_t j = 0; j < effect.changes.size(); ++j) {
          if (j != i) changes[effect.changes[j].key] = effect.changes[j].to;
        }
        ASSIGN_OR_RETURN(std::optional<Effect> without, Try(changes));
        const bool less = without && without->changes.size() < effect.changes.size();
        if (less) effect = *std::move(without);
        if (!less) ++i;
      }
      if (effect.changes.size() == before) break;
    }
    return std::optional<Effect>(std::move(effect));
  }

  Trials& trials_;
  const settings::Schema& schema_;
  const Subject subject_;
  const Found& found_;
  const bool exists_;
};

}  // namespace

absl::StatusOr<Remedies> FindRemedies(Trials& trials, Subject subject, const Found& found,
                                      bool exists) {
  return Search(trials, trials.schema(), subject, found, exists).Run();
}

}  // namespace bonsai::plan
