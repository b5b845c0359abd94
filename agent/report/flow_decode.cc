// SPDX-License-Identifier: Apache-2.0
#include "agent/report/flow_decode.h"

#include <arpa/inet.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "agent/base/status.h"
#include "agent/report/dns_decode.h"
#include "agent/report/http_decode.h"
#include "agent/report/labels.h"
#include "agent/tables/address.h"
#include "datapath/include/contract.h"

namespace bonsai::report {
namespace {

tables::Address MakeAddress(uint8_t family, const uint8_t (&bytes)[16]) {
  tables::Address address;
  address.family = family;
  std::memcpy(address.bytes, bytes, family == 4 ? 4 : 16);
  return address;
}

// The kernel stamps with CLOCK_MONOTONIC, which is steady_clock here.
WallTime ToWallTime(uint64_t monotonic_ns) {
  const auto age = std::chrono::steady_clock::now().time_since_epoch() -
                   std::chrono::nanoseconds(monotonic_ns);
  return std::chrono::system_clock::now() -
         std::chrono::duration_cast<std::chrono::system_clock::duration>(age);
}

Flow Translate(const flow_event& event) {
  Flow flow;
  flow.time = ToWallTime(event.time_ns);
  flow.kind = event.kind;
  flow.reason = ReasonLabel(event.reason);
  flow.is_drop = IsDropReason(event.reason);
  flow.hook = HookLabel(event.hook);
  flow.protocol = event.protocol;
  flow.tcp_flags = event.protocol == IPPROTO_TCP ? event.tcp_flags : 0;
  flow.source = {.address = MakeAddress(event.family, event.saddr), .identity = event.src_identity};
  flow.destination = {.address = MakeAddress(event.family, event.daddr),
                      .identity = event.dst_identity};
  if (HasPorts(event.protocol)) {
    flow.source.port = ntohs(event.sport);
    flow.destination.port = ntohs(event.dport);
  } else if (IsIcmp(event.protocol)) {
    flow.icmp_type = static_cast<uint8_t>(ntohs(event.sport) >> 8);
    flow.icmp_code = static_cast<uint8_t>(ntohs(event.sport) & 0xff);
  }
  if (std::any_of(std::begin(event.nat_addr), std::end(event.nat_addr), [](auto b) { return b; })) {
    flow.backend = FlowPeer{.address = MakeAddress(event.family, event.nat_addr),
                            .port = ntohs(event.nat_port)};
  }
  flow.rule = event.rule;
  flow.packets = event.packets;
  flow.bytes = event.bytes;
  return flow;
}

Flow Translate(const l7_head& head) {
  Flow flow;
  flow.time = ToWallTime(head.time_ns);
  flow.l7_kind = head.kind;
  flow.is_drop = head.kind == L7_DENIED;
  if (flow.is_drop) flow.reason = ReasonLabel(DROP_DNS_DENIED);
  flow.hook = HookLabel(head.hook);
  flow.protocol = head.protocol;
  flow.source = {.address = MakeAddress(head.family, head.saddr), .port = ntohs(head.sport)};
  flow.destination = {.address = MakeAddress(head.family, head.daddr), .port = ntohs(head.dport)};
  return flow;
}

// The event at `data`. Records are as long as the kernel was asked for, rounded up to 8 bytes.
template <typename Event>
absl::StatusOr<Event> Copy(const char* what, const void* data, size_t size) {
  Event event;
  if (size < sizeof(event)) {
    return base::Internal("decoding {} event: {} bytes, expected {}; agent and datapath differ",
                          what, size, sizeof(event));
  }
  std::memcpy(&event, data, sizeof(event));
  return event;
}

absl::Status CheckFamily(const char* what, uint8_t family) {
  if (family == 4 || family == 6) return absl::OkStatus();
  return base::Internal("decoding {} event: address family {}; agent and datapath differ", what,
                        family);
}

template <typename Map>
typename Map::mapped_type Lookup(const Map& map, const typename Map::key_type& key) {
  auto found = map.find(key);
  return found == map.end() ? typename Map::mapped_type() : found->second;
}

}  // namespace

bool FlowFilter::Matches(const Flow& flow) const {
  if (drops_only && !flow.is_drop) return false;
  if ((dns || http) && !(dns && flow.dns) && !(http && flow.http)) return false;
  const auto same_pod = [&](const FlowPeer& peer) {
    if (peer.pod.empty()) return false;
    const size_t slash = peer.pod.find('/');
    return peer.pod == pod || (slash != std::string::npos && peer.pod.substr(slash + 1) == pod);
  };
  if (!pod.empty() && !same_pod(flow.source) && !same_pod(flow.destination)) return false;
  if (!cidr) return true;
  const auto covers = [&](const FlowPeer& peer) { return tables::Contains(*cidr, peer.address); };
  return covers(flow.source) || covers(flow.destination) || (flow.backend && covers(*flow.backend));
}

absl::StatusOr<Flow> FlowDecoder::Decode(EventSource source, const void* data, size_t size) {
  FollowSnapshot();
  return source == EventSource::kFlows ? DecodeFlow(data, size) : DecodeL7(source, data, size);
}

absl::StatusOr<Flow> FlowDecoder::DecodeFlow(const void* data, size_t size) {
  ASSIGN_OR_RETURN(const auto event, Copy<flow_event>("a flow", data, size));
  RETURN_IF_ERROR(CheckFamily("a flow", event.family));
  Flow flow = Translate(event);
  flow.device = Lookup(devices_, event.ifindex);
  Name(flow.source, flow.protocol);
  Name(flow.destination, flow.protocol);
  if (flow.backend) Name(*flow.backend, flow.protocol);
  // The prefilter's rules are numbers of CIDRs, those of dns-deny of names, not of policy rules.
  const bool by_policy = event.reason != DROP_PREFILTER && event.reason != DROP_DNS_DENIED;
  if (by_policy && flow.rule != 0) flow.policy = Lookup(policies_, flow.rule);
  return flow;
}

absl::StatusOr<Flow> FlowDecoder::DecodeL7(EventSource source, const void* data, size_t size) {
  const char* what = source == EventSource::kDns ? "a DNS" : "an HTTP";
  ASSIGN_OR_RETURN(const auto head, Copy<l7_head>(what, data, size));
  RETURN_IF_ERROR(CheckFamily(what, head.family));
  Flow flow = Translate(head);
  flow.device = Lookup(devices_, head.ifindex);
  Name(flow.source, flow.protocol);
  Name(flow.destination, flow.protocol);
  if (source == EventSource::kDns) {
    ASSIGN_OR_RETURN(const auto event, Copy<dns_event>(what, data, size));
    flow.dns = DecodeDns(event);
  } else {
    ASSIGN_OR_RETURN(const auto event, Copy<http_event>(what, data, size));
    flow.http = DecodeHttp(event);
  }
  return flow;
}

void FlowDecoder::Name(FlowPeer& peer, uint8_t protocol) const {
  peer.pod = Lookup(pods_, peer.address);
  peer.service = Lookup(services_, {peer.address, peer.port, protocol});
}

void FlowDecoder::FollowSnapshot() {
  auto current = publisher_.Current();
  if (current == indexed_) return;
  indexed_ = std::move(current);
  pods_.clear();
  services_.clear();
  devices_.clear();
  policies_.clear();
  for (const Endpoint& endpoint : indexed_->endpoints) {
    for (const tables::Address& address : endpoint.addresses) pods_[address] = endpoint.pod;
  }
  for (const ServiceRow& row : indexed_->services) {
    services_[{row.address, row.port, row.protocol}] = row.service;
  }
  for (const Attachment& attachment : indexed_->attachments) {
    devices_[attachment.ifindex] = attachment.device;
  }
  for (const PolicyRuleRow& rule : indexed_->policy_rules) policies_[rule.rule] = rule.policy;
}

}  // namespace bonsai::report
