// SPDX-License-Identifier: Apache-2.0
// Why a map, a program or a function is alive or dead, as data and in words. Pure.
//
// What the claims mean. Of a dead thing: no path leads to it, and each way that the code has passes
// one of the `deciding` places. Of a live one: the witness is a path in the abstract graph, that is
// through instructions which the engine cannot rule out, never against a branch that it decided. It
// does not tell the calls of one function apart, and no packet need ever take it.
//
// Cost: making an Explainer is linear in the size of the object; a question about one thing in the
// length of its answer and the size of the functions on its path. What-if questions (what_if.h)
// analyse anew.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "agent/reachability/liveness.h"

namespace bonsai::reachability {

// What was analysed and what came out. All must outlive whoever is given a Subject.
struct Subject {
  const object::ObjectSpec& object;
  const constants::ConstantSet& constants;
  const Liveness& liveness;
  std::vector<std::string> entries = {};  // as given to Analyze()
};

enum class ThingKind : uint8_t { kMap, kProgram, kFunction };

struct Thing {
  ThingKind kind = ThingKind::kMap;
  uint32_t index = 0;  // into ObjectSpec::maps, programs or functions
  auto operator<=>(const Thing&) const = default;
};
const std::string& NameOf(const object::ObjectSpec& object, Thing thing);
bool IsLive(const Liveness& liveness, Thing thing);

struct Place {
  uint32_t function = 0;  // index into ObjectSpec::functions
  uint32_t slot = 0;
  std::string file;       // source, "" when unknown
  uint32_t line = 0;
  std::string text;
};

// With its source line, where the object has line info.
Place PlaceAt(const object::ObjectSpec& object, uint32_t function, uint32_t slot);

struct ConstantValue {
  uint32_t constant = 0;  // index into ObjectSpec::constants
  std::string name;
  std::string value;      // decimal, true, false; hex:BYTES of what is no number, "" when too long
};

// A live place that can not go on towards a dead thing. Copies of one source line, which inlining
// makes, are told as one.
struct Deciding {
  enum class Kind : uint8_t {
    kBranch,    // goes only one way
    kTailCall,  // jumps to other slots
    kCall,      // calls what never returns
  };
  Kind kind = Kind::kBranch;
  Place place;
  bool taken = false;                    // of a branch
  // Those whose values flow into it; may be empty. It may rest on others, too, where branches that
  // these decide leave only some values to come here: what_if.h finds them out.
  std::vector<ConstantValue> constants;
  // False: not on the way itself; the nearest place with constants before one without.
  bool direct = true;
};

struct Step {
  enum class Kind : uint8_t {
    kEntry,      // the program `name` starts
    kTailCall,   // to the program `name`
    kCall,       // of the function `name`
    kCallback,   // the function `name` is handed to the kernel, which calls it
    kBranch,     // decided by `constants`
    kReference,  // to the map `name`
    kHeld,       // the map `name` is in the map before it from the start
  };
  Kind kind = Kind::kEntry;
  uint32_t program = 0;  // that runs; after a tail call the one jumped to
  Place place;           // live
  std::string name;
  bool taken = false;                    // of a branch
  std::vector<ConstantValue> constants;  // of a branch
  // Of a branch: that no code behind its other side leads back to the path, so that the other way
  // would leave it for good.
  bool needed = false;
  object::TailSlot tail;                 // of a tail call
};

struct Explanation {
  Thing thing;
  bool live = false;
  bool referred = false;           // something in the object refers to it
  // Of a dead thing: the nearest first. Each way to it passes a direct one of them if `complete`;
  // else there are more than are kept.
  std::vector<Deciding> deciding;
  bool complete = true;
  std::vector<Step> witness;       // of a live one: from an entry to it
};

inline constexpr size_t kMaxDeciding = 8;  // direct ones, and as many others

class Explainer {
 public:
  explicit Explainer(const Subject& subject);
  ~Explainer();
  Explainer(const Explainer&) = delete;
  Explainer& operator=(const Explainer&) = delete;

  Explanation Of(Thing thing) const;
  // Only the line for a dead thing, as Reason() has it; "" for a live one.
  std::string WhyDead(Thing thing) const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

// One question; for several make an Explainer.
Explanation ExplainMap(const Subject& subject, uint32_t map);
Explanation ExplainProgram(const Subject& subject, uint32_t program);
Explanation ExplainFunction(const Subject& subject, uint32_t function);

// In one line: "enable_policy = false at from_pod.bpf.c:41 `if (enable_policy)`" of the nearest
// deciding place with constants, or else the nearest; "" of a live thing or when nothing decides.
std::string Reason(const object::ObjectSpec& object, const Explanation& explanation);
// The witness in one line, at most `max_steps` of it: branches that are not needed are left out
// first, then the middle.
std::string WhyLive(const object::ObjectSpec& object, const Explanation& explanation,
                    size_t max_steps = 12);

}  // namespace bonsai::reachability
