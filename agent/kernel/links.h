// SPDX-License-Identifier: Apache-2.0
// Attaching programs to devices by bpf_link (TCX, XDP), and by clsact filter where the kernel has
// no TCX. Devices are meant by interface index in the calling thread's network namespace.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <string>

#include "agent/base/unique_fd.h"

namespace bonsai::kernel {

enum class Direction { kIngress, kEgress };  // of the device: kIngress = what it receives
enum class LinkKind { kTcxIngress, kTcxEgress, kXdp, kOther };
enum class XdpMode { kNative, kGeneric };

struct LinkInfo {
  uint32_t id = 0;
  LinkKind kind = LinkKind::kOther;
  uint32_t ifindex = 0;     // 0: the device is gone
  uint32_t program_id = 0;
};

// Owns the fd of a bpf_link. Closing the last fd of a link that is not pinned detaches it.
class BpfLink {
 public:
  // NotFound: no such device; FailedPrecondition: the kernel has no TCX.
  static absl::StatusOr<BpfLink> AttachTcx(int program_fd, uint32_t ifindex, Direction direction);
  // FailedPrecondition: the device has another XDP program, or no XDP in that mode.
  static absl::StatusOr<BpfLink> AttachXdp(int program_fd, uint32_t ifindex, XdpMode mode);
  static absl::StatusOr<BpfLink> OpenPinned(const std::string& path);

  int fd() const { return fd_.get(); }
  absl::StatusOr<LinkInfo> Info() const;
  // Swaps the program atomically: each packet meets the old one or the new one.
  absl::Status Update(int program_fd) const;
  // At once, whether pinned or not. The link stays as an empty shell until unpinned.
  absl::Status Detach() const;
  absl::Status Pin(const std::string& path) const;

 private:
  explicit BpfLink(base::UniqueFd fd) : fd_(std::move(fd)) {}
  base::UniqueFd fd_;
};

// One place in a clsact qdisc. A filter's (priority, handle) tells it from all others there.
struct ClsactSlot {
  uint32_t ifindex = 0;
  Direction direction = Direction::kIngress;
  uint32_t priority = 0;
  uint32_t handle = 0;
};

// True: it was made; false: the device had one.
absl::StatusOr<bool> EnsureClsact(uint32_t ifindex);
// Removes the device's clsact qdisc if no filter is left in it, in either direction. True: there is
// no such qdisc any more.
absl::StatusOr<bool> RemoveClsactIfEmpty(uint32_t ifindex);
// Direct-action filter. `replace`: swaps the program of the filter there, atomically; otherwise the
// slot must be free (AlreadyExists).
absl::Status AttachClsact(const ClsactSlot& slot, int program_fd, bool replace);
// Id of the program there; NotFound when there is no filter or no qdisc or no device.
absl::StatusOr<uint32_t> QueryClsact(const ClsactSlot& slot);
absl::Status DetachClsact(const ClsactSlot& slot);

// How a device's XDP program runs; NotFound when it has none.
absl::StatusOr<XdpMode> QueryXdpMode(uint32_t ifindex);

// False: no device has that index (any more).
bool DeviceExists(uint32_t ifindex);
// Its name now, "" when there is none.
std::string DeviceName(uint32_t ifindex);

}  // namespace bonsai::kernel
