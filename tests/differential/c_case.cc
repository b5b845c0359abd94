// SPDX-License-Identifier: Apache-2.0
#include "tests/differential/c_case.h"

#include <fmt/format.h>

namespace bonsai::differential {
namespace {

constexpr char kHead[] = R"(#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#define hide(x) asm volatile("" : "+r"(x))
#define CONFIG(type, name, ...) \
	static const volatile type name __attribute__((section(".rodata.config"), unused)) = __VA_ARGS__
#define MAP(number) struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); \
	__type(key, __u32); __type(value, __u64); } m_##number SEC(".maps");
#define LEAF(number) r += (int)(long)bpf_map_delete_elem(&m_##number, &key)
struct state { __u64 a; __u32 b; __s16 c; __u8 d; __s8 e; __u64 f; };
struct fields { __u32 a : 3, b : 7; __s32 c : 5, d : 9; __u64 e : 40; __u16 f; bool g; __s8 h; };
struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 16); __type(key, __u32);
	__type(value, __u32); } calls SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 2); __type(key, __u32);
	__type(value, __u64); } shared SEC(".maps");
)";

size_t SizeOf(const Node& node) {
  size_t size = 1;
  for (const Node& child : node.body) size += SizeOf(child);
  return size;
}

void AddLevels(const Node& node, size_t depth, size_t& number,
               std::vector<std::vector<std::pair<size_t, size_t>>>& levels) {
  if (levels.size() <= depth) levels.resize(depth + 1);
  const size_t first = number++;
  for (const Node& child : node.body) AddLevels(child, depth + 1, number, levels);
  levels[depth].emplace_back(first, number);
}

class Printer {
 public:
  explicit Printer(const std::vector<bool>& kept) : kept_(kept) {}

  void Print(const Node& node, size_t depth) {
    const bool shown = kept_.empty() || kept_[number_];
    ++number_;
    if (shown) Line(node.open, depth);
    for (const Node& child : node.body) Print(child, depth + shown);
    if (shown) Line(node.close, depth);
  }
  std::string text;

 private:
  void Line(const std::string& line, size_t depth) {
    if (!line.empty()) text += std::string(depth, '\t') + line + "\n";
  }
  const std::vector<bool>& kept_;
  size_t number_ = 0;
};

}  // namespace

size_t CCase::Size() const {
  size_t size = 0;
  for (const Node& part : parts) size += SizeOf(part);
  return size;
}

std::vector<std::vector<std::pair<size_t, size_t>>> CCase::Levels() const {
  std::vector<std::vector<std::pair<size_t, size_t>>> levels;
  size_t number = 0;
  for (const Node& part : parts) AddLevels(part, 0, number, levels);
  return levels;
}

std::string CCase::Text(const std::vector<bool>& kept) const {
  Printer printer(kept);
  for (const Node& part : parts) printer.Print(part, 0);
  std::string text = kHead;
  for (const CaseConstant& constant : constants) {
    // Constants that nothing reads are noise.
    if (printer.text.find(constant.name) == std::string::npos) continue;
    text += fmt::format("CONFIG({}, {}, ({}){:#x}ull);\n", constant.type, constant.name,
                        constant.type, constant.value);
  }
  return text + printer.text + "char _license[] SEC(\"license\") = \"GPL\";\n";
}

}  // namespace bonsai::differential
