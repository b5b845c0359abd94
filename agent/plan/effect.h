// SPDX-License-Identifier: Apache-2.0
// What a change of settings would do: the plan for the changed settings held against the one for
// the present. Never guessed from reasons, so an effect that is told is the effect that an apply
// would have. Pure, one thread.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/plan/world.h"
#include "agent/reachability/what_if_values.h"

namespace bonsai::plan {

struct KeyChange {
  std::string key, from, to;  // values as an operator would write them
  bool operator==(const KeyChange&) const = default;
};

struct Effect {
  std::vector<KeyChange> changes;  // all of them together, by key
  Things come, gone;
  int64_t map_bytes = 0;      // kernel memory of maps, after minus before
  int64_t instructions = 0;   // slots that can be reached in loaded objects, after minus before
};

class Trials {
 public:
  // `inputs` must outlive it and hold a schema.
  static absl::StatusOr<Trials> Make(const Inputs& inputs, const settings::Settings& settings,
                                     Cancelled cancelled);

  const World& base() const { return *base_; }
  const Things& present() const { return present_; }
  const settings::Schema& schema() const { return *inputs_.schema; }

  // Values of a setting other than the one in force that may make a difference, as text; none of a
  // setting that no map and no constant depends on.
  std::vector<std::string> ValuesOf(const settings::SettingSpec& spec) const;

  // With these settings changed, and with them those that they need or that need them: what is
  // switched on switches on what it requires, what is switched off switches off what requires it.
  // InvalidArgument: that cannot stand together; Cancelled.
  absl::StatusOr<World> With(const settings::RawSettings& changes);
  Effect EffectOf(const World& world) const;

  uint32_t made() const { return made_; }  // worlds, the base not counted

 private:
  Trials(const Inputs& inputs, Cancelled cancelled)
      : inputs_(inputs), cancelled_(std::move(cancelled)) {}
  settings::RawSettings Closed(const settings::RawSettings& changes) const;
  std::vector<std::string> Numbers(const settings::SettingSpec& spec) const;
  std::vector<std::string> Sizes(const settings::SettingSpec& spec) const;

  const Inputs& inputs_;
  Cancelled cancelled_;
  std::unique_ptr<const World> base_;
  Things present_;
  // Parallel to the objects: what their comparisons turn on, and which constants live code reads.
  std::vector<reachability::Candidates> candidates_;
  std::vector<std::vector<bool>> read_;
  uint32_t made_ = 0;
};

}  // namespace bonsai::plan
