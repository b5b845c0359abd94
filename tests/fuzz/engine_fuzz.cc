// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/engine_fuzz.h"

#include <fmt/format.h>

#include "agent/reachability/liveness.h"
#include "tests/fuzz/concrete.h"
#include "tests/fuzz/engine_input.h"

namespace bonsai::fuzz {
namespace {

constexpr uint32_t kRuns = 4;

std::string Listing(const object::ObjectSpec& object, const reachability::Liveness& liveness) {
  std::string text;
  for (size_t f = 0; f < object.functions.size(); ++f) {
    const object::Function& function = object.functions[f];
    text += fmt::format("{}{}:\n", function.name, function.is_global ? " (global)" : "");
    for (size_t slot = 0; slot < function.insns.size(); ++slot) {
      const object::Insn& insn = function.insns[slot];
      text += fmt::format("  {} {:3}: {:02x} r{} r{} off {} imm {}\n",
                          liveness.functions[f].live_slots[slot] ? ' ' : 'x', slot, insn.opcode,
                          uint32_t{insn.dst}, uint32_t{insn.src}, insn.offset, insn.imm);
    }
  }
  return text;
}

std::string MistakeOf(const object::ObjectSpec& object, const reachability::Liveness& liveness,
                      const Trace& trace) {
  for (const auto& [function, slot] : trace.slots) {
    if (liveness.functions[function].live && liveness.functions[function].live_slots[slot]) continue;
    return fmt::format("f{} slot {} ran, called dead\n{}", function, slot,
                       Listing(object, liveness));
  }
  for (const uint32_t map : trace.maps) {
    if (!liveness.maps[map]) return fmt::format("map {} in use, called dead", map);
  }
  return "";
}

}  // namespace

Answer AnalyseAndRun(std::span<const uint8_t> bytes) {
  Answer answer;
  const object::ObjectSpec object = ObjectFrom(bytes);
  if (object.functions.empty()) return answer;
  const auto liveness = reachability::Analyze(object, constants::Defaults(object));
  if (!liveness.ok()) return answer;
  Random random(static_cast<uint32_t>(bytes.size()) * 31 + bytes.back());
  for (uint32_t run = 0; run < kRuns && answer.mistake.empty(); ++run) {
    const Trace trace = Machine(object, random).Run();
    answer.slots_run += trace.slots.size();
    answer.mistake = MistakeOf(object, *liveness, trace);
  }
  return answer;
}

}  // namespace bonsai::fuzz
