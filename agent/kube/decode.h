// SPDX-License-Identifier: Apache-2.0
// YAML or JSON text -> objects. The one decoder for whatever source; pure and thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "agent/kube/objects.h"

namespace bonsai::kube {

struct DecodeProblem {
  uint32_t line = 0;    // from 1; 0: the text as a whole
  std::string object;   // "Service demo/echo", "document 2" or ""
  std::string message;  // one line: the field, what is wrong, what is allowed
};

struct Decoded {
  Objects objects;
  std::map<ObjectKey, uint32_t> lines;  // where each of the objects begins
  uint64_t ignored = 0;                 // objects of kinds that mean nothing here
  std::vector<DecodeProblem> problems;  // one an object; not empty: use none of the objects
};

// A stream of documents, each an object or a list of them (`kind: List`, `PodList`, ...). JSON is
// YAML. Never throws.
Decoded Decode(const std::string& text);

}  // namespace bonsai::kube
