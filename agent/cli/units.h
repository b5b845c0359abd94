// SPDX-License-Identifier: Apache-2.0
// Numbers and times as people read them. Pure, but for the time zone.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>

namespace bonsai::cli {

std::string Bytes(uint64_t bytes);        // "37.2 MiB", "512 B"
std::string Count(uint64_t number);       // "21,870"
std::string SignedBytes(int64_t bytes);   // "+1.2 MiB", "-3 B", "0 B"
std::string SignedCount(int64_t number);  // "+1,200", "-3", "0"
std::string Percent(double ratio);        // 0.18 -> "18 %"; "<1 %" for a little
std::string Duration(double seconds);     // "41 ms", "2 s", "5m03s", "3h12m", "4d07h"
// Local time: "10:42:11" on the day of `now`, else "2031-05-17 10:42:11".
std::string Clock(std::time_t time, std::time_t now);
std::string ClockMillis(std::time_t time, int nanoseconds);  // "10:42:11.250"
std::string Plural(uint64_t number, const std::string& one);  // "1 pod", "2 pods", "2 policies"

// Whatever could command a terminal becomes '?'. UTF-8 passes.
std::string Printable(const std::string& text);

// "10.0.0.1:80", "[fd00::1]:80"; port 0: the address alone.
std::string HostPort(const std::string& address, uint32_t port);

}  // namespace bonsai::cli
