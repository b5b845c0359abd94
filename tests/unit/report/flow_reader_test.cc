// SPDX-License-Identifier: Apache-2.0
// The reader thread on ring buffers of the kernel; a small program writes the records.
#include "agent/report/flow_reader.h"

#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <vector>

#include "agent/kernel/bpf_map.h"
#include "tests/unit/report/sample.h"

namespace bonsai::report {
namespace {

bpf_insn Insn(uint8_t code, uint8_t dst, uint8_t src, int16_t off, int32_t imm) {
  return {.code = code, .dst_reg = dst, .src_reg = src, .off = off, .imm = imm};
}

// XDP: puts `size` bytes of `record` on its stack and into the ring buffer.
base::UniqueFd MakeWriter(int ring_fd, const void* record, size_t size) {
  std::vector<bpf_insn> insns;
  const auto* words = static_cast<const uint32_t*>(record);
  const auto frame = -static_cast<int16_t>(size);
  for (size_t i = 0; i < size / 4; ++i) {
    insns.push_back(Insn(BPF_ST | BPF_MEM | BPF_W, 10, 0, static_cast<int16_t>(frame + 4 * i),
                         static_cast<int32_t>(words[i])));
  }
  insns.push_back(Insn(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, ring_fd));
  insns.push_back(Insn(0, 0, 0, 0, 0));
  insns.push_back(Insn(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0));
  insns.push_back(Insn(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, frame));
  insns.push_back(Insn(BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, static_cast<int32_t>(size)));
  insns.push_back(Insn(BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, 0));
  insns.push_back(Insn(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_ringbuf_output));
  insns.push_back(Insn(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_PASS));
  insns.push_back(Insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
  base::UniqueFd fd(::bpf_prog_load(BPF_PROG_TYPE_XDP, "flow_writer", "GPL", insns.data(),
                                    insns.size(), nullptr));
  EXPECT_TRUE(fd.valid()) << std::strerror(errno);
  return fd;
}

void Write(const base::UniqueFd& writer, int times) {
  char packet[64] = {};
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet, .data_size_in = sizeof(packet),
              .repeat = times);
  ASSERT_EQ(::bpf_prog_test_run_opts(writer.get(), &options), 0) << std::strerror(errno);
}

class FlowReaderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: loads a BPF program";
    publisher_.Publish(testing::SampleSnapshot());
  }
  static kernel::BpfMap MakeRing() {
    auto map = kernel::BpfMap::Create(
        {.type = BPF_MAP_TYPE_RINGBUF, .max_entries = 65536, .name = "flow_test"});
    EXPECT_TRUE(map.ok()) << map.status();
    return *std::move(map);
  }
  Publisher publisher_;
  FlowHub hub_;
};

TEST_F(FlowReaderTest, CarriesRecordsOfTheKernelToTheHub) {
  const kernel::BpfMap ring = MakeRing();
  FlowReader reader(publisher_, hub_);
  ASSERT_TRUE(reader.Replace({.flows = ring.fd()}).ok());
  auto flows = hub_.Subscribe({}, 0);
  ASSERT_TRUE(flows.ok());
  const flow_event event = testing::SampleEvent();
  Write(MakeWriter(ring.fd(), &event, sizeof(event)), 3);
  for (int i = 0; i < 3; ++i) {
    const auto item = (*flows)->Next(std::chrono::seconds(5));
    ASSERT_NE(item.flow, nullptr);
    EXPECT_EQ(item.flow->source.pod, "default/client");
    EXPECT_EQ(item.flow->reason, "policy-denied");
  }
  EXPECT_TRUE(reader.status().ok());
}

