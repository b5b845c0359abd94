// SPDX-License-Identifier: Apache-2.0
// A snapshot with something in every field, and one of its flow events.
#pragma once

#include "agent/report/flow.h"
#include "agent/report/snapshot.h"
#include "datapath/include/contract.h"

namespace bonsai::testing {

// 2031-05-17 10:42:11 UTC, when generation 7 of the sample came into force.
inline constexpr int64_t kInForceSince = 1936780931;

report::Snapshot SampleSnapshot();

// A TCP packet from pod default/client to service default/web:http, dropped by policy rule 3.
flow_event SampleEvent();
// Of pod default/client to backend default/web-1: GET /index.html, and a query that has no more than a
// head.
http_event SampleHttpEvent();
dns_event SampleDnsEvent();

tables::Address Ip(const std::string& text);

// A directory of its own under /tmp, removed with all that is in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace bonsai::testing
