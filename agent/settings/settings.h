// SPDX-License-Identifier: Apache-2.0
// Settings: what the operator asked for, checked and typed.
//
// A Schema says which keys exist. It is the agent's own table (AgentSettings()) plus one SettingSpec
// for each setting constant found in the objects' BTF (object/ makes those). RawSettings are the
// key/value strings of a ConfigMap; Parse() turns them into Settings or says all that is wrong.
// Everything here is pure and immutable; values may be shared between threads.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace bonsai::settings {

enum class Kind { kBool, kUint, kInt, kString, kList };  // kList: a,b or [a, b]

using Value = std::variant<bool, uint64_t, int64_t, std::string, std::vector<std::string>>;

// Where a setting takes effect: a constant of the datapath, or the agent itself.
enum class Target { kConstant, kAgent };

struct SettingSpec {
  std::string key;            // kebab-case, as in the ConfigMap
  std::string constant;       // name of the constant (snake_case); empty for kAgent
  Kind kind = Kind::kBool;
  Target target = Target::kAgent;
  Value default_value = false;
  int64_t min = 0;            // inclusive, for kUint and kInt; both 0: whatever the type holds
  int64_t max = 0;
  bool power_of_two = false;  // kUint that sizes a ring buffer
  std::vector<std::string> choices;  // kString: allowed values; empty: any
  std::string element;        // what a string or each list element must be: "cidr",
                              // "device-pattern", "host-port", "port", "dns-name" or "" (anything)
  std::string feature;        // e.g. "conntrack"; "agent" for the agent's own
  std::string doc;            // one line
  std::vector<std::string> requires_keys;  // bool settings that must be on when this bool is on
};

// The agent's own settings: map sizes, devices, addresses, log level, prefilter CIDRs, ...
const std::vector<SettingSpec>& AgentSettings();

class Schema {
 public:
  // InvalidArgument when two specs of one key differ in anything but order of requirements, or when
  // a default is not a value that its own spec allows.
  static absl::StatusOr<Schema> Make(std::vector<SettingSpec> specs);

  const SettingSpec* Find(const std::string& key) const;  // nullptr: unknown
  const std::map<std::string, SettingSpec>& specs() const { return specs_; }
  // The known key nearest to `key` by edit distance, or "" when none is near.
  std::string Nearest(const std::string& key) const;

 private:
  std::map<std::string, SettingSpec> specs_;
};

using RawSettings = std::map<std::string, std::string>;

class Settings {
 public:
  // The value in force: the operator's or the default. The key must be in the schema and of that
  // kind (aborts otherwise: asking for a wrong key is our bug).
  bool Bool(const std::string& key) const;
  uint64_t Uint(const std::string& key) const;
  const std::string& String(const std::string& key) const;
  const std::vector<std::string>& List(const std::string& key) const;

  const std::map<std::string, Value>& values() const { return values_; }   // every key of the schema
  const RawSettings& given() const { return given_; }                      // what the operator set
  bool IsDefault(const std::string& key) const { return !given_.contains(key); }

 private:
  friend absl::StatusOr<Settings> Parse(const Schema&, const RawSettings&);
  std::map<std::string, Value> values_;
  RawSettings given_;
};

// InvalidArgument, one line a problem: key, value, what is allowed, nearest known name. All
// problems are found, not only the first. Also refuses sets that cannot stand together
// (requires_keys), naming both keys.
absl::StatusOr<Settings> Parse(const Schema& schema, const RawSettings& raw);

// One value as the operator would write it ("true", "8000", "a,b").
std::string Format(const Value& value);

}  // namespace bonsai::settings
