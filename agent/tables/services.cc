// SPDX-License-Identifier: Apache-2.0
#include "agent/tables/services.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "agent/tables/ports.h"
#include "datapath/include/contract.h"

namespace bonsai::tables {
namespace {

template <typename Key>
Bytes ServiceKey(const Address& address, const ServicePort& port) {
  Key key = {};
  std::memcpy(&key.addr, address.bytes, sizeof(key.addr));
  key.port = htons(port.port);
  key.protocol = port.protocol;
  return ToBytes(key);
}

// Port 0, protocol 0 under the same address: see contract.h.
template <typename Key>
Bytes MarkerKey(const Address& address) {
  return ServiceKey<Key>(address, {.protocol = 0, .port = 0});
}

template <typename Value>
Bytes BackendValue(const Address& address, uint16_t port) {
  Value value = {};
  std::memcpy(&value.addr, address.bytes, sizeof(value.addr));
  value.port = htons(port);
  return ToBytes(value);
}

std::vector<Bytes> BackendValues(const ServicePort& port, uint8_t family) {
  std::set<Bytes> values;
  for (const auto& [address, number] : port.backends) {
    if (address.family != family) continue;
    values.insert(family == 4 ? BackendValue<backend4>(address, number)
                              : BackendValue<backend6>(address, number));
  }
  return {values.begin(), values.end()};
}

Bytes BackendKey(uint32_t list, uint32_t slot) {
  return ToBytes(backend_key{.list = list, .slot = slot});
}

// The backend map, by list and slot.
using Lists = std::map<uint32_t, std::map<uint32_t, Bytes>>;

Lists ReadLists(const MapContents& backends) {
  Lists lists;
  for (const auto& [key, value] : backends) {
    const auto slot = FromBytes<backend_key>(key);
    lists[slot.list][slot.slot] = value;
  }
  return lists;
}

bool IsList(const std::map<uint32_t, Bytes>& slots, const std::vector<Bytes>& backends) {
  if (slots.size() != backends.size()) return false;
  uint32_t next = 0;
  for (const auto& [slot, value] : slots) {
    if (slot != next || value != backends[next]) return false;
    ++next;
  }
  return true;
}

class Planner {
 public:
  Planner(const MapContents& services, const MapContents& backends)
      : lists_(ReadLists(backends)), services_(services), backend_count_(backends.size()) {
    plan_.peak_services = plan_.final_services = services.size();
    plan_.peak_backends = plan_.final_backends = backends.size();
  }

  ServicePlan Plan(const ServiceLists& desired) && {
    uint32_t last_list = lists_.empty() ? 0 : lists_.rbegin()->first;
    for (const auto& [key, value] : services_) {
      last_list = std::max(last_list, FromBytes<service_value>(value).list);
    }
    RemoveOrphans();
    std::vector<const ServiceLists::value_type*> changed;
    RemoveServices(desired);
    for (const auto& entry : desired) {
      if (!InForce(entry.first, entry.second)) changed.push_back(&entry);
    }
    std::ranges::stable_sort(changed, {}, [&](const auto* entry) { return Growth(*entry); });
    for (const auto* entry : changed) {
      Write(entry->first, entry->second, entry->second.empty() ? 0 : ++last_list);
    }
    plan_.final_services = services_.size();
    plan_.final_backends = backend_count_;
    return std::move(plan_);
  }

 private:
  // Lists no service points to: left by an agent that was killed between two writes. No list has
  // the id 0: services without backends say it.
  void RemoveOrphans() {
    std::set<uint32_t> used;
    for (const auto& [key, value] : services_) used.insert(FromBytes<service_value>(value).list);
    std::vector<uint32_t> orphans;
    for (const auto& [list, slots] : lists_) {
      if (list == 0 || !used.contains(list)) orphans.push_back(list);
    }
    for (const uint32_t list : orphans) RemoveList(list);
  }

