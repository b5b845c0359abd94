// SPDX-License-Identifier: Apache-2.0
// The datapath with DNS visibility on, fed with messages over either protocol and family.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/tables/dns_deny.h"
#include "tests/datapath/fixture.h"
#include "tests/support/dns.h"
#include "tests/support/event_ring.h"

namespace bonsai::testing {

inline constexpr int kRedirect = 7;  // TC_ACT_REDIRECT
inline constexpr uint16_t kClientPort = 40000;

class DnsTest : public DatapathTest {
 protected:
  // DNS visibility and whatever else; port 53 is DNS.
  void LoadDns(const Constants& more = {});
  void SetPort(uint16_t port);
  // As the agent writes the setting dns-deny.
  void Deny(const std::vector<std::string>& names);

  // A query or response between the pod as client and its server.
  Frame Query(const Bytes& message, bool tcp = false) const;
  Frame Response(const Bytes& message, bool tcp = false) const;

  // Events since the last call.
  std::vector<dns_event> DnsEvents();
  // Of one event, which there must be.
  DnsSight Sight();
  uint64_t Counter(uint32_t slot);

  // Goes in unchanged, and is seen as `expected`.
  void ExpectSeen(const std::string& program, const Frame& frame,
                  const std::vector<DnsSight>& expected);

 private:
  std::unique_ptr<EventRing<dns_event>> ring_;
};

}  // namespace bonsai::testing
