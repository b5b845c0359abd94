// SPDX-License-Identifier: Apache-2.0
// What the instructions of some functions refer to: relocations, calls the compiler resolved itself,
// CO-RE sites. Internal to object/. Several may work at once, on functions of their own: each only
// reads what the builder found before.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "agent/object/builder.h"

namespace bonsai::object {

class References {
 public:
  explicit References(const Builder& builder) : builder_(builder), elf_(builder.elf) {}

  // Fills in Function::refs of functions [first, last). Those of kind kExtern have an index into
  // externs().
  absl::Status Read(std::vector<Function>& functions, uint32_t first, uint32_t last);
  const std::vector<std::string_view>& externs() const { return externs_; }

 private:
  absl::Status AddTo(Function& function, uint32_t section, const std::vector<ElfReloc>& relocs);
  const std::vector<uint32_t>& CoreSites(std::string_view section) const;  // offsets, ascending
  // False: this symbol was not resolved before, or this is another use of it.
  bool ResolveAgain(const ElfReloc& reloc, const Insn& insn, Ref& ref) const;
  absl::StatusOr<Ref> Resolve(uint32_t section, const ElfReloc& reloc, const Insn& insn);
  absl::StatusOr<Ref> ResolveData(uint32_t section, const ElfReloc& reloc, const ElfSymbol& symbol,
                                  const Insn& insn);
  absl::StatusOr<Ref> FunctionRef(RefKind kind, uint32_t section, int64_t slot,
                                  std::string_view from, uint64_t at) const;
  absl::StatusOr<Ref> ExternRef(std::string_view name);
  void Remember(const ElfReloc& reloc, const Ref& ref);

  const Builder& builder_;
  const ElfFile& elf_;
  std::vector<std::string_view> externs_;
  ByName<uint32_t> extern_index_;
  size_t charged_ = 0;             // bytes of names looked up
  std::vector<uint32_t> resolved_;  // by symbol: index into known_, plus 1; 0: not yet
  std::vector<Ref> known_;         // the map, the data or the extern that a symbol itself is
  std::vector<uint32_t> calls_;    // scratch of AddTo()
  std::vector<Ref> refs_;          // scratch of AddTo()
};

}  // namespace bonsai::object
