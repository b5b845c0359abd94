// SPDX-License-Identifier: Apache-2.0
#include "agent/kube/objects.h"

#include <utility>

namespace bonsai::kube {
namespace {

constexpr char kNamespaceName[] = "kubernetes.io/metadata.name";

// Slices by namespace and service.
using Slices = std::multimap<std::pair<std::string, std::string>, const EndpointSliceObject*>;

Slices IndexSlices(const Objects& objects) {
  Slices slices;
  for (const auto& [key, object] : objects) {
    const auto* slice = std::get_if<EndpointSliceObject>(&object);
    if (slice != nullptr) slices.emplace(std::pair(key.namespace_name, slice->service), slice);
  }
  return slices;
}

void AddBackends(const EndpointSliceObject& slice, tables::ServicePort& port) {
  for (const ServiceObject::Port& slice_port : slice.ports) {
    if (slice_port.name != port.name || slice_port.protocol != port.protocol) continue;
    for (const tables::Address& address : slice.addresses) {
      port.backends.emplace_back(address, slice_port.port);
    }
  }
}

tables::Service AssembleService(const ObjectKey& key, const ServiceObject& object,
                                const Slices& slices) {
  tables::Service service{.namespace_name = key.namespace_name, .name = key.name};
  service.addresses = object.addresses;
  const auto [begin, end] = slices.equal_range({key.namespace_name, key.name});
  for (const ServiceObject::Port& object_port : object.ports) {
    tables::ServicePort port{
        .name = object_port.name, .protocol = object_port.protocol, .port = object_port.port};
    for (auto slice = begin; slice != end; ++slice) AddBackends(*slice->second, port);
    service.ports.push_back(std::move(port));
  }
  return service;
}

}  // namespace

const char* KindName(Kind kind) {
  switch (kind) {
    case Kind::kNamespace:
      return "Namespace";
    case Kind::kPod:
      return "Pod";
    case Kind::kService:
      return "Service";
    case Kind::kEndpointSlice:
      return "EndpointSlice";
    case Kind::kNetworkPolicy:
      return "NetworkPolicy";
  }
  return "object";
}

std::string ToString(const ObjectKey& key) {
  const std::string name =
      key.namespace_name.empty() ? key.name : key.namespace_name + "/" + key.name;
  return std::string(KindName(key.kind)) + " " + name;
}

tables::DesiredState Assemble(const Objects& objects) {
  tables::DesiredState state;
  const Slices slices = IndexSlices(objects);
  for (const auto& [key, object] : objects) {
    if (const auto* space = std::get_if<NamespaceObject>(&object)) {
      state.namespaces[key.name] = space->labels;
      continue;
    }
    // Namespaces sort before what is in them, so this adds only those without an object.
    state.namespaces.try_emplace(key.namespace_name,
                                 tables::Labels{{kNamespaceName, key.namespace_name}});
    if (const auto* pod = std::get_if<tables::Pod>(&object)) {
      state.pods.push_back(*pod);
    } else if (const auto* service = std::get_if<ServiceObject>(&object)) {
      state.services.push_back(AssembleService(key, *service, slices));
    } else if (const auto* policy = std::get_if<tables::NetworkPolicy>(&object)) {
      state.policies.push_back(*policy);
    }
  }
  return state;
}

}  // namespace bonsai::kube
