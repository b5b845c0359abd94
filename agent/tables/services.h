// SPDX-License-Identifier: Apache-2.0
// Services -> contents of the service and backend maps, and the order in which to write them.
//
// A service points to a list of backends. Lists are never edited: a change writes a new list, then
// the service's entry, then removes the old list, so that a reader sees one list whole or the
// other. Which list is whose is read from the kernel maps, so nothing has to be remembered over a
// restart.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "agent/tables/desired_state.h"
#include "agent/tables/map_contents.h"

namespace bonsai::tables {

// service_key4/6 -> backends (backend4/6 values, sorted, none twice). With each address goes its
// marker (port 0, protocol 0), which has none.
using ServiceLists = std::map<Bytes, std::vector<Bytes>>;

struct ServiceTable {
  ServiceLists lists4, lists6;
  std::vector<std::string> warnings;  // e.g. two services that claim one address and port
};

ServiceTable BuildServices(const std::vector<Service>& services);

// One step of a plan, on one of the two maps of a family.
struct ServiceWrite {
  enum class Map { kServices, kBackends } map = Map::kServices;
  Bytes key;
  Bytes value;  // empty: delete the key
  bool operator==(const ServiceWrite&) const = default;
};

struct ServicePlan {
  std::vector<ServiceWrite> writes;  // to be done in this order
  // The most entries each map holds at any moment while the plan is carried out, and in the end.
  size_t peak_services = 0, peak_backends = 0;
  size_t final_services = 0, final_backends = 0;
};

// How to get from what the maps of one family hold to `desired`. Services that stay as they are get
// no writes. Removals come first, then the services whose lists shrink most, so the peak stays low.
ServicePlan PlanServices(const ServiceLists& desired, const MapContents& services,
                         const MapContents& backends);

}  // namespace bonsai::tables
