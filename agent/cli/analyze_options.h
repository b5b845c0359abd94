// SPDX-License-Identifier: Apache-2.0
// What `agentctl analyze` is asked, and what it makes of an object and its constants before they
// are analysed. All errors are the user's: one line that names what was given.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "agent/constants/constant_set.h"
#include "agent/object/object_spec.h"
#include "agent/reachability/explain.h"

namespace bonsai::cli {

struct AnalyzeOptions {
  std::string object;                    // path of an ELF file
  std::vector<std::string> assignments;  // NAME=VALUE; they win over `config`
  std::string config;                    // path of a flat YAML file, or ""; it wins over `sections`
  std::vector<std::string> sections;     // SECTION=@FILE
  std::vector<std::string> tails;        // MAP:SLOT=PROG
  std::vector<std::string> entries;      // programs; none: all without a tail slot
  std::vector<std::string> whys;         // KIND/NAME
  bool what_if = false;
};

// Binds programs to slots as if they were tagged so.
absl::Status BindTails(const std::vector<std::string>& tails, object::ObjectSpec& object);

absl::Status CheckEntries(const std::vector<std::string>& entries, const object::ObjectSpec& object);

// Things to explain, each thing of a name where several share it.
absl::StatusOr<std::vector<reachability::Thing>> ThingsAsked(const std::vector<std::string>& whys,
                                                             const object::ObjectSpec& object);

// The constants in force. A key of `config` that is no constant of this object is passed over when
// the object belongs to an agent whose other objects, in the same folder, or whose own settings
// have it: one file configures them all. Any other unknown name is an error.
absl::StatusOr<constants::ConstantSet> ConstantsInForce(const AnalyzeOptions& options,
                                                        const object::ObjectSpec& object);

}  // namespace bonsai::cli
