// SPDX-License-Identifier: Apache-2.0
// Maps of the `.maps` section: attributes from BTF, names from BTF or else from symbols. Maps of
// the section `maps`, as loaders before libbpf 1.0 took them, too.
#include <linux/bpf.h>

#include <algorithm>
#include <charconv>
#include <unordered_map>
#include <utility>
#include <vector>

#include "agent/base/status.h"
#include "agent/object/builder.h"
#include "agent/object/layout.h"

namespace bonsai::object {
namespace {

// A definition has some ten members; only forged ones have more than this.
constexpr uint16_t kMaxMembers = 64;

enum class Attribute : uint8_t {
  kType, kKeySize, kValueSize, kMaxEntries, kFlags, kKey, kValue, kValues, kOther,
};
constexpr std::pair<std::string_view, Attribute> kAttributes[] = {
    {"type", Attribute::kType}, {"key_size", Attribute::kKeySize},
    {"value_size", Attribute::kValueSize}, {"max_entries", Attribute::kMaxEntries},
    {"map_flags", Attribute::kFlags}, {"key", Attribute::kKey}, {"value", Attribute::kValue},
    {"values", Attribute::kValues}};

// Reads definitions; knows a member by its name's offset once it has seen that name.
class Definitions {
 public:
  explicit Definitions(const Btf& btf) : btf_(btf) {}

  // Fills `map`; returns the byte offset of `values`, or kNoValues.
  uint64_t Read(uint32_t struct_id, bool with_inner, Map& map) {
    const Btf::Type definition = btf_.type(struct_id);
    uint64_t values_offset = Builder::kNoValues;
    if (definition.kind != BTF_KIND_STRUCT || definition.vlen > kMaxMembers) return values_offset;
    uint64_t key = 0, value = 0;  // layouts
    for (uint32_t i = 0; i < definition.vlen; ++i) {
      const Btf::Member member = btf_.MemberAt(definition, i);
      const Attribute attribute = AttributeOf(member.name);
      if (attribute == Attribute::kValues) {
        values_offset = member.bit_offset / 8;
        ReadValues(member.type, with_inner, map);
      } else {
        Set(attribute, member.type, map);
      }
      if (attribute == Attribute::kKey) key = PointeeLayout(member.type);
      if (attribute == Attribute::kValue) value = PointeeLayout(member.type);
    }
    map.layout_hash = CombineLayouts(key, value);
    return values_offset;
  }

 private:
  Attribute AttributeOf(uint32_t name) {
    for (const auto& [known, attribute] : known_) {
      if (known == name) return attribute;
    }
    Attribute attribute = Attribute::kOther;
    for (const auto& [text, meaning] : kAttributes) {
      if (btf_.String(name) == text) attribute = meaning;
    }
    if (known_.size() < kMaxMembers) known_.emplace_back(name, attribute);
    return attribute;
  }

  void Set(Attribute attribute, uint32_t type, Map& map) {
    switch (attribute) {
      case Attribute::kType: map.type = Number(type); break;
      case Attribute::kKeySize: map.key_size = Number(type); break;
      case Attribute::kValueSize: map.value_size = Number(type); break;
      case Attribute::kMaxEntries: map.max_entries = Number(type); break;
      case Attribute::kFlags: map.map_flags = Number(type); break;
      case Attribute::kKey: map.key_size = PointeeSize(type); break;
      case Attribute::kValue: map.value_size = PointeeSize(type); break;
      case Attribute::kValues: case Attribute::kOther: break;
    }
  }

  // __array(values, T): pointers to functions or to inner maps.
  void ReadValues(uint32_t type, bool with_inner, Map& map) {
    map.value_size = sizeof(uint32_t);  // a descriptor
    const Btf::Type array = btf_.type(btf_.Strip(type));
    const Btf::Type pointer = btf_.type(btf_.Strip(btf_.ArrayElement(array)));
    if (pointer.kind != BTF_KIND_PTR || !with_inner) return;
    const uint32_t inner = btf_.Strip(pointer.size_or_type);
    if (btf_.type(inner).kind != BTF_KIND_STRUCT) return;
    map.inner.assign(1, Map{});
    Read(inner, false, map.inner.back());
  }

  // __uint(name, N) is a pointer to an array of N; __ulong(name, N) an enum with the value N.
  uint32_t Number(uint32_t member_type) const {
    const Btf::Type type = btf_.type(btf_.Strip(member_type));
    if (type.kind != BTF_KIND_PTR) return btf_.FirstValue(type);
    return btf_.ArrayLength(btf_.type(btf_.Strip(type.size_or_type)));
  }

  // __type(name, T) is a pointer to T.
  uint32_t PointeeSize(uint32_t member_type) const {
    const Btf::Type pointer = btf_.type(btf_.Strip(member_type));
    if (pointer.kind != BTF_KIND_PTR) return 0;
    return static_cast<uint32_t>(btf_.Size(pointer.size_or_type));
  }

