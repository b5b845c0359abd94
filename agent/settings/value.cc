// SPDX-License-Identifier: Apache-2.0
#include "agent/settings/value.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <exception>
#include <limits>
#include <optional>

#include "agent/base/status.h"
#include "agent/settings/element.h"
#include "agent/settings/text.h"
#include "agent/settings/yaml_documents.h"

namespace bonsai::settings {
namespace {

using base::InvalidArgument;
using Strings = std::vector<std::string>;

bool HasRange(const SettingSpec& spec) { return spec.min != 0 || spec.max != 0; }

// true, false, yes, no, on, off, y, n in YAML's spellings.
std::optional<bool> ParseBool(const std::string& text) {
  try {
    bool value = false;
    if (YAML::convert<bool>::decode(YAML::Node(text), value)) return value;
  } catch (const YAML::Exception&) {
    // Not a scalar that yaml-cpp can take: not a bool.
  }
  return std::nullopt;
}

// Decimal or 0x hex, an optional sign. A leading zero is refused: YAML 1.1 reads it as octal,
// YAML 1.2 as decimal, and nobody means the first.
template <typename T>
std::errc ParseInteger(const std::string& text, T& value) {
  const bool negative = !text.empty() && text[0] == '-';
  std::string digits = text.substr(!text.empty() && (negative || text[0] == '+') ? 1 : 0);
  const bool hex = digits.size() > 2 && digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X');
  if (hex) digits.erase(0, 2);
  const bool ambiguous = !hex && digits.size() > 1 && digits[0] == '0';
  if (digits.empty() || ambiguous || digits[0] == '-') return std::errc::invalid_argument;
  if (negative) digits.insert(0, "-");
  // from_chars takes no minus for unsigned types, so a negative number is "invalid" there...
  const char* first = digits.data() + (negative && std::is_unsigned_v<T> ? 1 : 0);
  const char* end = digits.data() + digits.size();
  auto [stop, error] = std::from_chars(first, end, value, hex ? 16 : 10);
  if (error == std::errc::invalid_argument || stop != end) return std::errc::invalid_argument;
  // ... and has to be told from text that is no number at all.
  if (negative && std::is_unsigned_v<T> && value != 0) return std::errc::result_out_of_range;
  return error;
}

template <typename T>
bool InRange(const SettingSpec& spec, T value) {
  if (!HasRange(spec)) return true;
  return std::cmp_greater_equal(value, spec.min) && std::cmp_less_equal(value, spec.max);
}

absl::Status NotPowerOfTwo(const SettingSpec& spec, uint64_t value) {
  const uint64_t below = std::bit_floor(value);
  const bool room = std::has_single_bit(below) && below <= (uint64_t{1} << 62);
  std::string near = std::to_string(below);
  if (room && InRange(spec, below * 2)) near += fmt::format(" or {}", below * 2);
  return InvalidArgument("\"{}\" is not a power of two, allowed {}; nearest: {}", value,
                         Allowed(spec), near);
}

template <typename T>
absl::StatusOr<Value> ParseNumber(const SettingSpec& spec, const std::string& text) {
  T value = 0;
  const std::errc error = ParseInteger(text, value);
  if (error == std::errc::invalid_argument) {
    return InvalidArgument("{} is not a whole number, allowed {}", Quote(text), Allowed(spec));
  }
  if (error != std::errc() || !InRange(spec, value)) {
    return InvalidArgument("{} is out of range, allowed {}", Quote(text), Allowed(spec));
  }
  if constexpr (std::is_unsigned_v<T>) {
    if (spec.power_of_two && !std::has_single_bit(value)) return NotPowerOfTwo(spec, value);
  }
  return Value(value);
}

absl::StatusOr<Value> ParseString(const SettingSpec& spec, const std::string& text) {
  const auto& choices = spec.choices;
  if (!choices.empty() && std::find(choices.begin(), choices.end(), text) == choices.end()) {
    return InvalidArgument("{} is unknown, allowed {}", Quote(text), Allowed(spec));
  }
  auto parsed = ParseElement(spec.element, text);
  if (!parsed.ok()) return parsed.status();
  return Value(*std::move(parsed));
}

// The elements of a YAML flow sequence of scalars such as ["veth*", cali*]; nothing when `text` is
// something else, as the two patterns [ab]*,[cd] are.
std::optional<Strings> FlowSequence(const std::string& text) {
  if (text.size() < 2 || text.front() != '[' || text.back() != ']') return std::nullopt;
  try {
    if (HasMoreDocuments(text, 1)) return std::nullopt;
    const YAML::Node root = YAML::Load(text);
    if (!root.IsSequence()) return std::nullopt;
    Strings elements;
    for (const YAML::Node& element : root) {
      if (!element.IsScalar()) return std::nullopt;
      elements.push_back(element.Scalar());
    }
    return elements;
  } catch (const std::exception&) {
    return std::nullopt;  // no YAML
  }
}

// Elements parted by commas, or on lines of their own (a block scalar).
Strings PlainElements(const std::string& text, Strings& problems) {
  Strings elements;
  for (const std::string& part : Split(text, ',')) {
    if (Trim(part).empty()) problems.push_back("has an empty element between its commas");
    for (const std::string& line : Split(part, '\n')) {
      if (std::string trimmed = Trim(line); !trimmed.empty()) elements.push_back(trimmed);
    }
  }
  return elements;
}

absl::StatusOr<Value> ParseList(const SettingSpec& spec, const std::string& text) {
  Strings elements;
  Strings problems;
  if (text.empty()) return Value(elements);
  const auto sequence = FlowSequence(text);
  for (const std::string& given : sequence ? *sequence : PlainElements(text, problems)) {
    auto element = ParseElement(spec.element, given);
    if (!element.ok()) {
      problems.push_back(base::Message(element.status()));
    } else if (std::find(elements.begin(), elements.end(), *element) == elements.end()) {
      elements.push_back(*std::move(element));
    }
  }
  if (!problems.empty()) return absl::InvalidArgumentError(Join(problems, "; "));
  return Value(std::move(elements));
}

}  // namespace

absl::StatusOr<Value> ParseValue(const SettingSpec& spec, const std::string& text) {
  const std::string trimmed = Trim(text);
  switch (spec.kind) {
    case Kind::kBool:
      if (auto value = ParseBool(trimmed)) return Value(*value);
      return InvalidArgument("{} is not a switch, allowed {}", Quote(trimmed), Allowed(spec));
    case Kind::kUint:
      return ParseNumber<uint64_t>(spec, trimmed);
    case Kind::kInt:
      return ParseNumber<int64_t>(spec, trimmed);
    case Kind::kString:
      return ParseString(spec, trimmed);
    case Kind::kList:
      return ParseList(spec, trimmed);
  }
  return base::Internal("setting {} has no kind", spec.key);
}

std::string Allowed(const SettingSpec& spec) {
  switch (spec.kind) {
    case Kind::kBool:
      return "true or false";
    case Kind::kUint:
    case Kind::kInt: {
      const char* suffix = spec.power_of_two ? ", a power of two" : "";
      if (HasRange(spec)) return fmt::format("{}..{}{}", spec.min, spec.max, suffix);
      if (spec.kind == Kind::kUint) {
        return fmt::format("0..{}{}", std::numeric_limits<uint64_t>::max(), suffix);
      }
      return fmt::format("{}..{}", std::numeric_limits<int64_t>::min(),
                         std::numeric_limits<int64_t>::max());
    }
    case Kind::kString:
      return spec.choices.empty() ? DescribeElement(spec.element) : Join(spec.choices, ", ");
    case Kind::kList:
      return "list of " + DescribeElement(spec.element);
  }
  return "";
}

}  // namespace bonsai::settings
