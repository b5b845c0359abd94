// SPDX-License-Identifier: Apache-2.0
// A NETLINK_ROUTE socket, requests and checked access to attributes. For netlink*.cc only.
#pragma once

#include <absl/status/statusor.h>
#include <libmnl/libmnl.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "agent/base/unique_fd.h"

namespace bonsai::kernel {

// A request of one message: header, fixed body, attributes. All of ours are small.
class NetlinkRequest {
 public:
  // `flags` are added to NLM_F_REQUEST.
  NetlinkRequest(uint16_t type, uint16_t flags) {
    header()->nlmsg_len = MNL_NLMSG_HDRLEN;
    header()->nlmsg_type = type;
    header()->nlmsg_flags = NLM_F_REQUEST | flags;
  }
  nlmsghdr* header() { return reinterpret_cast<nlmsghdr*>(buffer_); }

  // The fixed part, zeroed; call once, before Put().
  template <typename T>
  T* Body() {
    return static_cast<T*>(mnl_nlmsg_put_extra_header(header(), sizeof(T)));
  }
  void Put(uint16_t type, const void* data, size_t length) {
    mnl_attr_put(header(), type, length, data);
  }

 private:
  alignas(8) char buffer_[256] = {};
};

// The attributes behind the fixed part of a message or inside a nested attribute. Points into the
// message; what is malformed counts as absent.
class NetlinkAttributes {
 public:
  NetlinkAttributes(const void* start, size_t length);
  static NetlinkAttributes Of(const nlmsghdr* message, size_t fixed_length);
  NetlinkAttributes Nested(uint16_t type) const;

  bool Has(uint16_t type) const { return Find(type) != nullptr; }
  std::vector<uint8_t> Bytes(uint16_t type) const;
  std::string String(uint16_t type) const;
  // Absent as well when the attribute has another size than T.
  template <typename T>
  std::optional<T> Get(uint16_t type) const {
    static_assert(std::is_trivially_copyable_v<T>);
    const nlattr* attribute = Find(type);
    if (attribute == nullptr || mnl_attr_get_payload_len(attribute) != sizeof(T)) {
      return std::nullopt;
    }
    T value;
    std::memcpy(&value, mnl_attr_get_payload(attribute), sizeof(T));
    return value;
  }

 private:
  const nlattr* Find(uint16_t type) const {
    return type < attributes_.size() ? attributes_[type] : nullptr;
  }
  std::array<const nlattr*, 96> attributes_{};
};

// The fixed part of a message, or nullptr when the message is too short for one.
template <typename T>
const T* FixedPart(const nlmsghdr* message) {
  if (mnl_nlmsg_get_payload_len(message) < sizeof(T)) return nullptr;
  return static_cast<const T*>(mnl_nlmsg_get_payload(message));
}

class NetlinkSocket {
 public:
  // Of the namespace of the calling thread. `groups`: RTNLGRP_* to hear from; with any the socket
  // does not block.
  static absl::StatusOr<std::unique_ptr<NetlinkSocket>> Open(const std::vector<int>& groups = {});

  int fd() const { return fd_.get(); }

  struct Outcome {
    int error = 0;             // errno that the kernel answered with
    bool interrupted = false;  // a dump that is not consistent
  };
  using Handler = std::function<void(const nlmsghdr*)>;
  // Sends the request and hands over each message of the answer until its end. A request that is
  // no dump has to carry NLM_F_ACK. The status is about the socket, the outcome about the request.
  absl::StatusOr<Outcome> Ask(NetlinkRequest& request, const Handler& handler);

  // Reads all notices that have come; true when there was one, or some were lost.
  bool DrainNotices();

 private:
  explicit NetlinkSocket(base::UniqueFd fd) : fd_(std::move(fd)) {}
  absl::StatusOr<size_t> Receive();
  // True at the end of the answer.
  bool Deliver(size_t length, const Handler& handler, Outcome& outcome) const;

  base::UniqueFd fd_;
  uint32_t sequence_ = 0;
  alignas(8) std::array<char, 65536> buffer_;
};

// Asks `make` for a request and dumps until a dump was not interrupted; `restart` clears what an
// earlier one has left. Errors of the kernel are in the result's outcome.
absl::StatusOr<NetlinkSocket::Outcome> Dump(const std::function<NetlinkRequest()>& make,
                                            const std::function<void()>& restart,
                                            const NetlinkSocket::Handler& handler);

}  // namespace bonsai::kernel
