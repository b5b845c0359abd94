// SPDX-License-Identifier: Apache-2.0
// The ring buffers that events of the datapath come from. Values.
#pragma once

namespace bonsai::report {

enum class EventSource { kFlows, kDns, kHttp };

// Descriptors of ring buffer maps, borrowed; -1: there is none.
struct EventRings {
  int flows = -1, dns = -1, http = -1;
};

}  // namespace bonsai::report
