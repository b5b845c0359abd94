// SPDX-License-Identifier: Apache-2.0
// The clsact half of links.h: tc filters by netlink.
#include <bpf/libbpf.h>
#include <libmnl/libmnl.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include <cerrno>
#include <memory>
#include <vector>

#include "agent/base/status.h"
#include "agent/kernel/links.h"

namespace bonsai::kernel {
namespace {

bpf_tc_hook HookOf(uint32_t ifindex, bpf_tc_attach_point point) {
  return {.sz = sizeof(bpf_tc_hook),
          .ifindex = static_cast<int>(ifindex),
          .attach_point = point,
          .parent = 0};
}

bpf_tc_hook HookOf(const ClsactSlot& slot) {
  return HookOf(slot.ifindex,
                slot.direction == Direction::kIngress ? BPF_TC_INGRESS : BPF_TC_EGRESS);
}

std::string Describe(const ClsactSlot& slot) {
  return fmt::format("tc {} filter of device {} (priority {}, handle {:#x})",
                     slot.direction == Direction::kIngress ? "ingress" : "egress", slot.ifindex,
                     slot.priority, slot.handle);
}

struct SocketCloser {
  void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
};

int CountFilter(const nlmsghdr* message, void* count) {
  if (message->nlmsg_type == RTM_NEWTFILTER) ++*static_cast<int*>(count);
  return MNL_CB_OK;
}

// Filters at one side of the clsact qdisc, each of whose chains and priorities counts as well.
absl::StatusOr<int> CountFilters(mnl_socket* socket, uint32_t ifindex, uint32_t parent) {
  std::vector<char> buffer(1u << 15);
  nlmsghdr* header = mnl_nlmsg_put_header(buffer.data());
  header->nlmsg_type = RTM_GETTFILTER;
  header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  header->nlmsg_seq = parent;
  auto* request = static_cast<tcmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(tcmsg)));
  request->tcm_family = AF_UNSPEC;
  request->tcm_ifindex = static_cast<int>(ifindex);
  request->tcm_parent = parent;
  if (mnl_socket_sendto(socket, header, header->nlmsg_len) < 0) {
    return base::ErrnoStatus(errno, "asking for tc filters");
  }
  int count = 0, more = MNL_CB_OK;
  while (more > MNL_CB_STOP) {
    ssize_t bytes = mnl_socket_recvfrom(socket, buffer.data(), buffer.size());
    if (bytes < 0) return base::ErrnoStatus(errno, "reading tc filters");
    more = mnl_cb_run(buffer.data(), static_cast<size_t>(bytes), parent,
                      mnl_socket_get_portid(socket), CountFilter, &count);
    if (more < 0) return base::ErrnoStatus(errno, "reading tc filters");
  }
  return count;
}

}  // namespace

absl::StatusOr<bool> EnsureClsact(uint32_t ifindex) {
  bpf_tc_hook hook = HookOf(
      ifindex, static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS));
  int error = -bpf_tc_hook_create(&hook);
  if (error == 0) return true;
  if (error == EEXIST) return false;
  if (!DeviceExists(ifindex)) return base::NotFound("making a clsact qdisc: no device {}", ifindex);
  return base::ErrnoStatus(error, fmt::format("making a clsact qdisc on device {}", ifindex));
}

absl::StatusOr<bool> RemoveClsactIfEmpty(uint32_t ifindex) {
  std::unique_ptr<mnl_socket, SocketCloser> socket(mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC));
  if (socket == nullptr || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0) {
    return base::ErrnoStatus(errno, "opening a netlink socket");
  }
  for (uint32_t side : {TC_H_MIN_INGRESS, TC_H_MIN_EGRESS}) {
    auto filters = CountFilters(socket.get(), ifindex, TC_H_MAKE(TC_H_CLSACT, side));
    if (!DeviceExists(ifindex)) return true;
    if (!filters.ok()) return filters.status();
    if (*filters > 0) return false;
  }
  bpf_tc_hook hook = HookOf(
      ifindex, static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS));
  int error = -bpf_tc_hook_destroy(&hook);
  if (error == 0 || error == ENOENT || error == EINVAL || !DeviceExists(ifindex)) return true;
  return base::ErrnoStatus(error, fmt::format("removing the clsact qdisc of device {}", ifindex));
}

absl::Status AttachClsact(const ClsactSlot& slot, int program_fd, bool replace) {
  bpf_tc_hook hook = HookOf(slot);
  LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = program_fd,
              .flags = replace ? static_cast<uint32_t>(BPF_TC_F_REPLACE) : 0u,
              .handle = slot.handle, .priority = slot.priority);
  int error = -bpf_tc_attach(&hook, &options);
  if (error == 0) return absl::OkStatus();
  if (!DeviceExists(slot.ifindex)) {
    return base::NotFound("adding {}: no such device", Describe(slot));
  }
  return base::ErrnoStatus(error, "adding " + Describe(slot));
}

absl::StatusOr<uint32_t> QueryClsact(const ClsactSlot& slot) {
  bpf_tc_hook hook = HookOf(slot);
  LIBBPF_OPTS(bpf_tc_opts, options, .handle = slot.handle, .priority = slot.priority);
  int error = -bpf_tc_query(&hook, &options);
  if (error == 0) return options.prog_id;
  // EINVAL: the device has no clsact qdisc; ENODEV: there is no device.
  if (error == ENOENT || error == EINVAL || error == ENODEV) {
    return base::NotFound("there is no {}", Describe(slot));
  }
  return base::ErrnoStatus(error, "asking for " + Describe(slot));
}

absl::Status DetachClsact(const ClsactSlot& slot) {
  bpf_tc_hook hook = HookOf(slot);
  LIBBPF_OPTS(bpf_tc_opts, options, .handle = slot.handle, .priority = slot.priority);
  int error = -bpf_tc_detach(&hook, &options);
  if (error == 0 || error == ENOENT || !DeviceExists(slot.ifindex)) return absl::OkStatus();
  return base::ErrnoStatus(error, "removing " + Describe(slot));
}

}  // namespace bonsai::kernel
