// SPDX-License-Identifier: Apache-2.0
#include "tests/datapath/split.h"

#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "agent/base/unique_fd.h"

namespace bonsai::testing {
namespace {

// As in <linux/virtio_net.h>, which is not C++.
struct VnetHeader {
  uint8_t flags = 0;
  uint8_t gso_type = 0;
  uint16_t hdr_len = 0;
  uint16_t gso_size = 0;
  uint16_t csum_start = 0;
  uint16_t csum_offset = 0;
};

}  // namespace

void SendSplit(const Netns& ns, const std::string& device, const Bytes& frame, uint16_t linear) {
  const NetnsScope scope(ns);
  const base::UniqueFd socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  ASSERT_GE(socket.get(), 0);
  const int on = 1;
  ASSERT_EQ(setsockopt(socket.get(), SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)), 0);
  const VnetHeader header = {.hdr_len = linear};
  Bytes message(sizeof(header) + frame.size());
  std::memcpy(message.data(), &header, sizeof(header));
  std::memcpy(message.data() + sizeof(header), frame.data(), frame.size());
  sockaddr_ll to = {};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = static_cast<int>(if_nametoindex(device.c_str()));
  to.sll_halen = ETH_ALEN;
  const ssize_t sent = sendto(socket.get(), message.data(), message.size(), 0,
                              reinterpret_cast<sockaddr*>(&to), sizeof(to));
  ASSERT_EQ(sent, static_cast<ssize_t>(message.size())) << std::strerror(errno);
}

}  // namespace bonsai::testing
