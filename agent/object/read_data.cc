// SPDX-License-Identifier: Apache-2.0
// Data sections that libbpf turns into maps, and the variables of the read-only ones.
#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <charconv>

#include "agent/base/status.h"
#include "agent/object/builder.h"

namespace bonsai::object {
namespace {

// More than any object's globals need; keeps a forged .bss from eating the memory.
constexpr uint64_t kMaxDataBytes = 64 << 20;

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
  const Btf::Type type = btf.type(btf.Strip(type_id));
  constant.type = type_id;
  const uint32_t encoding = btf.IntEncoding(type);
  constant.is_bool = (encoding & BTF_INT_BOOL) != 0;
  constant.is_signed = (encoding & BTF_INT_SIGNED) != 0;
  const bool is_enum = type.kind == BTF_KIND_ENUM || type.kind == BTF_KIND_ENUM64;
  if (is_enum) constant.is_signed = type.kflag;
  constant.is_integer = (type.kind == BTF_KIND_INT || is_enum) && IsNumberSize(constant.size);
}

}  // namespace

absl::Status Builder::ReadData() {
  RETURN_IF_ERROR(AddSections());
  // Of several sections of one name BTF describes the first.
  ByName<uint32_t> read_only;
  for (uint32_t i = 0; i < spec.data_sections.size(); ++i) {
    if (spec.data_sections[i].read_only) read_only.emplace(spec.data_sections[i].name, i);
  }
  for (uint32_t id : btf ? btf->sections() : std::vector<uint32_t>()) {
    const Btf::Type datasec = btf->type(id);
    const auto found = read_only.find(btf->Name(datasec));
    if (found != read_only.end()) RETURN_IF_ERROR(AddConstants(datasec, found->second));
  }
  return AddSymbolConstants();
}

absl::Status Builder::AddSections() {
  data_index.resize(elf.sections.size());
  uint64_t total = 0;
  for (uint32_t i = 0; i < elf.sections.size(); ++i) {
    const ElfSection& section = elf.sections[i];
    const bool read_only = IsOrIsBelow(section.name, ".rodata");
    if (!read_only && !IsOrIsBelow(section.name, ".data") && !IsOrIsBelow(section.name, ".bss")) {
      continue;
    }
    if (section.type != SHT_PROGBITS && section.type != SHT_NOBITS) continue;
    if (section.size > kMaxDataBytes - total) return elf.Error(section.name, 0, "too large");
    total += section.size;
    DataSection& data = spec.data_sections.emplace_back();
    data.name = section.name;
    data.read_only = read_only;
    data.bytes.assign(section.data.begin(), section.data.end());
    data.bytes.resize(section.size);
    data_index[i] = static_cast<uint32_t>(spec.data_sections.size());
  }
  return absl::OkStatus();
}

absl::Status Builder::AddConstants(const Btf::Type& datasec, uint32_t index) {
  const DataSection& section = spec.data_sections[index];
  spec.constants.reserve(spec.constants.size() + datasec.vlen);
  for (uint32_t i = 0; i < datasec.vlen; ++i) {
    const Btf::SectionVariable variable = btf->VariableAt(datasec, i);
    const Btf::Type var = btf->type(variable.type);
    const std::string_view name = btf->Name(var);
    Constant constant{.section = index, .offset = variable.offset, .size = variable.size};
    const auto global = globals.find(name);
    if (btf->Linkage(var) != BTF_VAR_STATIC && global != globals.end()) {
      constant.offset = static_cast<uint32_t>(elf.symbol(global->second).value);
    }
    if (name.empty() || constant.size > section.bytes.size() ||
        constant.offset > section.bytes.size() - constant.size) {
      continue;
    }
    constant.name = name;
    SetType(*btf, var.size_or_type, constant);
    size_t size = sizeof(Constant) + name.size();
    const std::vector<std::string_view> tags = btf->Tags(variable.type);
    for (std::string_view tag : tags) size += tag.size();
    RETURN_IF_ERROR(Charge(charged_, section.name, constant.offset, size));
    ApplyTags(tags, constant);
    spec.constants.push_back(std::move(constant));
  }
  return absl::OkStatus();
}

// What BTF does not name: all variables of an object without BTF.
absl::Status Builder::AddSymbolConstants() {
  absl::flat_hash_set<uint64_t> known;
  const auto place = [](uint32_t section, uint32_t offset) {
    return uint64_t{section} << 32 | offset;
  };
  known.reserve(spec.constants.size());
  for (const Constant& constant : spec.constants) {
    known.insert(place(constant.section, constant.offset));
  }
  for (uint32_t i : elf.data_symbols) {
    const ElfSymbol symbol = elf.symbol(i);
    const uint32_t index = data_index[symbol.section];
    const std::string_view name = elf.NameOf(symbol);
    if (index == 0 || name.empty()) continue;
    const DataSection& section = spec.data_sections[index - 1];
    if (!section.read_only || symbol.size > section.bytes.size() ||
        symbol.value > section.bytes.size() - symbol.size) {
      continue;
    }
    const auto offset = static_cast<uint32_t>(symbol.value);
    if (!known.insert(place(index - 1, offset)).second) continue;
    RETURN_IF_ERROR(Charge(charged_, section.name, offset, sizeof(Constant) + name.size()));
    Constant& constant = spec.constants.emplace_back();
    constant.name = name;
    constant.section = index - 1;
    constant.offset = offset;
    constant.size = static_cast<uint32_t>(symbol.size);
    constant.is_integer = IsNumberSize(symbol.size);
  }
  return absl::OkStatus();
}

}  // namespace bonsai::object
