// SPDX-License-Identifier: Apache-2.0
// Seeds from compiled objects: make_seeds OUT OBJECT_DIR... writes OUT/object/* (the files without
// their debug sections) and OUT/engine/* (single programs as tests/fuzz/engine_input.h reads them).
#include <elf.h>
#include <fmt/format.h>
#include <linux/bpf.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "agent/object/object_spec.h"
#include "tests/fuzz/engine_input.h"

namespace bonsai::fuzz {
namespace {

using Bytes = std::vector<uint8_t>;
using object::Insn;
using object::RefKind;
namespace fs = std::filesystem;

constexpr size_t kMostSlots = 200;
constexpr Insn kExit{.opcode = BPF_JMP | BPF_EXIT};
constexpr Insn kReturnZero{.opcode = BPF_ALU64 | BPF_MOV | BPF_K};
constexpr uint32_t kStatic = 2, kGlobal = 3;  // as in ObjectFrom()

Bytes FileBytes(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void Write(const fs::path& path, const Bytes& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

// Same sections, same indices; those of the debugger and of .BTF's own relocations are empty.
Bytes WithoutDebug(const Bytes& file) {
  Elf64_Ehdr header;
  std::memcpy(&header, file.data(), sizeof(header));
  std::vector<Elf64_Shdr> sections(header.e_shnum);
  std::memcpy(sections.data(), file.data() + header.e_shoff, sections.size() * sizeof(Elf64_Shdr));
  const uint64_t names = sections[header.e_shstrndx].sh_offset;
  Bytes out(sizeof(header));
  for (Elf64_Shdr& section : sections) {
    const std::string name = reinterpret_cast<const char*>(file.data()) + names + section.sh_name;
    const bool unwanted = name.find(".debug") != name.npos || name.starts_with(".rel.BTF");
    if (unwanted) section.sh_size = 0;
    if (section.sh_type == SHT_NOBITS) continue;
    const auto begin = file.begin() + static_cast<ptrdiff_t>(section.sh_offset);
    out.resize((out.size() + 7) / 8 * 8);
    section.sh_offset = out.size();
    out.insert(out.end(), begin, begin + static_cast<ptrdiff_t>(section.sh_size));
  }
  out.resize((out.size() + 7) / 8 * 8);
  header.e_shoff = out.size();
  const auto* raw = reinterpret_cast<const uint8_t*>(sections.data());
  out.insert(out.end(), raw, raw + sections.size() * sizeof(Elf64_Shdr));
  std::memcpy(out.data(), &header, sizeof(header));
  return out;
}

// Its code, relocations written into the instructions the way ObjectFrom() makes them up.
std::vector<Insn> Code(const object::ObjectSpec& object, const object::Function& function) {
  std::vector<Insn> code(function.insns.begin(), function.insns.end());
  const auto role = [&](uint32_t index) {
    return static_cast<int32_t>(object.functions[index].is_global ? kGlobal : kStatic);
  };
  for (const object::Ref& ref : function.refs) {
    Insn& insn = code[ref.slot];
    switch (ref.kind) {
      case RefKind::kMap:
        insn.src = 1;
        insn.imm = object.maps[ref.index].type == BPF_MAP_TYPE_PROG_ARRAY ? kCalls : kHash;
        break;
      case RefKind::kData:
        insn.src = object.data_sections[ref.index].read_only ? 2 : 3;
        insn.imm = static_cast<int32_t>(ref.offset);
        break;
      case RefKind::kFunctionAddress: insn.src = 4; insn.imm = role(ref.index); break;
      case RefKind::kCall: insn.imm = role(ref.index); break;
      case RefKind::kExtern: insn.src = insn.opcode == (BPF_JMP | BPF_CALL) ? 2 : 5; break;
      default: break;
    }
  }
  return code;
}

// Programs with the first static and the first global function they refer to.
Bytes EngineSeed(const object::ObjectSpec& object, const object::Function& program) {
  std::vector<std::vector<Insn>> functions(4, {kReturnZero, kExit});
  functions[0] = Code(object, program);
  for (const object::Ref& ref : program.refs) {
    if (ref.kind != RefKind::kCall && ref.kind != RefKind::kFunctionAddress) continue;
    const object::Function& callee = object.functions[ref.index];
    functions[callee.is_global ? kGlobal : kStatic] = Code(object, callee);
  }
  size_t longest = 0;
  for (const auto& function : functions) longest = std::max(longest, function.size());
  Bytes seed(kHeadBytes);
  seed[0] = 3;
  for (const object::DataSection& section : object.data_sections) {
    if (!section.read_only) continue;
    std::copy_n(section.bytes.begin(), std::min(section.bytes.size(), kDataBytes), seed.begin() + 1);
    break;
  }
  for (auto& function : functions) {
    function.resize(longest, kExit);
    const auto* raw = reinterpret_cast<const uint8_t*>(function.data());
    seed.insert(seed.end(), raw, raw + longest * sizeof(Insn));
  }
  return longest > kMostSlots ? Bytes() : seed;
}

bool MakeFrom(const fs::path& path, const fs::path& out) {
  const Bytes file = WithoutDebug(FileBytes(path));
  Write(out / "object" / path.filename(), file);
  const auto object = object::ReadBytes(path.filename(), file);
  if (!object.ok()) return false;
  for (const object::Program& program : object->programs) {
    const Bytes seed = EngineSeed(*object, object->functions[program.function]);
    if (seed.empty()) continue;
    Write(out / "engine" / (path.filename().string() + "." + program.name), seed);
  }
  return true;
}

}  // namespace
}  // namespace bonsai::fuzz

int main(int argc, char** argv) {
  namespace fs = std::filesystem;
  if (argc < 3) return 2;
  const fs::path out = argv[1];
  fs::create_directories(out / "object");
  fs::create_directories(out / "engine");
  for (int i = 2; i < argc; ++i) {
    for (const auto& entry : fs::directory_iterator(argv[i])) {
      if (entry.path().extension() != ".o") continue;
      if (bonsai::fuzz::MakeFrom(entry.path(), out)) continue;
      fmt::print(stderr, "make_seeds: {} cannot be read\n", entry.path().string());
      return 1;
    }
  }
  return 0;
}
