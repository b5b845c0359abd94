// SPDX-License-Identifier: Apache-2.0
// From what the engine found to a Liveness; internal to reachability/.
#pragma once

#include <map>
#include <vector>

#include "agent/reachability/fixpoint.h"
#include "agent/reachability/liveness.h"

namespace bonsai::reachability {

class Collector {
 public:
  // Both must outlive it.
  Collector(const Fixpoint& fixpoint, const object::ObjectSpec& object);

  // Once.
  void Collect(Liveness& liveness);

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

  // What one live program reaches: contexts by function.
  struct Reach {
    uint32_t program = 0;
    std::map<uint32_t, Places> places;
  };

  // What holds for the object as a whole.
  struct Decided {
    std::vector<Decision> branches, tail_calls;
    uint32_t live_insns = 0;
  };

  Reach Follow(uint32_t program, const Roots& roots, ProgramLiveness& liveness);
  void AddPrograms(const std::vector<Reach>& reaches, Liveness& liveness);
  Decided Decide() const;
  static std::vector<const BlockFact*> FactsAt(const Places& places);
  void AddCode(uint32_t function, const Places& places, ProgramLiveness& program,
               Liveness& liveness);
  void AddTails(const TailUse& use, ProgramLiveness& program);
  void AddFacts(uint32_t function, Decided& decided) const;
  void AddTailDecisions(Decided& decided) const;
  static std::vector<uint32_t> Constants(const std::vector<Grounds>& grounds);

  const Fixpoint& fixpoint_;
  const Engines& engines_;
  const object::ObjectSpec& object_;
  const std::vector<TailTarget>& targets_;
  std::vector<bool> maps_;                 // of the program at hand
  std::vector<Places> places_;             // by function: contexts of all live programs
  std::vector<std::vector<bool>> seen_;    // by engine: contexts in places_
};

}  // namespace bonsai::reachability
