// SPDX-License-Identifier: Apache-2.0
#include "agent/constants/number.h"

#include <fmt/format.h>

#include <charconv>

namespace bonsai::constants {
namespace {

constexpr uint64_t kLowestMagnitude = uint64_t{1} << 63;  // of a negative number of 64 bits

}  // namespace

bool Fits(const NumberType& type, Number number) {
  if (type.is_bool) return number.bits <= 1;
  if (!type.is_signed) {
    return !number.negative && (type.bits == 64 || number.bits >> type.bits == 0);
  }
  const auto value = static_cast<int64_t>(number.bits);
  if (!number.negative && value < 0) return false;  // beyond INT64_MAX
  if (type.bits == 64) return true;
  const int64_t half = int64_t{1} << (type.bits - 1);
  return value >= -half && value < half;
}

std::string Allowed(const NumberType& type) {
  if (type.is_bool) return "true or false";
  const uint64_t highest = ~uint64_t{0} >> (64 - type.bits + (type.is_signed ? 1 : 0));
  if (!type.is_signed) return fmt::format("0..{}", highest);
  return fmt::format("{}..{}", -static_cast<int64_t>(highest) - 1, highest);
}

std::string Format(const NumberType& type, uint64_t bits) {
  const uint32_t shift = 64 - type.bits;
  if (type.is_bool) return bits << shift != 0 ? "true" : "false";
  if (!type.is_signed) return fmt::format("{}", bits << shift >> shift);
  return fmt::format("{}", static_cast<int64_t>(bits << shift) >> shift);
}

std::optional<ParsedNumber> ParseNumber(const std::string& text) {
  if (text == "true") return ParsedNumber{{1}};
  if (text == "false") return ParsedNumber{{0}};
  const char* first = text.data();
  const char* end = first + text.size();
  const bool minus = text.starts_with("-");
  if (minus || text.starts_with("+")) ++first;
  int base = 10;
  if (end - first > 2 && first[0] == '0') {
    const char kind = static_cast<char>(first[1] | 0x20);
    base = kind == 'x' ? 16 : kind == 'b' ? 2 : 10;
    if (base != 10) first += 2;
  }
  uint64_t magnitude = 0;
  const auto [stop, error] = std::from_chars(first, end, magnitude, base);
  if (error == std::errc::invalid_argument || stop != end) return std::nullopt;
  const bool too_large = error == std::errc::result_out_of_range ||
                         (minus && magnitude > kLowestMagnitude);
  const bool negative = minus && magnitude != 0;
  return ParsedNumber{{negative ? -magnitude : magnitude, negative}, too_large};
}

}  // namespace bonsai::constants
