// SPDX-License-Identifier: Apache-2.0
#include "agent/report/metrics_l7.h"

#include "agent/report/dns_decode.h"
#include "agent/report/http_decode.h"
#include "datapath/include/contract.h"

namespace bonsai::report {
namespace {

void AddHttp(const std::vector<uint64_t>& counts, Exposition& out) {
  auto& requests = out.Counter("http_requests", "HTTP/1 requests by method, at each pod's device.");
  for (uint32_t method = 0; method < HTTP_METHOD_COUNT; ++method) {
    requests.Add(counts[HTTP_REQUEST_FIRST + method], {{"method", HttpMethodLabel(method)}});
  }
  auto& responses =
      out.Counter("http_responses", "HTTP/1 responses by class of status, at each pod's device.");
  for (uint32_t hundred = 1; hundred <= 5; ++hundred) {
    responses.Add(counts[HTTP_CLASS_FIRST + hundred - 1],
                  {{"class", std::to_string(hundred) + "xx"}});
  }
  out.Counter("http_malformed", "Segments that begin like HTTP/1 but cannot be parsed.")
      .Add(counts[HTTP_MALFORMED]);
  out.Counter("http_events_lost", "HTTP events for which the ring buffer had no room.")
      .Add(counts[HTTP_LOST]);
}

void AddDns(const std::vector<uint64_t>& counts, Exposition& out) {
  out.Counter("dns_queries", "DNS queries read that dns-deny does not name, at each pod's device.")
      .Add(counts[DNS_QUERIES]);
  out.Counter("dns_denied", "DNS queries of pods that dns-deny names.").Add(counts[DNS_DENIED]);
  out.Counter("dns_malformed", "Messages on DNS ports that cannot be parsed.")
      .Add(counts[DNS_MALFORMED]);
  auto& responses =
      out.Counter("dns_responses", "DNS responses by response code, at each pod's device.");
  for (uint8_t rcode = 0; rcode < 16; ++rcode) {
    responses.Add(counts[DNS_RCODE_FIRST + rcode], {{"rcode", DnsRcodeName(rcode)}});
  }
  out.Counter("dns_events_lost", "DNS events for which the ring buffer had no room.")
      .Add(counts[DNS_LOST]);
}

}  // namespace

void AddL7(const Snapshot& snapshot, Exposition& out) {
  if (snapshot.dns_counts.size() == DNS_COUNTERS) AddDns(snapshot.dns_counts, out);
  if (snapshot.http_counts.size() == HTTP_COUNTERS) AddHttp(snapshot.http_counts, out);
}

}  // namespace bonsai::report