  uint64_t PointeeLayout(uint32_t member_type) {
    const Btf::Type pointer = btf_.type(btf_.Strip(member_type));
    if (pointer.kind != BTF_KIND_PTR) return 0;
    // Many maps have keys and values of a few types.
    const auto [known, added] = layouts_.try_emplace(pointer.size_or_type, 0);
    if (added) known->second = LayoutHash(btf_, pointer.size_or_type);
    return known->second;
  }

  const Btf& btf_;
  std::vector<std::pair<uint32_t, Attribute>> known_;
  std::unordered_map<uint32_t, uint64_t> layouts_;  // by type
};

// struct bpf_map_def of libbpf and struct bpf_elf_map of iproute2 begin alike.
struct LegacyDefinition {
  uint32_t type, key_size, value_size, max_entries, map_flags;
};

bool Before(const Builder::MapPlace& a, const Builder::MapPlace& b) {
  return a.section != b.section ? a.section < b.section : a.offset < b.offset;
}

}  // namespace

std::optional<std::string_view> TagValue(std::string_view tag, std::string_view prefix) {
  if (!tag.starts_with(prefix)) return std::nullopt;
  return tag.substr(prefix.size());
}

absl::Status Builder::ReadTypes() {
  const ElfSection* types = elf.Find(".BTF");
  if (types == nullptr) return absl::OkStatus();
  ASSIGN_OR_RETURN(btf, Btf::Parse(elf, types->name, types->data));
  spec.strings = {reinterpret_cast<const char*>(btf->strings().data()), btf->strings().size()};
  const ElfSection* lines = elf.Find(".BTF.ext");
  if (lines == nullptr) return absl::OkStatus();
  ASSIGN_OR_RETURN(ext, BtfExt::Parse(elf, *lines, *btf));
  return absl::OkStatus();
}

absl::Status Builder::ReadMaps() {
  for (uint32_t i = 0; i < elf.sections.size(); ++i) {
    const ElfSection& section = elf.sections[i];
    if (section.type != SHT_PROGBITS) continue;
    if (section.name == kMapsSection) {
      RETURN_IF_ERROR(AddTypedMaps(i));
    } else if (section.name != kLegacyMapsSection && !section.name.starts_with("maps/")) {
      continue;
    }
    RETURN_IF_ERROR(AddSymbolMaps(i));
  }
  return absl::OkStatus();
}

void Builder::IndexGlobals() {
  globals.reserve(elf.data_symbols.size());
  for (uint32_t i : elf.data_symbols) {
    const ElfSymbol symbol = elf.symbol(i);
    if (symbol.bind != STB_LOCAL) globals.emplace(elf.NameOf(symbol), i);
  }
}

absl::Status Builder::AddTypedMaps(uint32_t section) {
  if (!btf || !map_places.empty()) return absl::OkStatus();
  Definitions definitions(*btf);
  for (uint32_t id : btf->sections()) {
    const Btf::Type datasec = btf->type(id);
    if (btf->Name(datasec) != kMapsSection) continue;
    spec.maps.reserve(spec.maps.size() + datasec.vlen);
    for (uint32_t i = 0; i < datasec.vlen; ++i) {
      const Btf::SectionVariable variable = btf->VariableAt(datasec, i);
      const Btf::Type var = btf->type(variable.type);
      const auto place = PlaceOf(section, variable, var);
      if (!place) continue;
      Map map;
      MapPlace filled = *place;
      filled.values_offset = definitions.Read(btf->Strip(var.size_or_type), true, map);
      for (std::string_view tag : btf->Tags(variable.type)) {
        if (const auto feature = TagValue(tag, "feature:")) map.feature = *feature;
        if (const auto size = TagValue(tag, "size:")) map.sized_by = *size;
        map.resized_empty |= tag == "resize:empty";
        if (const auto layout = TagValue(tag, "layout:")) {
          std::from_chars(layout->data(), layout->data() + layout->size(), map.layout_version);
        }
      }
      RETURN_IF_ERROR(AddMap(btf->Name(var), std::move(map), filled));
    }
  }
  std::sort(map_places.begin(), map_places.end(), Before);
  return absl::OkStatus();
}

std::optional<Builder::MapPlace> Builder::PlaceOf(uint32_t section,
                                                  const Btf::SectionVariable& variable,
                                                  const Btf::Type& var) const {
  MapPlace place{.section = section, .offset = variable.offset, .size = variable.size};
  const uint32_t linkage = btf->Linkage(var);
  if (linkage == BTF_VAR_STATIC) return place;
  // The compiler leaves the offsets of what is not static to the symbol table.
  const auto global = globals.find(btf->Name(var));
  if (global == globals.end()) {
    return linkage == BTF_VAR_GLOBAL_EXTERN ? std::nullopt : std::optional(place);
  }
  const ElfSymbol symbol = elf.symbol(global->second);
  place.section = symbol.section;
  place.offset = symbol.value;
  return place;
}

// Maps that have only a symbol: all of them in an object without BTF.
absl::Status Builder::AddSymbolMaps(uint32_t index) {
  const ElfSection& section = elf.sections[index];
  std::vector<ElfSymbol> symbols;
  for (uint32_t i : elf.data_symbols) {
    const ElfSymbol symbol = elf.symbol(i);
    if (symbol.section == index && MapAt(index, symbol.value) == nullptr) symbols.push_back(symbol);
  }
  std::sort(symbols.begin(), symbols.end(), [](const ElfSymbol& a, const ElfSymbol& b) {
    return a.value != b.value ? a.value < b.value : a.name < b.name;
  });
  uint64_t end = 0;
  for (const ElfSymbol& symbol : symbols) {
    if (symbol.value < end) continue;  // another name of the one before
    end = symbol.value + std::max<uint64_t>(symbol.size, 1);
    Map map;
    LegacyDefinition definition;
    if (section.name != kMapsSection && Load(section.data, symbol.value, definition)) {
      map.type = definition.type;
      map.key_size = definition.key_size;
      map.value_size = definition.value_size;
      map.max_entries = definition.max_entries;
      map.map_flags = definition.map_flags;
    }
    const MapPlace place{.section = index, .offset = symbol.value, .size = symbol.size};
    RETURN_IF_ERROR(AddMap(elf.NameOf(symbol), std::move(map), place));
  }
  std::sort(map_places.begin(), map_places.end(), Before);
  return absl::OkStatus();
}

absl::Status Builder::AddMap(std::string_view name, Map map, MapPlace place) {
  const std::string_view section = elf.sections[place.section].name;
  if (name.empty()) return elf.Error(section, place.offset, "map without a name");
  RETURN_IF_ERROR(Charge(maps_charged_, section, place.offset, sizeof(Map) + name.size() + map.feature.size() +
                                                    map.sized_by.size()));
  map.name = name;
  place.map = static_cast<uint32_t>(spec.maps.size());
  spec.maps.push_back(std::move(map));
  map_places.push_back(place);
  return absl::OkStatus();
}

const Builder::MapPlace* Builder::MapAt(uint32_t section, uint64_t offset) const {
  const auto after = std::upper_bound(map_places.begin(), map_places.end(),
                                      MapPlace{.section = section, .offset = offset}, Before);
  if (after == map_places.begin()) return nullptr;
  const MapPlace& place = *(after - 1);
  const bool inside = offset == place.offset || offset - place.offset < place.size;
  return place.section == section && inside ? &place : nullptr;
}

// `.values` of program arrays and maps of maps: one relocation a filled slot.
absl::Status Builder::ReadInitialisers() {
  std::vector<ElfReloc> relocs;
  for (uint32_t i = 0; i < elf.sections.size(); ++i) {
    if (elf.sections[i].name != kMapsSection) continue;
    RETURN_IF_ERROR(elf.ReadRelocs(elf.sections[i], relocs));
    for (const ElfReloc& reloc : relocs) RETURN_IF_ERROR(AddInitialiser(i, reloc));
  }
  return absl::OkStatus();
}

absl::Status Builder::AddInitialiser(uint32_t section, const ElfReloc& reloc) {
  const auto error = [&](const char* cause) {
    return elf.Error(kMapsSection, reloc.offset, cause);
  };
  const MapPlace* place = MapAt(section, reloc.offset);
  if (place == nullptr) return error("initialiser outside of any map");
  const uint64_t inside = reloc.offset - place->offset;
  if (inside < place->values_offset) return error("initialiser of something else than .values");
  const auto slot = static_cast<uint32_t>((inside - place->values_offset) / 8);
  const ElfSymbol symbol = elf.symbol(reloc.symbol);
  Map& map = spec.maps[place->map];
  if (!symbol.defined()) return error("initialiser names what is not in this object");
  uint64_t target = symbol.value;
  uint64_t addend = 0;  // a section symbol's: what the bytes hold
  if (symbol.type == STT_SECTION && Load(elf.sections[section].data, reloc.offset, addend)) {
    target += addend;
  }
  if (const MapPlace* inner = MapAt(symbol.section, target)) {
    const std::string& name = spec.maps[inner->map].name;
    RETURN_IF_ERROR(Charge(maps_charged_, kMapsSection, reloc.offset, sizeof(Ref) + name.size()));
    map.initial_maps[slot] = name;
    return absl::OkStatus();
  }
  const auto function = FunctionAt(symbol.section, target / sizeof(Insn));
  if (!function) return error("initialiser is neither a map nor a program");
  const std::string_view name =
      symbol.type == STT_FUNC ? elf.NameOf(symbol) : spec.functions[*function].name;
  RETURN_IF_ERROR(Charge(maps_charged_, kMapsSection, reloc.offset, sizeof(Ref) + name.size()));
  map.initial_programs[slot] = name;
  return absl::OkStatus();
}

}  // namespace bonsai::object
