// SPDX-License-Identifier: Apache-2.0
#include "tests/datapath/fixture.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <unistd.h>

#include <cstring>

namespace bonsai::testing {
namespace {

template <class T>
void SetAddress(T& field, const std::string& text) {
  inet_pton(text.find(':') == std::string::npos ? AF_INET : AF_INET6, text.c_str(), &field);
}

template <class Key>
Key CtKey(const std::string& pod, const std::string& peer, uint16_t pod_port, uint16_t peer_port,
          uint8_t protocol) {
  Key key = {};
  SetAddress(key.pod, pod);
  SetAddress(key.peer, peer);
  key.pod_port = htons(pod_port);
  key.peer_port = htons(peer_port);
  key.protocol = protocol;
  return key;
}

template <class Key>
Key LpmKey(const std::string& addr, uint32_t prefix) {
  Key key = {};
  key.prefixlen = prefix;
  SetAddress(key.addr, addr);
  return key;
}

template <class Key>
Key ServiceKey(const std::string& addr, uint16_t port, uint8_t protocol) {
  Key key = {};
  SetAddress(key.addr, addr);
  key.port = htons(port);
  key.protocol = protocol;
  return key;
}

template <class Value>
Value BackendValue(const Backend& backend) {
  Value value = {};
  SetAddress(value.addr, backend.addr);
  value.port = htons(backend.port);
  return value;
}

constexpr uint32_t kList = 5;

}  // namespace

const Net& NetOf(int family) {
  static const Net kV4 = {"10.1.0.2",  "10.2.0.9", "10.3.0.7",
                          "10.96.0.1", "10.4.0.1", "10.4.0.2"};
  static const Net kV6 = {"fd00:1::2",  "fd00:2::9", "fd00:3::7",
                          "fd00:96::1", "fd00:4::1", "fd00:4::2"};
  return family == 6 ? kV6 : kV4;
}

Constants Off() {
  return {{"enable_ipv4", 1},         {"enable_ipv6", 1},
          {"enable_prefilter", 0},    {"enable_conntrack", 0},
          {"enable_policy", 0},       {"policy_default_deny", 0},
          {"policy_audit_mode", 0},   {"enable_load_balancer", 0},
          {"enable_flow_events", 1},  {"enable_datapath_metrics", 1},
          {"enable_dns_visibility", 0}, {"enable_http_visibility", 0},
          {"enable_game_of_life", 0}};
}

Constants With(const Constants& more) {
  Constants all = more;
  for (const auto& [name, value] : Off()) all.emplace(name, value);
  return all;
}

void DatapathTest::SetUp() {
  if (geteuid() != 0) GTEST_SKIP() << "SKIPPED: loading BPF programs needs root";
}

void DatapathTest::Load(const Constants& constants) {
  DatapathConfig config;
  config.constants = constants;
  Load(config);
}

void DatapathTest::Load(const DatapathConfig& config) {
  datapath_.reset();
  datapath_ = std::make_unique<Datapath>(config);
  ASSERT_EQ(datapath_->error(), "");
}

RunResult DatapathTest::Forwarded(const Frame& frame, uint32_t from) {
  const Bytes bytes = Build(frame);
  RunResult result;
  result.frame.resize(bytes.size() + 256);
  __sk_buff skb = {};
  skb.ifindex = kPodIfindex;
  skb.ingress_ifindex = from;
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = bytes.data(),
              .data_out = result.frame.data(),
              .data_size_in = static_cast<uint32_t>(bytes.size()),
              .data_size_out = static_cast<uint32_t>(result.frame.size()), .ctx_in = &skb,
              .ctx_size_in = sizeof(skb), .repeat = 1);
  EXPECT_EQ(bpf_prog_test_run_opts(datapath_->ProgramFd("to_pod"), &options), 0);
  result.verdict = static_cast<int>(options.retval);
  result.frame.resize(options.data_size_out);
  return result;
}

Frame DatapathTest::Leaving(decltype(Frame::l4) l4, const std::string& to) const {
  return {.src = net().pod, .dst = to.empty() ? net().peer : to, .l4 = l4};
}

Frame DatapathTest::Entering(decltype(Frame::l4) l4, const std::string& from) const {
  return {.src = from.empty() ? net().peer : from, .dst = net().pod, .l4 = l4};
}

void DatapathTest::ExpectPass(const RunResult& result) {
  EXPECT_EQ(result.verdict, kPass);
  const Seen seen = Read(result.frame);
  EXPECT_EQ(seen.bad_checksum, "");
}

void DatapathTest::ExpectDrop(const RunResult& result, bonsai_reason reason, bonsai_hook hook) {
  EXPECT_EQ(result.verdict, hook == HOOK_XDP ? 1 /* XDP_DROP */ : kShot);
  EXPECT_GE(datapath_->Metrics(reason, hook).packets, 1u);
  const flow_event event = LastEvent();
  EXPECT_EQ(event.kind, FLOW_DROP);
  EXPECT_EQ(event.reason, reason);
  EXPECT_EQ(event.hook, hook);
}

