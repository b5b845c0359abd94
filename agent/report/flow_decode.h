// SPDX-License-Identifier: Apache-2.0
// FlowDecoder: bytes of the ring buffers to Flow, with the names of the current snapshot.
// Not thread-safe: the flow reader's thread owns it.
#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <tuple>

#include "agent/report/event_source.h"
#include "agent/report/flow.h"
#include "agent/report/snapshot.h"

namespace bonsai::report {

class FlowDecoder {
 public:
  // `publisher` must outlive the decoder.
  explicit FlowDecoder(const Publisher& publisher) : publisher_(publisher) {}

  // Internal when `size` is less than the source's event has, or its address family is none (agent
  // and datapath do not match).
  absl::StatusOr<Flow> Decode(EventSource source, const void* data, size_t size);

 private:
  absl::StatusOr<Flow> DecodeFlow(const void* data, size_t size);
  absl::StatusOr<Flow> DecodeL7(EventSource source, const void* data, size_t size);
  void FollowSnapshot();
  void Name(FlowPeer& peer, uint8_t protocol) const;

  const Publisher& publisher_;
  // Index of the snapshot it was made from; made anew when another is current.
  std::shared_ptr<const Snapshot> indexed_;
  std::map<tables::Address, std::string> pods_;
  std::map<std::tuple<tables::Address, uint16_t, uint8_t>, std::string> services_;
  std::map<uint32_t, std::string> devices_;   // by ifindex
  std::map<uint32_t, std::string> policies_;  // by rule
};

}  // namespace bonsai::report
