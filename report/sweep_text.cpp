// SPDX-License-Identifier: Apache-2.0
// The map of a sweep for a terminal and as Markdown.
#include <algorithm>

#include "report/format.h"
#include "report/markdown_parts.h"
#include "report/sweep_map.h"

namespace faultline::report {
namespace {

std::string place_word(const MapRow::Place& place) {
  return place.cell == nullptr ? "-" : cell_word(*place.cell);
}

// UTF-8 continuation bytes take no column.
std::size_t columns_of(const std::string& text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string filled(const std::string& text, std::size_t width) {
  const std::size_t used = columns_of(text);
  return text + std::string(used < width ? width - used : 0, ' ');
}

// The severities of a row with what came of them below, in as many pieces as the width asks for.
std::string row_table(const MapRow& row, std::size_t width) {
  constexpr std::size_t kIndent = 4, kBetween = 2;
  std::string out, head, below;
  const auto flush = [&] {
    for (std::string* line : {&head, &below}) {
      line->erase(line->find_last_not_of(' ') + 1);
      out += *line + "\n";
      line->clear();
    }
  };
  for (const MapRow::Place& place : row.places) {
    const std::string word = place_word(place);
    const std::size_t wide = std::max(columns_of(place.severity), columns_of(word));
    if (!head.empty() && columns_of(head) + wide > width) flush();
    if (head.empty()) head = below = std::string(kIndent, ' ');
    head += filled(place.severity, wide + kBetween);
    below += filled(word, wide + kBetween);
  }
  if (!head.empty()) flush();
  return out;
}

// `text` in lines of at most `width` columns, if words allow that; later lines are indented.
std::string folded(const std::string& text, std::size_t width, std::size_t indent) {
  std::size_t at = std::min(text.find_first_not_of(' '), text.size());
  std::string out, line(at, ' ');
  while (at < text.size()) {
    std::size_t end = text.find(' ', at);
    if (end == text.npos) end = text.size();
    const std::string word = text.substr(at, end - at);
    const bool first = line.find_first_not_of(' ') == line.npos;
    if (!first && columns_of(line) + 1 + columns_of(word) > width) {
      out += line + "\n";
      line = std::string(indent, ' ') + word;
    } else {
      line += (first ? "" : " ") + word;
    }
    at = end + 1;
  }
  return out + line + "\n";
}

}  // namespace

std::string sweep_terminal(const api::SweepProgress& foreign,
                           const std::vector<ThresholdLine>& thresholds, std::size_t width) {
  const api::SweepProgress progress = shown(foreign);
  const std::vector<MapRow> rows = map_rows(progress);
  std::string out = "  " + progress.document.metadata.name + ": " + progress_words(rows) + "\n";
  for (const MapRow& row : rows) {
    out += "\n  " + row.fault->name + " (" + row_words(*row.fault) + ")\n" + row_table(row, width);
    for (const ThresholdLine& line : thresholds)
      if (line.fault == row.fault->name) out += folded("    threshold: " + line.text, width, 6);
    for (const MapRow::Place& place : row.places) {
      if (place.cell == nullptr) continue;
      std::string told = cell_details(*place.cell);
      if (!place.cell->effect.empty())
        told = place.cell->effect + (told.empty() ? "" : "; " + told);
      if (!told.empty()) out += folded("    " + place.severity + ": " + told, width, 6);
    }
  }
  return out;
}

std::string sweep_markdown(const api::SweepProgress& foreign,
                           const std::vector<ThresholdLine>& thresholds) {
  const api::SweepProgress progress = shown(foreign);
  const std::vector<MapRow> rows = map_rows(progress);
  std::string out = "# " + md_text(progress.document.metadata.name) + "\n\n";
  if (const std::string& purpose = progress.document.spec.experiment.purpose; !purpose.empty())
    out += "> " + md_text(purpose) + "\n\n";
  out +=
      md_text(progress_words(rows)) +
      ". A cell says what became of the expected alert that did worst, and how many seconds after "
      "the first injected event it fired.\n\n";
  for (const MapRow& row : rows) {
    out += "## " + md_text(row.fault->name) + " (" + md_text(row_words(*row.fault)) + ")\n\n";
    MdRow head, words;
    std::vector<MdRow> details;
    for (const MapRow::Place& place : row.places) {
      head.push_back(md_text(place.severity));
      words.push_back(place_word(place));
      if (place.cell != nullptr)
        details.push_back({place.severity, place_word(place), place.cell->injection,
                           place.cell->effect, place.cell->recovery, cell_details(*place.cell),
                           place.cell->experiment});
    }
    md_table(out, head, {words});
    for (const ThresholdLine& line : thresholds)
      if (line.fault == row.fault->name) out += "Threshold: " + md_text(line.text) + "\n\n";
    if (!details.empty())
      md_table(out,
               {"severity", "noticed", "injection", "moved most", "recovery", "more", "report in"},
               details);
  }
  return out;
}

}  // namespace faultline::report
