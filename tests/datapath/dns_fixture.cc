// SPDX-License-Identifier: Apache-2.0
#include "tests/datapath/dns_fixture.h"

#include <bpf/libbpf.h>

#include <numeric>

namespace bonsai::testing {

void DnsTest::LoadDns(const Constants& more) {
  Constants constants = With(more);
  constants["enable_dns_visibility"] = 1;
  Load(constants);
  if (HasFatalFailure()) return;
  ring_ = std::make_unique<EventRing<dns_event>>(datapath().MapFd("dns_events"));
  SetPort(53);
}

void DnsTest::SetPort(uint16_t port) {
  const uint32_t zero = 0;
  l7_ports ports = datapath().Get<l7_ports>("dns_ports", zero).value_or(l7_ports{});
  ports.bits[port / 64] |= uint64_t{1} << port % 64;
  datapath().Put("dns_ports", zero, ports);
}

void DnsTest::Deny(const std::vector<std::string>& names) {
  const auto table = tables::BuildDnsDeny(names);
  ASSERT_TRUE(table.ok()) << table.status();
  for (const auto& [key, value] : *table) {
    datapath().Put("dns_deny", tables::FromBytes<dns_deny_key>(key),
                   tables::FromBytes<dns_deny_value>(value));
  }
}

Frame DnsTest::Query(const Bytes& message, bool tcp) const {
  Frame frame = tcp ? Leaving(Tcp{kClientPort, 53, kAck}) : Leaving(Udp{kClientPort, 53});
  frame.payload = message;
  return frame;
}

Frame DnsTest::Response(const Bytes& message, bool tcp) const {
  Frame frame = tcp ? Entering(Tcp{53, kClientPort, kAck}) : Entering(Udp{53, kClientPort});
  frame.payload = message;
  return frame;
}

std::vector<dns_event> DnsTest::DnsEvents() { return ring_->Events(); }

DnsSight DnsTest::Sight() {
  const std::vector<dns_event> events = DnsEvents();
  EXPECT_EQ(events.size(), 1u);
  return events.empty() ? DnsSight{} : SightOf(events.front());
}

uint64_t DnsTest::Counter(uint32_t slot) {
  std::vector<uint64_t> values(libbpf_num_possible_cpus());
  if (bpf_map_lookup_elem(datapath().MapFd("dns_metrics"), &slot, values.data())) return 0;
  return std::accumulate(values.begin(), values.end(), uint64_t{0});
}

void DnsTest::ExpectSeen(const std::string& program, const Frame& frame,
                         const std::vector<DnsSight>& expected) {
  const Bytes bytes = Build(frame);
  const RunResult result = datapath().Run(program, bytes);
  EXPECT_EQ(result.verdict, kPass);
  EXPECT_EQ(result.frame, bytes);
  const std::vector<dns_event> events = DnsEvents();
  ASSERT_EQ(events.size(), expected.size());
  for (size_t i = 0; i < events.size(); ++i) {
    DnsSight wanted = expected[i];
    wanted.whole = false;
    wanted.question_end = 0;
    EXPECT_EQ(SightOf(events[i]), wanted);
  }
}

}  // namespace bonsai::testing
