// SPDX-License-Identifier: Apache-2.0
#include "agent/tables/life_pattern.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <random>
#include <string_view>

#include "agent/base/status.h"

namespace bonsai::tables {
namespace {

constexpr size_t kLineLength = 70;
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";  // some editors begin UTF-8 with it
constexpr char kGlider[] = "x = 3, y = 3, rule = B3/S23\nbob$2bo$3o!";
constexpr char kGun[] =
    "x = 36, y = 9, rule = B3/S23\n"
    "24bo$22bobo$12b2o6b2o12b2o$11bo3bo4b2o12b2o$2o8bo5bo3b2o$2o8bo3bob2o4bobo$"
    "10bo5bo7bo$11bo3bo$12b2o!";

// The text with a place in it.
class Reader {
 public:
  explicit Reader(const std::string& text) : text_(text) {
    if (text.starts_with(kByteOrderMark)) at_ = kByteOrderMark.size();
  }

  bool AtEnd() const { return at_ == text_.size(); }
  char Peek() const { return AtEnd() ? '\0' : text_[at_]; }
  char Take() {
    const char c = text_[at_++];
    ++column_;
    if (c == '\n') {
      ++line_;
      column_ = 1;
    }
    return c;
  }
  void SkipBlanks() {
    while (!AtEnd() && (Peek() == ' ' || Peek() == '\t' || Peek() == '\r')) Take();
  }
  void SkipLine() {
    while (!AtEnd() && Take() != '\n') {
    }
  }
  // At most kMost; nothing: no digit is here, or the number is larger.
  std::optional<uint32_t> Number() {
    constexpr uint32_t kMost = 1'000'000;
    uint32_t number = 0;
    if (!std::isdigit(static_cast<unsigned char>(Peek()))) return std::nullopt;
    while (std::isdigit(static_cast<unsigned char>(Peek()))) {
      number = number * 10 + static_cast<uint32_t>(Take() - '0');
      if (number > kMost) return std::nullopt;
    }
    return number;
  }
  absl::Status Refuse(const std::string& why) const {
    return base::InvalidArgument("reading the pattern, line {}, column {}: {}", line_, column_, why);
  }

