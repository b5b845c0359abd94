// SPDX-License-Identifier: Apache-2.0
// The shipped BPF objects, loaded into the kernel and run on single packets (BPF_PROG_TEST_RUN).
// Nothing is attached or pinned: all of it is gone when a Datapath is.
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "datapath/include/contract.h"
#include "tests/support/packet.h"

namespace bonsai::testing {

inline constexpr int kPass = -1;  // TC_ACT_UNSPEC
inline constexpr int kShot = 2;   // TC_ACT_SHOT
inline constexpr uint32_t kPodIfindex = 1;  // lo: the only device every namespace has

struct RunResult {
  int verdict = 0;  // as a tc or XDP program returns it
  Bytes frame;      // as the program left it
  uint32_t ns = 0;  // mean time of a run
};

struct DatapathConfig {
  std::vector<std::string> objects = {"from_pod", "to_pod"};
  std::map<std::string, uint64_t> constants;       // by name, as in config.h
  std::map<std::string, bpf_map_type> map_types;   // instead of the declared type
  std::map<std::string, uint32_t> map_entries;     // instead of a small number
  std::set<std::string> empty_slots;               // tail programs left out of their array
};

// What the kernel kept of a program after dropping dead code.
struct Live {
  std::set<std::string> maps;
  std::set<std::string> calls;  // stages it tail-calls, by the slots their programs are tagged with
};

class Datapath {
 public:
  explicit Datapath(const DatapathConfig& config);
  Datapath(const Datapath&) = delete;
  Datapath& operator=(const Datapath&) = delete;
  ~Datapath();

  // Empty if everything loaded, else what failed with the end of the verifier's log.
  const std::string& error() const { return error_; }

  RunResult Run(const std::string& program, const Bytes& frame, uint32_t ifindex = kPodIfindex,
                uint32_t repeat = 1);

  int MapFd(const std::string& map) const;
  int ProgramFd(const std::string& program) const;
  template <class K, class V>
  void Put(const std::string& map, const K& key, const V& value) {
    Update(map, &key, &value);
  }
  template <class V, class K>
  std::optional<V> Get(const std::string& map, const K& key) const {
    V value;
    if (bpf_map_lookup_elem(MapFd(map), &key, &value)) return std::nullopt;
    return value;
  }
  template <class K>
  bool Delete(const std::string& map, const K& key) {
    return bpf_map_delete_elem(MapFd(map), &key) == 0;
  }
  size_t Count(const std::string& map) const;

  // Packets and bytes counted so far under (reason, hook), all CPUs together.
  metrics_value Metrics(bonsai_reason reason, bonsai_hook hook) const;
  // Events sent since the last call.
  std::vector<flow_event> Events();

  std::map<std::string, Live> LivePrograms() const;  // by name, of all programs loaded

 private:
  struct Object;

  void Open(const std::string& name, const DatapathConfig& config);
  void SetConstants(bpf_object* object, const DatapathConfig& config);
  void ShapeMaps(bpf_object* object, const DatapathConfig& config);
  void FillSlots(Object& object, const DatapathConfig& config);
  void Update(const std::string& map, const void* key, const void* value);

  std::vector<std::unique_ptr<Object>> objects_;
  std::map<std::string, int> maps_;  // fds borrowed from objects_
  std::string error_;
  ring_buffer* ring_ = nullptr;
  std::vector<flow_event> events_;
};

}  // namespace bonsai::testing
