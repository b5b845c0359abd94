// SPDX-License-Identifier: Apache-2.0
// What the command line says about `agentctl life`.
#pragma once

#include <cstdint>
#include <string>

namespace bonsai::cli {

struct LifeOptions {
  std::string action;        // "", "seed", "pause", "resume", "step", "speed"
  bool once = false;
  std::string pattern;       // seed: glider, gun, random or a file
  uint64_t number = 0;       // seed random: --number; 0: another board each time
  uint64_t generations = 1;  // step
  double interval_ms = 0;    // speed
};

}  // namespace bonsai::cli