  void RemoveServices(const ServiceLists& desired) {
    for (auto service = services_.begin(); service != services_.end();) {
      if (desired.contains(service->first)) {
        ++service;
        continue;
      }
      const uint32_t list = FromBytes<service_value>(service->second).list;
      plan_.writes.push_back({ServiceWrite::Map::kServices, service->first, {}});
      service = services_.erase(service);
      RemoveList(list);
    }
  }

  bool InForce(const Bytes& key, const std::vector<Bytes>& backends) const {
    const auto service = services_.find(key);
    if (service == services_.end()) return false;
    const auto value = FromBytes<service_value>(service->second);
    if (value.count != backends.size()) return false;
    const auto slots = lists_.find(value.list);
    return slots == lists_.end() ? backends.empty() : IsList(slots->second, backends);
  }

  int64_t Growth(const ServiceLists::value_type& entry) const {
    const auto service = services_.find(entry.first);
    const auto wanted = static_cast<int64_t>(entry.second.size());
    if (service == services_.end()) return wanted;
    const auto slots = lists_.find(FromBytes<service_value>(service->second).list);
    return slots == lists_.end() ? wanted : wanted - static_cast<int64_t>(slots->second.size());
  }

  void Write(const Bytes& key, const std::vector<Bytes>& backends, uint32_t list) {
    for (uint32_t slot = 0; slot < backends.size(); ++slot) {
      plan_.writes.push_back(
          {ServiceWrite::Map::kBackends, BackendKey(list, slot), backends[slot]});
      lists_[list][slot] = backends[slot];
    }
    backend_count_ += backends.size();
    const auto old = services_.find(key);
    const uint32_t old_list =
        old == services_.end() ? list : FromBytes<service_value>(old->second).list;
    const Bytes value =
        ToBytes(service_value{.list = list, .count = static_cast<uint32_t>(backends.size())});
    plan_.writes.push_back({ServiceWrite::Map::kServices, key, value});
    services_[key] = value;
    NotePeak();
    if (old_list != list) RemoveList(old_list);
  }

  void RemoveList(uint32_t list) {
    const auto slots = lists_.find(list);
    if (slots == lists_.end()) return;
    for (const auto& [slot, value] : slots->second) {
      plan_.writes.push_back({ServiceWrite::Map::kBackends, BackendKey(list, slot), {}});
    }
    backend_count_ -= slots->second.size();
    lists_.erase(slots);
  }

  void NotePeak() {
    plan_.peak_services = std::max(plan_.peak_services, services_.size());
    plan_.peak_backends = std::max(plan_.peak_backends, backend_count_);
  }

  Lists lists_;
  MapContents services_;
  size_t backend_count_;
  ServicePlan plan_;
};

}  // namespace

ServiceTable BuildServices(const std::vector<Service>& services) {
  ServiceTable table;
  std::map<Bytes, std::string> owners;
  for (const Service& service : services) {
    const std::string name = service.namespace_name + "/" + service.name;
    for (const Address& address : service.addresses) {
      for (const ServicePort& port : service.ports) {
        const bool v4 = address.family == 4;
        const Bytes key =
            v4 ? ServiceKey<service_key4>(address, port) : ServiceKey<service_key6>(address, port);
        if (auto [owner, fresh] = owners.emplace(key, name); !fresh) {
          table.warnings.push_back(fmt::format(
              "service {}: {} port {}/{} belongs to service {} already; ignored", name,
              ToString(address), port.port, ProtocolName(port.protocol), owner->second));
          continue;
        }
        ServiceLists& lists = v4 ? table.lists4 : table.lists6;
        lists.emplace(key, BackendValues(port, address.family));
        lists.try_emplace(v4 ? MarkerKey<service_key4>(address) : MarkerKey<service_key6>(address));
      }
    }
  }
  return table;
}

ServicePlan PlanServices(const ServiceLists& desired, const MapContents& services,
                         const MapContents& backends) {
  return Planner(services, backends).Plan(desired);
}

}  // namespace bonsai::tables
