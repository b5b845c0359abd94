// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/netlink.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <tuple>

#include "agent/base/status.h"
#include "agent/kernel/netlink_socket.h"

#ifndef IFF_LOWER_UP
#define IFF_LOWER_UP (1 << 16)  // only in <linux/if.h>, which clashes with <net/if.h>
#endif

namespace bonsai::kernel {
namespace {

std::optional<Link> ParseLink(const nlmsghdr* message) {
  const auto* info = FixedPart<ifinfomsg>(message);
  if (message->nlmsg_type != RTM_NEWLINK || info == nullptr || info->ifi_index <= 0) {
    return std::nullopt;
  }
  const auto attributes = NetlinkAttributes::Of(message, sizeof(*info));
  Link link;
  link.ifindex = static_cast<uint32_t>(info->ifi_index);
  link.name = attributes.String(IFLA_IFNAME);
  link.kind = attributes.Nested(IFLA_LINKINFO).String(IFLA_INFO_KIND);
  link.mac = attributes.Bytes(IFLA_ADDRESS);
  link.flags = info->ifi_flags;
  link.up = (info->ifi_flags & IFF_UP) != 0;
  link.running = (info->ifi_flags & IFF_LOWER_UP) != 0;
  link.loopback = (info->ifi_flags & IFF_LOOPBACK) != 0;
  link.mtu = attributes.Get<uint32_t>(IFLA_MTU).value_or(0);
  link.master = attributes.Get<uint32_t>(IFLA_MASTER).value_or(0);
  link.peer_ifindex = attributes.Get<uint32_t>(IFLA_LINK).value_or(0);
  link.peer_netns = attributes.Get<int32_t>(IFLA_LINK_NETNSID);
  if (link.name.empty()) return std::nullopt;
  return link;
}

std::optional<IpAddress> ParseAddressBytes(int family, const std::vector<uint8_t>& bytes) {
  IpAddress address;
  address.family = family == AF_INET ? 4 : 6;
  const bool known = family == AF_INET || family == AF_INET6;
  if (!known || bytes.size() != Length(address)) return std::nullopt;
  std::memcpy(address.bytes, bytes.data(), bytes.size());
  return address;
}

std::optional<InterfaceAddress> ParseInterfaceAddress(const nlmsghdr* message) {
  const auto* info = FixedPart<ifaddrmsg>(message);
  if (message->nlmsg_type != RTM_NEWADDR || info == nullptr) return std::nullopt;
  const auto attributes = NetlinkAttributes::Of(message, sizeof(*info));
  // On a point-to-point device IFA_ADDRESS is the other end's and IFA_LOCAL is ours.
  const uint16_t type = attributes.Has(IFA_LOCAL) ? IFA_LOCAL : IFA_ADDRESS;
  const auto address = ParseAddressBytes(info->ifa_family, attributes.Bytes(type));
  if (!address || info->ifa_prefixlen > Length(*address) * 8) return std::nullopt;
  InterfaceAddress parsed;
  parsed.ifindex = info->ifa_index;
  parsed.address = *address;
  parsed.prefix = info->ifa_prefixlen;
  parsed.scope = info->ifa_scope;
  parsed.flags = attributes.Get<uint32_t>(IFA_FLAGS).value_or(info->ifa_flags);
  const bool pending = (parsed.flags & IFA_F_TENTATIVE) != 0;
  const bool optimistic = (parsed.flags & IFA_F_OPTIMISTIC) != 0;
  parsed.tentative = (pending && !optimistic) || (parsed.flags & IFA_F_DADFAILED) != 0;
  return parsed;
}

// The devices of a route: its own, or those of its hops.
std::vector<uint32_t> RouteDevices(const NetlinkAttributes& attributes) {
  std::vector<uint32_t> devices;
  if (const auto device = attributes.Get<uint32_t>(RTA_OIF)) devices.push_back(*device);
  const std::vector<uint8_t> hops = attributes.Bytes(RTA_MULTIPATH);
  for (size_t at = 0; at + sizeof(rtnexthop) <= hops.size();) {
    rtnexthop hop;
    std::memcpy(&hop, hops.data() + at, sizeof(hop));
    if (hop.rtnh_len < sizeof(hop) || hop.rtnh_len > hops.size() - at) break;
    const bool dead = (hop.rtnh_flags & RTNH_F_DEAD) != 0;
    if (hop.rtnh_ifindex > 0 && !dead) devices.push_back(static_cast<uint32_t>(hop.rtnh_ifindex));
    at += RTNH_ALIGN(hop.rtnh_len);
  }
  return devices;
}

void AddDefaultRoutes(const nlmsghdr* message, int family, std::vector<DefaultRoute>& routes) {
  const auto* info = FixedPart<rtmsg>(message);
  if (message->nlmsg_type != RTM_NEWROUTE || info == nullptr || info->rtm_family != family ||
      info->rtm_dst_len != 0 || info->rtm_type != RTN_UNICAST ||
      (info->rtm_flags & (RTM_F_CLONED | RTNH_F_DEAD)) != 0) {
    return;
  }
  const auto attributes = NetlinkAttributes::Of(message, sizeof(*info));
  if (attributes.Get<uint32_t>(RTA_TABLE).value_or(info->rtm_table) != RT_TABLE_MAIN) return;
  const uint32_t metric = attributes.Get<uint32_t>(RTA_PRIORITY).value_or(0);
  for (uint32_t device : RouteDevices(attributes)) {
    const DefaultRoute route = {static_cast<uint8_t>(family == AF_INET ? 4 : 6), device, metric};
    if (std::find(routes.begin(), routes.end(), route) == routes.end()) routes.push_back(route);
  }
}

void KeepLowestMetric(std::vector<DefaultRoute>& routes) {
  uint32_t lowest = UINT32_MAX;
  for (const DefaultRoute& route : routes) lowest = std::min(lowest, route.metric);
  std::erase_if(routes, [&](const DefaultRoute& route) { return route.metric != lowest; });
}

absl::StatusOr<std::vector<DefaultRoute>> ListDefaultRoutes(int family) {
  std::vector<DefaultRoute> routes;
  const auto make = [&] {
    NetlinkRequest request(RTM_GETROUTE, NLM_F_DUMP);
    auto* body = request.Body<rtmsg>();
    body->rtm_family = static_cast<uint8_t>(family);
    body->rtm_table = RT_TABLE_MAIN;
    return request;
  };
  ASSIGN_OR_RETURN(const auto outcome, Dump(make, [&] { routes.clear(); },
                                            [&](const nlmsghdr* message) {
                                              AddDefaultRoutes(message, family, routes);
                                            }));
  // A namespace gets its main table with its first route; without IPv6 there is nobody to ask.
  const bool none = outcome.error == ENOENT || outcome.error == EOPNOTSUPP;
  if (outcome.error != 0 && !none) return base::ErrnoStatus(outcome.error, "listing routes");
  KeepLowestMetric(routes);
  return routes;
}

// Whether this node hands packets to the route's device for the destination itself.
bool IsDirect(const rtmsg& info, const NetlinkAttributes& attributes) {
  return info.rtm_type == RTN_UNICAST && !attributes.Has(RTA_GATEWAY) && !attributes.Has(RTA_VIA);
}

}  // namespace

absl::StatusOr<std::vector<Link>> ListLinks() {
  std::vector<Link> links;
  const auto make = [] {
    NetlinkRequest request(RTM_GETLINK, NLM_F_DUMP);
    request.Body<ifinfomsg>();
    const uint32_t mask = RTEXT_FILTER_SKIP_STATS;
    request.Put(IFLA_EXT_MASK, &mask, sizeof(mask));
    return request;
  };
  ASSIGN_OR_RETURN(const auto outcome,
                   Dump(make, [&] { links.clear(); }, [&](const nlmsghdr* message) {
                     if (auto link = ParseLink(message)) links.push_back(*std::move(link));
                   }));
  if (outcome.error != 0) return base::ErrnoStatus(outcome.error, "listing links");
  std::sort(links.begin(), links.end(),
            [](const Link& a, const Link& b) { return a.ifindex < b.ifindex; });
  return links;
}

absl::StatusOr<std::vector<InterfaceAddress>> ListAddresses() {
  std::vector<InterfaceAddress> addresses;
  const auto make = [] {
    NetlinkRequest request(RTM_GETADDR, NLM_F_DUMP);
    request.Body<ifaddrmsg>();
    return request;
  };
  ASSIGN_OR_RETURN(const auto outcome,
                   Dump(make, [&] { addresses.clear(); }, [&](const nlmsghdr* message) {
                     if (auto found = ParseInterfaceAddress(message)) addresses.push_back(*found);
                   }));
  if (outcome.error != 0) return base::ErrnoStatus(outcome.error, "listing addresses");
  std::sort(addresses.begin(), addresses.end(),
            [](const InterfaceAddress& a, const InterfaceAddress& b) {
              return std::tie(a.ifindex, a.address) < std::tie(b.ifindex, b.address);
            });
  return addresses;
}

absl::StatusOr<std::vector<DefaultRoute>> ListDefaultRoutes() {
  ASSIGN_OR_RETURN(std::vector<DefaultRoute> routes, ListDefaultRoutes(AF_INET));
  ASSIGN_OR_RETURN(const std::vector<DefaultRoute> routes6, ListDefaultRoutes(AF_INET6));
  routes.insert(routes.end(), routes6.begin(), routes6.end());
  return routes;
}

absl::StatusOr<uint32_t> RouteDevice(const IpAddress& address) {
  const std::string what = "finding the device to " + ToString(address);
  ASSIGN_OR_RETURN(auto socket, NetlinkSocket::Open());
  NetlinkRequest request(RTM_GETROUTE, NLM_F_ACK);
  auto* body = request.Body<rtmsg>();
  body->rtm_family = static_cast<uint8_t>(SocketFamily(address));
  body->rtm_dst_len = static_cast<uint8_t>(Length(address) * 8);
  request.Put(RTA_DST, address.bytes, Length(address));
  std::optional<uint32_t> device;
  ASSIGN_OR_RETURN(const auto outcome, socket->Ask(request, [&](const nlmsghdr* message) {
    const auto* info = FixedPart<rtmsg>(message);
    if (message->nlmsg_type != RTM_NEWROUTE || info == nullptr) return;
    const auto attributes = NetlinkAttributes::Of(message, sizeof(*info));
    if (IsDirect(*info, attributes)) device = attributes.Get<uint32_t>(RTA_OIF);
  }));
  switch (outcome.error) {
    case 0:
      if (device) return *device;
      return base::NotFound("{}: it is this node's own address or behind a gateway", what);
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EACCES:  // a prohibit route
    case EINVAL:  // a blackhole route
      return base::NotFound("{}: there is no route", what);
    default:
      return base::ErrnoStatus(outcome.error, what);
  }
}

NetlinkMonitor::NetlinkMonitor(std::unique_ptr<NetlinkSocket> socket)
    : socket_(std::move(socket)) {}

NetlinkMonitor::~NetlinkMonitor() = default;

absl::StatusOr<std::unique_ptr<NetlinkMonitor>> NetlinkMonitor::Start(
    std::function<void()> on_change, ChangeTiming timing) {
  ASSIGN_OR_RETURN(auto socket,
                   NetlinkSocket::Open({RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
                                        RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE}));
  std::unique_ptr<NetlinkMonitor> monitor(new NetlinkMonitor(std::move(socket)));
  const auto drain = [notices = monitor->socket_.get()](bool) { return notices->DrainNotices(); };
  ASSIGN_OR_RETURN(monitor->thread_, ChangeThread::Start(monitor->socket_->fd(), drain,
                                                         std::move(on_change), timing));
  return monitor;
}

}  // namespace bonsai::kernel
