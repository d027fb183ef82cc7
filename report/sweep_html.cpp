// SPDX-License-Identifier: Apache-2.0
// The map of a sweep as one page.
#include "report/format.h"
#include "report/html_parts.h"
#include "report/sweep_map.h"
#include "report/web/assets.h"

namespace faultline::report {
namespace {

// The folder of a cell has the name of its experiment; one that is no plain name gets no link.
bool is_plain(const std::string& name) {
  return !name.empty() &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == name.npos;
}

std::string place_html(const MapRow::Place& place) {
  if (place.cell == nullptr) return badge("not run", "calm");
  const std::string mark = badge(cell_word(*place.cell), cell_tone(place.cell));
  if (place.cell->run.empty() || !is_plain(place.cell->experiment)) return mark;
  return "<a href=\"" + place.cell->experiment + "/report.html\">" + mark + "</a>";
}

std::string row_html(const MapRow& row, const std::vector<ThresholdLine>& thresholds) {
  std::string heads, words;
  std::vector<std::vector<std::string>> details;
  for (const MapRow::Place& place : row.places) {
    heads += "<th scope=\"col\">" + escape(place.severity) + "</th>";
    words += "<td>" + place_html(place) + "</td>";
    if (place.cell != nullptr)
      details.push_back({escape(place.severity), place_html(place), escape(place.cell->injection),
                         typeset(place.cell->effect), typeset(place.cell->recovery),
                         typeset(cell_details(*place.cell))});
  }
  std::string out = "<section><h2>" + escape(row.fault->name) + "</h2>\n<p class=\"lead\">" +
                    escape(row_words(*row.fault)) + "</p>\n";
  for (const ThresholdLine& line : thresholds)
    if (line.fault == row.fault->name)
      out += "<p class=\"summary\">Threshold: " + typeset(line.text) + "</p>\n";
  out +=
      "<div class=\"scroll\" tabindex=\"0\"><table><caption>From the mildest to the strongest"
      "</caption><thead><tr>" +
      heads + "</tr></thead><tbody><tr>" + words + "</tr></tbody></table></div>\n";
  if (!details.empty())
    out += html_table(
        "Each cell",
        {{"severity"}, {"noticed"}, {"injection"}, {"moved most"}, {"recovery"}, {"more"}},
        details);
  return out + "</section>\n";
}

}  // namespace

std::string sweep_html(const api::SweepProgress& foreign,
                       const std::vector<ThresholdLine>& thresholds) {
  const api::SweepProgress progress = shown(foreign);
  const std::vector<MapRow> rows = map_rows(progress);
  const std::string name = escape(progress.document.metadata.name);
  std::string out = html_head(progress.document.metadata.name + ": what is noticed", false);
  out += web::kReportCss;
  out += "</style>\n</head>\n<body>\n<main>\n<p class=\"run\">sweep, begun " +
         escape(progress.startedAt.format()) + "</p>\n<h1>" + name + "</h1>\n";
  if (const std::string& purpose = progress.document.spec.experiment.purpose; !purpose.empty())
    out += "<p class=\"purpose\">" + escape(purpose) + "</p>\n";
  out += "<p class=\"summary\">" + escape(progress_words(rows)) +
         ".</p>\n<p class=\"lead\">A cell says what became of the expected alert that did worst, "
         "and how long after the first injected event it fired.</p>\n";
  for (const MapRow& row : rows) out += row_html(row, thresholds);
  return out + "</main>\n</body>\n</html>\n";
}

}  // namespace faultline::report
