// SPDX-License-Identifier: Apache-2.0
// Packets that are not in one piece. BPF_PROG_TEST_RUN cannot make them; a packet socket that announces
// a short header on a device of its own can.
#pragma once

#include <cstdint>
#include <string>

#include "tests/support/netns.h"
#include "tests/support/packet.h"

namespace bonsai::testing {

// Sends `frame` out of `device` of `ns` with only `linear` bytes in the linear part. It has to be more
// than a page: the kernel then splits it as announced.
void SendSplit(const Netns& ns, const std::string& device, const Bytes& frame, uint16_t linear);

}  // namespace bonsai::testing
