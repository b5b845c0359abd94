// SPDX-License-Identifier: Apache-2.0
#include "agent/kube/decode.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <optional>

#include "agent/kube/field.h"
#include "agent/settings/yaml_documents.h"

namespace bonsai::kube {
namespace {

struct KindSpec {
  Kind kind;
  const char* group;  // "" is the core group
};
constexpr KindSpec kKinds[] = {{Kind::kNamespace, ""},
                               {Kind::kPod, ""},
                               {Kind::kService, ""},
                               {Kind::kEndpointSlice, "discovery.k8s.io"},
                               {Kind::kNetworkPolicy, "networking.k8s.io"}};

struct TypeName {
  std::string api_version, kind;
};

// nullopt: a kind that means nothing here.
std::optional<Kind> FindKind(const TypeName& type, const Field& object) {
  const size_t slash = type.api_version.find('/');
  const std::string group = slash == std::string::npos ? "" : type.api_version.substr(0, slash);
  for (const KindSpec& spec : kKinds) {
    if (type.kind != KindName(spec.kind) || group != spec.group) continue;
    const std::string wanted = group.empty() ? "v1" : group + "/v1";
    if (type.api_version != wanted) {
      object["apiVersion"].Fail(
          fmt::format("{} is not supported; write {}", type.api_version, wanted));
    }
    return spec.kind;
  }
  return std::nullopt;
}

std::string CheckedName(const Field& field) {
  const std::string name = field.RequiredString();
  const bool good =
      name.size() <= 253 && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
      });
  if (!good) field.Fail(fmt::format("\"{}\": only a-z, 0-9, '-' and '.', at most 253", name));
  return name;
}

ObjectKey DecodeKey(Kind kind, const Field& object) {
  const Field metadata = object["metadata"];
  ObjectKey key{.kind = kind, .name = CheckedName(metadata["name"])};
  if (kind == Kind::kNamespace) return key;
  const Field space = metadata["namespace"];
  key.namespace_name = space.present() ? CheckedName(space) : "default";
  return key;
}

Object DecodeObject(const ObjectKey& key, const Field& object) {
  switch (key.kind) {
    case Kind::kNamespace:
      return DecodeNamespace(key, object);
    case Kind::kPod:
      return DecodePod(key, object);
    case Kind::kService:
      return DecodeService(object);
    case Kind::kEndpointSlice:
      return DecodeEndpointSlice(object);
    case Kind::kNetworkPolicy:
      return DecodeNetworkPolicy(key, object);
  }
  return std::monostate();
}

class Decoder {
 public:
  Decoded Take(const std::string& text) && {
    try {
      // No well-formed text has more documents than lines.
      const size_t lines = std::count(text.begin(), text.end(), '\n') + 1;
      if (settings::HasMoreDocuments(text, lines)) {
        AddProblem(0, "", "no valid YAML: a comma stands where none belongs");
        return std::move(decoded_);
      }
      size_t number = 0;
      for (const YAML::Node& document : YAML::LoadAll(text)) {
        ++number;
        if (!document.IsNull()) DecodeTop(Field(document), number);
      }
    } catch (const YAML::Exception& error) {
      const int line = error.mark.line;
      AddProblem(line < 0 ? 0 : static_cast<uint32_t>(line) + 1, "", "no valid YAML: " + error.msg);
    } catch (const std::exception& error) {
      AddProblem(0, "", std::string("no valid YAML: ") + error.what());
    }
    return std::move(decoded_);
  }

 private:
  void AddProblem(uint32_t line, const std::string& object, const std::string& message) {
    decoded_.problems.push_back({line, object, message});
  }

  // Runs `decode` for what is called `name` until it is known better.
  template <typename Function>
  void Guard(const std::string& name, Function decode) {
    name_ = name;
    try {
      decode();
    } catch (const DecodeError& error) {
      AddProblem(error.line, name_, error.message);
    }
  }

  void DecodeTop(const Field& object, size_t document) {
    const std::string name = fmt::format("document {}", document);
    Guard(name, [&] {
      const TypeName type = {object["apiVersion"].RequiredString(),
                             object["kind"].RequiredString()};
      const bool list = type.kind.ends_with("List") && object["items"].present();
      if (!list) return DecodeOne(object, type);
      // Items of a typed list (PodList) need not repeat the type.
      const TypeName item_type = {type.api_version, type.kind.substr(0, type.kind.size() - 4)};
      size_t number = 0;
      for (const Field& item : object["items"].Items()) {
        Guard(fmt::format("{}, item {}", name, number++), [&] { DecodeItem(item, item_type); });
      }
    });
  }

  void DecodeItem(const Field& item, const TypeName& list_item) {
    const Field api_version = item["apiVersion"], kind = item["kind"];
    if (!list_item.kind.empty() && !kind.present()) return DecodeOne(item, list_item);
    const TypeName type = {api_version.RequiredString(), kind.RequiredString()};
    if (type.kind.ends_with("List")) kind.Fail("a list within a list is not supported");
    DecodeOne(item, type);
  }

  void DecodeOne(const Field& object, const TypeName& type) {
    const auto kind = FindKind(type, object);
    if (!kind) {
      ++decoded_.ignored;
      return;
    }
    name_ = KindName(*kind);
    const ObjectKey key = DecodeKey(*kind, object);
    name_ = ToString(key);
    if (auto [first, fresh] = decoded_.lines.emplace(key, object.line()); !fresh) {
      throw DecodeError{object.line(),
                        fmt::format("it is in the file already, in line {}", first->second)};
    }
    decoded_.objects.emplace(key, DecodeObject(key, object));
  }

  Decoded decoded_;
  std::string name_;
};

}  // namespace

Decoded Decode(const std::string& text) { return Decoder().Take(text); }

}  // namespace bonsai::kube
