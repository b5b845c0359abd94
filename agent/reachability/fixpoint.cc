// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/fixpoint.h"

#include <algorithm>
#include <exception>
#include <string_view>
#include <system_error>
#include <thread>
#include <unordered_map>

namespace bonsai::reachability {
namespace {

// An object of as many slots gets a second engine; as many have to wait for it, or a thread is not
// worth its start.
constexpr uint64_t kSlotsOfLargeObject = 1 << 14, kSlotsForThread = 1 << 10;

}  // namespace

std::vector<TailTarget> TailTargets(const object::ObjectSpec& object) {
  std::unordered_map<std::string_view, uint32_t> maps, programs;
  for (uint32_t i = 0; i < object.maps.size(); ++i) maps.emplace(object.maps[i].name, i);
  for (uint32_t i = 0; i < object.programs.size(); ++i) programs.emplace(object.programs[i].name, i);
  std::vector<TailTarget> targets;
  for (uint32_t i = 0; i < object.programs.size(); ++i) {
    if (!object.programs[i].tail) continue;
    const auto map = maps.find(object.programs[i].tail->map);
    if (map != maps.end()) targets.push_back({map->second, object.programs[i].tail->slot, i});
  }
  for (uint32_t map = 0; map < object.maps.size(); ++map) {
    for (const auto& [slot, name] : object.maps[map].initial_programs) {
      const auto program = programs.find(name);
      if (program != programs.end()) targets.push_back({map, slot, program->second});
    }
  }
  return targets;
}

bool MayJumpTo(const TailUse& use, uint32_t map, uint32_t slot) {
  return (!use.map || *use.map == map) && use.slot.Contains(slot) &&
         (use.slots.empty() || use.slots.Contains(slot));
}

Fixpoint::Fixpoint(const object::ObjectSpec& object, const constants::ConstantSet& constants)
    : object_(object),
      constants_(constants),
      targets_(TailTargets(object)),
      foreign_(ForeignTails()),
      live_(object.programs.size(), false) {
  engines_.resize(object.SlotCount() >= kSlotsOfLargeObject ? 2 : 1);
  wanted_.resize(engines_.size());
}

absl::Status Fixpoint::Run(const std::vector<uint32_t>& entries) {
  for (std::vector<uint32_t> programs = entries; !programs.empty(); programs = Targets()) {
    Assign(programs);
    RunEngines();
    for (const auto& engine : engines_) {
      if (engine && !engine->status().ok()) return engine->status();
    }
  }
  return absl::OkStatus();
}

// Programs whose slot is in a map of another object.
std::vector<uint32_t> Fixpoint::ForeignTails() const {
  std::vector<uint32_t> programs;
  for (uint32_t i = 0; i < object_.programs.size(); ++i) {
    const auto& tail = object_.programs[i].tail;
    if (tail && object_.FindMap(tail->map) == nullptr) programs.push_back(i);
  }
  return programs;
}

uint64_t Fixpoint::SlotsOf(uint32_t program) const {
  return object_.functions[object_.programs[program].function].insns.size();
}

// The largest first, each to the engine that has least to do.
void Fixpoint::Assign(const std::vector<uint32_t>& programs) {
  std::vector<uint32_t> sorted = programs;
  std::sort(sorted.begin(), sorted.end(), [&](uint32_t a, uint32_t b) {
    return SlotsOf(a) != SlotsOf(b) ? SlotsOf(a) > SlotsOf(b) : a < b;
  });
  std::vector<uint64_t> load(engines_.size(), 0);
  for (const uint32_t program : sorted) {
    if (live_[program]) continue;
    live_[program] = true;
    const auto engine = std::min_element(load.begin(), load.end()) - load.begin();
    load[static_cast<size_t>(engine)] += SlotsOf(program);
    wanted_[static_cast<size_t>(engine)].push_back(program);
    roots_[program].engine = static_cast<uint32_t>(engine);
  }
}

void Fixpoint::Start(uint32_t program, uint32_t engine) {
  const uint32_t function = object_.programs[program].function;
  std::vector<uint32_t>& roots = roots_.at(program).contexts;
  roots.push_back(engines_[engine]->EntryContext(program));
  // Where the program's exceptions end: appended by libbpf, called by the kernel.
  for (const std::string& tag : object_.functions[function].tags) {
    if (!tag.starts_with(kExceptionTag)) continue;
    for (uint32_t i = 0; i < object_.functions.size(); ++i) {
      if (object_.functions[i].name != tag.substr(kExceptionTag.size())) continue;
      roots.push_back(engines_[engine]->ContextOf(i, Kind::kForeign));
    }
  }
}

// Threads share the object and the constants, which no one changes, and nothing else: an engine and
// what stands at its index are of one thread.
void Fixpoint::RunEngines() {
  uint64_t waiting = 0;
  for (size_t i = 1; i < wanted_.size(); ++i) {
    for (const uint32_t program : wanted_[i]) {
      waiting += SlotsOf(program);
    }
  }
  // What a thread throws (no memory is left) goes on in this one.
  std::vector<std::exception_ptr> thrown(engines_.size());
  uint32_t next = 1;
  {
    std::vector<std::jthread> threads;
    try {
      for (; waiting >= kSlotsForThread && next < engines_.size(); ++next) {
        threads.emplace_back([this, next, &thrown] {
          try {
            RunEngine(next);
          } catch (...) {
            thrown[next] = std::current_exception();
          }
        });
      }
    } catch (const std::system_error&) {
      // No thread is to be had: this one does it all.
    }
    RunEngine(0);
    for (; next < engines_.size(); ++next) RunEngine(next);
  }
  for (const std::exception_ptr& each : thrown) {
    if (each != nullptr) std::rethrow_exception(each);
  }
}

void Fixpoint::RunEngine(uint32_t engine) {
  std::vector<uint32_t>& programs = wanted_[engine];
  if (programs.empty()) return;
  if (engines_[engine] == nullptr) {
    engines_[engine] = std::make_unique<Engine>(object_, constants_);
  }
  for (const uint32_t program : programs) Start(program, engine);
  programs.clear();
  engines_[engine]->Run();
}

// Programs not live yet that some tail call may jump to. All contexts are of live programs.
std::vector<uint32_t> Fixpoint::Targets() const {
  std::vector<bool> wanted(object_.programs.size(), false);
  const auto add = [&](const TailUse& use) {
    // SOUND: any tail call may be to a map of another object.
    for (const uint32_t program : foreign_) wanted[program] = true;
    for (const TailTarget& target : targets_) {
      if (!wanted[target.program] && MayJumpTo(use, target.map, target.slot)) {
        wanted[target.program] = true;
      }
    }
  };
  for (const auto& engine : engines_) {
    for (uint32_t id = 0; engine && id < engine->context_count(); ++id) {
      for (const TailUse& use : engine->context(id).tail_uses) add(use);
    }
  }
  std::vector<uint32_t> programs;
  for (uint32_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] && !live_[i]) programs.push_back(i);
  }
  return programs;
}

}  // namespace bonsai::reachability
