// SPDX-License-Identifier: Apache-2.0
#include "agent/report/labels.h"

#include <linux/bpf.h>
#include <netinet/in.h>

#include <array>
#include <utility>

#include "datapath/include/contract.h"

namespace bonsai::report {

std::string ReasonLabel(uint32_t reason) {
  switch (reason) {
#define X(symbol, value, label) \
  case value:                   \
    return label;
    BONSAI_REASONS(X)
#undef X
    default:
      return std::to_string(reason);
  }
}

bool IsDropReason(uint32_t reason) { return reason > DROP_FIRST; }

std::string HookLabel(uint32_t hook) {
  switch (hook) {
    case HOOK_XDP: return "xdp";
    case HOOK_FROM_POD: return "from-pod";
    case HOOK_TO_POD: return "to-pod";
    case HOOK_FROM_NETDEV: return "from-netdev";
    default: return std::to_string(hook);
  }
}

std::string ProtocolLabel(uint8_t protocol) {
  switch (protocol) {
    case IPPROTO_TCP: return "tcp";
    case IPPROTO_UDP: return "udp";
    case IPPROTO_SCTP: return "sctp";
    case IPPROTO_ICMP: return "icmp";
    case IPPROTO_ICMPV6: return "icmpv6";
    default: return std::to_string(protocol);
  }
}

bool HasPorts(uint8_t protocol) {
  return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

bool IsIcmp(uint8_t protocol) { return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6; }

std::string TcpFlagsLabel(uint8_t flags) {
  static constexpr std::array kFlags = {"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"};
  std::string text;
  for (size_t bit = 0; bit < kFlags.size(); ++bit) {
    if (!(flags & (1u << bit))) continue;
    if (!text.empty()) text += ',';
    text += kFlags[bit];
  }
  return text;
}

std::string MapTypeLabel(uint32_t type) {
  static constexpr std::pair<uint32_t, const char*> kTypes[] = {
      {BPF_MAP_TYPE_HASH, "hash"},
      {BPF_MAP_TYPE_ARRAY, "array"},
      {BPF_MAP_TYPE_PROG_ARRAY, "prog_array"},
      {BPF_MAP_TYPE_PERF_EVENT_ARRAY, "perf_event_array"},
      {BPF_MAP_TYPE_PERCPU_HASH, "percpu_hash"},
      {BPF_MAP_TYPE_PERCPU_ARRAY, "percpu_array"},
      {BPF_MAP_TYPE_STACK_TRACE, "stack_trace"},
      {BPF_MAP_TYPE_CGROUP_ARRAY, "cgroup_array"},
      {BPF_MAP_TYPE_LRU_HASH, "lru_hash"},
      {BPF_MAP_TYPE_LRU_PERCPU_HASH, "lru_percpu_hash"},
      {BPF_MAP_TYPE_LPM_TRIE, "lpm_trie"},
      {BPF_MAP_TYPE_ARRAY_OF_MAPS, "array_of_maps"},
      {BPF_MAP_TYPE_HASH_OF_MAPS, "hash_of_maps"},
      {BPF_MAP_TYPE_DEVMAP, "devmap"},
      {BPF_MAP_TYPE_SOCKMAP, "sockmap"},
      {BPF_MAP_TYPE_CPUMAP, "cpumap"},
      {BPF_MAP_TYPE_XSKMAP, "xskmap"},
      {BPF_MAP_TYPE_SOCKHASH, "sockhash"},
      {BPF_MAP_TYPE_QUEUE, "queue"},
      {BPF_MAP_TYPE_STACK, "stack"},
      {BPF_MAP_TYPE_SK_STORAGE, "sk_storage"},
      {BPF_MAP_TYPE_DEVMAP_HASH, "devmap_hash"},
      {BPF_MAP_TYPE_RINGBUF, "ringbuf"},
      {BPF_MAP_TYPE_BLOOM_FILTER, "bloom_filter"},
  };
  for (const auto& [value, label] : kTypes) {
    if (value == type) return label;
  }
  return "type-" + std::to_string(type);
}

}  // namespace bonsai::report
