// SPDX-License-Identifier: Apache-2.0
// From what the engine found to a Liveness; internal to reachability/.
#pragma once

#include <vector>

#include "agent/reachability/fixpoint.h"
#include "agent/reachability/liveness.h"

namespace bonsai::reachability {

class Collector {
 public:
  // Both must outlive it.
  Collector(const Fixpoint& fixpoint, const object::ObjectSpec& object);

  // Adds what a live program reaches.
  void AddProgram(uint32_t program, const Roots& roots, Liveness& liveness);
  // After all programs: what holds for the object as a whole.
  void Finish(Liveness& liveness);

 private:
  struct Place {
    Engine* engine = nullptr;
    uint32_t context = 0;

    const Context& operator*() const { return engine->context(context); }
  };
  using Places = std::vector<Place>;
  // Of one engine's values.
  struct Grounds {
    const Engine* engine = nullptr;
    Origin origin = 0;
  };

  static std::vector<const BlockFact*> FactsAt(const Places& places);
  void AddCode(uint32_t function, const Places& places, ProgramLiveness& program,
               Liveness& liveness);
  void AddTails(const TailUse& use, ProgramLiveness& program);
  void AddFacts(uint32_t function, Liveness& liveness);
  void AddTailDecisions(Liveness& liveness);
  static std::vector<uint32_t> Constants(const std::vector<Grounds>& grounds);

  const Engines& engines_;
  const object::ObjectSpec& object_;
  const std::vector<TailTarget>& targets_;
  std::vector<bool> maps_;                 // of the program at hand
  std::vector<Places> places_;             // by function: contexts of all live programs
  std::vector<std::vector<bool>> seen_;    // by engine: contexts in places_
};

}  // namespace bonsai::reachability
