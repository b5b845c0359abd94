// SPDX-License-Identifier: Apache-2.0
// What generated C programs compute: constants, variables and packet data in all sorts of mixtures.
#pragma once

#include <fmt/format.h>

#include <string>
#include <vector>

#include "tests/differential/random.h"

namespace bonsai::differential {

class Expressions {
 protected:
  using Strings = std::vector<std::string>;

  explicit Expressions(Random& random) : random_(random) {}

  std::string Literal() {
    const uint64_t value = random_.Nasty();
    if (random_.Percent(30)) return fmt::format("({})", static_cast<int32_t>(value));
    return random_.Percent(70) ? fmt::format("{}", random_.Below(9))
                               : fmt::format("{:#x}ull", value);
  }

  std::string Packet() {
    static const Strings kReads = {"skb->len", "skb->mark", "skb->hash", "skb->protocol",
                                   "bpf_get_prandom_u32()"};
    return has_packet_ ? random_.Of(kReads) : "bpf_get_prandom_u32()";
  }

  std::string ConstantRead() {
    static const Strings kParts = {"c_set.a", "c_set.b", "c_set.c", "c_set.d", "c_set.e",
                                   "c_set.f", "c_set.g", "c_set.h"};
    switch (random_.Below(10)) {
      case 0: case 1: return random_.Of(kParts);
      case 2: return fmt::format("c_table[{}]", random_.Below(8));
      case 3: return fmt::format("c_bytes[{} & 7]", Variable());
      case 4: return fmt::format("k_table[{} & 7]", Variable());
      default: return random_.Of(constants_);
    }
  }

  std::string Variable() {
    static const Strings kAll = {"a", "b", "c", "d", "w", "x", "s", "h", "y", "z",
                                 "st.a", "st.b", "st.c", "st.d", "st.e", "st.f"};
    return random_.Of(kAll);
  }

  std::string Type() {
    static const Strings kTypes = {"__u8",  "__s8",  "__u16", "__s16",
                                   "__u32", "__s32", "__u64", "__s64"};
    return random_.Of(kTypes);
  }

  // Run-time bits that are masked out again, or not quite.
  std::string Mixed(int depth) {
    const std::string inner = Expression(depth - 1), packet = Packet();
    switch (random_.Below(6)) {
      case 0: return fmt::format("(({} | ({} & 0xff00)) & 0xff)", inner, packet);
      case 1: return fmt::format("(({} ^ ({} & 1)) >> 1)", inner, packet);
      case 2: return fmt::format("((({} << 8) | ({} & 0xff)) & 0x{:x})", packet, inner,
                                 random_.Below(512));
      case 3: return fmt::format("({} & {})", inner, packet);
      case 4: return fmt::format("(({} + ({} & 3)) & ~3ull)", inner, packet);
      default: return fmt::format("((__u32)({} - ({} & 15)) | 15)", inner, packet);
    }
  }

  std::string Binary(int depth) {
    static const Strings kOps = {"+", "-", "&",  "|", "^",  "*", "+",
                                 "&", "|", "==", "<", "!=", ">="};
    return fmt::format("({} {} {})", Expression(depth - 1), random_.Of(kOps),
                       Expression(depth - 1));
  }

  std::string Unary(int depth) {
    const std::string inner = Expression(depth - 1);
    switch (random_.Below(10)) {
      case 0: return fmt::format("__builtin_bswap16({})", inner);
      case 1: return fmt::format("__builtin_bswap32({})", inner);
      case 2: return fmt::format("__builtin_bswap64({})", inner);
      case 3: return fmt::format("((__s64)({}) << {} >> {})", inner, 32 + random_.Below(25),
                                 32 + random_.Below(25));
      case 4: return fmt::format("((__u64)({}) >> {})", inner, random_.Below(64));
      case 5: return fmt::format("((__u64)({}) << {})", inner, random_.Below(64));
      case 6: return fmt::format("((__s32)({}) >> {})", inner, random_.Below(31));
      case 7: return fmt::format("({}({}))", random_.Of(Strings{"~", "-", "!"}), inner);
      case 8: return fmt::format("(({})({}) {} {})", random_.Of(Strings{"__u32", "__u64"}), inner,
                                 random_.Of(Strings{"/", "%"}), 1 + random_.Below(9));
      default: return fmt::format("(({})({}))", Type(), inner);
    }
  }

  std::string Expression(int depth) {
    if (depth <= 0) {
      const uint64_t sort = random_.Below(10);
      return sort < 5 ? ConstantRead() : sort < 8 ? Variable() : sort < 9 ? Literal() : Packet();
    }
    switch (random_.Below(9)) {
      case 0: case 1: return Binary(depth);
      case 2: case 3: return Unary(depth);
      case 4: return Mixed(depth);
      case 5: return fmt::format("({} ? {} : {})", Condition(depth - 1), Expression(depth - 1),
                                 Expression(depth - 1));
      case 6: return Call(depth);
      default: return Expression(0);
    }
  }

  std::string Call(int depth) {
    if (functions_.empty() || !has_packet_) return Expression(0);
    return fmt::format("{}(skb, {}, {})", random_.Of(functions_), Expression(depth - 1), Literal());
  }

  std::string Condition(int depth) {
    static const Strings kCompares = {"==", "!=", "<", "<=", ">", ">="};
    const std::string left = Expression(depth);
    switch (random_.Below(7)) {
      case 0: return left;
      case 1: return fmt::format("(({}) & {:#x}ull)", left, uint64_t{1} << random_.Below(40));
      case 2:
        return fmt::format("((({}) & 7) {} {})", left, random_.Of(kCompares), random_.Below(8));
      case 3:
        return fmt::format("(({})({}) {} {})", Type(), left, random_.Of(kCompares), Literal());
      case 4: return fmt::format("({} {} {})", Packet(), random_.Of(kCompares), random_.Below(99));
      case 5: return fmt::format("(({} && {}) || {})", left, ConstantRead(), Condition(depth - 1));
      default: return fmt::format("({} {} {})", left, random_.Of(kCompares), Literal());
    }
  }

  Random& random_;
  Strings constants_, functions_;  // that may be read and called
  bool has_packet_ = true;
};

}  // namespace bonsai::differential