TEST_F(FlowReaderTest, ReadsTheNewRingAfterReplaceAndNothingAfterNone) {
  const kernel::BpfMap first = MakeRing();
  const kernel::BpfMap second = MakeRing();
  FlowReader reader(publisher_, hub_);
  auto flows = hub_.Subscribe({}, 0);
  ASSERT_TRUE(flows.ok());
  const flow_event event = testing::SampleEvent();
  ASSERT_TRUE(reader.Replace({.flows = first.fd()}).ok());
  ASSERT_TRUE(reader.Replace({.flows = second.fd()}).ok());
  const base::UniqueFd writer = MakeWriter(second.fd(), &event, sizeof(event));
  Write(writer, 1);
  EXPECT_NE((*flows)->Next(std::chrono::seconds(5)).flow, nullptr);
  ASSERT_TRUE(reader.Replace({}).ok());
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  Write(writer, 1);
  EXPECT_EQ((*flows)->Next(std::chrono::milliseconds(800)).flow, nullptr);
}

TEST_F(FlowReaderTest, CountsRecordsThatAreNoFlowEvents) {
  const kernel::BpfMap ring = MakeRing();
  FlowReader reader(publisher_, hub_);
  ASSERT_TRUE(reader.Replace({.flows = ring.fd()}).ok());
  const uint64_t foreign = 42;
  Write(MakeWriter(ring.fd(), &foreign, sizeof(foreign)), 2);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (hub_.lost() < 2 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(hub_.lost(), 2u);
  EXPECT_EQ(hub_.received(), 0u);
}

TEST_F(FlowReaderTest, ReadsSeveralRingsEachByItsOwnEvents) {
  const kernel::BpfMap flow_ring = MakeRing(), dns_ring = MakeRing(), http_ring = MakeRing();
  FlowReader reader(publisher_, hub_);
  ASSERT_TRUE(reader.Replace({.flows = flow_ring.fd(), .dns = dns_ring.fd(),
                              .http = http_ring.fd()}).ok());
  auto dns = hub_.Subscribe({.dns = true}, 0);
  auto http = hub_.Subscribe({.http = true}, 0);
  auto all = hub_.Subscribe({}, 0);
  const flow_event flow_event = testing::SampleEvent();
  const http_event http_event = testing::SampleHttpEvent();
  const dns_event dns_event = testing::SampleDnsEvent();
  Write(MakeWriter(flow_ring.fd(), &flow_event, sizeof(flow_event)), 1);
  Write(MakeWriter(http_ring.fd(), &http_event, sizeof(http_event)), 1);
  Write(MakeWriter(dns_ring.fd(), &dns_event, sizeof(dns_event)), 1);
  const auto from_http = (*http)->Next(std::chrono::seconds(5));
  ASSERT_NE(from_http.flow, nullptr);
  EXPECT_EQ(from_http.flow->http->path, "/index.html");
  const auto from_dns = (*dns)->Next(std::chrono::seconds(5));
  ASSERT_NE(from_dns.flow, nullptr);
  EXPECT_EQ(from_dns.flow->dns->id, 7);
  for (int i = 0; i < 3; ++i) EXPECT_NE((*all)->Next(std::chrono::seconds(5)).flow, nullptr);
  EXPECT_EQ((*http)->Next(std::chrono::milliseconds(50)).flow, nullptr);
  EXPECT_EQ(hub_.lost(), 0u);
}

TEST_F(FlowReaderTest, KeepsTheRingWhenTheReplacementIsNone) {
  const kernel::BpfMap ring = MakeRing();
  FlowReader reader(publisher_, hub_);
  ASSERT_TRUE(reader.Replace({.flows = ring.fd()}).ok());
  EXPECT_FALSE(reader.Replace({.flows = 1000000}).ok());
  auto flows = hub_.Subscribe({}, 0);
  ASSERT_TRUE(flows.ok());
  const flow_event event = testing::SampleEvent();
  Write(MakeWriter(ring.fd(), &event, sizeof(event)), 1);
  EXPECT_NE((*flows)->Next(std::chrono::seconds(5)).flow, nullptr);
}

}  // namespace
}  // namespace bonsai::report
