// SPDX-License-Identifier: Apache-2.0
#include "agent/object/layout.h"

#include <string_view>
#include <vector>

namespace bonsai::object {
namespace {

// Types met; what lies beyond is forged, and counts as if it ended there.
constexpr size_t kMaxSteps = 4096;

// FNV-1a.
class Hash {
 public:
  void Add(std::string_view text) {
    for (unsigned char c : text) Byte(c);
    Byte(0);
  }
  void Add(uint64_t number) {
    for (int shift = 0; shift < 64; shift += 8) Byte(static_cast<uint8_t>(number >> shift));
  }
  uint64_t value() const { return value_ == 0 ? 1 : value_; }

 private:
  void Byte(uint8_t byte) { value_ = (value_ ^ byte) * 0x100000001b3; }
  uint64_t value_ = 0xcbf29ce484222325;
};

class Walk {
 public:
  explicit Walk(const Btf& btf) : btf_(btf) {}

  uint64_t Of(uint32_t root) {
    open_ = {root};
    for (size_t step = 0; step < kMaxSteps && !open_.empty(); ++step) {
      const uint32_t id = btf_.Strip(open_.back());
      open_.pop_back();
      Visit(id, btf_.type(id));
    }
    return hash_.value();
  }

 private:
  void Visit(uint32_t id, const Btf::Type& type) {
    hash_.Add(uint64_t{type.kind});
    hash_.Add(btf_.Size(id));
    switch (type.kind) {
      case BTF_KIND_INT: hash_.Add(uint64_t{btf_.IntEncoding(type)}); break;
      case BTF_KIND_ARRAY:
        hash_.Add(uint64_t{btf_.ArrayLength(type)});
        open_.push_back(btf_.ArrayElement(type));
        break;
      case BTF_KIND_STRUCT: case BTF_KIND_UNION: Members(type); break;
      default: break;  // numbers of enums and targets of pointers are not layout
    }
  }

  void Members(const Btf::Type& type) {
    hash_.Add(uint64_t{type.vlen});
    for (uint32_t i = 0; i < type.vlen && open_.size() < kMaxSteps; ++i) {
      const Btf::Member member = btf_.MemberAt(type, i);
      hash_.Add(btf_.String(member.name));
      hash_.Add(uint64_t{member.bit_offset});
      hash_.Add(uint64_t{member.bit_size});
      open_.push_back(member.type);
    }
  }

  const Btf& btf_;
  Hash hash_;
  std::vector<uint32_t> open_;
};

}  // namespace

uint64_t LayoutHash(const Btf& btf, uint32_t type_id) { return Walk(btf).Of(type_id); }

uint64_t CombineLayouts(uint64_t key, uint64_t value) {
  if (key == 0 || value == 0) return 0;
  Hash hash;
  hash.Add(key);
  hash.Add(value);
  return hash.value();
}

}  // namespace bonsai::object
