// SPDX-License-Identifier: Apache-2.0
// Links, addresses and routes of the network namespace of the calling thread, by rtnetlink.
//
// Each call opens a socket of its own, asks and closes it: any thread may call. A list is
// consistent: a dump that the kernel says was interrupted by a change is made again. Errors:
// Unavailable when changes do not cease or the kernel does not answer, otherwise what the kernel
// said.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/kernel/change_thread.h"
#include "agent/kernel/ip_address.h"

namespace bonsai::kernel {

class NetlinkSocket;

struct Link {
  uint32_t ifindex = 0;
  std::string name;
  std::string kind;            // "veth", "bridge", ...; "" for a physical device and loopback
  std::vector<uint8_t> mac;    // 6 bytes for Ethernet, empty where there is none
  uint32_t flags = 0;          // IFF_*
  bool up = false;             // IFF_UP: switched on by the administrator
  bool running = false;        // IFF_LOWER_UP: has a carrier
  bool loopback = false;
  uint32_t mtu = 0;            // bytes
  uint32_t master = 0;         // ifindex of its bridge, bond or VRF; 0: none
  uint32_t peer_ifindex = 0;   // IFLA_LINK: veth peer, VLAN parent; 0: none
  std::optional<int32_t> peer_netns;  // id of the peer's namespace when it is another one
  bool operator==(const Link&) const = default;
};

struct InterfaceAddress {
  uint32_t ifindex = 0;
  IpAddress address;
  uint8_t prefix = 0;      // bits
  uint8_t scope = 0;       // RT_SCOPE_*
  uint32_t flags = 0;      // IFA_F_*
  bool tentative = false;  // IPv6: not yet (or never to be) usable, duplicate detection is not passed
  bool operator==(const InterfaceAddress&) const = default;
};

struct DefaultRoute {
  uint8_t family = 4;    // 4 or 6
  uint32_t ifindex = 0;
  uint32_t metric = 0;
  bool operator==(const DefaultRoute&) const = default;
};

// By ifindex.
absl::StatusOr<std::vector<Link>> ListLinks();
// All of both families, loopback's and tentative ones too; by ifindex, then address.
absl::StatusOr<std::vector<InterfaceAddress>> ListAddresses();
// Unicast default routes of the main table, for each family those of the lowest metric; every hop
// of a multipath route. Empty when there is none.
absl::StatusOr<std::vector<DefaultRoute>> ListDefaultRoutes();

// The device through which this node reaches `address` directly. NotFound: it is this node's own
// address, unreachable, prohibited, or behind a gateway.
absl::StatusOr<uint32_t> RouteDevice(const IpAddress& address);

// Calls back after links, addresses or routes have changed, once for each burst. When the kernel
// had to drop messages that counts as a change. Start it before the first listing.
class NetlinkMonitor {
 public:
  // Watches the namespace of the calling thread. on_change runs on the monitor's own thread, one
  // call at a time; it must not destroy the monitor.
  static absl::StatusOr<std::unique_ptr<NetlinkMonitor>> Start(
      std::function<void()> on_change, ChangeTiming timing = {});
  // No call after the destructor returned, which waits for one that runs.
  ~NetlinkMonitor();

 private:
  explicit NetlinkMonitor(std::unique_ptr<NetlinkSocket> socket);

  std::unique_ptr<NetlinkSocket> socket_;
  std::unique_ptr<ChangeThread> thread_;  // last: ends first
};

}  // namespace bonsai::kernel
