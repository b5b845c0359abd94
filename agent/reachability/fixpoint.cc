// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/fixpoint.h"

#include <absl/cleanup/cleanup.h>

#include <algorithm>
#include <memory>
#include <new>
#include <string_view>
#include <unordered_map>
#include <utility>

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

bool IsLarge(const object::ObjectSpec& object) {
  return object.SlotCount() >= kSlotsOfLargeObject;
}

Fixpoint::Fixpoint(const object::ObjectSpec& object, const constants::ConstantSet& constants,
                   base::Worker& worker)
    : object_(object),
      constants_(constants),
      worker_(worker),
      targets_(TailTargets(object)),
      foreign_(ForeignTails()),
      live_(object.programs.size(), false) {
  engines_.resize(IsLarge(object) ? 2 : 1);
  wanted_.resize(engines_.size());
}

Fixpoint::~Fixpoint() {
  // Thousands of small pieces. The end of an engine needs neither object nor constants.
  if (engines_.size() < 2 || engines_[1] == nullptr) return;
  try {
    worker_.Do([engines = std::make_shared<Engines>(std::move(engines_))]() mutable {
      engines.reset();
    });
  } catch (const std::bad_alloc&) {
    // This thread does it.
  }
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
// what stands at its index are of one thread at a time.
void Fixpoint::RunEngines() {
  uint64_t waiting = 0;
  for (size_t i = 1; i < wanted_.size(); ++i) {
    for (const uint32_t program : wanted_[i]) waiting += SlotsOf(program);
  }
  const bool beside = waiting >= kSlotsForThread;
  // What this thread throws (no memory is left) it throws when the other is done.
  const absl::Cleanup settle = [this] { worker_.Settle(); };
  if (beside) worker_.Do([this] { RunEngine(1); });
  RunEngine(0);
  if (beside) {
    worker_.Wait();
  } else if (engines_.size() > 1) {
    RunEngine(1);
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
