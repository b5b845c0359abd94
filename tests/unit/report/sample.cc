// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/report/sample.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <stdlib.h>

#include <chrono>
#include <cstring>
#include <filesystem>

namespace bonsai::testing {
namespace {

using report::WallTime;

WallTime At(int64_t seconds) { return WallTime(std::chrono::seconds(seconds)); }

plan::MapPlan Map(const std::string& name, const std::string& feature, uint32_t type,
                  uint32_t entries, bool create, const std::string& reason, uint64_t bytes) {
  return {.name = name, .feature = feature, .type = type, .key_size = 16, .value_size = 72,
          .max_entries = entries, .sized_by = feature + "-entries", .create = create,
          .reason = reason, .bytes = bytes};
}

plan::ProgramPlan Program(const std::string& name, bool load, const std::string& reason,
                          uint32_t slots, uint32_t live) {
  return {.object = "from_pod", .name = name, .load = load, .reason = reason, .slots = slots,
          .live_slots = live};
}

plan::ProgramPlan Tail(const std::string& name, uint32_t slot, bool load, const std::string& reason) {
  plan::ProgramPlan program = Program(name, load, reason, 1200, load ? 640 : 0);
  program.is_tail = true;
  program.tail_map = "from_pod_calls";
  program.tail_slot = slot;
  return program;
}

std::shared_ptr<const plan::LoadPlan> SamplePlan() {
  auto plan = std::make_shared<plan::LoadPlan>();
  const std::string off = "enable_ipv6 = false at from_pod.bpf.c:41 `if (enable_ipv6)`";
  plan->maps = {
      Map("ct4", "conntrack", BPF_MAP_TYPE_LRU_HASH, 131072, true, "used by from_pod", 17825792),
      Map("ct6", "conntrack", BPF_MAP_TYPE_LRU_HASH, 131072, false, off, 20971520),
      Map("events", "flow-events", BPF_MAP_TYPE_RINGBUF, 1048576, true, "used by from_pod", 1060864),
      Map("from_pod_calls", "", BPF_MAP_TYPE_PROG_ARRAY, 8, true, "tail calls of from_pod", 8192),
      Map("prefilter4", "prefilter", BPF_MAP_TYPE_LPM_TRIE, 16384, false, "xdp is not needed", 4096),
      Map("services4", "load-balancer", BPF_MAP_TYPE_HASH, 16384, true, "used by from_pod", 1179648),
  };
  plan->programs = {Program("from_pod", true, "wanted at from-pod", 900, 700),
                    Tail("fp_lb4", 0, true, "called by from_pod"),
                    Tail("fp_lb6", 1, false, off)};
  plan::ObjectPlan from_pod{.name = "from_pod", .path = "/usr/lib/bonsai/bpf/from_pod.bpf.o"};
  from_pod.needed = true;
  from_pod.live_insns = 1340;
  from_pod.total_insns = 3300;
  from_pod.neutralised = {{.name = "parse_v6", .reason = off, .everywhere = true, .slots = 60},
                          {.name = "parse_v4", .reason = off, .slots = 50}};
  from_pod.constants.values = {
      {.name = "ct_tcp_timeout", .value = "8000", .feature = "conntrack", .origin = "setting"},
      {.name = "enable_ipv6", .value = "false", .feature = "ipv6", .origin = "setting",
       .is_default = false},
      {.name = "kernel_hz", .value = "250", .feature = "node", .origin = "node"}};
  plan::ObjectPlan xdp{.name = "xdp", .path = "/usr/lib/bonsai/bpf/xdp.bpf.o"};
  xdp.live_insns = 400;
  xdp.total_insns = 450;
  plan->objects = {from_pod, xdp};
  return plan;
}

void AddSettings(report::Snapshot& snapshot) {
  auto schema = settings::Schema::Make(settings::AgentSettings());
  EXPECT_TRUE(schema.ok()) << schema.status();
  auto parsed = settings::Parse(*schema, {{"ct-entries", "131072"}, {"log-level", "debug"}});
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  snapshot.settings = std::make_shared<const settings::Settings>(*std::move(parsed));
  snapshot.schema = std::make_shared<const settings::Schema>(*std::move(schema));
}

void AddState(report::Snapshot& s) {
  s.endpoints = {{.pod = "default/web-1", .addresses = {Ip("10.0.1.3")}, .endpoint_id = 12,
                  .identity = 257, .device = "veth-web1", .enforce_ingress = true},
                 {.pod = "default/client", .addresses = {Ip("10.0.1.2"), Ip("fd00::2")},
                  .endpoint_id = 11, .identity = 256, .device = "veth-client",
                  .enforce_egress = true},
                 {.pod = "default/lost", .addresses = {Ip("10.0.1.9")}, .endpoint_id = 13,
                  .identity = 256}};
  s.services = {{.service = "default/web:http", .address = Ip("10.96.0.10"), .port = 80,
                 .protocol = 6, .backends = {{Ip("10.0.1.3"), 8080}, {Ip("10.0.2.3"), 8080}}},
                {.service = "default/web:http", .address = Ip("fd96::10"), .port = 80,
                 .protocol = 6, .backends = {{Ip("fd00::3"), 8080}}},
                {.service = "kube-system/dns:dns", .address = Ip("10.96.0.2"), .port = 53,
                 .protocol = 17}};
  s.policy_rules = {{.rule = 4, .policy = "default/web", .direction = "ingress",
                     .description = "pods app=client to tcp/8080", .entries = 2},
                    {.rule = 3, .policy = "default/client", .direction = "egress",
                     .description = "10.0.0.0/8 except 10.9.0.0/16", .entries = 3}};
  s.policies = 2;
  s.desired_source = "manifests /etc/bonsai/manifests";
  s.desired_synced = At(kInForceSince + 58);
  s.reasons = {{.reason = "forwarded", .hook = "from-pod", .packets = 123456, .bytes = 98765432},
               {.reason = "policy-denied", .hook = "from-pod", .is_drop = true, .packets = 17,
                .bytes = 1020},
               {.reason = "prefilter", .hook = "xdp", .is_drop = true}};
  s.conntrack = {.entries = 23592, .collected_total = 4711, .gc_runs = 40, .last_gc_seconds = 0.012};
  s.flow_events = 321;
  s.flow_events_lost = 5;
}

void AddLoaded(report::Snapshot& s) {
  s.maps = {{"ct4", {.id = 101, .bytes = 17825792, .entries = 23592, .entries_known = true,
                    .peak_entries = 31000, .counted_since = s.started}},
            {"events", {.id = 102, .bytes = 1060864}},
            {"from_pod_calls", {.id = 103, .bytes = 8192}},
            {"services4", {.id = 104, .bytes = 1179648, .entries = 2, .entries_known = true,
                         .peak_entries = 3, .counted_since = s.started}}};
  s.programs = {{"from_pod/from_pod", {.id = 201, .jited_bytes = 4096, .translated_insns = 710,
                                       .verified_insns = 2950, .memlock_bytes = 8192}},
                {"from_pod/fp_lb4", {.id = 202, .jited_bytes = 3900, .translated_insns = 655,
                                     .verified_insns = 1800, .memlock_bytes = 8192}}};
  s.attachments = {{"veth-client", 21, "from-pod", "tcx", 201}, {"veth-web1", 22, "from-pod", "tcx", 201}};
  s.features = {{.name = "ipv4", .setting = "enable-ipv4", .on = true, .doc = "Handle IPv4 packets."},
                {.name = "ipv6", .setting = "enable-ipv6", .doc = "Handle IPv6 packets."},
                {.name = "conntrack", .setting = "enable-conntrack", .on = true,
                 .doc = "Track connections of pods.", .maps = {"ct4", "ct6"},
                 .bytes_loaded = 17825792, .bytes_saved = 20971520},
                {.name = "prefilter", .setting = "enable-prefilter", .doc = "Drop denied CIDRs.",
                 .maps = {"prefilter4"}, .bytes_saved = 4096},
                {.name = "flow-events", .setting = "enable-flow-events", .on = true,
                 .degraded = true, .doc = "Report flows.", .maps = {"events"},
                 .bytes_loaded = 1060864}};
  s.memory_loaded = 20074496;
  s.memory_saved = 20975616;
  s.load_retries = 1;
}

uint64_t Monotonic() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000ull + now.tv_nsec;
}

l7_head SampleHead(uint8_t protocol, uint16_t port) {
  l7_head head{};
  head.time_ns = Monotonic();
  head.ifindex = 21;
  head.kind = L7_REQUEST;
  head.hook = HOOK_FROM_POD;
  head.family = 4;
  head.protocol = protocol;
  head.sport = htons(34567);
  head.dport = htons(port);
  std::memcpy(head.saddr, Ip("10.0.1.2").bytes, 4);
  std::memcpy(head.daddr, Ip("10.0.1.3").bytes, 4);
  return head;
}

}  // namespace

