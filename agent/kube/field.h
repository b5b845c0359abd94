// SPDX-License-Identifier: Apache-2.0
// A YAML node that knows its path, so that every complaint says where. Internal to the decoder: it
// throws DecodeError, which Decode() catches.
#pragma once

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <vector>

#include "agent/kube/decode.h"

namespace bonsai::kube {

struct DecodeError {
  uint32_t line = 0;
  std::string message;
};

class Field {
 public:
  explicit Field(const YAML::Node& node) : Field(node, "", node.Mark()) {}

  // A member; an absent one is a Field too, whose complaints point to the line of this one.
  Field operator[](const std::string& key) const;
  bool present() const { return node_.IsDefined() && !node_.IsNull(); }
  uint32_t line() const { return mark_.line < 0 ? 0 : static_cast<uint32_t>(mark_.line) + 1; }

  std::vector<Field> Items() const;                      // absent: none
  std::map<std::string, std::string> StringMap() const;  // absent: none

  std::string String() const;          // absent: ""
  std::string RequiredString() const;  // not empty
  bool Bool(bool absent) const;
  uint16_t Port() const;     // 1..65535
  uint8_t Protocol() const;  // IPPROTO_*; absent: TCP
  bool IsNumber() const;     // a scalar of digits only
  tables::Address Address() const;
  tables::Cidr Cidr() const;  // with a prefix length

  // Refuses members with other names: in a policy a misspelt field must not widen what it allows.
  void AllowOnly(std::initializer_list<const char*> names) const;
  [[noreturn]] void Fail(const std::string& message) const;

 private:
  Field(const YAML::Node& node, std::string path, YAML::Mark mark)
      : node_(node), path_(std::move(path)), mark_(mark) {}
  void RequireMap() const;
  const std::string& Scalar() const;

  YAML::Node node_;
  std::string path_;
  YAML::Mark mark_;
};

// The kinds; each throws DecodeError.
Object DecodePod(const ObjectKey& key, const Field& object);
Object DecodeNamespace(const ObjectKey& key, const Field& object);
Object DecodeService(const Field& object);
Object DecodeEndpointSlice(const Field& object);
Object DecodeNetworkPolicy(const ObjectKey& key, const Field& object);

}  // namespace bonsai::kube
