// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/units.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace bonsai::cli {
namespace {

std::string Format(const char* format, std::time_t time) {
  std::tm parts{};
  ::localtime_r(&time, &parts);
  char text[32];
  return std::string(text, std::strftime(text, sizeof(text), format, &parts));
}

std::string SignOf(int64_t number) { return number > 0 ? "+" : number < 0 ? "-" : ""; }

// Of the lowest number too.
uint64_t Magnitude(int64_t number) {
  return number < 0 ? -static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
}

}  // namespace

std::string Bytes(uint64_t bytes) {
  static constexpr std::array kUnits = {"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string Count(uint64_t number) {
  std::string text = std::to_string(number);
  for (int at = static_cast<int>(text.size()) - 3; at > 0; at -= 3) text.insert(at, ",");
  return text;
}

std::string SignedBytes(int64_t bytes) { return SignOf(bytes) + Bytes(Magnitude(bytes)); }

std::string SignedCount(int64_t number) { return SignOf(number) + Count(Magnitude(number)); }

std::string Percent(double ratio) {
  if (ratio > 0 && ratio < 0.01) return "<1 %";
  return fmt::format("{:.0f} %", ratio * 100);
}

std::string Duration(double seconds) {
  if (seconds < 0) seconds = 0;  // two clocks that differ a little
  if (seconds < 0.9995) return fmt::format("{:.0f} ms", seconds * 1000);
  const auto whole = static_cast<uint64_t>(seconds + 0.0005);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  if (whole < 86400) return fmt::format("{}h{:02}m", whole / 3600, whole / 60 % 60);
  return fmt::format("{}d{:02}h", whole / 86400, whole / 3600 % 24);
}

std::string Clock(std::time_t time, std::time_t now) {
  const bool today = Format("%F", time) == Format("%F", now);
  return Format(today ? "%T" : "%F %T", time);
}

std::string ClockMillis(std::time_t time, int nanoseconds) {
  return fmt::format("{}.{:03}", Format("%T", time), nanoseconds / 1'000'000);
}

std::string Plural(uint64_t number, const std::string& one) {
  if (number == 1) return "1 " + one;
  const bool ends_in_y = one.ends_with("y");
  return Count(number) + " " + (ends_in_y ? one.substr(0, one.size() - 1) + "ies" : one + "s");
}

std::string Printable(const std::string& text) {
  std::string clean = text;
  std::replace_if(
      clean.begin(), clean.end(),
      [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return clean;
}

std::string HostPort(const std::string& address, uint32_t port) {
  const bool v6 = address.find(':') != std::string::npos;
  if (port == 0) return address;
  return v6 ? fmt::format("[{}]:{}", address, port) : fmt::format("{}:{}", address, port);
}

}  // namespace bonsai::cli
