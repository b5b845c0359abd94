// SPDX-License-Identifier: Apache-2.0
#include <elf.h>

#include <filesystem>
#include <fstream>

#include "agent/base/status.h"
#include "agent/object/builder.h"
#include "agent/object/object_spec.h"

namespace bonsai::object {
namespace {

constexpr std::streamoff kMaxFileBytes = 256 << 20;

std::string ShortName(const std::string& path) {
  std::string name = std::filesystem::path(path).filename().string();
  for (const std::string suffix : {".o", ".bpf"}) {
    if (name.ends_with(suffix)) name.resize(name.size() - suffix.size());
  }
  return name;
}

template <typename T>
const T* FindByName(const std::vector<T>& items, const std::string& name) {
  for (const T& item : items) {
    if (item.name == name) return &item;
  }
  return nullptr;
}

}  // namespace

const Map* ObjectSpec::FindMap(const std::string& name) const { return FindByName(maps, name); }

const Program* ObjectSpec::FindProgram(const std::string& name) const {
  return FindByName(programs, name);
}

const Constant* ObjectSpec::FindConstant(const std::string& name) const {
  return FindByName(constants, name);
}

std::string_view ObjectSpec::String(uint32_t offset) const {
  return StringAt({reinterpret_cast<const uint8_t*>(strings.data()), strings.size()}, offset);
}

absl::StatusOr<ObjectSpec> ReadBytes(const std::string& name, const std::vector<uint8_t>& bytes) {
  ASSIGN_OR_RETURN(const ElfFile elf, ElfFile::Parse(name, bytes));
  Builder builder(elf);
  builder.spec.name = ShortName(name);
  builder.spec.path = name;
  for (const ElfSymbol& symbol : elf.symbols) {
    if (symbol.bind != STB_LOCAL && symbol.defined()) builder.globals.emplace(symbol.name, &symbol);
  }
  RETURN_IF_ERROR(builder.ReadTypes());
  RETURN_IF_ERROR(builder.ReadMaps());
  RETURN_IF_ERROR(builder.ReadData());
  RETURN_IF_ERROR(builder.ReadFunctions());
  RETURN_IF_ERROR(builder.ReadReferences());
  RETURN_IF_ERROR(builder.ReadInitialisers());
  if (builder.spec.functions.empty()) {
    return elf.Error("sections", 0, "no executable code: not a BPF object");
  }
  return std::move(builder.spec);
}

absl::StatusOr<ObjectSpec> Read(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    return base::InvalidArgument("reading object {}: it is a directory", path);
  }
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return base::InvalidArgument("reading object {}: cannot open the file", path);
  const std::streamoff size = file.tellg();
  if (size < 0 || size > kMaxFileBytes) {
    return base::InvalidArgument("reading object {}: not a file of at most {} bytes", path,
                                 kMaxFileBytes);
  }
  std::vector<uint8_t> bytes(static_cast<size_t>(size));
  file.seekg(0);
  if (!file.read(reinterpret_cast<char*>(bytes.data()), size)) {
    return base::InvalidArgument("reading object {}: cannot read the file", path);
  }
  return ReadBytes(path, bytes);
}

}  // namespace bonsai::object
