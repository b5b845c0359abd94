// SPDX-License-Identifier: Apache-2.0
#include "tests/datapath/http_oracle.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "datapath/include/contract.h"

namespace bonsai::testing {
namespace {

using std::string;

const std::set<string> kKnown = {"GET",     "HEAD",    "POST",  "PUT",  "DELETE",
                                 "CONNECT", "OPTIONS", "TRACE", "PATCH"};

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool IsTokenCharacter(char c) {
  const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return letter || IsDigit(c) || (c != '\0' && std::strchr("!#$%&'*+-.^_`|~", c) != nullptr);
}

bool IsTargetCharacter(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte > 0x20 && byte != 0x7f;
}

bool All(const string& text, bool (*is)(char)) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is);
}

bool IsPrefix(const string& part, const string& whole) {
  return part.size() <= whole.size() && whole.compare(0, part.size(), part) == 0;
}

string Trim(string text) {
  const char* white = " \t\r";
  text.erase(0, std::min(text.find_first_not_of(white), text.size()));
  text.erase(text.find_last_not_of(white) + 1);
  return text;
}

string Lower(string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return text;
}

// The first Host header of the lines after the request line.
void FindHost(const string& headers, HttpSeen& seen) {
  for (size_t begin = 0; begin < headers.size();) {
    const size_t end = headers.find('\n', begin);
    const bool whole = end != string::npos;
    const string line = headers.substr(begin, whole ? end - begin : string::npos);
    if (whole && (line.empty() || line == "\r")) return;
    if (Lower(line.substr(0, 5)) == "host:") {
      // Bytes are taken as they come, so white space at the very end of what is seen is dropped too.
      const string value = Trim(line.substr(5));
      seen.host = Trim(value.substr(0, 128));
      seen.host_cut = !whole || value.size() > 128;
      return;
    }
    begin = whole ? end + 1 : headers.size();
  }
}

enum class Line { kBad, kCut, kWhole };

// "HTTP/1." DIGIT and the end of the line; `rest` becomes what follows.
Line JudgeVersion(const string& text, int& minor, string& rest) {
  const string version = "HTTP/1.";
  if (text.size() <= version.size()) return IsPrefix(text, version) ? Line::kCut : Line::kBad;
  if (!IsPrefix(version, text) || !IsDigit(text[7])) return Line::kBad;
  minor = text[7] - '0';
  const string end = text.substr(8);
  if (end.empty() || end == "\r") {
    rest.clear();
  } else if (end[0] == '\n') {
    rest = end.substr(1);
  } else if (IsPrefix("\r\n", end)) {
    rest = end.substr(2);
  } else {
    return Line::kBad;
  }
  return Line::kWhole;
}

std::optional<HttpSeen> JudgeRequest(const string& text) {
  const size_t space = text.find(' ');
  const string method = text.substr(0, space);
  if (space == string::npos || method.size() > 32 || !All(method, IsTokenCharacter)) return {};
  const bool known = kKnown.contains(method);
  HttpSeen seen{.kind = L7_REQUEST, .method = known ? method : "other"};
  const string after = text.substr(space + 1);
  const auto stop = std::find_if_not(after.begin(), after.end(), IsTargetCharacter);
  const string target(after.begin(), stop);
  seen.path = target.substr(0, 256);
  seen.path_cut = target.size() > 256;
  Line line = Line::kBad;
  string headers;
  if (!target.empty() && stop == after.end()) line = Line::kCut;
  if (!target.empty() && stop != after.end() && *stop == ' ') {
    line = JudgeVersion(string(stop + 1, after.end()), seen.minor, headers);
  }
  if (line == Line::kWhole) {
    FindHost(headers, seen);
    return seen;
  }
  if (!known) return {};
  if (line == Line::kCut) {
    seen.path_cut = true;
    return seen;
  }
  const string first_line = text.substr(0, text.find('\n'));
  if (first_line.find(" HTTP/1.") == string::npos) return {};
  return HttpSeen{.kind = L7_MALFORMED};
}

std::optional<HttpSeen> JudgeResponse(const string& text) {
  const HttpSeen malformed{.kind = L7_MALFORMED};
  const string digits = "HTTP/1.d ddd";
  for (size_t i = 7; i < digits.size(); ++i) {
    if (i >= text.size()) return {};
    const bool good = digits[i] == 'd' ? IsDigit(text[i]) : text[i] == digits[i];
    if (!good) return malformed;
  }
  const int status = std::stoi(text.substr(9, 3));
  const bool ended = text.size() == 12 || std::strchr(" \t\r\n", text[12]) != nullptr;
  if (status < 100 || !ended || (text.size() > 12 && text[12] == '\0')) return malformed;
  return HttpSeen{.kind = L7_RESPONSE, .status = status, .minor = text[7] - '0'};
}

}  // namespace

string ToString(const std::optional<HttpSeen>& seen) {
  if (!seen) return "nothing";
  return fmt::format("kind {} method {} path \"{}\"{} host \"{}\"{} status {} minor {}", seen->kind,
                     seen->method, seen->path, seen->path_cut ? " cut" : "", seen->host,
                     seen->host_cut ? " cut" : "", seen->status, seen->minor);
}

std::optional<HttpSeen> JudgeHttp(const string& segment, bool to_server, bool from_server) {
  if (segment.size() < 8) return {};
  const string text = segment.substr(0, 1024);
  if (from_server && IsPrefix("HTTP/1.", text)) return JudgeResponse(text);
  return to_server ? JudgeRequest(text) : std::nullopt;
}

}  // namespace bonsai::testing
