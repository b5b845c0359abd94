// SPDX-License-Identifier: Apache-2.0
// Attached: all attachments of ours on this node. Lives as long as the agent, over generations of
// the datapath. Used by the reconciler's thread.
//
// Dropping it detaches nothing: links are pinned, so the datapath runs on without the agent.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "agent/attach/hook.h"
#include "agent/attach/slot.h"
#include "agent/load/loaded.h"

namespace bonsai::attach {

struct Attachment {
  Target target;
  Mechanism mechanism = Mechanism::kTcx;
  uint32_t program_id = 0;
};

// What an Upsert did.
struct Outcome {
  struct Skipped {
    Target target;
    std::string reason;
  };
  std::vector<Skipped> skipped;       // devices that went away meanwhile
  std::vector<std::string> warnings;  // what could not be detached; tried again by the next Upsert
  uint32_t created = 0, updated = 0, unchanged = 0, removed = 0;
};

// Entry program of each hook; borrowed fds. A hook without one is attached nowhere.
using Programs = std::map<Hook, int>;
// Those of a generation: the entry program of the object that has the hook's name ("from_pod").
// Valid while `loaded` lives.
Programs EntryPrograms(const load::Loaded& loaded);

class Attached {
 public:
  // With what an earlier run left below options.root, so that it is updated and not doubled; dead
  // pins are swept.
  static absl::StatusOr<Attached> AdoptExisting(const Options& options);

  // Makes `programs` run on `targets` and nowhere else. A device that has an attachment gets the
  // new program by an atomic swap. All or nothing: on failure every program is put back, what was
  // attached is detached, and the error names device and step. Foreign programs are never touched.
  absl::StatusOr<Outcome> Upsert(const std::vector<Target>& targets, const Programs& programs);

  // Whether any attachment runs one of `programs`. After an Upsert that failed: that it could not be
  // undone, so that their generation must not go.
  bool RunsAnyOf(const Programs& programs) const;

  // Detaches all.
  absl::Status DetachAll();

  std::vector<Attachment> attachments() const;

 private:
  using Key = std::pair<Hook, uint32_t>;  // hook, ifindex
  struct Undo {
    Key key;
    ProgramRef previous;  // null: there was no attachment
  };

  explicit Attached(Options options) : options_(std::move(options)) {}
  absl::StatusOr<std::map<Hook, ProgramRef>> HoldAndPin(const Programs& programs);
  absl::Status HoldAndPin(Hook hook, int fd, std::map<Hook, ProgramRef>& held);
  void DropDead();
  absl::Status Apply(const Target& target, const ProgramRef& program, std::vector<Undo>& undo,
                     Outcome& outcome);
  absl::Status Swap(const std::vector<Target>& targets, const std::map<Hook, ProgramRef>& held,
                    std::map<Key, Target>& wanted, std::vector<Undo>& undo, Outcome& outcome);
  std::string Rollback(const std::vector<Undo>& undo);
  void RemoveUnwanted(const std::map<Key, Target>& wanted, Outcome& outcome);
  absl::Status SweepProgramPins();

  Options options_;
  std::map<Key, Slot> slots_;
  ProgramsById ours_;
};

// What RemoveAll would remove, one line each, in its order. Changes nothing.
absl::StatusOr<std::vector<std::string>> Inventory(const std::string& root);

// Detaches everything below the pin root and removes the pins: links, clsact filters, clsact
// qdiscs of ours that are empty. Map pins are load::RemovePins' part.
absl::Status RemoveAll(const std::string& root);

}  // namespace bonsai::attach
