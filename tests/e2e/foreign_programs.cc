// SPDX-License-Identifier: Apache-2.0
#include "tests/e2e/foreign_programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>

#include <cerrno>
#include <cstring>

namespace bonsai::testing {
namespace {

// From the kernel's UAPI; older headers lack them.
constexpr uint32_t kTcxIngress = 46, kTcxEgress = 47;
constexpr uint32_t kLinkTypeXdp = 6;
constexpr int kTcxNext = -1;
constexpr uint32_t kPriority = 20, kHandle = 3;

uint32_t ProgramId(int fd) {
  bpf_prog_info info = {};
  uint32_t length = sizeof(info);
  EXPECT_EQ(bpf_prog_get_info_by_fd(fd, &info, &length), 0);
  return info.id;
}

bpf_tc_hook HookOf(const Netns& node, const std::string& device) {
  return {.sz = sizeof(bpf_tc_hook),
          .ifindex = static_cast<int>(node.IfIndex(device)),
          .attach_point = BPF_TC_INGRESS,
          .parent = 0};
}

}  // namespace

ForeignPrograms::~ForeignPrograms() = default;

base::UniqueFd ForeignPrograms::Load(uint32_t type, int verdict) const {
  const bpf_insn code[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = verdict},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  base::UniqueFd fd(bpf_prog_load(static_cast<bpf_prog_type>(type), "foreign", "GPL", code, 2, nullptr));
  EXPECT_TRUE(fd.valid()) << strerror(errno);
  return fd;
}

void ForeignPrograms::AddLink(const std::string& what, const std::string& device,
                              uint32_t program_type, int verdict, uint32_t attach_type) {
  const base::UniqueFd program = Load(program_type, verdict);
  const int ifindex = static_cast<int>(node_.IfIndex(device));
  NetnsScope scope(node_);
  base::UniqueFd link(bpf_link_create(program.get(), ifindex,
                                      static_cast<bpf_attach_type>(attach_type), nullptr));
  EXPECT_TRUE(link.valid()) << what << ": " << strerror(errno);
  links_.push_back({what, std::move(link), ProgramId(program.get())});
}

void ForeignPrograms::AddTcx(const std::string& device, bool ingress) {
  AddLink("TCX program of " + device, device, BPF_PROG_TYPE_SCHED_CLS, kTcxNext,
          ingress ? kTcxIngress : kTcxEgress);
}

void ForeignPrograms::AddXdp(const std::string& device) {
  AddLink("XDP program of " + device, device, BPF_PROG_TYPE_XDP, XDP_PASS, BPF_XDP);
}

void ForeignPrograms::AddFilter(const std::string& device) {
  const base::UniqueFd program = Load(BPF_PROG_TYPE_SCHED_CLS, -1);  // TC_ACT_UNSPEC: go on
  bpf_tc_hook hook = HookOf(node_, device);
  NetnsScope scope(node_);
  const int made = bpf_tc_hook_create(&hook);
  EXPECT_TRUE(made == 0 || made == -EEXIST) << made;
  LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = program.get(), .handle = kHandle,
              .priority = kPriority);
  EXPECT_EQ(bpf_tc_attach(&hook, &options), 0) << device;
  filters_.push_back({device, ProgramId(program.get())});
}

std::string ForeignPrograms::Missing() const {
  std::string missing;
  for (const Link& link : links_) {
    bpf_link_info info = {};
    uint32_t length = sizeof(info);
    const bool there = bpf_link_get_info_by_fd(link.fd.get(), &info, &length) == 0;
    const uint32_t device = info.type == kLinkTypeXdp ? info.xdp.ifindex : info.tcx.ifindex;
    if (!there || device == 0 || info.prog_id != link.program) missing += link.what + "; ";
  }
  for (const Filter& filter : filters_) {
    bpf_tc_hook hook = HookOf(node_, filter.device);
    NetnsScope scope(node_);
    LIBBPF_OPTS(bpf_tc_opts, options, .handle = kHandle, .priority = kPriority);
    if (bpf_tc_query(&hook, &options) != 0 || options.prog_id != filter.program) {
      missing += "tc filter of " + filter.device + "; ";
    }
  }
  return missing;
}

}  // namespace bonsai::testing
