// SPDX-License-Identifier: Apache-2.0
// Runs C sources: compiled, loaded into the kernel, compared with the engine.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/differential/c_case.h"
#include "tests/differential/compare.h"

namespace bonsai::differential {

// The compilers this was built with: each clang found, with the instruction sets it has.
std::vector<Variant> AllVariants();

// A directory of this process, gone with it.
class Workspace {
 public:
  Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  ~Workspace();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The object that `source` compiles to; NotFound when the compiler refuses it.
absl::StatusOr<object::ObjectSpec> Compile(const Workspace& workspace, const std::string& source,
                                           const Variant& variant);

// Adds what differs with the constants as the object holds them.
absl::Status CompareObject(const object::ObjectSpec& object,
                           const constants::ConstantSet& constants, Comparison& comparison);

// The smallest part of `failing` that still differs as `difference` does, with a comment that says
// how.
std::string Reproduce(const Workspace& workspace, const CCase& failing,
                      const Difference& difference);

}  // namespace bonsai::differential