tables::Address Ip(const std::string& text) {
  auto address = tables::ParseAddress(text);
  EXPECT_TRUE(address.has_value()) << text;
  return address.value_or(tables::Address());
}

report::Snapshot SampleSnapshot() {
  report::Snapshot s;
  s.version = "0.1.0";
  s.node = "node-a";
  s.kernel = "6.18.44";
  s.tcx = true;
  s.xdp_mode = "native";
  s.started = At(kInForceSince - 11460);
  s.taken = At(kInForceSince + 60);
  s.health = report::Health::kHealthy;
  s.configuration = {.generation = 7, .in_force_since = At(kInForceSince), .reload_seconds = 0.041,
                     .stage_seconds = {{"load", 0.021}, {"analyse", 0.004}}, .reloads = 7,
                     .rejections = {{"settings", 2}}, .source = "/etc/bonsai/config"};
  AddSettings(s);
  s.plan = SamplePlan();
  AddLoaded(s);
  AddState(s);
  return s;
}

flow_event SampleEvent() {
  flow_event event{};
  event.time_ns = Monotonic();
  event.packets = 1;
  event.bytes = 60;
  event.ifindex = 21;
  event.src_identity = 256;
  event.dst_identity = 257;
  event.rule = 3;
  event.kind = FLOW_DROP;
  event.reason = DROP_POLICY;
  event.hook = HOOK_FROM_POD;
  event.family = 4;
  event.protocol = IPPROTO_TCP;
  event.tcp_flags = 0x12;
  event.sport = htons(34567);
  event.dport = htons(80);
  std::memcpy(event.saddr, Ip("10.0.1.2").bytes, 4);
  std::memcpy(event.daddr, Ip("10.96.0.10").bytes, 4);
  std::memcpy(event.nat_addr, Ip("10.0.1.3").bytes, 4);
  event.nat_port = htons(8080);
  return event;
}

http_event SampleHttpEvent() {
  http_event event{};
  event.head = SampleHead(IPPROTO_TCP, 8080);
  event.method = HTTP_GET;
  event.minor = 1;
  event.path_len = 11;
  std::memcpy(event.path, "/index.html", 11);
  event.host_len = 3;
  std::memcpy(event.host, "web", 3);
  return event;
}

dns_event SampleDnsEvent() {
  dns_event event{};
  event.head = SampleHead(IPPROTO_UDP, 53);
  event.id = 7;
  event.qtype = 1;
  event.name_len = 1;
  return event;
}

TemporaryDirectory::TemporaryDirectory() {
  std::string path = "/tmp/bonsai-test-XXXXXX";
  EXPECT_NE(::mkdtemp(path.data()), nullptr);
  path_ = path;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace bonsai::testing
