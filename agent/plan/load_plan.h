// SPDX-License-Identifier: Apache-2.0
// LoadPlan: what will be created, what not, and why. Pure data over all objects of the datapath.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "agent/constants/constant_set.h"
#include "agent/kernel/map_costs.h"
#include "agent/object/object_spec.h"
#include "agent/reachability/liveness.h"
#include "agent/settings/settings.h"

namespace bonsai::plan {

struct MapPlan {
  std::string name;           // a data section's map: object and section, "from_pod.rodata.config"
  std::string object;         // set for what belongs to one object: tail arrays and data sections
  std::string data_section;   // ".rodata.config" for a data section's map, else ""
  std::string feature;
  uint32_t type = 0;          // BPF_MAP_TYPE_*
  uint32_t key_size = 0, value_size = 0, map_flags = 0;
  uint32_t max_entries = 0;   // from the setting in sized_by, else the object's
  std::string sized_by;
  bool resized_empty = false;   // as object::Map's, like the next two
  uint32_t layout_version = 1;
  uint64_t layout_hash = 0;
  bool create = false;        // live in at least one object
  std::string reason;         // why it is created or skipped, one line
  uint64_t bytes = 0;         // kernel memory, predicted by the cost model
  bool is_tail_array = false; // prog array: private to one object, made anew by every generation
  std::vector<std::string> used_by;  // "object/program" of the live programs that refer to it

  // Maps that outlive a generation: shared by name between objects and with the next generation.
  bool shared() const { return object.empty(); }
};

struct TailCall {
  std::string map;
  uint32_t slot = 0;
};

struct ProgramPlan {
  std::string object;         // ObjectSpec::name
  std::string name;
  bool by_agent = false;      // on no hook: the agent runs it (inert.h)
  bool is_tail = false;
  std::string tail_map;       // is_tail
  uint32_t tail_slot = 0;
  bool load = false;
  std::string reason;
  uint32_t slots = 0;         // instruction slots of its own function and all that it calls
  uint32_t live_slots = 0;    // of them, what it can run
  std::vector<std::string> maps;  // live ones it references
};

// An instruction of an object's file.
struct CodePlace {
  std::string section;
  uint32_t slot = 0;          // inside that section
};

// A global function that dead code calls. These calls are cut out of the file before it is loaded,
// so that no program carries the function because of them.
struct NeutralisedFunction {
  std::string name;
  std::string reason;
  bool everywhere = false;    // no live code calls it: it is in no program at all
  uint32_t slots = 0;         // its instruction slots
  std::vector<CodePlace> calls;
};

struct ObjectPlan {
  std::string name;
  std::string path;
  constants::ConstantSet constants;
  std::vector<std::string> skip_maps;      // autocreate off; data sections by section name
  std::vector<std::string> skip_programs;  // autoload off
  std::vector<NeutralisedFunction> neutralised;
  // Its maps as the ELF declares them, data sections without (name -> index into LoadPlan::maps).
  std::map<std::string, size_t> maps;
  // Read-only sections: name -> bytes with the constants in force.
  std::map<std::string, std::vector<uint8_t>> sections;
  bool needed = false;                     // some entry program of it does something
  std::string reason;                      // why it is not needed, else ""
  uint32_t live_insns = 0, total_insns = 0;
};

struct LoadPlan {
  std::vector<ObjectPlan> objects;
  std::vector<MapPlan> maps;          // one a name, over all objects, sorted by name
  std::vector<ProgramPlan> programs;  // sorted by object, name
  const MapPlan* FindMap(const std::string& name) const;
  const ProgramPlan* FindProgram(const std::string& object, const std::string& name) const;
};

// What the cost model must know of the node.
struct CostFacts {
  uint32_t possible_cpus = 1;
  uint32_t page_size = 4096;
  kernel::MapCosts costs;     // kernel::MeasureMapCosts() on the node, else those of 6.18
  bool measured = false;      // costs are this node's own
};

// Machine code of a program that was never loaded: x86-64, over this datapath with all on.
inline constexpr double kJitBytesPerInstruction = 5.0;

struct AnalyzedObject {
  const object::ObjectSpec* spec = nullptr;
  constants::ConstantSet constants;
  reachability::Liveness liveness;
};

// An entry program that under these constants can do nothing but let every packet pass (e.g. xdp
// with enable-prefilter off) is not loaded, and an object with only such entry programs not at all.
// That is derived from the instructions (inert.h); no list of features says it.
//
// InvalidArgument: two objects declare one map differently, or a setting is too large for a map.
// Internal: a map is sized by a setting that does not exist.
absl::StatusOr<LoadPlan> Make(const std::vector<AnalyzedObject>& objects,
                              const settings::Settings& settings, const CostFacts& facts);

// Kernel memory of a map as fdinfo's memlock accounts it (kernel/bpf/*: map_mem_usage, 6.4 and
// later), in bytes. `entries_used`: for maps without preallocation (LPM trie); 0 = empty, which is
// what a map takes right after it was made.
uint64_t MapBytes(uint32_t type, uint32_t key_size, uint32_t value_size, uint32_t max_entries,
                  uint32_t map_flags, const CostFacts& facts, uint64_t entries_used = 0);

}  // namespace bonsai::plan
