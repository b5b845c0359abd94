// SPDX-License-Identifier: Apache-2.0
#include "tests/differential/c_runner.h"

#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "agent/base/status.h"
#include "tests/differential/shrink.h"

namespace bonsai::differential {
namespace {

constexpr int kShrinkBudget = 500;

// The first word: map, function, tail; a slot's first word is its function, so "slot".
std::string KindOf(const std::string& what) {
  for (const char* kind : {"map ", "function ", "tail "}) {
    if (what.rfind(kind, 0) == 0) return kind;
  }
  return "slot";
}

const Difference* FindLike(const Comparison& comparison, const Difference& difference) {
  for (const Difference& other : comparison.differences) {
    if (other.unsound == difference.unsound && KindOf(other.what) == KindOf(difference.what)) {
      return &other;
    }
  }
  return nullptr;
}

}  // namespace

std::vector<Variant> AllVariants() {
  std::vector<Variant> variants;
  const auto add = [&](const std::string& clang, std::initializer_list<const char*> cpus) {
    for (const char* cpu : cpus) {
      for (const char* level : {"O1", "O2"}) {
        if (!clang.empty()) variants.push_back({clang, cpu, level});
      }
    }
  };
  add(TEST_CLANG19, {"v2", "v3", "v4"});
  add(TEST_CLANG14, {"v2", "v3"});
  return variants;
}

Workspace::Workspace() {
  std::string name = std::filesystem::temp_directory_path() /
                     fmt::format("bonsai-differential-{}-XXXXXX", getpid());
  if (mkdtemp(name.data()) != nullptr) path_ = name;
}

Workspace::~Workspace() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

absl::StatusOr<object::ObjectSpec> Compile(const Workspace& workspace, const std::string& source,
                                           const Variant& variant) {
  const std::string base = workspace.path() + "/case";
  std::ofstream(base + ".bpf.c") << source;
  const std::string command = fmt::format(
      "cd {} && {} -target bpf -mcpu={} -{} -g -std=gnu11 -w -idirafter {} -c case.bpf.c -o "
      "case.bpf.o "
      "2> errors",
      workspace.path(), variant.clang, variant.cpu, variant.level, TEST_ARCH_INCLUDE);
  if (std::system(command.c_str()) != 0) {
    std::ifstream errors(workspace.path() + "/errors");
    std::string text{std::istreambuf_iterator<char>(errors), {}};
    return base::NotFound("compiling with {}: {}", variant.Text(), text.substr(0, 2000));
  }
  return object::Read(base + ".bpf.o");
}

absl::Status CompareObject(const object::ObjectSpec& object,
                           const constants::ConstantSet& constants, Comparison& comparison) {
  ASSIGN_OR_RETURN(const auto kept, LoadAndRead(object, constants));
  return Compare(object, constants, kept, comparison);
}

std::string Reproduce(const Workspace& workspace, const CCase& failing,
                      const Difference& difference) {
  Difference last = difference;
  const auto fails = [&](const std::vector<bool>& parts) {
    const auto object = Compile(workspace, failing.Text(parts), failing.variant);
    Comparison comparison;
    if (!object.ok() ||
        !CompareObject(*object, constants::Defaults(*object), comparison).ok()) {
      return false;
    }
    const Difference* found = FindLike(comparison, difference);
    if (found != nullptr) last = *found;
    return found != nullptr;
  };
  int budget = kShrinkBudget;
  std::vector<bool> kept(failing.Size(), true);
  // Whole functions first, then what they enclose, then what encloses.
  for (const auto& level : failing.Levels()) {
    std::vector<bool> groups;
    for (const auto& range : level) groups.push_back(kept[range.first]);
    const auto without = [&](const std::vector<bool>& left) {
      std::vector<bool> parts = kept;
      for (size_t i = 0; i < level.size(); ++i) {
        if (!left[i]) std::fill(parts.begin() + static_cast<ptrdiff_t>(level[i].first),
                                parts.begin() + static_cast<ptrdiff_t>(level[i].second), false);
      }
      return parts;
    };
    Shrink(groups, budget, [&](const std::vector<bool>& left) { return fails(without(left)); });
    kept = without(groups);
  }
  Shrink(kept, budget, fails);
  return fmt::format("/* {}: {}: {}\n * {} */\n{}", last.unsound ? "UNSOUND" : "MISSED",
                     last.program, last.what, failing.variant.Text(), failing.Text(kept));
}

}  // namespace bonsai::differential
