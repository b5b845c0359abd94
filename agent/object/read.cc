// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <utility>

#include "agent/base/status.h"
#include "agent/base/worker.h"
#include "agent/object/builder.h"
#include "agent/object/object_spec.h"

namespace bonsai::object {
namespace {


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

uint64_t ObjectSpec::SlotCount() const {
  uint64_t slots = 0;
  for (const Function& function : functions) slots += function.insns.size();
  return slots;
}

const Program* ObjectSpec::FindProgram(const std::string& name) const {
  return FindByName(programs, name);
}

const Constant* ObjectSpec::FindConstant(const std::string& name) const {
  return FindByName(constants, name);
}

std::string_view ObjectSpec::String(uint32_t offset) const {
  return StringAt({reinterpret_cast<const uint8_t*>(strings.data()), strings.size()}, offset);
}

namespace {

absl::StatusOr<ObjectSpec> ReadImage(const std::string& name, std::shared_ptr<Image> image,
                                     base::Worker* worker) {
  if (image->size() < kBytesOfLargeObject) worker = nullptr;
  ASSIGN_OR_RETURN(const ElfFile elf, ElfFile::Parse(name, *image));
  image->Close();
  if (const ElfSection* types = elf.Find(".BTF")) image->btf = types->data;
  Builder builder(elf);
  builder.spec.name = ShortName(name);
  builder.spec.path = name;
  builder.spec.image = std::move(image);
  RETURN_IF_ERROR(builder.ReadTypes());
  builder.IndexGlobals();
  RETURN_IF_ERROR(base::Both(
      worker, [&] { return builder.ReadMaps(); },
      [&]() -> absl::Status {
        RETURN_IF_ERROR(builder.ReadData());
        return builder.ReadFunctions();
      }));
  RETURN_IF_ERROR(builder.ReadReferences(worker));
  RETURN_IF_ERROR(builder.ReadInitialisers());
  if (builder.spec.functions.empty()) {
    return elf.Error("sections", 0, "no executable code: not a BPF object");
  }
  return std::move(builder.spec);
}

}  // namespace

absl::Status Builder::Charge(size_t& charged, std::string_view section, uint64_t offset,
                             size_t bytes) {
  charged += bytes;
  if (charged <= kMaxItemBytes) return absl::OkStatus();
  return elf.Error(section, offset, kTooMuch);
}

absl::StatusOr<ObjectSpec> ReadBytes(const std::string& name, std::vector<uint8_t> bytes,
                                     base::Worker* worker) {
  return ReadImage(name, Image::Of(std::move(bytes)), worker);
}

absl::StatusOr<ObjectSpec> Read(const std::string& path, Storage storage, base::Worker* worker) {
  ASSIGN_OR_RETURN(std::shared_ptr<Image> image, Image::Open(path, storage));
  return ReadImage(path, std::move(image), worker);
}

}  // namespace bonsai::object
