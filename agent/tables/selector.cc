// SPDX-License-Identifier: Apache-2.0
#include "agent/tables/selector.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace bonsai::tables {
namespace {

using Op = LabelRequirement::Op;

bool Holds(const LabelRequirement& requirement, const Labels& labels) {
  const auto label = labels.find(requirement.key);
  const bool exists = label != labels.end();
  const auto listed = [&] {
    return std::ranges::find(requirement.values, label->second) != requirement.values.end();
  };
  switch (requirement.op) {
    case Op::kIn:
      return exists && listed();
    case Op::kNotIn:
      return !exists || !listed();
    case Op::kExists:
      return exists;
    case Op::kDoesNotExist:
      return !exists;
  }
  return false;
}

std::string Text(const LabelRequirement& requirement) {
  const std::string& key = requirement.key;
  switch (requirement.op) {
    case Op::kIn:
      if (requirement.values.size() == 1) return fmt::format("{}={}", key, requirement.values[0]);
      return fmt::format("{} in ({})", key, fmt::join(requirement.values, ","));
    case Op::kNotIn:
      return fmt::format("{} not in ({})", key, fmt::join(requirement.values, ","));
    case Op::kExists:
      return key;
    case Op::kDoesNotExist:
      return "!" + key;
  }
  return key;
}

}  // namespace

bool Matches(const LabelSelector& selector, const Labels& labels) {
  return std::ranges::all_of(selector, [&](const auto& each) { return Holds(each, labels); });
}

std::string ToString(const LabelSelector& selector) {
  std::string text;
  for (const LabelRequirement& each : selector) text += (text.empty() ? "" : ", ") + Text(each);
  return text.empty() ? "all" : text;
}

}  // namespace bonsai::tables
