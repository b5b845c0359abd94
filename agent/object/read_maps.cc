// SPDX-License-Identifier: Apache-2.0
// Maps of the `.maps` section: attributes from BTF, names from BTF or else from symbols.
#include <elf.h>
#include <linux/bpf.h>

#include <algorithm>

#include "agent/base/status.h"
#include "agent/object/builder.h"

namespace bonsai::object {
namespace {

// __uint(name, N) is a pointer to an array of N; __ulong an enum with one value.
uint32_t Number(const Btf& btf, uint32_t member_type) {
  const Btf::Type& pointer = btf.type(btf.Strip(member_type));
  if (pointer.kind != BTF_KIND_PTR) return 0;
  return btf.ArrayLength(btf.type(pointer.size_or_type));
}

// __type(name, T) is a pointer to T.
uint32_t PointeeSize(const Btf& btf, uint32_t member_type) {
  const Btf::Type& pointer = btf.type(btf.Strip(member_type));
  if (pointer.kind != BTF_KIND_PTR) return 0;
  return static_cast<uint32_t>(btf.Size(pointer.size_or_type));
}

// The struct of inner maps that __array(values, T) points to, or 0.
uint32_t InnerMap(const Btf& btf, uint32_t member_type) {
  const Btf::Type& array = btf.type(btf.Strip(member_type));
  const Btf::Type& pointer = btf.type(btf.Strip(btf.ArrayElement(array)));
  if (pointer.kind != BTF_KIND_PTR) return 0;
  const uint32_t inner = btf.Strip(pointer.size_or_type);
  return btf.type(inner).kind == BTF_KIND_STRUCT ? inner : 0;
}

// Fills `map` from its definition; returns the byte offset of `values`.
uint64_t ReadDefinition(const Btf& btf, uint32_t struct_id, bool with_inner, Map& map) {
  const Btf::Type& definition = btf.type(struct_id);
  uint64_t values_offset = 0;
  if (definition.kind != BTF_KIND_STRUCT) return 0;
  for (uint32_t i = 0; i < definition.vlen; ++i) {
    const Btf::Member member = btf.MemberAt(definition, i);
    if (member.name == "type") map.type = Number(btf, member.type);
    if (member.name == "key_size") map.key_size = Number(btf, member.type);
    if (member.name == "value_size") map.value_size = Number(btf, member.type);
    if (member.name == "max_entries") map.max_entries = Number(btf, member.type);
    if (member.name == "map_flags") map.map_flags = Number(btf, member.type);
    if (member.name == "key") map.key_size = PointeeSize(btf, member.type);
    if (member.name == "value") map.value_size = PointeeSize(btf, member.type);
    if (member.name != "values") continue;
    values_offset = member.bit_offset / 8;
    map.value_size = sizeof(uint32_t);  // of a map of maps or programs: a descriptor
    const uint32_t inner = InnerMap(btf, member.type);
    if (!with_inner || inner == 0) continue;
    map.inner.emplace_back();
    ReadDefinition(btf, inner, false, map.inner.back());
  }
  return values_offset;
}

}  // namespace

std::optional<std::string_view> TagValue(std::string_view tag, std::string_view prefix) {
  if (!tag.starts_with(prefix)) return std::nullopt;
  return tag.substr(prefix.size());
}

absl::Status Builder::ReadTypes() {
  const ElfSection* types = elf.Find(".BTF");
  if (types == nullptr) return absl::OkStatus();
  ASSIGN_OR_RETURN(btf, Btf::Parse(elf, *types));
  spec.strings.assign(reinterpret_cast<const char*>(btf->strings().data()), btf->strings().size());
  const ElfSection* lines = elf.Find(".BTF.ext");
  if (lines == nullptr) return absl::OkStatus();
  ASSIGN_OR_RETURN(ext, BtfExt::Parse(elf, *lines, *btf));
  return absl::OkStatus();
}

absl::Status Builder::ReadMaps() {
  const ElfSection* section = elf.Find(kMapsSection);
  if (section == nullptr) return absl::OkStatus();
  const auto index = static_cast<uint32_t>(section - elf.sections.data());
  for (uint32_t id = 1; btf && id < btf->count(); ++id) {
    const Btf::Type& datasec = btf->type(id);
    if (datasec.kind != BTF_KIND_DATASEC || btf->Name(datasec) != kMapsSection) continue;
    for (uint32_t i = 0; i < datasec.vlen; ++i) {
      const Btf::SectionVariable variable = btf->VariableAt(datasec, i);
      const Btf::Type& var = btf->type(variable.type);
      MapPlace place{.offset = variable.offset, .size = variable.size};
      // The compiler leaves the offsets of what is not static to the symbol table.
      const auto symbol = globals.find(btf->Name(var));
      if (btf->Linkage(var) != BTF_VAR_STATIC && symbol != globals.end()) {
        place.offset = symbol->second->value;
      }
      RETURN_IF_ERROR(AddMap(btf->Name(var), variable.type, place));
    }
  }
  for (const ElfSymbol& symbol : elf.symbols) {
    if (symbol.type != STT_OBJECT || symbol.section != index || MapAt(symbol.value)) continue;
    RETURN_IF_ERROR(AddMap(symbol.name, 0, {.offset = symbol.value, .size = symbol.size}));
  }
  return absl::OkStatus();
}

absl::Status Builder::AddMap(std::string_view name, uint32_t var, MapPlace place) {
  if (name.empty()) return elf.Error(kMapsSection, place.offset, "map without a name");
  Map map{.name = std::string(name)};
  if (var != 0) {
    place.values_offset =
        ReadDefinition(*btf, btf->Strip(btf->type(var).size_or_type), true, map);
    for (std::string_view tag : btf->Tags(var)) {
      if (const auto feature = TagValue(tag, "feature:")) map.feature = *feature;
      if (const auto size = TagValue(tag, "size:")) map.sized_by = *size;
    }
  }
  spec.maps.push_back(std::move(map));
  map_places.push_back(place);
  return absl::OkStatus();
}

std::optional<uint32_t> Builder::MapAt(uint64_t offset) const {
  for (size_t i = 0; i < map_places.size(); ++i) {
    const uint64_t into = offset - map_places[i].offset;
    if (into == 0 || into < map_places[i].size) return static_cast<uint32_t>(i);
  }
  return std::nullopt;
}

// `.values` of program arrays and maps of maps: one relocation a filled slot.
absl::Status Builder::ReadInitialisers() {
  const ElfSection* section = elf.Find(kMapsSection);
  if (section == nullptr) return absl::OkStatus();
  for (const ElfReloc& reloc : section->relocs) {
    const auto index = MapAt(reloc.offset);
    if (!index) return elf.Error(kMapsSection, reloc.offset, "initialiser outside of any map");
    const MapPlace& place = map_places[*index];
    const uint64_t first = place.offset + place.values_offset;
    if (reloc.offset < first) {
      return elf.Error(kMapsSection, reloc.offset, "initialiser of something else than .values");
    }
    const auto slot = static_cast<uint32_t>((reloc.offset - first) / 8);
    const ElfSymbol& symbol = elf.symbols[reloc.symbol];
    Map& map = spec.maps[*index];
    if (!symbol.defined()) {
      return elf.Error(kMapsSection, reloc.offset, "initialiser names what is not in this object");
    }
    if (elf.sections[symbol.section].name == kMapsSection) {
      if (const auto inner = MapAt(symbol.value)) map.initial_maps[slot] = spec.maps[*inner].name;
      continue;
    }
    const auto function = function_at.find({symbol.section, static_cast<uint32_t>(symbol.value / 8)});
    if (function == function_at.end()) {
      return elf.Error(kMapsSection, reloc.offset, "initialiser is neither a map nor a program");
    }
    map.initial_programs[slot] =
        symbol.type == STT_FUNC ? std::string(symbol.name) : spec.functions[function->second].name;
  }
  return absl::OkStatus();
}

}  // namespace bonsai::object
