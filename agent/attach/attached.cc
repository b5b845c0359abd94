// SPDX-License-Identifier: Apache-2.0
#include "agent/attach/attached.h"

#include <utility>

#include "agent/base/status.h"
#include "agent/kernel/bpf_program.h"
#include "agent/kernel/bpffs.h"

namespace bonsai::attach {
namespace {

std::string LinksDir(const std::string& root) { return root + "/links"; }
// Entry programs are pinned as <hook>-<id> so that a restarted agent can put them back, and knows
// its own clsact filters by them.
std::string ProgramsDir(const std::string& root) { return root + "/progs"; }

// Marks of qdiscs whose device is gone.
absl::Status SweepQdiscMarks(const std::string& root) {
  ASSIGN_OR_RETURN(const std::vector<uint32_t> devices, OwnQdiscs(root));
  for (const uint32_t ifindex : devices) {
    if (!kernel::DeviceExists(ifindex)) RETURN_IF_ERROR(ReleaseQdisc(root, ifindex));
  }
  return absl::OkStatus();
}

}  // namespace

Programs EntryPrograms(const load::Loaded& loaded) {
  Programs programs;
  for (const auto& [name, program] : loaded.programs()) {
    std::optional<Hook> hook = HookOfPin(program.object);
    if (hook && !program.is_tail) programs[*hook] = program.fd.get();
  }
  return programs;
}

absl::StatusOr<Attached> Attached::AdoptExisting(const Options& options) {
  Attached attached(options);
  ASSIGN_OR_RETURN(auto programs, kernel::ListPins(ProgramsDir(options.root)));
  for (const std::string& pin : programs) {
    auto fd = kernel::OpenPinnedProgram(ProgramsDir(options.root) + "/" + pin);
    // What is no program, or just went, is nothing to adopt.
    if (absl::IsNotFound(fd.status()) || absl::IsFailedPrecondition(fd.status())) continue;
    RETURN_IF_ERROR(fd.status());
    ASSIGN_OR_RETURN(kernel::ProgramInfo info, kernel::GetProgramInfo(fd->get()));
    attached.ours_[info.id] = std::make_shared<const HeldProgram>(*std::move(fd), info.id);
  }
  ASSIGN_OR_RETURN(auto links, kernel::ListPins(LinksDir(options.root)));
  for (const std::string& pin : links) {
    auto slot = Slot::Adopt(options, pin, attached.ours_);
    if (!slot.ok()) return base::Annotate(slot.status(), "adopting attachment " + pin);
    if (!slot->has_value()) continue;
    Key key{(*slot)->target().hook, (*slot)->target().ifindex};
    attached.slots_.emplace(key, **std::move(slot));
  }
  RETURN_IF_ERROR(SweepQdiscMarks(options.root));
  return attached;
}

absl::StatusOr<std::map<Hook, ProgramRef>> Attached::HoldAndPin(const Programs& programs) {
  const std::string directory = ProgramsDir(options_.root);
  RETURN_IF_ERROR_AT(kernel::MakePinDir(directory), "make pin directory", directory);
  std::map<Hook, ProgramRef> held;
  for (const auto& [hook, fd] : programs) {
    RETURN_IF_ERROR_AT(HoldAndPin(hook, fd, held), "pin program", HookName(hook));
  }
  return held;
}

absl::Status Attached::HoldAndPin(Hook hook, int fd, std::map<Hook, ProgramRef>& held) {
  ASSIGN_OR_RETURN(kernel::ProgramInfo info, kernel::GetProgramInfo(fd));
  auto known = ours_.find(info.id);
  if (known == ours_.end() || !known->second->fd.valid()) {
    ASSIGN_OR_RETURN(base::UniqueFd copy, kernel::DuplicateProgram(fd));
    ours_[info.id] = std::make_shared<const HeldProgram>(std::move(copy), info.id);
  }
  std::string pin = ProgramsDir(options_.root) + "/" + NumberedPin(hook, info.id);
  absl::Status pinned = kernel::PinProgram(fd, pin);
  if (!pinned.ok() && !absl::IsAlreadyExists(pinned)) return pinned;
  held[hook] = ours_.at(info.id);
  return absl::OkStatus();
}

// Attachments whose device went, or that someone detached by force. One that the kernel could not
// tell of is taken for alive: to detach it would leave its device without a program.
void Attached::DropDead() {
  for (auto at = slots_.begin(); at != slots_.end();) {
    if (at->second.Alive().value_or(true)) {
      ++at;
      continue;
    }
    // The place is empty; what can fail is only the removal of a pin, which Create tries again.
    at->second.Detach().IgnoreError();
    at = slots_.erase(at);
  }
}

absl::Status Attached::Apply(const Target& target, const ProgramRef& program,
                             std::vector<Undo>& undo, Outcome& outcome) {
  Key key{target.hook, target.ifindex};
  auto at = slots_.find(key);
  if (at == slots_.end()) {
    ASSIGN_OR_RETURN(Slot slot, Slot::Create(options_, target, program, ours_));
    slots_.emplace(key, std::move(slot));
    undo.push_back({key, nullptr});
    ++outcome.created;
    return absl::OkStatus();
  }
  at->second.Rename(target.ifname);
  ProgramRef previous = at->second.program();
  if (previous->id == program->id) {
    ++outcome.unchanged;
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(at->second.Update(program));
  undo.push_back({key, std::move(previous)});
  ++outcome.updated;
  return absl::OkStatus();
}

// Undoes the steps, last one first. What could not be undone, or "".
std::string Attached::Rollback(const std::vector<Undo>& undo) {
  std::string trouble;
  for (auto step = undo.rbegin(); step != undo.rend(); ++step) {
    auto at = slots_.find(step->key);
    if (at == slots_.end()) continue;
    Target target = at->second.target();
    absl::Status status =
        step->previous != nullptr ? at->second.Update(step->previous) : at->second.Detach();
    if (step->previous == nullptr && status.ok()) slots_.erase(at);
    if (status.ok() || !kernel::DeviceExists(target.ifindex)) continue;
    trouble += fmt::format("; putting back {} failed: {}", Describe(target), base::Message(status));
  }
  return trouble;
}

absl::StatusOr<Outcome> Attached::Upsert(const std::vector<Target>& targets,
                                         const Programs& programs) {
  Outcome outcome;
  std::vector<Undo> undo;
  std::map<Key, Target> wanted;
  DropDead();
  auto held = HoldAndPin(programs);
  absl::Status status = held.status();
  if (status.ok()) status = Swap(targets, *held, wanted, undo, outcome);
  if (!status.ok()) {
    const std::string trouble = Rollback(undo);
    SweepProgramPins().IgnoreError();  // stale pins only; the next Upsert sweeps again
    return base::Append(status, trouble);
  }
  RemoveUnwanted(wanted, outcome);
  DropDead();
  if (absl::Status swept = SweepProgramPins(); !swept.ok()) {
    outcome.warnings.push_back(base::Message(swept));
  }
  return outcome;
}

// Stops at the first device that refuses; `undo` says what was done.
absl::Status Attached::Swap(const std::vector<Target>& targets,
                            const std::map<Hook, ProgramRef>& held,
                            std::map<Key, Target>& wanted, std::vector<Undo>& undo,
                            Outcome& outcome) {
  for (const Target& target : targets) {
    auto program = held.find(target.hook);
    if (program == held.end() || !wanted.emplace(Key{target.hook, target.ifindex}, target).second) {
      continue;
    }
    absl::Status status = Apply(target, program->second, undo, outcome);
    if (status.ok()) continue;
    if (!kernel::DeviceExists(target.ifindex)) {
      outcome.skipped.push_back({target, "the device is gone"});
      continue;
    }
    return base::At(base::Annotate(status, "attaching " + Describe(target)), "attach",
                    Describe(target));
  }
  return absl::OkStatus();
}

// Only after all the rest went well, so that a failure has nothing to put back here.
void Attached::RemoveUnwanted(const std::map<Key, Target>& wanted, Outcome& outcome) {
  for (auto at = slots_.begin(); at != slots_.end();) {
    if (wanted.contains(at->first)) {
      ++at;
      continue;
    }
    absl::Status status = at->second.Detach();
    if (!status.ok()) {
      outcome.warnings.push_back(base::Message(
          base::Annotate(status, "detaching " + Describe(at->second.target()))));
      ++at;
      continue;
    }
    at = slots_.erase(at);
    ++outcome.removed;
  }
}

// Programs that no attachment runs any more are let go.
absl::Status Attached::SweepProgramPins() {
  std::map<uint32_t, ProgramRef> in_use;
  for (const auto& [key, slot] : slots_) in_use[slot.program()->id] = slot.program();
  ours_ = std::move(in_use);
  ASSIGN_OR_RETURN(auto pins, kernel::ListPins(ProgramsDir(options_.root)));
  for (const std::string& pin : pins) {
    std::optional<HookNumber> name = ParseNumberedPin(pin);
    if (name && ours_.contains(name->number)) continue;
    RETURN_IF_ERROR(kernel::RemovePin(ProgramsDir(options_.root) + "/" + pin));
  }
  return absl::OkStatus();
}

bool Attached::RunsAnyOf(const Programs& programs) const {
  for (const auto& [hook, fd] : programs) {
    // Without an answer the worst is assumed: what stays for nothing goes with the next change.
    auto info = kernel::GetProgramInfo(fd);
    if (!info.ok()) return true;
    for (const auto& [key, slot] : slots_) {
      if (slot.program()->id == info->id) return true;
    }
  }
  return false;
}

absl::Status Attached::DetachAll() {
  absl::Status first = absl::OkStatus();
  for (auto at = slots_.begin(); at != slots_.end();) {
    absl::Status status = at->second.Detach();
    if (!status.ok() && kernel::DeviceExists(at->second.target().ifindex)) {
      if (first.ok()) {
        first = base::Annotate(status, "detaching " + Describe(at->second.target()));
      }
      ++at;
      continue;
    }
    at = slots_.erase(at);
  }
  if (first.ok()) first = SweepProgramPins();
  return first;
}

std::vector<Attachment> Attached::attachments() const {
  std::vector<Attachment> list;
  for (const auto& [key, slot] : slots_) {
    list.push_back({slot.target(), slot.mechanism(), slot.program()->id});
  }
  return list;
}

absl::StatusOr<std::vector<std::string>> Inventory(const std::string& root) {
  std::vector<std::string> lines;
  const auto device = [](uint32_t ifindex) {
    const std::string name = kernel::DeviceName(ifindex);
    return name.empty() ? fmt::format("device {}", ifindex)
                        : fmt::format("{} (ifindex {})", name, ifindex);
  };
  ASSIGN_OR_RETURN(const auto links, kernel::ListPins(LinksDir(root)));
  for (const std::string& pin : links) {
    const std::optional<HookNumber> name = ParseNumberedPin(pin);
    if (!name) continue;
    const bool is_filter = kernel::IsPinDir(LinksDir(root) + "/" + pin);
    lines.push_back(fmt::format("{} at {} of {}", is_filter ? "tc filter" : "link",
                                HookName(name->hook), device(name->number)));
  }
  ASSIGN_OR_RETURN(const std::vector<uint32_t> qdiscs, OwnQdiscs(root));
  for (const uint32_t ifindex : qdiscs) {
    lines.push_back(fmt::format("clsact qdisc of {}, unless it has other filters",
                                device(ifindex)));
  }
  ASSIGN_OR_RETURN(const auto programs, kernel::ListPins(ProgramsDir(root)));
  for (const std::string& pin : programs) lines.push_back("pin " + ProgramsDir(root) + "/" + pin);
  return lines;
}

absl::Status RemoveAll(const std::string& root) {
  ASSIGN_OR_RETURN(Attached attached, Attached::AdoptExisting({.root = root}));
  RETURN_IF_ERROR(attached.DetachAll());
  // Of an agent that was killed between taking its filter away and the qdisc.
  ASSIGN_OR_RETURN(const std::vector<uint32_t> devices, OwnQdiscs(root));
  for (const uint32_t ifindex : devices) RETURN_IF_ERROR(ReleaseQdisc(root, ifindex));
  RETURN_IF_ERROR(kernel::RemovePinDir(LinksDir(root)));
  RETURN_IF_ERROR(kernel::RemovePinDir(ProgramsDir(root)));
  ASSIGN_OR_RETURN(auto rest, kernel::ListPins(root));
  return rest.empty() ? kernel::RemovePinDir(root) : absl::OkStatus();
}

}  // namespace bonsai::attach
