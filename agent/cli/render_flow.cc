// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <string>
#include <utility>

#include "agent/cli/render.h"
#include "agent/cli/units.h"

namespace bonsai::cli {
namespace {

// Names where there are some; -o json has the addresses too.
std::string Peer(const v1::FlowPeer& peer) {
  if (!peer.service().empty()) return peer.service();
  if (peer.pod().empty()) return HostPort(peer.address(), peer.port());
  return peer.port() ? fmt::format("{}:{}", peer.pod(), peer.port()) : peer.pod();
}

std::pair<std::string, Colour> KindWord(v1::FlowKind kind) {
  switch (kind) {
    case v1::FLOW_KIND_NEW: return {"new", Colour::kGreen};
    case v1::FLOW_KIND_DROP: return {"drop", Colour::kRed};
    case v1::FLOW_KIND_AUDIT: return {"audit", Colour::kYellow};
    case v1::FLOW_KIND_CLOSE: return {"close", Colour::kDim};
    case v1::FLOW_KIND_PACKET: return {"packet", Colour::kNone};
    case v1::FLOW_KIND_REQUEST: return {"ask", Colour::kNone};
    case v1::FLOW_KIND_RESPONSE: return {"answer", Colour::kGreen};
    case v1::FLOW_KIND_DENIED: return {"denied", Colour::kRed};
    case v1::FLOW_KIND_MALFORMED: return {"broken", Colour::kYellow};
    default: return {"other", Colour::kNone};
  }
}

// "..." stands where something was cut.
std::string Details(const v1::DnsDetails& dns, v1::FlowKind kind) {
  if (kind == v1::FLOW_KIND_MALFORMED) return "dns, not to be parsed";
  std::string text = "dns " + dns.type() + " " + dns.name() + (dns.name_cut() ? "..." : "");
  if (!dns.rcode().empty()) text += " " + dns.rcode();
  for (const std::string& answer : dns.answers()) text += " " + answer;
  if (dns.answers_cut()) text += " ...";
  return dns.truncated() ? text + " truncated" : text;
}

std::string Details(const v1::HttpDetails& http, v1::FlowKind kind) {
  if (kind == v1::FLOW_KIND_MALFORMED) return "http, not to be parsed";
  if (http.status() != 0) return fmt::format("http/1.{} {}", http.minor(), http.status());
  std::string text = fmt::format("http/1.{} {} {}{}", http.minor(), http.method(), http.path(),
                                 http.path_cut() ? "..." : "");
  if (!http.host().empty()) text += " host " + http.host() + (http.host_cut() ? "..." : "");
  return text;
}

std::string Details(const v1::Flow& flow) {
  if (flow.has_dns()) return Details(flow.dns(), flow.kind());
  if (flow.has_http()) return Details(flow.http(), flow.kind());
  std::string text = flow.reason();
  if (!flow.tcp_flags().empty()) text += " " + flow.tcp_flags();
  if (flow.protocol().starts_with("icmp")) {
    text += fmt::format(" type {} code {}", flow.icmp_type(), flow.icmp_code());
  }
  if (flow.rule()) text += fmt::format(" rule {}", flow.rule());
  if (!flow.policy().empty()) text += " of " + flow.policy();
  if (flow.kind() != v1::FLOW_KIND_CLOSE) return text;
  return text + fmt::format(", {}, {}", Plural(flow.packets(), "packet"), Bytes(flow.bytes()));
}

}  // namespace

std::string Render(const v1::Flow& flow, Style style) {
  const auto [kind, colour] = KindWord(flow.kind());
  std::string path = Peer(flow.source()) + " -> " + Peer(flow.destination());
  if (flow.has_backend()) path += " => " + Peer(flow.backend());
  return ClockMillis(flow.time().seconds(), flow.time().nanos()) + "  " +
         style.Paint(colour, fmt::format("{:<6}", kind)) +
         Printable(fmt::format("  {:<11}  {:<6}  {}  {}", flow.hook(), flow.protocol(), path,
                               Details(flow))) + "\n";
}

}  // namespace bonsai::cli
