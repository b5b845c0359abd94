// SPDX-License-Identifier: Apache-2.0
// A pod behind device lo, seen by the shipped objects; each test runs once per address family.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/prog_run.h"

namespace bonsai::testing {

using Constants = std::map<std::string, uint64_t>;

// Addresses of one family.
struct Net {
  std::string pod;
  std::string peer;
  std::string other;     // another peer
  std::string service;
  std::string backend;
  std::string backend2;
};

const Net& NetOf(int family);

struct Backend {
  std::string addr;
  uint16_t port = 0;
};

// Everything off but the family and what reports; tests switch on what they are about.
Constants Off();
Constants With(const Constants& more);  // Off() and `more`

class DatapathTest : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override;

  // Loads the objects; fails the test with the verifier's log if the kernel refuses.
  void Load(const Constants& constants);
  void Load(const DatapathConfig& config);

  bool v6() const { return GetParam() == 6; }
  const Net& net() const { return NetOf(GetParam()); }
  uint8_t icmp() const { return v6() ? 58 : 1; }  // protocol
  Datapath& datapath() { return *datapath_; }

  RunResult Out(const Frame& frame) { return datapath_->Run("from_pod", Build(frame)); }
  RunResult In(const Frame& frame) { return datapath_->Run("to_pod", Build(frame)); }
  // To the pod, having come in by device `from`.
  RunResult Forwarded(const Frame& frame, uint32_t from = kPodIfindex);

  // From the pod and to it.
  Frame Leaving(decltype(Frame::l4) l4, const std::string& to = "") const;
  Frame Entering(decltype(Frame::l4) l4, const std::string& from = "") const;

  void ExpectPass(const RunResult& result);
  // Dropped, counted once under (reason, hook) since the last look, and reported with `reason`.
  void ExpectDrop(const RunResult& result, bonsai_reason reason, bonsai_hook hook);
  flow_event LastEvent();  // of all since the last call; fails the test if there is none
  size_t EventCount() { return datapath_->Events().size(); }

  // ---- conntrack; ports in host order ----
  std::optional<ct_entry> Entry(const std::string& peer, uint16_t pod_port, uint16_t peer_port,
                                uint8_t protocol);
  void SetEntry(const std::string& peer, uint16_t pod_port, uint16_t peer_port, uint8_t protocol,
                const ct_entry& entry);
  bool DropEntry(const std::string& peer, uint16_t pod_port, uint16_t peer_port,
                 uint8_t protocol);
  size_t Entries() { return datapath_->Count(v6() ? "ct6" : "ct4"); }
  // An established TCP connection pod:1000 -> peer:80, opened by the pod.
  void OpenTcp(const std::string& peer);

  // ---- policy ----
  void SetEpoch(uint32_t epoch);
  void SetEndpoint(uint32_t flags);
  void SetIdentity(const std::string& addr, uint32_t prefix, uint32_t identity);
  void SetRule(policy_direction direction, uint32_t identity, uint32_t prefix, uint8_t protocol,
               uint16_t port, policy_action action, uint32_t rule);

  // ---- load balancer ----
  void SetService(uint16_t port, uint8_t protocol, const std::vector<Backend>& backends);
  void SetServiceMarker();

  // ---- prefilter ----
  void SetPrefilter(const std::string& addr, uint32_t prefix, uint32_t rule);

 private:
  std::unique_ptr<Datapath> datapath_;
};

inline constexpr uint32_t kPodIdentity = 300;
inline constexpr uint32_t kPeerIdentity = 301;
inline constexpr uint32_t kBackendIdentity = 302;
inline constexpr uint32_t kEndpointId = 7;

// Names of test cases by family.
inline std::string FamilyName(const ::testing::TestParamInfo<int>& info) {
  return info.param == 6 ? "Ipv6" : "Ipv4";
}

#define INSTANTIATE_FAMILIES(suite) \
  INSTANTIATE_TEST_SUITE_P(Family, suite, ::testing::Values(4, 6), FamilyName)

}  // namespace bonsai::testing
