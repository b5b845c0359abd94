// SPDX-License-Identifier: Apache-2.0
// An HTTP event of the datapath to words. Pure; nothing in the event is trusted.
#pragma once

#include <span>
#include <string>

#include "agent/report/l7.h"
#include "datapath/include/contract.h"

namespace bonsai::report {

// Printable ASCII stays but for the backslash, which becomes \\; any other byte becomes \xNN. So two
// different values never look the same.
std::string EscapeBytes(std::span<const uint8_t> bytes);

// enum http_method: "GET"; "other" for a method that has no number, and for numbers we do not know.
std::string HttpMethodLabel(uint32_t method);

// Lengths beyond what the event has room for are cut and flagged.
HttpDetails DecodeHttp(const http_event& event);

}  // namespace bonsai::report
