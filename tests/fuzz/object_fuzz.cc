// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/object_fuzz.h"

#include <cstdlib>

#include "agent/reachability/liveness.h"

namespace bonsai::fuzz {
namespace {

// What an object holds is decoded only when asked for: ask.
void Decode(const object::ObjectSpec& object) {
  for (const object::Function& function : object.functions) {
    for (const object::SourceLine& line : function.lines) {
      if (line.slot >= function.insns.size()) std::abort();
      if (object.String(line.text).size() > object.strings.size()) std::abort();
    }
  }
  size_t asked = 0;
  for (const object::Constant& constant : object.constants) {
    if (++asked > 8) break;
    for (const char* part : {"", ".a", "[1]", ".b[0].c"}) {
      const auto field = object::FindField(object, constant.name + part);
      if (!field.ok()) continue;
      const auto& bytes = object.data_sections.at(field->section).bytes;
      if (field->offset > bytes.size() || field->size > bytes.size() - field->offset) std::abort();
    }
  }
}

}  // namespace

bool ReadAndAnalyse(const std::vector<uint8_t>& bytes) {
  const auto object = object::ReadBytes("fuzz.bpf.o", bytes);
  if (!object.ok()) return false;
  Decode(*object);
  const auto liveness = reachability::Analyze(*object, constants::Defaults(*object));
  if (!liveness.ok()) return false;
  // What every caller relies on.
  if (liveness->maps.size() != object->maps.size()) std::abort();
  if (liveness->live_insns > liveness->total_insns) std::abort();
  return true;
}

}  // namespace bonsai::fuzz
