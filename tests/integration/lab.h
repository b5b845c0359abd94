// SPDX-License-Identifier: Apache-2.0
// What the loading tests share: a pin root and two namespaces of the test's own, and plans for the
// small objects in bpf/.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/attach/attached.h"
#include "agent/load/loaded.h"
#include "agent/object/object_spec.h"
#include "agent/plan/load_plan.h"
#include "tests/support/netns.h"

namespace bonsai::testing {

// Skips the calling test, loudly, unless run by root.
#define REQUIRE_ROOT() \
  if (geteuid() != 0) GTEST_SKIP() << "needs root: loads BPF programs and makes namespaces"

// A pin root named after the test and the process; swept by the destructor.
class PinRoot {
 public:
  PinRoot();
  PinRoot(const PinRoot&) = delete;
  PinRoot& operator=(const PinRoot&) = delete;
  ~PinRoot();
  const std::string& path() const { return path_; }
  std::vector<std::string> List(const std::string& folder) const;  // "" : the root itself
  // A fingerprint of all pins: relative path -> kernel object id.
  std::map<std::string, uint32_t> Contents() const;

 private:
  std::string path_;
};

// Namespaces "host" (devices h0, h1) and "pod" (p0, p1), joined by two veth pairs with addresses
// 10.77.N.1 (host) and 10.77.N.2 (pod). Attach inside NetnsScope(host).
class Lab {
 public:
  Lab();
  Netns host{"host"}, pod{"pod"};
  attach::Target Device(const std::string& name, attach::Hook hook) const;
};

std::string ObjectPath(const std::string& name);  // of bpf/<name>.bpf.c, compiled; or a path

struct ObjectChoice {
  std::string file;                // bpf/<file>.bpf.c, or the path of an object
  std::string name = "from_pod";   // what the object is called in the plan
  std::map<std::string, int64_t> constants;
  std::set<std::string> dead_maps;
  std::set<std::string> dead_programs;
  bool analyzed = false;           // liveness is what the engine says, not what stands above
};

// A plan by plan::Make from a liveness in which all is live but what `choices` call dead, or from
// the engine's.
plan::LoadPlan PlanOf(const std::vector<ObjectChoice>& choices,
                      const std::map<std::string, uint32_t>& max_entries = {});

// For ASSERT_OK: a Status or StatusOr is OK, else its text is shown.
template <typename T>
::testing::AssertionResult IsOk(const char* expression, const T& result) {
  if (result.ok()) return ::testing::AssertionSuccess();
  absl::Status status;
  if constexpr (requires { result.status(); }) {
    status = result.status();
  } else {
    status = result;
  }
  return ::testing::AssertionFailure() << expression << ": " << status;
}
#define ASSERT_OK(expr) ASSERT_PRED_FORMAT1(::bonsai::testing::IsOk, expr)

uint64_t Counter(const load::Loaded& loaded, uint32_t slot, const std::string& map = "counters");

// Whether the kernel has a map of that id, without taking a reference to it.
bool MapExists(uint32_t id);
// True once it has none; waits up to two seconds.
bool MapIsGone(uint32_t id);

}  // namespace bonsai::testing
