// SPDX-License-Identifier: Apache-2.0
// ObjectSpec: what a BPF ELF file holds, as immutable data. Same bytes, same spec, on any machine.
// Values only: no fd, no libbpf. Safe to share between threads.
#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/object/code.h"
#include "agent/settings/settings.h"

namespace bonsai::base {
class Worker;
}

namespace bonsai::object {

class Image;

// What a relocation makes of an instruction.
enum class RefKind : uint8_t {
  kNone,
  kMap,        // ld_imm64 of a map: index into ObjectSpec::maps
  kData,       // ld_imm64 of an address inside a data section: section index + offset
  kCall,       // bpf-to-bpf call: index into ObjectSpec::functions
  kFunctionAddress,  // ld_imm64 of a function (callback): index into functions
  kExtern,     // kconfig, ksym or kfunc: value unknown; index into ObjectSpec::externs
  kArena,      // ld_imm64 of an address inside the arena map: index into ObjectSpec::maps
  kCore,       // CO-RE: libbpf rewrites immediate, offset or width at load, so they are unknown
};
struct Ref {
  uint32_t slot = 0;    // slot inside the function
  RefKind kind = RefKind::kNone;
  uint32_t index = 0;   // map, data section, function or extern, as kind says
  int64_t offset = 0;   // kData: byte offset inside the section
};

struct Function {
  std::string name;
  std::string section;          // ELF section
  uint32_t section_slot = 0;    // first slot inside that section
  bool is_global = false;       // not static: verified on its own by kernels
  Insns insns;                  // slots
  std::vector<Ref> refs;        // sorted by slot, at most one a slot
  SourceLines lines;            // sorted by slot; empty without BTF line info
  std::vector<std::string> tags;  // BTF decl tags on the function
};

struct TailSlot {
  std::string map;   // name of the program array
  uint32_t slot = 0;
};

// A function that libbpf would load as a program (its section name is a program type).
struct Program {
  std::string name;
  std::string section;
  uint32_t function = 0;         // index into functions
  std::optional<TailSlot> tail;  // declared by tag; absent: an entry program
};

struct Map {
  std::string name;
  uint32_t type = 0;             // BPF_MAP_TYPE_*
  uint32_t key_size = 0;         // bytes
  uint32_t value_size = 0;
  uint32_t max_entries = 0;      // as in the ELF
  uint32_t map_flags = 0;
  std::string feature;           // tag feature:NAME, or ""
  std::string sized_by;          // tag size:KEY, or ""
  bool resized_empty = false;    // tag resize:empty: its contents mean nothing at another size
  uint32_t layout_version = 1;   // tag layout:N of what key and value mean
  uint64_t layout_hash = 0;      // LayoutHash of their types; 0: not typed
  std::map<uint32_t, std::string> initial_programs;  // .values of a prog array: slot -> function name
  std::map<uint32_t, std::string> initial_maps;      // .values of a map of maps: slot -> map name
  std::vector<Map> inner;        // map of maps: the inner map's definition (none or one, unnamed)
};

// A section libbpf turns into a map (.rodata*, .data*, .bss*), or .kconfig.
struct DataSection {
  std::string name;
  std::vector<uint8_t> bytes;    // initial content (.bss: zeros)
  bool read_only = false;        // .rodata*: frozen before load, so its bytes are facts
};

enum class ConstantOrigin { kSetting, kNode, kOther };  // kOther: untagged variable

// A variable of a read-only section.
struct Constant {
  std::string name;              // e.g. enable_ipv4
  uint32_t section = 0;          // index into data_sections
  uint32_t offset = 0;           // bytes
  uint32_t size = 0;             // bytes
  bool is_bool = false;
  bool is_signed = false;
  bool is_integer = false;       // bool, int or enum of 1, 2, 4 or 8 bytes
  ConstantOrigin origin = ConstantOrigin::kOther;
  std::string feature;
  std::string doc;
  std::optional<int64_t> min, max;
  std::vector<std::string> requires_keys;
  uint32_t type = 0;             // BTF id of its type, for FindField(); 0: unknown
};

// Bytes of a read-only section that have a name of their own.
struct Field {
  uint32_t section = 0;          // index into data_sections
  uint32_t offset = 0;           // bytes, inside the section
  uint32_t size = 0;             // bytes; of a bit field, 1 to 8: those that hold its bits
  // Of a bit field, from the lowest bit of those bytes as a little-endian number; bit_size 0: none.
  uint32_t bit_offset = 0, bit_size = 0;
  bool is_bool = false;
  bool is_signed = false;
  bool is_integer = false;       // bool, int or enum of 1, 2, 4 or 8 bytes, or a bit field of these
};

struct ObjectSpec {
  std::string name;              // file name without .bpf.o
  std::string path;
  std::vector<Function> functions;
  std::vector<Program> programs;
  std::vector<Map> maps;         // without the data sections' maps
  std::vector<DataSection> data_sections;
  std::vector<Constant> constants;
  std::vector<std::string> externs;  // symbols that Ref::kExtern names
  std::string_view strings;      // BTF string section, part of `image`
  std::shared_ptr<const Image> image;  // the file's bytes; nullptr: made by hand

  // The 0-terminated string at `offset` of `strings`; "" when out of range. Lives as long as this.
  std::string_view String(uint32_t offset) const;
  const Map* FindMap(const std::string& name) const;
  uint64_t SlotCount() const;  // of all functions, live or not
  const Program* FindProgram(const std::string& name) const;
  const Constant* FindConstant(const std::string& name) const;
};

// Where the bytes of the file are kept, as long as anything made from them.
enum class Storage {
  kCopied,  // in memory of our own: the file may change or go
  // In the file: no copy, but whoever shortens it ends this process. For tools that run once.
  kMapped,
};

// A file of this size likely holds an object that two threads read and analyse: worth
// starting a worker for.
inline constexpr size_t kBytesOfLargeObject = 640 << 10;

// InvalidArgument with file, section and offset for what is not a BPF object or is truncated.
// `worker`: reads half of a large file; null: nobody does. What comes of it is the same.
absl::StatusOr<ObjectSpec> Read(const std::string& path, Storage storage = Storage::kCopied,
                                base::Worker* worker = nullptr);
// `name`: what to call it in errors. Not copied: the spec keeps the bytes.
absl::StatusOr<ObjectSpec> ReadBytes(const std::string& name, std::vector<uint8_t> bytes,
                                     base::Worker* worker = nullptr);

// "name", "name.field", "name.field.sub[2]": part of a constant. A prefix "__config_" of the name may
// be left out; members of anonymous structs and unions count as the outer one's. NotFound names the
// nearest there is; InvalidArgument for what is no path.
absl::StatusOr<Field> FindField(const ObjectSpec& object, std::string_view path);

// The settings that the constants of these objects declare (origin kSetting), one spec a key.
// InvalidArgument when two objects declare one name differently.
absl::StatusOr<std::vector<settings::SettingSpec>> SettingSpecs(const std::vector<ObjectSpec>& objects);

}  // namespace bonsai::object
