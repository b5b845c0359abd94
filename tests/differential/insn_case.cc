// SPDX-License-Identifier: Apache-2.0
#include "tests/differential/insn_case.h"

#include <fmt/format.h>

namespace bonsai::differential {
namespace {

constexpr uint8_t kLoadImm64 = BPF_LD | BPF_IMM | BPF_DW;

size_t SlotsOf(const Item& item) { return item.insn.code == kLoadImm64 ? 2 : 1; }

// First slot of each item, and the slot behind the last.
std::vector<size_t> Places(const InsnFunction& function) {
  std::vector<size_t> places{0};
  for (const Item& item : function.items) places.push_back(places.back() + SlotsOf(item));
  return places;
}

// The function's slots with its jumps counted out.
std::vector<bpf_insn> Slots(const InsnFunction& function) {
  const std::vector<size_t> places = Places(function);
  std::vector<bpf_insn> slots;
  for (size_t i = 0; i < function.items.size(); ++i) {
    const Item& item = function.items[i];
    bpf_insn insn = item.insn;
    if (item.target >= 0) {
      const auto distance = static_cast<int64_t>(places[static_cast<size_t>(item.target)]) -
                            static_cast<int64_t>(places[i]) - 1;
      if (insn.code == (BPF_JMP32 | BPF_JA)) {
        insn.imm = static_cast<int32_t>(distance);
      } else {
        insn.off = static_cast<int16_t>(distance);
      }
    }
    slots.push_back(insn);
    if (SlotsOf(item) == 2) {
      slots.push_back({});
      slots.back().imm = item.high;
    }
  }
  return slots;
}

object::Insn ForEngine(const bpf_insn& insn) {
  object::Insn out;
  out.opcode = insn.code;
  out.dst = insn.dst_reg & 15;
  out.src = insn.src_reg & 15;
  out.offset = insn.off;
  out.imm = insn.imm;
  return out;
}

}  // namespace

size_t InsnCase::Size() const {
  size_t size = 0;
  for (const InsnFunction& function : functions) size += function.items.size();
  return size;
}

InsnCase InsnCase::Without(const std::vector<bool>& kept) const {
  InsnCase out{.functions = {}, .data = data};
  size_t number = 0;
  for (const InsnFunction& function : functions) {
    InsnFunction part{.is_global = function.is_global, .items = {}};
    std::vector<int> moved;  // where each item is now, or what follows it
    for (const Item& item : function.items) {
      moved.push_back(static_cast<int>(part.items.size()));
      if (kept[number++]) part.items.push_back(item);
    }
    moved.push_back(static_cast<int>(part.items.size()));
    for (Item& item : part.items) {
      if (item.target >= 0) item.target = moved[static_cast<size_t>(item.target)];
    }
    out.functions.push_back(std::move(part));
  }
  return out.Called();
}

InsnCase InsnCase::Called() const {
  std::vector<bool> called(functions.size());
  called[0] = true;
  for (size_t f = 0; f < functions.size(); ++f) {  // calls go to later functions only
    for (const Item& item : functions[f].items) {
      if (called[f] && item.callee >= 0) called[static_cast<size_t>(item.callee)] = true;
    }
  }
  InsnCase out{.functions = {}, .data = data};
  std::vector<int> moved;
  for (size_t f = 0; f < functions.size(); ++f) {
    moved.push_back(static_cast<int>(out.functions.size()));
    if (called[f]) out.functions.push_back(functions[f]);
  }
  for (InsnFunction& function : out.functions) {
    for (Item& item : function.items) {
      if (item.callee >= 0) item.callee = moved[static_cast<size_t>(item.callee)];
    }
  }
  return out;
}

object::ObjectSpec InsnCase::Spec() const {
  object::ObjectSpec spec{.name = "made"};
  for (size_t f = 0; f < functions.size(); ++f) {
    std::vector<object::Insn> insns;
    for (const bpf_insn& insn : Slots(functions[f])) insns.push_back(ForEngine(insn));
    object::Function function{.name = fmt::format("f{}", f), .section = f == 0 ? "tc" : ".text",
                              .is_global = f == 0 || functions[f].is_global,
                              .insns = std::move(insns)};
    const std::vector<size_t> places = Places(functions[f]);
    for (size_t i = 0; i < functions[f].items.size(); ++i) {
      const Item& item = functions[f].items[i];
      const auto slot = static_cast<uint32_t>(places[i]);
      if (item.callee >= 0) {
        function.refs.push_back({.slot = slot, .kind = object::RefKind::kCall,
                                 .index = static_cast<uint32_t>(item.callee)});
      }
      if (item.data_offset >= 0) {
        function.refs.push_back({.slot = slot, .kind = object::RefKind::kData, .index = 0,
                                 .offset = item.data_offset});
      }
    }
    spec.functions.push_back(std::move(function));
  }
  spec.programs.push_back({.name = "f0", .section = "tc", .function = 0});
  spec.data_sections.push_back({.name = ".rodata", .bytes = data, .read_only = true});
  return spec;
}

Image InsnCase::ToImage(int btf_fd, const std::vector<uint32_t>& function_types,
                        int data_fd) const {
  Image image{.name = "made", .btf_fd = btf_fd};
  std::vector<size_t> starts;
  for (const InsnFunction& function : functions) {
    starts.push_back(image.insns.size());
    const std::vector<bpf_insn> slots = Slots(function);
    image.insns.insert(image.insns.end(), slots.begin(), slots.end());
  }
  for (size_t f = 0; f < functions.size(); ++f) {
    const size_t type = f == 0 ? 0 : 2 * f - functions[f].is_global;
    image.functions.push_back({.insn_off = static_cast<uint32_t>(starts[f]),
                               .type_id = function_types[type]});
    const std::vector<size_t> places = Places(functions[f]);
    for (size_t i = 0; i < functions[f].items.size(); ++i) {
      const Item& item = functions[f].items[i];
      const size_t slot = starts[f] + places[i];
      if (item.callee >= 0) {
        const size_t callee = starts[static_cast<size_t>(item.callee)];
        image.insns[slot].imm = static_cast<int32_t>(callee) - static_cast<int32_t>(slot) - 1;
      }
      if (item.data_offset >= 0) {
        image.insns[slot].src_reg = BPF_PSEUDO_MAP_VALUE;
        image.insns[slot].imm = data_fd;
        image.insns[slot + 1].imm = item.data_offset;
      }
    }
  }
  return image;
}

std::string InsnCase::Text() const {
  std::string text = "data:";
  for (const uint8_t byte : data) text += fmt::format(" {:02x}", byte);
  text += "\n";
  for (size_t f = 0; f < functions.size(); ++f) {
    text += fmt::format("function {}{}:\n", f, functions[f].is_global ? ", global" : "");
    size_t slot = 0;
    for (const bpf_insn& insn : Slots(functions[f])) {
      text += fmt::format("  /* {:3} */ {{{:#04x}, {}, {}, {}, {}}},\n", slot++, insn.code,
                          static_cast<int>(insn.dst_reg), static_cast<int>(insn.src_reg),
                          static_cast<int>(insn.off), static_cast<int>(insn.imm));
    }
  }
  return text;
}

}  // namespace bonsai::differential