flow_event DatapathTest::LastEvent() {
  const std::vector<flow_event> events = datapath_->Events();
  EXPECT_FALSE(events.empty()) << "no event was sent";
  return events.empty() ? flow_event{} : events.back();
}

std::optional<ct_entry> DatapathTest::Entry(const std::string& peer, uint16_t pod_port,
                                            uint16_t peer_port, uint8_t protocol) {
  const std::string& pod = net().pod;
  if (v6())
    return datapath_->Get<ct_entry>(
        "ct6", CtKey<ct_key6>(pod, peer, pod_port, peer_port, protocol));
  return datapath_->Get<ct_entry>("ct4",
                                  CtKey<ct_key4>(pod, peer, pod_port, peer_port, protocol));
}

void DatapathTest::SetEntry(const std::string& peer, uint16_t pod_port, uint16_t peer_port,
                            uint8_t protocol, const ct_entry& entry) {
  const std::string& pod = net().pod;
  if (v6())
    datapath_->Put("ct6", CtKey<ct_key6>(pod, peer, pod_port, peer_port, protocol), entry);
  else
    datapath_->Put("ct4", CtKey<ct_key4>(pod, peer, pod_port, peer_port, protocol), entry);
}

bool DatapathTest::DropEntry(const std::string& peer, uint16_t pod_port, uint16_t peer_port,
                             uint8_t protocol) {
  const std::string& pod = net().pod;
  if (v6())
    return datapath_->Delete("ct6", CtKey<ct_key6>(pod, peer, pod_port, peer_port, protocol));
  return datapath_->Delete("ct4", CtKey<ct_key4>(pod, peer, pod_port, peer_port, protocol));
}

void DatapathTest::OpenTcp(const std::string& peer) {
  EXPECT_EQ(Out(Leaving(Tcp{1000, 80, kSyn}, peer)).verdict, kPass);
  EXPECT_EQ(In(Entering(Tcp{80, 1000, kSyn | kAck}, peer)).verdict, kPass);
  EXPECT_EQ(Out(Leaving(Tcp{1000, 80, kAck}, peer)).verdict, kPass);
}

void DatapathTest::SetEpoch(uint32_t epoch) {
  const uint32_t zero = 0;
  datapath_->Put("policy_epoch", zero, epoch);
}

void DatapathTest::SetEndpoint(uint32_t flags) {
  endpoint_value value = {};
  value.endpoint_id = kEndpointId;
  value.identity = kPodIdentity;
  value.flags = flags;
  const uint32_t ifindex = kPodIfindex;
  datapath_->Put("endpoints", ifindex, value);
}

void DatapathTest::SetIdentity(const std::string& addr, uint32_t prefix, uint32_t identity) {
  const ipcache_value value = {identity};
  if (v6())
    datapath_->Put("ipcache6", LpmKey<lpm_key6>(addr, prefix), value);
  else
    datapath_->Put("ipcache4", LpmKey<lpm_key4>(addr, prefix), value);
}

void DatapathTest::SetRule(policy_direction direction, uint32_t identity, uint32_t prefix,
                           uint8_t protocol, uint16_t port, policy_action action, uint32_t rule) {
  policy_key key = {};
  key.prefixlen = prefix;
  key.endpoint_id = kEndpointId;
  key.identity = identity;
  key.direction = direction;
  key.protocol = protocol;
  key.port = htons(port);
  const policy_value value = {rule, static_cast<uint32_t>(action)};
  datapath_->Put("policy", key, value);
}

void DatapathTest::SetService(uint16_t port, uint8_t protocol,
                              const std::vector<Backend>& backends) {
  const service_value value = {kList, static_cast<uint32_t>(backends.size())};
  for (uint32_t slot = 0; slot < backends.size(); ++slot) {
    const backend_key key = {kList, slot};
    if (v6())
      datapath_->Put("backends6", key, BackendValue<backend6>(backends[slot]));
    else
      datapath_->Put("backends4", key, BackendValue<backend4>(backends[slot]));
  }
  if (v6())
    datapath_->Put("services6", ServiceKey<service_key6>(net().service, port, protocol), value);
  else
    datapath_->Put("services4", ServiceKey<service_key4>(net().service, port, protocol), value);
}

void DatapathTest::SetServiceMarker() {
  const service_value value = {};
  if (v6())
    datapath_->Put("services6", ServiceKey<service_key6>(net().service, 0, 0), value);
  else
    datapath_->Put("services4", ServiceKey<service_key4>(net().service, 0, 0), value);
}

void DatapathTest::SetPrefilter(const std::string& addr, uint32_t prefix, uint32_t rule) {
  const prefilter_value value = {rule};
  if (v6())
    datapath_->Put("prefilter6", LpmKey<lpm_key6>(addr, prefix), value);
  else
    datapath_->Put("prefilter4", LpmKey<lpm_key4>(addr, prefix), value);
}

}  // namespace bonsai::testing
