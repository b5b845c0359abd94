// SPDX-License-Identifier: Apache-2.0
// LifeRunner: sets the board of feature life going and does what is asked at the desk. The only one
// that writes its maps, always while the timer stands still. Used by the reconciler's thread alone.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <functional>
#include <memory>
#include <optional>

#include "agent/base/unique_fd.h"
#include "agent/load/loaded.h"
#include "agent/report/life_desk.h"
#include "agent/report/life_feed.h"
#include "agent/settings/settings.h"

namespace bonsai::control {

class LifeRunner {
 public:
  // `desk` must outlive it.
  explicit LifeRunner(report::LifeDesk& desk) : desk_(desk), feed_(desk) {}

  // Lets the board go on with the programs of a generation that is in force, from where it is; a board
  // of another size than the settings' is seeded anew. A generation without them: it has none. After
  // an error nothing is known to run; to be called again.
  absl::Status Take(const load::Loaded& loaded, const settings::Settings& settings);

  // Answers what is asked at the desk.
  void Serve();

  // Nothing: there is no board.
  std::optional<life_state> State() const;

 private:
  absl::Status Adopt(const load::Loaded& loaded, const settings::Settings& settings);
  // Stops the timer, lets `change` work on the state and lets it go on. Returns what is then there.
  using Change = std::function<absl::Status(life_state&)>;
  absl::StatusOr<tables::LifeView> Held(bool with_board, const Change& change);
  absl::StatusOr<tables::LifeView> Do(const report::LifeAction& action);

  report::LifeDesk& desk_;
  report::LifeFeed feed_;
  base::UniqueFd start_, stop_;                   // programs
  std::shared_ptr<const tables::LifeMaps> maps_;  // null: there is no board
};

}  // namespace bonsai::control
