// SPDX-License-Identifier: Apache-2.0
// One attachment of ours: a program at one hook of one device, by a pinned link or by a clsact
// filter. Used by one thread.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/attach/hook.h"
#include "agent/base/unique_fd.h"
#include "agent/kernel/links.h"

namespace bonsai::attach {

// A program held so that it can be put back. `fd` is invalid when only its id is known.
struct HeldProgram {
  HeldProgram(base::UniqueFd program_fd, uint32_t program_id)
      : fd(std::move(program_fd)), id(program_id) {}
  const base::UniqueFd fd;
  const uint32_t id;
};
using ProgramRef = std::shared_ptr<const HeldProgram>;
// By id: all programs that we attached, by what is pinned.
using ProgramsById = std::map<uint32_t, ProgramRef>;

struct Options {
  std::string root;            // pin root
  bool use_tcx = true;         // kernel::Features::tcx; false: clsact
  bool use_native_xdp = true;  // false: generic at once
};

class Slot {
 public:
  // Attaches and pins. AlreadyExists: something foreign is in the place, and is left alone.
  // `ours`: a clsact filter that runs one of these is our own, left by a killed agent.
  static absl::StatusOr<Slot> Create(const Options& options, const Target& target,
                                     const ProgramRef& program, const ProgramsById& ours);
  // From the pin <root>/links/<pin> of an earlier run; nullopt (pin removed) when it is dead.
  static absl::StatusOr<std::optional<Slot>> Adopt(const Options& options, const std::string& pin,
                                                   const ProgramsById& ours);

  const Target& target() const { return target_; }
  Mechanism mechanism() const { return mechanism_; }
  const ProgramRef& program() const { return program_; }

  // Devices may be renamed; the index stays.
  void Rename(const std::string& ifname) { target_.ifname = ifname; }
  // Whether it is still attached to its device. An error: the kernel could not say.
  absl::StatusOr<bool> Alive() const;
  // Atomic. FailedPrecondition: someone else took the place of our clsact filter.
  absl::Status Update(const ProgramRef& program);
  // Detaches, unpins; takes our own clsact qdisc away when nothing is left in it.
  absl::Status Detach();

 private:
  Slot(const Options& options, const Target& target, Mechanism mechanism, ProgramRef program)
      : root_(options.root), target_(target), mechanism_(mechanism), program_(std::move(program)) {}
  absl::Status AttachClsact(const ProgramsById& ours);
  absl::Status TakeClsactPlace(const ProgramsById& ours);
  absl::Status RemoveOwnQdisc();
  std::string PinPath() const;
  kernel::ClsactSlot Filter() const;

  std::string root_;
  Target target_;
  Mechanism mechanism_;
  ProgramRef program_;
  std::optional<kernel::BpfLink> link_;  // none for clsact
};

// The clsact qdiscs that we made and that are not known to be gone, by interface index.
absl::StatusOr<std::vector<uint32_t>> OwnQdiscs(const std::string& root);
// Removes one of them unless someone else's filters are in it; either way it is ours no more.
absl::Status ReleaseQdisc(const std::string& root, uint32_t ifindex);

}  // namespace bonsai::attach