 private:
  const std::string& text_;
  size_t at_ = 0;
  uint32_t line_ = 1, column_ = 1;
};

std::string Shown(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= ' ' && byte < 0x7f ? fmt::format("'{}'", c) : fmt::format("byte 0x{:02x}", byte);
}

absl::Status Expect(Reader& reader, char wanted) {
  reader.SkipBlanks();
  if (std::tolower(static_cast<unsigned char>(reader.Peek())) != wanted) {
    return reader.Refuse(fmt::format("'{}' is missing in the header \"x = .., y = ..\"", wanted));
  }
  reader.Take();
  reader.SkipBlanks();
  return absl::OkStatus();
}

absl::StatusOr<uint32_t> ReadSide(Reader& reader, char name) {
  RETURN_IF_ERROR(Expect(reader, name));
  RETURN_IF_ERROR(Expect(reader, '='));
  const auto side = reader.Number();
  if (!side || *side == 0 || *side > LIFE_MAX_SIDE) {
    return reader.Refuse(fmt::format("{} has to be 1..{}", name, LIFE_MAX_SIDE));
  }
  return *side;
}

// What stands behind "rule =", which is the last part of the header.
absl::Status CheckRule(Reader& reader) {
  RETURN_IF_ERROR(Expect(reader, ','));
  for (const char c : {'r', 'u', 'l', 'e', '='}) RETURN_IF_ERROR(Expect(reader, c));
  std::string rule;
  const Reader begin = reader;
  while (!reader.AtEnd() && reader.Peek() != '\n') {
    const char c = reader.Take();
    if (!std::isspace(static_cast<unsigned char>(c))) {
      rule += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
  }
  rule.resize(std::min(rule.size(), rule.find(':')));  // a bounded board of the collection's
  if (rule == "B3/S23" || rule == "B3S23" || rule == "23/3" || rule == "S23/B3" || rule == "LIFE") {
    return absl::OkStatus();
  }
  return begin.Refuse("the rule has to be B3/S23: only Conway's Life is played here");
}

absl::StatusOr<LifePattern> ReadHeader(Reader& reader) {
  while (!reader.AtEnd() && (reader.Peek() == '#' || reader.Peek() == '\n' || reader.Peek() == '\r')) {
    reader.SkipLine();
  }
  LifePattern pattern;
  ASSIGN_OR_RETURN(pattern.width, ReadSide(reader, 'x'));
  RETURN_IF_ERROR(Expect(reader, ','));
  ASSIGN_OR_RETURN(pattern.height, ReadSide(reader, 'y'));
  reader.SkipBlanks();
  if (!reader.AtEnd() && reader.Peek() != '\n') RETURN_IF_ERROR(CheckRule(reader));
  return pattern;
}

// One run, count and tag. `x`, `y`: where it begins, then where the next one does.
absl::Status ReadRun(Reader& reader, uint32_t& x, uint32_t& y, LifePattern& pattern) {
  const Reader begin = reader;
  const bool counted = std::isdigit(static_cast<unsigned char>(reader.Peek())) != 0;
  const auto count = counted ? reader.Number() : std::optional<uint32_t>(1);
  if (!count || *count == 0) return begin.Refuse("this count cannot be");
  while (std::isspace(static_cast<unsigned char>(reader.Peek()))) reader.Take();
  if (reader.AtEnd()) return reader.Refuse("the pattern ends without '!'");
  const Reader tag_at = reader;
  const char tag = reader.Take();
  if (tag == '$') {
    x = 0;
    y += *count;
    // A '$' after the last row is common.
    return y <= pattern.height ? absl::OkStatus() : begin.Refuse("more rows than the header says");
  }
  if (tag != 'b' && tag != 'o') {
    return tag_at.Refuse(Shown(tag) + " is none of b, o, $, ! and digits");
  }
  if (y >= pattern.height) return begin.Refuse("more rows than the header says");
  if (*count > pattern.width - x) return begin.Refuse("more cells in this row than the header says");
  for (uint32_t i = 0; tag == 'o' && i < *count; ++i) pattern.alive.push_back({x + i, y});
  x += *count;
  return absl::OkStatus();
}

// Puts runs together, in lines that are not too long.
class RleWriter {
 public:
  void Add(uint64_t count, char tag) {
    const std::string run = (count > 1 ? std::to_string(count) : "") + tag;
    if (line_ + run.size() > kLineLength) {
      text_ += '\n';
      line_ = 0;
    }
    text_ += run;
    line_ += run.size();
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
  size_t line_ = 0;
};

}  // namespace

absl::StatusOr<LifePattern> ParseLifeRle(const std::string& text) {
  Reader reader(text);
  ASSIGN_OR_RETURN(LifePattern pattern, ReadHeader(reader));
  uint32_t x = 0, y = 0;
  while (true) {
    while (std::isspace(static_cast<unsigned char>(reader.Peek()))) reader.Take();
    if (reader.AtEnd()) return reader.Refuse("the pattern ends without '!'");
    if (reader.Peek() == '!') return pattern;  // what follows is a comment
    if (reader.Peek() == '#') {
      reader.SkipLine();
      continue;
    }
    RETURN_IF_ERROR(ReadRun(reader, x, y, pattern));
  }
}

std::string ToLifeRle(const LifeGrid& grid) {
  RleWriter runs;
  uint64_t rows = 0;  // ended, and not written yet
  for (uint32_t y = 0; y < grid.height(); ++y, ++rows) {
    uint32_t x = 0;
    while (x < grid.width()) {
      const bool alive = grid.Get(x, y);
      const uint32_t begin = x;
      while (x < grid.width() && grid.Get(x, y) == alive) ++x;
      if (!alive && x == grid.width()) break;
      if (rows != 0) runs.Add(std::exchange(rows, 0), '$');
      runs.Add(x - begin, alive ? 'o' : 'b');
    }
  }
  runs.Add(1, '!');
  return fmt::format("x = {}, y = {}, rule = B3/S23\n{}\n", grid.width(), grid.height(),
                     runs.Take());
}

absl::StatusOr<LifePattern> NamedLifePattern(const std::string& name) {
  if (name == "glider") return ParseLifeRle(kGlider);
  if (name == "gun") return ParseLifeRle(kGun);
  return base::NotFound("looking for pattern {}: there are glider, gun and random", name);
}

absl::StatusOr<LifeGrid> PlaceLifePattern(const LifePattern& pattern, uint32_t width,
                                          uint32_t height) {
  if (pattern.width > width || pattern.height > height) {
    return base::InvalidArgument(
        "placing the pattern: it is {} x {}, and the board only {} x {}; raise life-width or "
        "life-height", pattern.width, pattern.height, width, height);
  }
  LifeGrid grid(width, height);
  const uint32_t left = (width - pattern.width) / 2, top = (height - pattern.height) / 2;
  for (const auto& [x, y] : pattern.alive) grid.Set(left + x, top + y);
  return grid;
}

LifeGrid RandomLife(uint32_t width, uint32_t height, uint64_t number) {
  LifeGrid grid(width, height);
  std::mt19937_64 random(number);
  for (uint32_t y = 0; y < height; ++y) {
    for (uint32_t x = 0; x < width; ++x) {
      if (random() % 3 == 0) grid.Set(x, y);
    }
  }
  return grid;
}

}  // namespace bonsai::tables
