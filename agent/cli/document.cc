// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/document.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/json_util.h>

#include <map>
#include <nlohmann/json.hpp>

namespace bonsai::cli {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using nlohmann::ordered_json;

ordered_json SortKeys(const ordered_json& object) {
  std::map<std::string, ordered_json> sorted;
  for (const auto& [key, value] : object.items()) sorted[key] = value;
  ordered_json result = ordered_json::object();
  for (auto& [key, value] : sorted) result[key] = std::move(value);
  return result;
}

ordered_json Complete(const Descriptor& type, const ordered_json& object);

ordered_json CompleteField(const FieldDescriptor& field, const ordered_json& value) {
  if (field.is_map()) return SortKeys(value);
  const bool is_message = field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
  if (!is_message || field.message_type()->file()->package() != "bonsai.v1") return value;
  if (!field.is_repeated()) return Complete(*field.message_type(), value);
  ordered_json list = ordered_json::array();
  for (const ordered_json& element : value) list.push_back(Complete(*field.message_type(), element));
  return list;
}

// Fields in the contract's order; what protobuf left out becomes null.
ordered_json Complete(const Descriptor& type, const ordered_json& object) {
  ordered_json result = ordered_json::object();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    auto found = object.find(field.name());
    result[field.name()] = found == object.end() ? ordered_json() : CompleteField(field, *found);
  }
  return result;
}

ordered_json ToTree(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string text;
  // Fails only for messages with unregistered Any types; the contract has none.
  (void)google::protobuf::util::MessageToJsonString(message, &text, options);
  auto tree = ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  return tree.is_object() ? Complete(*message.GetDescriptor(), tree) : ordered_json::object();
}

std::string Dump(const ordered_json& tree, int indent) {
  // Bytes that are no UTF-8 are replaced, not thrown at the operator.
  return tree.dump(indent, ' ', false, ordered_json::error_handler_t::replace);
}

bool IsPlainKey(const std::string& key) {
  return !key.empty() && key.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") ==
                             std::string::npos && key[0] >= 'a' && key != "null" && key != "true" &&
         key != "false" && key != "yes" && key != "no" && key != "on" && key != "off" && key != "y" &&
         key != "n";
}

bool IsScalar(const ordered_json& node) { return !node.is_structured() || node.empty(); }

// Scalars and empty containers as JSON has them: YAML reads that, and a quoted string stays one.
void Write(const ordered_json& node, const std::string& indent, std::string& out) {
  if (node.is_array()) {
    for (const ordered_json& element : node) {
      if (IsScalar(element)) {
        out += indent + "- " + Dump(element, -1) + "\n";
        continue;
      }
      std::string nested;
      Write(element, indent + "  ", nested);
      out += indent + "- " + nested.substr(indent.size() + 2);
    }
    return;
  }
  for (const auto& [key, value] : node.items()) {
    out += indent + (IsPlainKey(key) ? key : Dump(key, -1)) + ":";
    if (IsScalar(value)) {
      out += " " + Dump(value, -1) + "\n";
    } else {
      out += "\n";
      Write(value, indent + "  ", out);
    }
  }
}

}  // namespace

std::string ToJson(const google::protobuf::Message& message) {
  return Dump(ToTree(message), 2) + "\n";
}

std::string ToJsonLine(const google::protobuf::Message& message) {
  return Dump(ToTree(message), -1) + "\n";
}

std::string ToYaml(const google::protobuf::Message& message) { return ToYaml(ToTree(message)); }

std::string ToYaml(const ordered_json& tree) {
  if (IsScalar(tree)) return Dump(tree, -1) + "\n";
  std::string text;
  Write(tree, "", text);
  return text;
}

}  // namespace bonsai::cli
