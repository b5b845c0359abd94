// SPDX-License-Identifier: Apache-2.0
// Numbers on their way into a constant: from text, and held to what the constant can hold. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace bonsai::constants {

// A value as 64 bits; `negative` tells -1 from 2^64 - 1.
struct Number {
  uint64_t bits = 0;
  bool negative = false;

  static Number Signed(int64_t value) { return {static_cast<uint64_t>(value), value < 0}; }
};

// Where a number has to fit.
struct NumberType {
  uint32_t bits = 0;  // 1..64
  bool is_bool = false;
  bool is_signed = false;
};

bool Fits(const NumberType& type, Number number);
// "true or false", "0..255", "-128..127".
std::string Allowed(const NumberType& type);
// `bits` as a value of the type: "true", "250", "-3". Higher bits are ignored.
std::string Format(const NumberType& type, uint64_t bits);

struct ParsedNumber {
  Number number;
  bool too_large = false;  // a number, but not one of 64 bits
};
// Decimal, 0x and 0b with an optional sign, true, false. nullopt: no number.
std::optional<ParsedNumber> ParseNumber(const std::string& text);

}  // namespace bonsai::constants
