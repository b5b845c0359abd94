// SPDX-License-Identifier: Apache-2.0
#include "agent/object/code.h"

#include <algorithm>

namespace bonsai::object {
namespace {

// A record as .BTF.ext has it; the line stands above the 10 bits of the column.
struct Record {
  uint32_t offset = 0, file = 0, text = 0, line = 0;
};
constexpr uint32_t kColumnBits = 10;

}  // namespace

SourceLines::SourceLines(const std::vector<SourceLine>& lines) {
  auto records = std::make_shared<std::vector<Record>>();
  for (const SourceLine& line : lines) {
    records->push_back({line.slot * static_cast<uint32_t>(sizeof(Insn)), line.file, line.text,
                        line.line << kColumnBits});
    slots_ = std::max(slots_, line.slot + 1);
  }
  const auto* bytes = reinterpret_cast<const uint8_t*>(records->data());
  records_ = {{records, bytes}, static_cast<uint32_t>(lines.size()), sizeof(Record)};
}

SourceLine SourceLines::At(size_t index) const {
  const uint32_t slot = Word(index, 0) / static_cast<uint32_t>(sizeof(Insn));
  // Forged records may be unsorted; their slots are held to the function all the same.
  const uint32_t last = section_slot_ + slots_ - 1;
  return {.slot = std::clamp(slot, section_slot_, last) - section_slot_,
          .line = Word(index, 3) >> kColumnBits, .file = Word(index, 1), .text = Word(index, 2)};
}

size_t SourceLines::First(uint64_t slot) const {
  size_t first = 0;
  for (size_t count = records_.count; count > 0;) {
    const size_t half = count / 2;
    const bool before = Word(first + half, 0) / sizeof(Insn) < slot;
    first += before ? half + 1 : 0;
    count = before ? count - half - 1 : half;
  }
  return first;
}

std::optional<SourceLine> SourceLines::LineOf(uint32_t slot) const {
  const Iterator first = begin();
  const Iterator after =
      std::upper_bound(first, end(), slot,
                       [](uint32_t at, const SourceLine& line) { return at < line.slot; });
  if (after == first) return std::nullopt;
  return *(after - 1);
}

}  // namespace bonsai::object
