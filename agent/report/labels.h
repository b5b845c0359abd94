// SPDX-License-Identifier: Apache-2.0
// Words for the numbers of contract.h and of the kernel, the same in metrics, gRPC and flows. Pure.
#pragma once

#include <cstdint>
#include <string>

namespace bonsai::report {

// enum bonsai_reason: "policy-denied"; the number for one we do not know.
std::string ReasonLabel(uint32_t reason);
bool IsDropReason(uint32_t reason);
// enum bonsai_hook: "from-pod".
std::string HookLabel(uint32_t hook);
// IPPROTO_*: "tcp", "udp", "sctp", "icmp", "icmpv6", else the number.
std::string ProtocolLabel(uint8_t protocol);
bool HasPorts(uint8_t protocol);
bool IsIcmp(uint8_t protocol);
// "SYN,ACK"; empty for none.
std::string TcpFlagsLabel(uint8_t flags);
// BPF_MAP_TYPE_*: "lru_hash"; "type-<n>" for one we do not know.
std::string MapTypeLabel(uint32_t type);

}  // namespace bonsai::report
