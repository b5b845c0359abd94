// SPDX-License-Identifier: Apache-2.0
// The reference page of the settings.
#pragma once

#include <string>

#include "agent/settings/settings.h"

namespace bonsai::settings {

// Markdown: a table of settings for each feature, features and keys in alphabetical order.
std::string MarkdownReference(const Schema& schema);

}  // namespace bonsai::settings
