// SPDX-License-Identifier: Apache-2.0
// Two threads read what one would have read, and refuse it with the same words.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <set>

#include "agent/base/status.h"
#include "agent/base/worker.h"
#include "tests/unit/object/objects.h"

namespace bonsai::object {
namespace {

// So large that two read it: what stands behind the last section is nobody's.
std::vector<uint8_t> Large(std::vector<uint8_t> bytes) {
  bytes.resize(std::max(bytes.size(), kBytesOfLargeObject));
  return bytes;
}

std::string Text(const Function& function) {
  std::string text = fmt::format("function {} {}+{} {} {} {}:", function.name, function.section,
                                 function.section_slot, function.is_global, function.insns.size(),
                                 function.lines.size());
  for (const Ref& ref : function.refs) {
    text += fmt::format(" {}:{}:{}:{}", ref.slot, static_cast<int>(ref.kind), ref.index, ref.offset);
  }
  return text + fmt::format(" {}\n", fmt::join(function.tags, ","));
}

std::string Text(const Map& map) {
  std::string text = fmt::format("map {} {} {} {} {} {} {} {}:", map.name, map.type, map.key_size,
                                 map.value_size, map.max_entries, map.map_flags, map.feature,
                                 map.layout_hash);
  for (const auto& [slot, name] : map.initial_programs) text += fmt::format(" {}={}", slot, name);
  for (const auto& [slot, name] : map.initial_maps) text += fmt::format(" {}={}", slot, name);
  return text + "\n";
}

// All that was read, or why it was not.
std::string Text(const absl::StatusOr<ObjectSpec>& object) {
  if (!object.ok()) return base::Message(object.status());
  std::string text;
  for (const Function& function : object->functions) text += Text(function);
  for (const Program& program : object->programs) {
    text += fmt::format("program {} {} {} {}\n", program.name, program.section, program.function,
                        program.tail ? program.tail->map : "");
  }
  for (const Map& map : object->maps) text += Text(map);
  for (const DataSection& data : object->data_sections) {
    text += fmt::format("data {} {} {}\n", data.name, data.read_only, fmt::join(data.bytes, " "));
  }
  for (const Constant& constant : object->constants) {
    text += fmt::format("constant {} {} {} {} {}\n", constant.name, constant.section,
                        constant.offset, constant.size, constant.feature);
  }
  return text + fmt::format("externs {}\n", fmt::join(object->externs, " "));
}

TEST(TwoReaders, ReadWhatOneReads) {
  base::Worker worker;
  int objects = 0;
  for (const auto& entry : std::filesystem::directory_iterator(TEST_BPF_DIR)) {
    if (entry.path().extension() != ".o") continue;
    const std::vector<uint8_t> bytes = Large(FileBytes(entry.path()));
    const auto alone = ReadBytes("x.bpf.o", bytes);
    ASSERT_TRUE(alone.ok()) << alone.status();
    ++objects;
    EXPECT_EQ(Text(ReadBytes("x.bpf.o", bytes, &worker)), Text(alone)) << entry.path();
  }
  EXPECT_GE(objects, 30);
}

std::set<std::string> ExternsOf(const ObjectSpec& object, size_t function) {
  std::set<std::string> names;
  for (const Ref& ref : object.functions[function].refs) {
    if (ref.kind == RefKind::kExtern) names.insert(object.externs[ref.index]);
  }
  return names;
}

TEST(TwoReaders, NumberTheExternsOfBothHalvesOnce) {
  base::Worker worker;
  for (const std::string& variant : Variants()) {
    const auto object =
        ReadBytes("x.bpf.o", Large(FileBytes(ObjectPath("halves", variant))), &worker);
    ASSERT_TRUE(object.ok()) << object.status();
    EXPECT_EQ(object->externs.size(), 3u);
    EXPECT_EQ(ExternsOf(*object, 0), (std::set<std::string>{"CONFIG_HZ", "CONFIG_NR_CPUS"}));
    EXPECT_EQ(ExternsOf(*object, 1), (std::set<std::string>{"CONFIG_NET", "CONFIG_NR_CPUS"}));
  }
}

TEST(TwoReaders, RefuseWhatOneRefusesWithTheSameWords) {
  base::Worker worker;
  const auto original = Large(FileBytes(ObjectPath("styles", Variants()[0])));
  const size_t size = FileBytes(ObjectPath("styles", Variants()[0])).size();
  std::mt19937 random(20261126);
  int refused = 0, read = 0;
  for (int round = 0; round < 3000; ++round) {
    auto bytes = original;
    for (int flips = 1 + round % 8; flips > 0; --flips) {
      bytes[random() % size] = static_cast<uint8_t>(random());
    }
    const auto alone = ReadBytes("x.bpf.o", bytes);
    ++(alone.ok() ? read : refused);
    ASSERT_EQ(Text(ReadBytes("x.bpf.o", bytes, &worker)), Text(alone)) << round;
  }
  EXPECT_GT(refused, 100);
  EXPECT_GT(read, 100);
}

}  // namespace
}  // namespace bonsai::object
