// SPDX-License-Identifier: Apache-2.0
// Data sections that libbpf turns into maps, and the variables of the read-only ones.
#include <elf.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "agent/base/status.h"
#include "agent/object/builder.h"

namespace bonsai::object {
namespace {

// More than any map of globals needs; keeps a forged .bss from eating the memory.
constexpr uint64_t kMaxSectionBytes = 64 << 20;

bool IsOrIsBelow(std::string_view name, std::string_view base) {
  return name == base || (name.starts_with(base) && name[base.size()] == '.');
}

void SetRange(std::string_view text, Constant& constant) {
  const size_t dots = text.find("..");
  if (dots == std::string_view::npos) return;
  const auto number = [](std::string_view part) -> std::optional<int64_t> {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    if (error != std::errc() || end != part.data() + part.size()) return std::nullopt;
    return value;
  };
  constant.min = number(text.substr(0, dots));
  constant.max = number(text.substr(dots + 2));
}

void ApplyTags(const std::vector<std::string_view>& tags, Constant& constant) {
  for (std::string_view tag : tags) {
    if (tag == "config:setting") constant.origin = ConstantOrigin::kSetting;
    if (tag == "config:node") constant.origin = ConstantOrigin::kNode;
    if (const auto feature = TagValue(tag, "feature:")) constant.feature = *feature;
    if (const auto doc = TagValue(tag, "doc:")) constant.doc = *doc;
    if (const auto range = TagValue(tag, "range:")) SetRange(*range, constant);
    if (const auto key = TagValue(tag, "requires:")) constant.requires_keys.emplace_back(*key);
  }
  std::sort(constant.requires_keys.begin(), constant.requires_keys.end());
}

bool IsNumberSize(uint64_t size) { return size == 1 || size == 2 || size == 4 || size == 8; }

void SetType(const Btf& btf, uint32_t type_id, Constant& constant) {
  const Btf::Type& type = btf.type(btf.Strip(type_id));
  const uint32_t encoding = btf.IntEncoding(type);
  constant.is_bool = (encoding & BTF_INT_BOOL) != 0;
  constant.is_signed = (encoding & BTF_INT_SIGNED) != 0;
  const bool is_enum = type.kind == BTF_KIND_ENUM || type.kind == BTF_KIND_ENUM64;
  if (is_enum) constant.is_signed = type.kflag;
  constant.is_integer = (type.kind == BTF_KIND_INT || is_enum) && IsNumberSize(constant.size);
}

}  // namespace

absl::Status Builder::ReadData() {
  for (uint32_t i = 0; i < elf.sections.size(); ++i) {
    const ElfSection& section = elf.sections[i];
    const bool read_only = IsOrIsBelow(section.name, ".rodata");
    if (!read_only && !IsOrIsBelow(section.name, ".data") && !IsOrIsBelow(section.name, ".bss")) {
      continue;
    }
    if (section.type != SHT_PROGBITS && section.type != SHT_NOBITS) continue;
    if (section.size > kMaxSectionBytes) return elf.Error(section.name, 0, "too large");
    DataSection data{.name = std::string(section.name), .read_only = read_only};
    data.bytes.assign(section.data.begin(), section.data.end());
    data.bytes.resize(section.size);
    data_index[i] = static_cast<uint32_t>(spec.data_sections.size());
    spec.data_sections.push_back(std::move(data));
  }
  for (uint32_t id = 1; btf && id < btf->count(); ++id) {
    const Btf::Type& datasec = btf->type(id);
    if (datasec.kind != BTF_KIND_DATASEC) continue;
    for (uint32_t i = 0; i < spec.data_sections.size(); ++i) {
      const DataSection& section = spec.data_sections[i];
      if (section.read_only && section.name == btf->Name(datasec)) AddConstants(datasec, i);
    }
  }
  AddSymbolConstants();
  return absl::OkStatus();
}

void Builder::AddConstants(const Btf::Type& datasec, uint32_t index) {
  const DataSection& section = spec.data_sections[index];
  for (uint32_t i = 0; i < datasec.vlen; ++i) {
    const Btf::SectionVariable variable = btf->VariableAt(datasec, i);
    const Btf::Type& var = btf->type(variable.type);
    Constant constant{.name = std::string(btf->Name(var)), .section = index,
                      .offset = variable.offset, .size = variable.size};
    const auto symbol = globals.find(btf->Name(var));
    if (btf->Linkage(var) != BTF_VAR_STATIC && symbol != globals.end()) {
      constant.offset = static_cast<uint32_t>(symbol->second->value);
    }
    if (constant.name.empty() || constant.size > section.bytes.size() ||
        constant.offset > section.bytes.size() - constant.size) {
      continue;
    }
    SetType(*btf, var.size_or_type, constant);
    ApplyTags(btf->Tags(variable.type), constant);
    spec.constants.push_back(std::move(constant));
  }
}

// What BTF does not name: all variables of an object without BTF.
void Builder::AddSymbolConstants() {
  std::set<std::pair<uint32_t, uint32_t>> known;
  for (const Constant& constant : spec.constants) known.emplace(constant.section, constant.offset);
  for (const ElfSymbol& symbol : elf.symbols) {
    const auto index = symbol.defined() ? data_index.find(symbol.section) : data_index.end();
    if (symbol.type != STT_OBJECT || symbol.name.empty() || index == data_index.end()) continue;
    const DataSection& section = spec.data_sections[index->second];
    if (!section.read_only || symbol.size > section.bytes.size() ||
        symbol.value > section.bytes.size() - symbol.size) {
      continue;
    }
    const auto offset = static_cast<uint32_t>(symbol.value);
    if (!known.emplace(index->second, offset).second) continue;
    spec.constants.push_back({.name = std::string(symbol.name), .section = index->second,
                              .offset = offset, .size = static_cast<uint32_t>(symbol.size),
                              .is_integer = IsNumberSize(symbol.size)});
  }
}

}  // namespace bonsai::object
