// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <netinet/in.h>

#include "agent/kube/field.h"

namespace bonsai::kube {
namespace {

constexpr char kServiceLabel[] = "kubernetes.io/service-name";

std::vector<tables::Address> ClusterAddresses(const Field& spec) {
  std::vector<tables::Address> addresses;
  if (spec["type"].String() == "ExternalName") return addresses;
  std::vector<Field> fields = spec["clusterIPs"].Items();
  if (fields.empty()) fields.push_back(spec["clusterIP"]);
  for (const Field& field : fields) {
    const std::string text = field.String();
    if (!text.empty() && text != "None") addresses.push_back(field.Address());
  }
  return addresses;
}

// Services of SCTP are passed through untranslated, so they have no entry.
bool Balanced(uint8_t protocol) { return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP; }

}  // namespace

Object DecodeService(const Field& object) {
  const Field spec = object["spec"];
  ServiceObject service{.addresses = ClusterAddresses(spec)};
  for (const Field& field : spec["ports"].Items()) {
    const ServiceObject::Port port{.name = field["name"].String(),
                                   .protocol = field["protocol"].Protocol(),
                                   .port = field["port"].Port()};
    if (Balanced(port.protocol)) service.ports.push_back(port);
  }
  return service;
}

Object DecodeEndpointSlice(const Field& object) {
  const std::string type = object["addressType"].RequiredString();
  if (type == "FQDN") return std::monostate();
  if (type != "IPv4" && type != "IPv6") {
    object["addressType"].Fail(fmt::format("must be IPv4, IPv6 or FQDN, not \"{}\"", type));
  }
  const uint8_t family = type == "IPv4" ? 4 : 6;

  EndpointSliceObject slice;
  const auto labels = object["metadata"]["labels"].StringMap();
  if (const auto found = labels.find(kServiceLabel); found != labels.end()) {
    slice.service = found->second;
  }
  for (const Field& endpoint : object["endpoints"].Items()) {
    const bool ready = endpoint["conditions"]["ready"].Bool(true);
    for (const Field& field : endpoint["addresses"].Items()) {
      const tables::Address address = field.Address();
      if (address.family != family) {
        field.Fail(fmt::format("{} is no {} address", tables::ToString(address), type));
      }
      if (ready) slice.addresses.push_back(address);
    }
  }
  for (const Field& field : object["ports"].Items()) {
    const uint8_t protocol = field["protocol"].Protocol();
    if (!field["port"].present() || !Balanced(protocol)) continue;
    slice.ports.push_back({field["name"].String(), protocol, field["port"].Port()});
  }
  return slice;
}

}  // namespace bonsai::kube
