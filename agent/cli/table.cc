// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/table.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "agent/cli/units.h"

namespace bonsai::cli {
namespace {

// Columns a UTF-8 text takes: bytes that begin a character.
size_t Width(const std::string& text) {
  return std::count_if(text.begin(), text.end(), [](unsigned char c) { return (c & 0xc0) != 0x80; });
}

}  // namespace

std::string Style::Paint(Colour wanted, const std::string& text) const {
  static constexpr const char* kCodes[] = {"", "\033[32m", "\033[33m", "\033[31m", "\033[2m"};
  if (!colour || wanted == Colour::kNone) return text;
  return kCodes[static_cast<int>(wanted)] + text + "\033[0m";
}

void Table::Add(std::vector<std::string> cells, Colour colour) {
  for (std::string& cell : cells) cell = cell.empty() ? "-" : Printable(cell);
  cells.resize(columns_.size());
  rows_.push_back({std::move(cells), colour});
}

std::string Table::Text() const {
  std::vector<std::string> titles;
  std::vector<size_t> widths;
  for (const Column& column : columns_) {
    titles.push_back(column.title);
    widths.push_back(Width(column.title));
  }
  for (const Row& row : rows_) {
    for (size_t i = 0; i < widths.size(); ++i) widths[i] = std::max(widths[i], Width(row.cells[i]));
  }
  std::string text = Line(titles, widths) + "\n";
  for (const Row& row : rows_) text += style_.Paint(row.colour, Line(row.cells, widths)) + "\n";
  return text;
}

std::string Table::Line(const std::vector<std::string>& cells,
                        const std::vector<size_t>& widths) const {
  std::string line;
  for (size_t i = 0; i < cells.size(); ++i) {
    const std::string padding(widths[i] - Width(cells[i]), ' ');
    const bool right = columns_[i].align == Align::kRight;
    line += right ? padding + cells[i] : cells[i] + padding;
    if (i + 1 < cells.size()) line += "  ";
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

std::vector<std::string> Wrap(const std::string& text, size_t width) {
  std::vector<std::string> lines;
  std::istringstream words(text);
  std::string line;
  for (std::string word; words >> word;) {
    if (!line.empty() && Width(line) + 1 + Width(word) > width) {
      lines.push_back(std::exchange(line, ""));
    }
    line += (line.empty() ? "" : " ") + word;
  }
  if (!line.empty()) lines.push_back(line);
  return lines;
}

}  // namespace bonsai::cli
