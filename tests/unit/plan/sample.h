// SPDX-License-Identifier: Apache-2.0
// Objects and livenesses made by hand.
#pragma once

#include <linux/bpf.h>

#include <set>
#include <string>
#include <vector>

#include "agent/object/object_spec.h"
#include "agent/reachability/liveness.h"
#include "agent/settings/settings.h"

namespace bonsai::plan {

inline object::Insn I(uint8_t opcode, uint8_t dst = 0, uint8_t src = 0, int16_t offset = 0,
                      int32_t imm = 0) {
  object::Insn insn;
  insn.opcode = opcode;
  insn.dst = dst;
  insn.src = src;
  insn.offset = offset;
  insn.imm = imm;
  return insn;
}

inline object::Insn MovImm(uint8_t dst, int32_t imm) { return I(0xb7, dst, 0, 0, imm); }
inline object::Insn MovReg(uint8_t dst, uint8_t src) { return I(0xbf, dst, src); }
inline object::Insn Exit() { return I(0x95); }
inline object::Insn CallHelper(int32_t helper) { return I(0x85, 0, 0, 0, helper); }
inline object::Insn CallFunction() { return I(0x85, 0, 1, 0, -1); }
// if (dst == imm) goto +offset
inline object::Insn JumpEq(uint8_t dst, int32_t imm, int16_t offset) {
  return I(0x15, dst, 0, offset, imm);
}
inline object::Insn Goto(int16_t offset) { return I(0x05, 0, 0, offset); }

// An object of one entry program `name` in `section` with this code, all of it live.
struct Sample {
  object::ObjectSpec spec;
  reachability::Liveness liveness;

  Sample(const std::string& name, const std::string& section, std::vector<object::Insn> code) {
    spec.name = name;
    AddProgram(name, section, std::move(code));
  }

  uint32_t AddFunction(const std::string& name, std::vector<object::Insn> code) {
    object::Function function;
    function.name = name;
    liveness.functions.push_back({true, std::vector<bool>(code.size(), true)});
    function.insns = std::move(code);
    spec.functions.push_back(std::move(function));
    return static_cast<uint32_t>(spec.functions.size() - 1);
  }
  uint32_t AddProgram(const std::string& name, const std::string& section,
                      std::vector<object::Insn> code) {
    uint32_t function = AddFunction(name, std::move(code));
    object::Program program;
    program.name = name;
    program.section = section;
    program.function = function;
    spec.programs.push_back(program);
    reachability::ProgramLiveness facts;
    facts.live = true;
    facts.functions = {function};
    const auto slots = static_cast<uint32_t>(spec.functions[function].insns.size());
    facts.code[function] = {{0, slots - 1}};
    liveness.programs.push_back(facts);
    liveness.program_reasons.emplace_back();
    return static_cast<uint32_t>(spec.programs.size() - 1);
  }
  uint32_t AddTail(const std::string& name, const std::string& map, uint32_t slot, bool live,
                   const std::string& reason = "") {
    uint32_t index = AddProgram(name, "tc", {MovImm(0, 0), Exit()});
    spec.programs[index].tail = object::TailSlot{map, slot};
    liveness.programs[index].live = live;
    liveness.program_reasons[index] = reason;
    return index;
  }
  // Used by these programs; by none: dead for `reason`.
  uint32_t AddMap(object::Map map, const std::set<uint32_t>& programs,
                  const std::string& reason = "") {
    auto index = static_cast<uint32_t>(spec.maps.size());
    spec.maps.push_back(std::move(map));
    liveness.maps.push_back(!programs.empty());
    liveness.map_reasons.push_back(reason);
    for (uint32_t program : programs) liveness.programs[program].maps.insert(index);
    return index;
  }
  void Refer(uint32_t function, uint32_t slot, object::RefKind kind, uint32_t index) {
    object::Ref ref;
    ref.slot = slot;
    ref.kind = kind;
    ref.index = index;
    spec.functions[function].refs.push_back(ref);
  }
};

inline object::Map Hash(const std::string& name, uint32_t entries,
                        const std::string& sized_by = "") {
  object::Map map;
  map.name = name;
  map.type = BPF_MAP_TYPE_HASH;
  map.key_size = map.value_size = 8;
  map.max_entries = entries;
  map.sized_by = sized_by;
  return map;
}

inline object::Map TailArray(const std::string& name) {
  object::Map map;
  map.name = name;
  map.type = BPF_MAP_TYPE_PROG_ARRAY;
  map.key_size = map.value_size = 4;
  map.max_entries = 8;
  return map;
}

}  // namespace bonsai::plan
