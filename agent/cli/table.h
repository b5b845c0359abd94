// SPDX-License-Identifier: Apache-2.0
// Text on a terminal: colours, aligned tables, wrapped paragraphs. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace bonsai::cli {

enum class Colour { kNone, kGreen, kYellow, kRed, kDim };

struct Style {
  bool colour = false;
  std::string Paint(Colour colour, const std::string& text) const;
};

class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kLeft;
  };
  Table(Style style, std::vector<Column> columns)
      : style_(style), columns_(std::move(columns)) {}

  // One text a column; `colour` is for the whole row.
  void Add(std::vector<std::string> cells, Colour colour = Colour::kNone);
  // Columns are two spaces apart, no line ends in spaces.
  std::string Text() const;

 private:
  struct Row {
    std::vector<std::string> cells;
    Colour colour;
  };
  std::string Line(const std::vector<std::string>& cells, const std::vector<size_t>& widths) const;

  const Style style_;
  const std::vector<Column> columns_;
  std::vector<Row> rows_;
};

// `text` cut between words into lines of at most `width` columns. A longer word gets its own line.
std::vector<std::string> Wrap(const std::string& text, size_t width);

}  // namespace bonsai::cli
