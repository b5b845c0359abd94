// SPDX-License-Identifier: Apache-2.0
// The objects that the build compiled for these tests.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "agent/object/object_spec.h"

namespace bonsai::object {

inline std::vector<std::string> Variants() {
  std::vector<std::string> variants;
  std::stringstream list(TEST_BPF_VARIANTS);
  for (std::string item; std::getline(list, item, ',');) variants.push_back(item);
  return variants;
}

inline std::string ObjectPath(const std::string& source, const std::string& variant) {
  return std::string(TEST_BPF_DIR) + "/" + source + "." + variant + ".o";
}

inline std::vector<uint8_t> FileBytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// For INSTANTIATE_TEST_SUITE_P over Variants().
inline std::string VariantName(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::erase(name, '-');
  return name;
}

}  // namespace bonsai::object
