// SPDX-License-Identifier: Apache-2.0
// A node that plays the Game of Life.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/e2e/node_state.h"
#include "tests/support/cluster.h"
#include "tests/support/life_reference.h"

namespace bonsai::testing {

using nlohmann::json;

struct Seen {
  uint64_t generation = 0, population = 0, total = 0, seeds = 0;
  bool paused = false;
  LifeReference board{0, 0};
};

inline uint64_t Number(const json& tree, const char* key) {
  return std::stoull(tree.value(key, "0"));  // 64-bit integers are strings
}

// "x = W, y = H, ...", then runs. Knows nothing but what the agent writes.
inline LifeReference FromRle(const std::string& text, uint32_t width, uint32_t height) {
  LifeReference board(width, height);
  uint32_t x = 0, y = 0, count = 0;
  for (size_t at = text.find('\n') + 1; at < text.size() && text[at] != '!'; ++at) {
    const char c = text[at];
    if (c >= '0' && c <= '9') {
      count = count * 10 + static_cast<uint32_t>(c - '0');
      continue;
    }
    if (c == '\n') continue;
    const uint32_t run = count == 0 ? 1 : count;
    count = 0;
    if (c == '$') {
      y += run;
      x = 0;
      continue;
    }
    for (uint32_t i = 0; i < run; ++i, ++x) board.Set(x, y, c == 'o');
  }
  return board;
}

class LifeNode : public ::testing::Test {
 protected:
  void Start(const ConfigMap& more = {}, const std::vector<std::string>& wrapper = {}) {
    ConfigMap config = {{"pod-devices", "veth-*"},       {"uplink-devices", "uplink"},
                        {"enable-conntrack", "false"},   {"enable-datapath-metrics", "false"},
                        {"enable-game-of-life", "true"}, {"life-width", "100"},
                        {"life-height", "75"},           {"life-interval-ms", "5"}};
    for (const auto& [key, value] : more) config[key] = value;
    cluster.SetConfig(config);
    cluster.StartAgent({}, wrapper);
    ASSERT_TRUE(cluster.WaitInSync());
    ASSERT_EQ(cluster.Ctl("status")["problems"].dump(), "[]");
  }

  std::optional<Seen> Look() {
    const json tree = cluster.Ctl("life");
    if (!tree.is_object()) return std::nullopt;
    return Seen{.generation = Number(tree, "generation"),
                .population = Number(tree, "population"),
                .total = Number(tree, "generations_total"),
                .seeds = Number(tree, "seeds"),
                .paused = tree.value("paused", false),
                .board = FromRle(tree.value("rle", ""), tree.value("width", 0u),
                                 tree.value("height", 0u))};
  }

  // The later board is the earlier one, played on; not a generation was left out.
  static void ExpectFollows(Seen earlier, const Seen& later) {
    ASSERT_GE(later.generation, earlier.generation);
    EXPECT_EQ(later.seeds, earlier.seeds);
    EXPECT_EQ(later.total - earlier.total, later.generation - earlier.generation);
    for (uint64_t g = earlier.generation; g < later.generation; ++g) earlier.board.Step();
    EXPECT_TRUE(later.board == earlier.board) << "generation " << later.generation;
    EXPECT_EQ(later.population, later.board.Population());
  }

  // Of the pinned state, without an agent.
  uint64_t PinnedGeneration() const {
    const json dump = json::parse(Shell("bpftool -j map dump pinned " + cluster.bpf_root() +
                                        "/maps/life_state").output, nullptr, false);
    if (!dump.is_array() || dump.empty()) return 0;
    return dump[0].value("/formatted/value/generation"_json_pointer, uint64_t{0});
  }

  // What of feature life is pinned or held.
  std::vector<std::pair<std::string, unsigned>> Ids() const {
    std::vector<std::pair<std::string, unsigned>> ids;
    const json maps = cluster.Ctl("maps"), programs = cluster.Ctl("programs");
    for (const auto& map : maps["maps"]) {
      if (map["feature"] == "life" && map["id"] != 0) ids.emplace_back("map", map["id"]);
    }
    for (const auto& program : programs["programs"]) {
      if (program["object"] == "life" && program["id"] != 0) ids.emplace_back("prog", program["id"]);
    }
    return ids;
  }
  static std::string StillThere(const std::vector<std::pair<std::string, unsigned>>& ids) {
    std::string there;
    for (const auto& [kind, id] : ids) {
      const std::string name = kind + " " + std::to_string(id);
      if (Shell("bpftool " + kind + " show id " + std::to_string(id)).exit_code == 0) {
        there += name + " ";
      }
    }
    return there;
  }

  std::string WriteFile(const std::string& name, const std::string& text) {
    const std::string path = cluster.directory() / name;
    std::ofstream(path) << text;
    return path;
  }

  Cluster cluster;
};

}  // namespace bonsai::testing
