// SPDX-License-Identifier: Apache-2.0
// Messages as documents for other programs. The field names are those of the contract, every field
// is there (null when a time or message is absent), maps are sorted by key. 64-bit integers are
// strings, as protobuf's JSON has them.
#pragma once

#include <google/protobuf/message.h>

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace bonsai::cli {

std::string ToJson(const google::protobuf::Message& message);         // indented, ends with a newline
std::string ToJsonLine(const google::protobuf::Message& message);     // one line
std::string ToYaml(const google::protobuf::Message& message);         // block style

std::string ToYaml(const nlohmann::ordered_json& tree);

}  // namespace bonsai::cli
