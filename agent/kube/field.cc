// SPDX-License-Identifier: Apache-2.0
#include "agent/kube/field.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>

namespace bonsai::kube {
namespace {

const char* TypeName(const YAML::Node& node) {
  switch (node.Type()) {
    case YAML::NodeType::Map:
      return "a map";
    case YAML::NodeType::Sequence:
      return "a list";
    case YAML::NodeType::Scalar:
      return "a single value";
    default:
      return "nothing";
  }
}

}  // namespace

void Field::Fail(const std::string& message) const {
  throw DecodeError{line(), path_.empty() ? message : path_ + ": " + message};
}

void Field::RequireMap() const {
  if (present() && !node_.IsMap()) Fail(fmt::format("must be a map, not {}", TypeName(node_)));
}

Field Field::operator[](const std::string& key) const {
  RequireMap();
  const std::string path = path_.empty() ? key : path_ + "." + key;
  // Indexing a const node never adds the key.
  const YAML::Node& self = node_;
  if (!present()) return Field(YAML::Node(YAML::NodeType::Null), path, mark_);
  const YAML::Node member = self[key];
  if (!member.IsDefined()) return Field(YAML::Node(YAML::NodeType::Null), path, mark_);
  return Field(member, path, member.Mark());
}

std::vector<Field> Field::Items() const {
  std::vector<Field> items;
  if (!present()) return items;
  if (!node_.IsSequence()) Fail(fmt::format("must be a list, not {}", TypeName(node_)));
  for (const YAML::Node& item : node_) {
    items.push_back(Field(item, fmt::format("{}[{}]", path_, items.size()), item.Mark()));
  }
  return items;
}

const std::string& Field::Scalar() const {
  if (!node_.IsScalar()) Fail(fmt::format("must be a single value, not {}", TypeName(node_)));
  return node_.Scalar();
}

std::map<std::string, std::string> Field::StringMap() const {
  RequireMap();
  std::map<std::string, std::string> values;
  if (!present()) return values;
  for (const auto& entry : node_) {
    if (!entry.first.IsScalar()) Fail("keys must be single values");
    const std::string& key = entry.first.Scalar();
    values[key] = Field(entry.second, path_ + "." + key, entry.second.Mark()).String();
  }
  return values;
}

std::string Field::String() const { return present() ? Scalar() : std::string(); }

std::string Field::RequiredString() const {
  std::string text = String();
  if (text.empty()) Fail("missing");
  return text;
}

bool Field::Bool(bool absent) const {
  if (!present()) return absent;
  const std::string& text = Scalar();
  if (text == "true") return true;
  if (text == "false") return false;
  Fail(fmt::format("must be true or false, not \"{}\"", text));
}

bool Field::IsNumber() const {
  return present() && node_.IsScalar() && !node_.Scalar().empty() &&
         std::ranges::all_of(node_.Scalar(), [](char c) { return c >= '0' && c <= '9'; });
}

uint16_t Field::Port() const {
  if (!present()) Fail("missing");
  const std::string& text = Scalar();
  uint32_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port < 1 || port > 0xffff) {
    Fail(fmt::format("must be a number from 1 to 65535, not \"{}\"", text));
  }
  return static_cast<uint16_t>(port);
}

uint8_t Field::Protocol() const {
  if (!present()) return IPPROTO_TCP;
  const std::string& text = Scalar();
  if (text == "TCP") return IPPROTO_TCP;
  if (text == "UDP") return IPPROTO_UDP;
  if (text == "SCTP") return IPPROTO_SCTP;
  Fail(fmt::format("must be TCP, UDP or SCTP, not \"{}\"", text));
}

tables::Address Field::Address() const {
  const std::string text = RequiredString();
  const auto address = tables::ParseAddress(text);
  if (!address) Fail(fmt::format("\"{}\" is no IP address", text));
  return *address;
}

tables::Cidr Field::Cidr() const {
  const std::string text = RequiredString();
  const auto cidr = tables::ParseCidr(text);
  if (!cidr || text.find('/') == std::string::npos) {
    Fail(fmt::format("\"{}\" is no CIDR; write it like 10.0.0.0/8", text));
  }
  return *cidr;
}

void Field::AllowOnly(std::initializer_list<const char*> names) const {
  RequireMap();
  if (!present()) return;
  for (const auto& entry : node_) {
    const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "";
    if (std::ranges::find(names, key) != names.end()) continue;
    Field(entry.first, path_, entry.first.Mark())
        .Fail(fmt::format("unknown field \"{}\"; there are {}", key, fmt::join(names, ", ")));
  }
}

}  // namespace bonsai::kube
