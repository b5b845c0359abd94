// SPDX-License-Identifier: Apache-2.0
// From what the engine found to a Liveness; internal to reachability/.
#pragma once

#include <string_view>
#include <vector>

#include "agent/reachability/engine.h"
#include "agent/reachability/liveness.h"

namespace bonsai::reachability {

// Tag of a program whose exceptions end in the function it names.
inline constexpr std::string_view kExceptionTag = "exception_callback:";

// A slot of a program array that the object fills.
struct TailTarget {
  uint32_t map = 0;
  uint32_t slot = 0;
  uint32_t program = 0;
};
std::vector<TailTarget> TailTargets(const object::ObjectSpec& object);

// Whether a tail call may jump to this slot of this map.
bool MayJumpTo(const TailUse& use, uint32_t map, uint32_t slot);

class Collector {
 public:
  // All must outlive it.
  Collector(Engine& engine, const object::ObjectSpec& object);

  // Adds what a live program reaches; `roots`: the contexts that it starts in.
  void AddProgram(uint32_t program, const std::vector<uint32_t>& roots, Liveness& liveness);
  // After all programs: what holds for the object as a whole.
  void Finish(Liveness& liveness);

 private:
  void AddCode(uint32_t function, const std::vector<uint32_t>& contexts, ProgramLiveness& program,
               Liveness& liveness);
  void AddTails(const TailUse& use, ProgramLiveness& program);
  void AddFacts(uint32_t function, Liveness& liveness);
  void AddTailDecisions(Liveness& liveness);
  std::vector<uint32_t> Constants(const std::vector<Origin>& origins) const;

  Engine& engine_;
  const object::ObjectSpec& object_;
  std::vector<TailTarget> targets_;
  std::vector<bool> maps_;                              // of the program at hand
  std::vector<std::vector<uint32_t>> contexts_;         // by function: of all live programs
  std::vector<bool> seen_;                              // contexts in contexts_
};

}  // namespace bonsai::reachability
