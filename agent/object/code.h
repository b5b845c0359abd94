// SPDX-License-Identifier: Apache-2.0
// Instructions of a function and the source lines they came from: views that share ownership of
// the object's bytes, so that reading an object copies neither. Immutable, cheap to copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace bonsai::object {

// One eBPF instruction slot, laid out as in the ELF (little endian). A 64-bit immediate takes two
// slots. Nothing is checked: registers may be 11..15, opcodes unknown.
struct Insn {
  uint8_t opcode = 0;
  uint8_t dst : 4 = 0;
  uint8_t src : 4 = 0;
  int16_t offset = 0;
  int32_t imm = 0;
};
static_assert(sizeof(Insn) == 8);

class Insns {
 public:
  Insns() = default;
  Insns(std::vector<Insn> insns) {  // NOLINT: a function made by hand
    auto owner = std::make_shared<const std::vector<Insn>>(std::move(insns));
    size_ = owner->size();
    first_ = {owner, owner->data()};
  }
  Insns(std::shared_ptr<const Insn> first, size_t size) : first_(std::move(first)), size_(size) {}

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const Insn* data() const { return first_.get(); }
  const Insn* begin() const { return first_.get(); }
  const Insn* end() const { return first_.get() + size_; }
  const Insn& operator[](size_t slot) const { return first_.get()[slot]; }
  const Insn& front() const { return *begin(); }
  const Insn& back() const { return *(end() - 1); }

 private:
  std::shared_ptr<const Insn> first_;
  size_t size_ = 0;
};

// `file` and `text` (the source line as BTF keeps it) are for ObjectSpec::String().
struct SourceLine {
  uint32_t slot = 0;    // slot inside the function
  uint32_t line = 0;    // 1-based
  uint32_t file = 0;
  uint32_t text = 0;
};

// The lines of one function, sorted by slot, decoded when asked for: only explanations want them.
// Each begin() or end() searches the records of the whole section; keep what they return.
class SourceLines {
 public:
  // Records of .BTF.ext of one ELF section: `count` of `stride` bytes each, sorted by offset.
  struct Records {
    std::shared_ptr<const uint8_t> first;
    uint32_t count = 0, stride = 0;
  };
  class Iterator {
   public:
    using iterator_category = std::random_access_iterator_tag;
    using value_type = SourceLine;
    using difference_type = std::ptrdiff_t;
    using pointer = const SourceLine*;
    using reference = SourceLine;

    Iterator() = default;
    Iterator(const SourceLines* lines, std::ptrdiff_t at) : lines_(lines), at_(at) {}
    SourceLine operator*() const { return lines_->At(static_cast<size_t>(at_)); }
    SourceLine operator[](std::ptrdiff_t n) const { return *(*this + n); }
    Iterator& operator++() { ++at_; return *this; }
    Iterator& operator--() { --at_; return *this; }
    Iterator operator++(int) { return {lines_, at_++}; }
    Iterator operator--(int) { return {lines_, at_--}; }
    Iterator& operator+=(std::ptrdiff_t n) { at_ += n; return *this; }
    Iterator& operator-=(std::ptrdiff_t n) { at_ -= n; return *this; }
    friend Iterator operator+(Iterator i, std::ptrdiff_t n) { return i += n; }
    friend Iterator operator+(std::ptrdiff_t n, Iterator i) { return i += n; }
    friend Iterator operator-(Iterator i, std::ptrdiff_t n) { return i -= n; }
    friend std::ptrdiff_t operator-(const Iterator& a, const Iterator& b) { return a.at_ - b.at_; }
    friend auto operator<=>(const Iterator& a, const Iterator& b) { return a.at_ <=> b.at_; }
    friend bool operator==(const Iterator& a, const Iterator& b) { return a.at_ == b.at_; }

   private:
    const SourceLines* lines_ = nullptr;
    std::ptrdiff_t at_ = 0;
  };

  SourceLines() = default;
  SourceLines(const std::vector<SourceLine>& lines);  // NOLINT: a function made by hand
  // The part of `records` that belongs to the function at those slots of its section.
  SourceLines(Records records, uint32_t section_slot, uint32_t slots)
      : records_(std::move(records)), section_slot_(section_slot), slots_(slots) {}

  Iterator begin() const { return {this, static_cast<std::ptrdiff_t>(First(section_slot_))}; }
  Iterator end() const {
    return {this, static_cast<std::ptrdiff_t>(First(uint64_t{section_slot_} + slots_))};
  }
  size_t size() const { return static_cast<size_t>(end() - begin()); }
  bool empty() const { return size() == 0; }
  SourceLine operator[](size_t index) const { return begin()[static_cast<std::ptrdiff_t>(index)]; }
  // The line an instruction came from: that of the last record at or before it.
  std::optional<SourceLine> LineOf(uint32_t slot) const;

 private:
  // Record `index` of the section.
  SourceLine At(size_t index) const;
  uint32_t Word(size_t index, size_t word) const {
    uint32_t value;
    std::memcpy(&value, records_.first.get() + index * records_.stride + word * 4, sizeof(value));
    return value;
  }
  // The first record at or after this slot of the section. Monotonous in `slot` for any records,
  // sorted or not, so that begin() is never behind end().
  size_t First(uint64_t slot) const;

  Records records_;
  uint32_t section_slot_ = 0, slots_ = 0;
};

}  // namespace bonsai::object
