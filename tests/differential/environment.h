// SPDX-License-Identifier: Apache-2.0
// What the generated tests take from their environment:
//
//   BONSAI_DIFFERENTIAL_ROUNDS   how many cases (default: what a run of all tests has time for)
//   BONSAI_DIFFERENTIAL_SEED     where to start (default: fixed)
//   BONSAI_DIFFERENTIAL_FINDINGS a directory: what differs goes there, shrunk, one file each
//   BONSAI_DIFFERENTIAL_SHRINK   how many are shrunk (default 5); a C source takes half a minute
//   BONSAI_DIFFERENTIAL_REFUSALS set: print why the kernel refused programs
#pragma once

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>

namespace bonsai::differential {

inline uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 0);
}

inline bool WantsFindings() { return std::getenv("BONSAI_DIFFERENTIAL_FINDINGS") != nullptr; }

inline void KeepFinding(const std::string& name, const std::string& text) {
  const char* directory = std::getenv("BONSAI_DIFFERENTIAL_FINDINGS");
  if (directory != nullptr) std::ofstream(std::string(directory) + "/" + name) << text;
}

}  // namespace bonsai::differential
