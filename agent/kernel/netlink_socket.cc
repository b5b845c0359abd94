// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/netlink_socket.h"

#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>

#include "agent/base/status.h"

namespace bonsai::kernel {
namespace {

constexpr int kDumps = 20;
constexpr int kReceiveBuffer = 1 << 20;  // bytes; for notices that come in bursts
constexpr timeval kPatience = {.tv_sec = 5, .tv_usec = 0};

absl::Status SetOption(int fd, int level, int option, const void* value, socklen_t length,
                       const char* what) {
  if (setsockopt(fd, level, option, value, length) == 0) return absl::OkStatus();
  return base::ErrnoStatus(errno, std::string("opening a netlink socket: ") + what);
}

absl::Status SetUpNotices(int fd, const std::vector<int>& groups) {
  // Privileged, and only a matter of fewer losses.
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBuffer, sizeof(kReceiveBuffer));
  for (int group : groups) {
    RETURN_IF_ERROR(SetOption(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group),
                              "joining a group"));
  }
  return absl::OkStatus();
}

}  // namespace

NetlinkAttributes::NetlinkAttributes(const void* start, size_t length) {
  const auto* attribute = static_cast<const nlattr*>(start);
  const char* end = static_cast<const char*>(start) + length;
  while (mnl_attr_ok(attribute, static_cast<int>(end - reinterpret_cast<const char*>(attribute)))) {
    const uint16_t type = mnl_attr_get_type(attribute);
    if (type < attributes_.size()) attributes_[type] = attribute;
    attribute = mnl_attr_next(attribute);
  }
}

NetlinkAttributes NetlinkAttributes::Of(const nlmsghdr* message, size_t fixed_length) {
  const size_t fixed = MNL_ALIGN(fixed_length);
  const size_t payload = mnl_nlmsg_get_payload_len(message);
  if (payload <= fixed) return NetlinkAttributes(nullptr, 0);
  return NetlinkAttributes(mnl_nlmsg_get_payload_offset(message, fixed), payload - fixed);
}

NetlinkAttributes NetlinkAttributes::Nested(uint16_t type) const {
  const nlattr* attribute = Find(type);
  if (attribute == nullptr) return NetlinkAttributes(nullptr, 0);
  return NetlinkAttributes(mnl_attr_get_payload(attribute), mnl_attr_get_payload_len(attribute));
}

std::vector<uint8_t> NetlinkAttributes::Bytes(uint16_t type) const {
  const nlattr* attribute = Find(type);
  if (attribute == nullptr) return {};
  const auto* data = static_cast<const uint8_t*>(mnl_attr_get_payload(attribute));
  return std::vector<uint8_t>(data, data + mnl_attr_get_payload_len(attribute));
}

std::string NetlinkAttributes::String(uint16_t type) const {
  const std::vector<uint8_t> bytes = Bytes(type);
  const auto* text = reinterpret_cast<const char*>(bytes.data());
  return bytes.empty() ? "" : std::string(text, strnlen(text, bytes.size()));
}

absl::StatusOr<std::unique_ptr<NetlinkSocket>> NetlinkSocket::Open(const std::vector<int>& groups) {
  const int kind = SOCK_RAW | SOCK_CLOEXEC | (groups.empty() ? 0 : SOCK_NONBLOCK);
  base::UniqueFd fd(socket(AF_NETLINK, kind, NETLINK_ROUTE));
  if (!fd.valid()) return base::ErrnoStatus(errno, "opening a netlink socket");
  const int on = 1;
  // The kernel then looks at our filters instead of dumping everything.
  RETURN_IF_ERROR(SetOption(fd.get(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on),
                            "asking for strict checks"));
  RETURN_IF_ERROR(SetOption(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof(kPatience),
                            "setting a timeout"));
  const sockaddr_nl local = {.nl_family = AF_NETLINK};
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&local), sizeof(local)) != 0) {
    return base::ErrnoStatus(errno, "binding a netlink socket");
  }
  // After bind(), which sets the groups to those of its address: none.
  if (!groups.empty()) RETURN_IF_ERROR(SetUpNotices(fd.get(), groups));
  return std::unique_ptr<NetlinkSocket>(new NetlinkSocket(std::move(fd)));
}

// One datagram of the kernel's into the buffer.
absl::StatusOr<size_t> NetlinkSocket::Receive() {
  for (;;) {
    sockaddr_nl sender = {};
    socklen_t sender_length = sizeof(sender);
    const ssize_t got = recvfrom(fd_.get(), buffer_.data(), buffer_.size(), MSG_TRUNC,
                                 reinterpret_cast<sockaddr*>(&sender), &sender_length);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return base::Unavailable("asking rtnetlink: no answer");
    if (got < 0) return base::ErrnoStatus(errno, "asking rtnetlink");
    if (sender.nl_pid != 0) continue;  // not the kernel
    if (static_cast<size_t>(got) > buffer_.size()) {
      return base::Internal("asking rtnetlink: an answer of {} bytes", got);
    }
    return static_cast<size_t>(got);
  }
}

bool NetlinkSocket::Deliver(size_t length, const Handler& handler, Outcome& outcome) const {
  int left = static_cast<int>(length);
  for (auto* message = reinterpret_cast<const nlmsghdr*>(buffer_.data());
       mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
    if (message->nlmsg_seq != sequence_) continue;  // of a request given up earlier
    if ((message->nlmsg_flags & NLM_F_DUMP_INTR) != 0) outcome.interrupted = true;
    if (message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE) {
      // Both begin with the negative errno, 0 for success.
      const int* error = FixedPart<int>(message);
      outcome.error = error == nullptr ? 0 : -*error;
      return true;
    }
    if (message->nlmsg_type >= NLMSG_MIN_TYPE) handler(message);
  }
  return false;
}

absl::StatusOr<NetlinkSocket::Outcome> NetlinkSocket::Ask(NetlinkRequest& request,
                                                          const Handler& handler) {
  request.header()->nlmsg_seq = ++sequence_;
  ssize_t sent;
  do {
    sent = send(fd_.get(), request.header(), request.header()->nlmsg_len, 0);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return base::ErrnoStatus(errno, "asking rtnetlink");
  Outcome outcome;
  for (;;) {
    ASSIGN_OR_RETURN(const size_t length, Receive());
    if (Deliver(length, handler, outcome)) return outcome;
  }
}

bool NetlinkSocket::DrainNotices() {
  bool any = false;
  for (;;) {
    const ssize_t got = recv(fd_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    const bool lost = got < 0 && errno == ENOBUFS;
    if (got <= 0 && !lost) return any;
    any = true;
  }
}

absl::StatusOr<NetlinkSocket::Outcome> Dump(const std::function<NetlinkRequest()>& make,
                                            const std::function<void()>& restart,
                                            const NetlinkSocket::Handler& handler) {
  ASSIGN_OR_RETURN(auto socket, NetlinkSocket::Open());
  for (int i = 0; i < kDumps; ++i) {
    restart();
    NetlinkRequest request = make();
    ASSIGN_OR_RETURN(const NetlinkSocket::Outcome outcome, socket->Ask(request, handler));
    const bool again = outcome.interrupted || outcome.error == EINTR || outcome.error == EAGAIN;
    if (!again) return outcome;
  }
  return base::Unavailable("asking rtnetlink: changes came faster than {} listings", kDumps);
}

}  // namespace bonsai::kernel
