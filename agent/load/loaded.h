// SPDX-License-Identifier: Apache-2.0
// Loaded: one generation of the datapath in the kernel, owned by descriptors. Made, committed and
// dropped by the reconciler's thread; the maps may be read and written from others while it lives.
//
// The life of a generation:
//   Execute   everything is created and loaded beside what runs; new maps are pinned under
//             <root>/next-N, so that its tail-call arrays, which the kernel empties with their last
//             descriptor or pin, survive the agent from the moment its programs are attached
//   (fill the new maps, attach the entry programs)
//   Commit    its pins take the place of the earlier generation's under <root>/maps
// Dropped before Commit, nothing of it stays and no pin of the earlier generation has changed; after
// KeepStagedPins, the pins under next-N stay until the Commit of a later generation.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/unique_fd.h"
#include "agent/kernel/bpf_map.h"
#include "agent/kernel/bpf_program.h"
#include "agent/load/ladder.h"
#include "agent/load/pins.h"
#include "agent/plan/load_plan.h"

namespace bonsai::load {

struct LoadedMap {
  kernel::BpfMap map;
  uint64_t bytes = 0;     // kernel memory right after loading: measured, or else the plan's number
  bool reused = false;    // the earlier generation's map, with its contents
  bool shared = false;    // may live on in the next generation: no tail-call array, no constants
  bool replaces = false;  // the earlier generation's map of this name did not fit: this one is new
  bool carried = false;   // ... of another size only: it began with what the earlier one held
};

struct LoadedProgram {
  std::string object, name;
  bool is_tail = false;
  base::UniqueFd fd;
  kernel::ProgramInfo info;
  uint64_t memory_bytes = 0;  // fdinfo memlock, without the JIT image
};

// Maps of the earlier generation by name; borrowed during Execute.
using ExistingMaps = std::map<std::string, const kernel::BpfMap*>;

// Key and value of an earlier layout, made one of the present layout; nothing: the entry goes.
using Bytes = std::vector<uint8_t>;
using Convert =
    std::function<std::optional<std::pair<Bytes, Bytes>>(std::span<const uint8_t> key,
                                                         std::span<const uint8_t> value)>;
// A change of layout between versions of the agent that entries can be taken through.
struct Migration {
  std::string map;
  uint32_t from_version = 1, to_version = 2;
  Convert convert;
};
// By map name: the map of the earlier layout (borrowed during Execute), and how to read it.
struct Conversion {
  const kernel::BpfMap* from = nullptr;
  Convert convert;
};
using Conversions = std::map<std::string, Conversion>;

struct Options {
  std::string root;               // pin root; empty: nothing is pinned
  Conversions conversions;        // for maps that `existing` lacks
  bool memory_measurable = true;  // kernel::Features::map_mem_usage
};

class Loaded {
 public:
  // By the plan's map name.
  const std::map<std::string, LoadedMap>& maps() const { return maps_; }
  // By "object/program".
  const std::map<std::string, LoadedProgram>& programs() const { return programs_; }
  const std::vector<Retry>& retries() const { return retries_; }
  // Wall time of opening and loading by object, in nanoseconds.
  const std::map<std::string, uint64_t>& load_ns() const { return load_ns_; }

  const kernel::BpfMap* FindMap(const std::string& name) const;  // nullptr: not created
  int ProgramFd(const std::string& object, const std::string& name) const;  // -1: not loaded

  // What the next generation may share. Borrowed from this one.
  ExistingMaps Shareable() const;

  // After the entry programs are attached: pins this generation's maps in place of the earlier
  // one's, unpins what is no longer live, sweeps half-made generations. An error leaves the
  // datapath running and its pins under <root>/next-N; it may be called again.
  absl::Status Commit();

  // For a generation that was given up while programs of it could not be detached: they go on
  // running, and need its tail-call arrays.
  void KeepStagedPins();

 private:
  friend class Loader;
  std::map<std::string, LoadedMap> maps_;
  std::map<std::string, LoadedProgram> programs_;
  std::vector<Retry> retries_;
  std::map<std::string, uint64_t> load_ns_;
  std::unique_ptr<StagedPins> pins_;  // null without a pin root
};

// Loads the needed objects of the plan. Tail-call arrays are made anew and filled; maps of
// `existing` that are of the same type, sizes and flags are shared, so that their contents live on;
// those that differ in max_entries alone are copied (carry.h). Whoever still writes to such a map
// does so unseen from then on: conntrack moves in a way of its own (control/datapath.h, ADR 0014).
// Any failure leaves nothing behind. The error names object and program or map; the verifier's log
// is its payload (base::VerifierLog).
absl::StatusOr<Loaded> Execute(const plan::LoadPlan& plan, const ExistingMaps& existing,
                               const Options& options);

}  // namespace bonsai::load
