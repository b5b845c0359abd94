// SPDX-License-Identifier: Apache-2.0
#include <net/if.h>

#include "agent/kube/field.h"
#include "agent/tables/ports.h"

namespace bonsai::kube {
namespace {

constexpr char kDeviceAnnotation[] = "bonsai.io/device";
constexpr char kNamespaceName[] = "kubernetes.io/metadata.name";

std::vector<tables::Address> PodAddresses(const Field& status) {
  std::vector<tables::Address> addresses;
  for (const Field& each : status["podIPs"].Items()) addresses.push_back(each["ip"].Address());
  if (addresses.empty() && status["podIP"].present()) {
    addresses.push_back(status["podIP"].Address());
  }
  return addresses;
}

std::map<std::string, uint16_t> NamedPorts(const Field& containers) {
  std::map<std::string, uint16_t> ports;
  for (const Field& container : containers.Items()) {
    for (const Field& port : container["ports"].Items()) {
      const uint16_t number = port["containerPort"].Port();
      const std::string name = port["name"].String();
      if (name.empty()) continue;
      ports.emplace(name + "/" + tables::ProtocolName(port["protocol"].Protocol()), number);
    }
  }
  return ports;
}

std::string Device(const Field& metadata) {
  const auto annotations = metadata["annotations"].StringMap();
  const auto found = annotations.find(kDeviceAnnotation);
  if (found == annotations.end()) return "";
  const std::string& device = found->second;
  if (device.empty() || device.size() >= IFNAMSIZ || device.find('/') != std::string::npos) {
    metadata["annotations"].Fail(std::string(kDeviceAnnotation) + ": \"" + device +
                                 "\" is no name of a network device");
  }
  return device;
}

}  // namespace

Object DecodePod(const ObjectKey& key, const Field& object) {
  const Field metadata = object["metadata"], spec = object["spec"], status = object["status"];
  tables::Pod pod{.namespace_name = key.namespace_name, .name = key.name};
  pod.labels = metadata["labels"].StringMap();
  pod.device = Device(metadata);
  pod.node = spec["nodeName"].String();
  pod.host_network = spec["hostNetwork"].Bool(false);
  pod.named_ports = NamedPorts(spec["containers"]);
  pod.addresses = PodAddresses(status);
  // The addresses of a finished pod may be another's by now.
  const std::string phase = status["phase"].String();
  if (phase == "Succeeded" || phase == "Failed") return std::monostate();
  return pod;
}

Object DecodeNamespace(const ObjectKey& key, const Field& object) {
  NamespaceObject space{object["metadata"]["labels"].StringMap()};
  space.labels[kNamespaceName] = key.name;
  return space;
}

}  // namespace bonsai::kube
