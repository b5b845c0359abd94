// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/links.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>

#include <cerrno>

#include "agent/base/status.h"
#include "agent/kernel/fdinfo.h"

namespace bonsai::kernel {
namespace {

// From the kernel's UAPI; headers before 6.6 lack them.
constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);
constexpr auto kTcxEgress = static_cast<bpf_attach_type>(47);
constexpr uint32_t kLinkTypeXdp = 6, kLinkTypeTcx = 11;

LinkKind KindOf(const bpf_link_info& info) {
  if (info.type == kLinkTypeXdp) return LinkKind::kXdp;
  if (info.type != kLinkTypeTcx) return LinkKind::kOther;
  return info.tcx.attach_type == static_cast<uint32_t>(kTcxIngress) ? LinkKind::kTcxIngress
                                                                    : LinkKind::kTcxEgress;
}

const char* Name(XdpMode mode) { return mode == XdpMode::kNative ? "native" : "generic"; }

}  // namespace

std::string DeviceName(uint32_t ifindex) {
  char name[IF_NAMESIZE] = {};
  return if_indextoname(ifindex, name) != nullptr ? name : "";
}

bool DeviceExists(uint32_t ifindex) { return !DeviceName(ifindex).empty(); }

absl::StatusOr<BpfLink> BpfLink::AttachTcx(int program_fd, uint32_t ifindex, Direction direction) {
  LIBBPF_OPTS(bpf_link_create_opts, options);
  base::UniqueFd fd(bpf_link_create(program_fd, static_cast<int>(ifindex),
                                    direction == Direction::kIngress ? kTcxIngress : kTcxEgress,
                                    &options));
  if (fd.valid()) return BpfLink(std::move(fd));
  int error = errno;
  if (error == ENODEV) return base::NotFound("attaching by TCX: no device {}", ifindex);
  if (error == EINVAL) return base::FailedPrecondition("attaching by TCX: the kernel has none");
  return base::ErrnoStatus(error, fmt::format("attaching by TCX to device {}", ifindex));
}

absl::StatusOr<BpfLink> BpfLink::AttachXdp(int program_fd, uint32_t ifindex, XdpMode mode) {
  LIBBPF_OPTS(bpf_link_create_opts, options,
              .flags = mode == XdpMode::kNative ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE);
  base::UniqueFd fd(
      bpf_link_create(program_fd, static_cast<int>(ifindex), BPF_XDP, &options));
  if (fd.valid()) return BpfLink(std::move(fd));
  int error = errno;
  if (!DeviceExists(ifindex)) return base::NotFound("attaching by XDP: no device {}", ifindex);
  if (error == EBUSY || error == EEXIST) {
    return absl::AlreadyExistsError(
        fmt::format("attaching by XDP to device {}: it has another XDP program, which is left "
                    "alone; remove it (ip link set dev ... xdp off) or take the device out of the "
                    "agent's devices",
                    ifindex));
  }
  return base::FailedPrecondition("attaching by XDP ({}) to device {}: {}", Name(mode), ifindex,
                                  base::Message(base::ErrnoStatus(error, "the driver refuses")));
}

absl::StatusOr<BpfLink> BpfLink::OpenPinned(const std::string& path) {
  base::UniqueFd fd(bpf_obj_get(path.c_str()));
  if (!fd.valid()) return base::ErrnoStatus(errno, "opening pinned link " + path);
  const bool is_link = FdInfoNumber(fd.get(), "link_id").ok();
  BpfLink link(std::move(fd));
  auto info = is_link ? link.Info() : absl::StatusOr<LinkInfo>(LinkInfo());
  // A link of which the kernel cannot tell now may well be ours.
  if (!info.ok()) return base::Annotate(info.status(), "opening pinned link " + path);
  if (info->kind == LinkKind::kOther) {
    return base::FailedPrecondition("opening pinned link {}: not a TCX or XDP link", path);
  }
  return link;
}

absl::StatusOr<LinkInfo> BpfLink::Info() const {
  bpf_link_info raw = {};
  uint32_t length = sizeof(raw);
  if (bpf_link_get_info_by_fd(fd(), &raw, &length) != 0) {
    return base::ErrnoStatus(errno, "reading what the kernel says of a link");
  }
  LinkInfo info{.id = raw.id, .kind = KindOf(raw), .program_id = raw.prog_id};
  if (info.kind == LinkKind::kXdp) info.ifindex = raw.xdp.ifindex;
  if (info.kind == LinkKind::kTcxIngress || info.kind == LinkKind::kTcxEgress) {
    info.ifindex = raw.tcx.ifindex;
  }
  return info;
}

absl::Status BpfLink::Update(int program_fd) const {
  if (bpf_link_update(fd(), program_fd, nullptr) == 0) return absl::OkStatus();
  return base::ErrnoStatus(errno, "swapping the program of a link");
}

absl::Status BpfLink::Detach() const {
  // ENOLINK: its device is gone, and the attachment with it.
  if (bpf_link_detach(fd()) == 0 || errno == ENOLINK) return absl::OkStatus();
  return base::ErrnoStatus(errno, "detaching a link");
}

absl::Status BpfLink::Pin(const std::string& path) const {
  if (bpf_obj_pin(fd(), path.c_str()) == 0) return absl::OkStatus();
  return base::ErrnoStatus(errno, "pinning a link at " + path);
}

absl::StatusOr<XdpMode> QueryXdpMode(uint32_t ifindex) {
  LIBBPF_OPTS(bpf_xdp_query_opts, options);
  if (int error = bpf_xdp_query(static_cast<int>(ifindex), 0, &options); error != 0) {
    return base::ErrnoStatus(-error,
                             fmt::format("asking for the XDP program of device {}", ifindex));
  }
  if (options.attach_mode == XDP_ATTACHED_NONE) {
    return base::NotFound("device {} has no XDP program", ifindex);
  }
  return options.attach_mode == XDP_ATTACHED_SKB ? XdpMode::kGeneric : XdpMode::kNative;
}

}  // namespace bonsai::kernel
