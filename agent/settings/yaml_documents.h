// SPDX-License-Identifier: Apache-2.0
// Counting the documents of a YAML text before they are loaded.
#pragma once

#include <cstddef>
#include <string>

namespace bonsai::settings {

// Whether `text` holds more than `limit` documents. YAML::LoadAll() must not be asked unbounded: on a
// text with a stray comma at its beginning or after a scalar it makes empty documents until memory is
// gone (yaml-cpp 0.7). Throws YAML::ParserException for what is no YAML.
bool HasMoreDocuments(const std::string& text, size_t limit);

}  // namespace bonsai::settings
