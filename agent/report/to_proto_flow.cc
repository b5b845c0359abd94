// SPDX-License-Identifier: Apache-2.0
#include <google/protobuf/util/time_util.h>

#include <chrono>

#include "agent/base/status.h"
#include "agent/report/labels.h"
#include "agent/report/to_proto.h"
#include "agent/tables/address.h"
#include "datapath/include/contract.h"

namespace bonsai::report {
namespace {

void FillPeer(const FlowPeer& from, v1::FlowPeer& to) {
  to.set_address(tables::ToString(from.address));
  to.set_port(from.port);
  to.set_identity(from.identity);
  to.set_pod(from.pod);
  to.set_service(from.service);
}

// The contract's numbers are the kernel's; a kind that is newer than this agent is "unspecified".
v1::FlowKind KindOf(const Flow& flow) {
  switch (flow.l7_kind) {
    case L7_REQUEST: return v1::FLOW_KIND_REQUEST;
    case L7_RESPONSE: return v1::FLOW_KIND_RESPONSE;
    case L7_DENIED: return v1::FLOW_KIND_DENIED;
    case L7_MALFORMED: return v1::FLOW_KIND_MALFORMED;
  }
  return flow.kind <= FLOW_PACKET ? static_cast<v1::FlowKind>(flow.kind)
                                  : v1::FLOW_KIND_UNSPECIFIED;
}

void FillDns(const DnsDetails& from, v1::DnsDetails& to) {
  to.set_id(from.id);
  to.set_name(from.name);
  to.set_name_cut(from.name_cut);
  to.set_type(from.type);
  to.set_rcode(from.rcode);
  for (const tables::Address& answer : from.answers) to.add_answers(tables::ToString(answer));
  to.set_answers_cut(from.answers_cut);
  to.set_truncated(from.truncated);
}

void FillHttp(const HttpDetails& from, v1::HttpDetails& to) {
  to.set_method(from.method);
  to.set_path(from.path);
  to.set_path_cut(from.path_cut);
  to.set_host(from.host);
  to.set_host_cut(from.host_cut);
  to.set_status(from.status);
  to.set_minor(from.minor);
}

}  // namespace

v1::Flow ToFlow(const Flow& flow) {
  v1::Flow message;
  const auto since_epoch = flow.time.time_since_epoch();
  *message.mutable_time() = google::protobuf::util::TimeUtil::NanosecondsToTimestamp(
      std::chrono::duration_cast<std::chrono::nanoseconds>(since_epoch).count());
  message.set_kind(KindOf(flow));
  message.set_reason(flow.reason);
  message.set_drop(flow.is_drop);
  message.set_hook(flow.hook);
  message.set_device(flow.device);
  message.set_protocol(ProtocolLabel(flow.protocol));
  message.set_tcp_flags(TcpFlagsLabel(flow.tcp_flags));
  message.set_icmp_type(flow.icmp_type);
  message.set_icmp_code(flow.icmp_code);
  FillPeer(flow.source, *message.mutable_source());
  FillPeer(flow.destination, *message.mutable_destination());
  if (flow.backend) FillPeer(*flow.backend, *message.mutable_backend());
  message.set_rule(flow.rule);
  message.set_policy(flow.policy);
  message.set_packets(flow.packets);
  message.set_bytes(flow.bytes);
  if (flow.dns) FillDns(*flow.dns, *message.mutable_dns());
  if (flow.http) FillHttp(*flow.http, *message.mutable_http());
  return message;
}

absl::StatusOr<FlowFilter> ToFilter(const v1::StreamFlowsRequest& request) {
  FlowFilter filter{.drops_only = request.drops_only(), .pod = request.pod()};
  for (const int protocol : request.l7()) {
    filter.dns |= protocol == v1::L7_PROTOCOL_DNS;
    filter.http |= protocol == v1::L7_PROTOCOL_HTTP;
    if (protocol == v1::L7_PROTOCOL_DNS || protocol == v1::L7_PROTOCOL_HTTP) continue;
    return base::InvalidArgument("filtering flows: layer 7 protocol {} is not known", protocol);
  }
  if (request.address().empty()) return filter;
  filter.cidr = tables::ParseCidr(request.address());
  if (filter.cidr) return filter;
  return base::InvalidArgument("filtering flows: \"{}\" is neither an IP address nor a CIDR",
                               request.address());
}

}  // namespace bonsai::report
