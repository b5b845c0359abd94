// SPDX-License-Identifier: Apache-2.0
// Kubernetes objects as far as Bonsai looks at them, and how they come together to a DesiredState.
// The source (manifests, API server) does not matter here. Plain values; thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "agent/tables/desired_state.h"

namespace bonsai::kube {

enum class Kind { kNamespace, kPod, kService, kEndpointSlice, kNetworkPolicy };
const char* KindName(Kind kind);  // "EndpointSlice"

struct ObjectKey {
  Kind kind = Kind::kPod;
  std::string namespace_name, name;  // a Namespace has no namespace
  auto operator<=>(const ObjectKey&) const = default;
};
std::string ToString(const ObjectKey& key);  // "Service demo/echo"

struct NamespaceObject {
  tables::Labels labels;  // with kubernetes.io/metadata.name
};

struct ServiceObject {
  struct Port {
    std::string name;
    uint8_t protocol = 6;  // IPPROTO_TCP or IPPROTO_UDP
    uint16_t port = 0;
  };
  std::vector<tables::Address> addresses;  // none: headless or ExternalName
  std::vector<Port> ports;
};

struct EndpointSliceObject {
  std::string service;                     // name in the same namespace; "" none
  std::vector<tables::Address> addresses;  // of the ready endpoints
  std::vector<ServiceObject::Port> ports;  // matched to the service's by name and protocol
};

// monostate: an object that is there but has no part in the state, like a pod that has finished.
using Object = std::variant<std::monostate, NamespaceObject, tables::Pod, ServiceObject,
                            EndpointSliceObject, tables::NetworkPolicy>;
using Objects = std::map<ObjectKey, Object>;

// Each namespace that an object is in exists, whether its own object is there or not.
tables::DesiredState Assemble(const Objects& objects);

}  // namespace bonsai::kube
