// SPDX-License-Identifier: Apache-2.0
// The day as one page. It asks the network for nothing and has no script.
#include <algorithm>

#include "report/format.h"
#include "report/gameday/axis.h"
#include "report/gameday/gameday.h"
#include "report/gameday/times.h"
#include "report/gameday/words.h"
#include "report/html_parts.h"
#include "report/noticed.h"
#include "report/story.h"
#include "report/web/assets.h"

namespace faultline::report {
namespace gameday {
namespace {

using Rows = std::vector<std::vector<std::string>>;
constexpr std::size_t kMostLines = 2000;  // of the timeline's table
constexpr std::size_t kMostRows = 500;    // of any other

std::string section(std::string_view id, std::string_view title, std::string_view lead,
                    const std::string& body) {
  return "<section aria-labelledby=\"" + std::string(id) + "\"><h2 id=\"" + std::string(id) +
         "\">" + escape(title) + "</h2>" +
         (lead.empty() ? "" : "<p class=\"lead\">" + std::string(lead) + "</p>") + "\n" + body +
         "</section>\n";
}

std::string table(std::string_view caption, const std::vector<Column>& columns, Rows rows) {
  const std::size_t more = rows.size() > kMostRows ? rows.size() - kMostRows : 0;
  rows.resize(rows.size() - more);
  return html_table(caption, columns, rows) +
         (more == 0 ? ""
                    : "<p>" + typeset(plural(more, "more is", "more are")) + " in the JSON.</p>\n");
}

std::string_view tone_of(const api::GameDayReport& r) {
  if (r.state == api::DayState::aborted || r.state == api::DayState::failed) return "bad";
  if (r.state != api::DayState::completed) return "calm";
  return r.surprises.empty() && r.neverRecovered.empty() && r.residue.empty() ? "good" : "warn";
}

std::string_view tone_of(api::DayChange change) {
  if (change == api::DayChange::better) return "good";
  return change == api::DayChange::worse ? "bad" : "calm";
}

std::string key(std::string_view name, const api::DayMean& mean, std::string_view what) {
  return "<div><dt>" + std::string(name) + "</dt><dd>" +
         (mean.seconds ? typeset(seconds_words(*mean.seconds)) : "not known") +
         "</dd><dd class=\"small\">" + std::string(what) + ", " + std::to_string(mean.known) +
         " of " + std::to_string(mean.of) + " faults</dd></div>";
}

std::string header(const api::GameDayReport& r) {
  std::string about = r.day;
  if (r.startedAt.set()) about += " \u00b7 begun " + date_words(r.startedAt);
  if (r.seconds) about += " \u00b7 " + seconds_words(*r.seconds);
  if (!r.owner.empty()) about += " \u00b7 owner: " + r.owner;
  if (r.unattended) about += " \u00b7 unattended";
  const std::string title = r.title.empty() ? r.name : r.title;
  return "<header><p class=\"run\">Game day \u00b7 " + escape(about) + "</p><h1>" + escape(title) +
         " " + badge(state_word(r.state), tone_of(r)) + "</h1><p class=\"summary " +
         std::string(tone_of(r)) + "\">" + typeset(r.summary) + "</p>\n<dl class=\"keys\">" +
         key("MTTD", r.mttd, "until somebody or something noticed") +
         key("MTTA", r.mtta, "until somebody took care") +
         key("MTTR", r.mttr, "until mitigated or recovered") + "</dl></header>\n";
}

std::string beliefs(const api::GameDayReport& r) {
  std::string body;
  if (!r.hypothesis.empty()) body += "<p class=\"purpose\">" + escape(r.hypothesis) + "</p>\n";
  Rows rows;
  for (const api::DayBelief& b : r.beliefs)
    rows.push_back({!b.met   ? badge("not judged", "calm")
                    : *b.met ? badge("held", "good")
                             : badge("did not hold", "warn"),
                    escape(b.step), typeset(b.text), typeset(b.measured)});
  if (!rows.empty())
    body += table("Expectations", {{""}, {"step"}, {"believed"}, {"measured"}}, std::move(rows));
  return section("believed", "What we believed", "",
                 body.empty() ? "<p>Nothing was written down.</p>\n" : body);
}

std::string timeline(const api::GameDayReport& r) {
  Rows rows;
  const auto lines = telling_lines(r, kMostLines);
  std::string date;
  for (const api::DayLine* line : lines) {
    const std::string day = line->at.set() ? line->at.format().substr(0, 10) : "";
    rows.push_back(
        {"<time datetime=\"" + line->at.format() + "\">" + (day == date ? "" : day + " ") +
             clock_words(line->at) + "</time>",
         std::string(lane_word(line->lane)), escape(line->who),
         typeset(line->text) +
             (line->late ? " <span class=\"role\">" + typeset(late_words(line->late)) + "</span>"
                         : "")});
    date = day;
  }
  std::string body = day_axis(r);
  if (!rows.empty())
    body += "<details><summary>Every entry</summary>\n" +
            html_table("Timeline", {{"UTC"}, {""}, {"who"}, {"what"}}, rows);
  if (lines.size() < r.timeline.size())
    body += "<p>" + typeset(plural(r.timeline.size() - lines.size(), "more is", "more are")) +
            " in the JSON.</p>\n";
  body += rows.empty() ? "<p>Nothing happened.</p>\n" : "</details>\n";
  return section("timeline", "What happened",
                 "All times are UTC. A bar with a dashed edge was not seen to end.", body);
}

std::string spread(const api::GameDayReport& r) {
  Rows counts, rows;
  for (const api::DayRun& run : r.runs) {
    if (!run.known) continue;
    counts.push_back({escape(run.step), escape(run.run), typeset(spread_words(run))});
    for (const api::DayPod& pod : run.spread)
      rows.push_back({escape(pod.pod), std::string(role_word(pod.role)), escape(run.step),
                      clock_words(pod.firstChangeAt), typeset(join(pod.moved, "; "))});
  }
  std::string body;
  if (!rows.empty())
    body += table("Pods that moved",
                  {{"pod"}, {"role"}, {"step"}, {"first change"}, {"what moved"}}, std::move(rows));
  if (!counts.empty())
    body += table("Of the pods that were measured, so many moved", {{"step"}, {"run"}, {"moved"}},
                  std::move(counts));
  return section("spread", "How far it spread",
                 "Pods with an effect that changed beyond chance. When a pod changed is known of "
                 "the first one of each run.",
                 body.empty() ? "<p>There is no report of a run to tell.</p>\n" : body);
}

// What noticed_parts() needs of a run: its axis from the first injected event to the last time that
// is known, and its alerts.
std::string waterfall(const api::DayRun& run) {
  api::Report report;
  report.detections = run.detections;
  if (run.firstInjectedAt.set()) {
    api::Timestamp end = std::max(run.lastInjectedAt, run.recoveredAt);
    for (const api::DetectionReport& d : run.detections)
      end = std::max({end, d.firingAt, d.notifiedAt, d.resolvedAt});
    const auto add = [&](const char* name, api::Timestamp at) {
      if (!at.set()) return;
      const double after =
          std::chrono::duration<double>(at.value - run.firstInjectedAt.value).count();
      report.timeline.push_back({name, name, at, after, ""});
    };
    add("t2", run.firstInjectedAt);
    add("t9", run.lastInjectedAt);
    add("end", end);
  }
  return noticed_parts(report);
}

std::string noticed_section(const api::GameDayReport& r) {
  std::string body;
  Rows rows;
  for (const api::DayRun& run : r.runs) {
    if (!run.fault) continue;
    const auto row = [&](std::string_view name, const api::DayFigure& figure,
                         const std::vector<api::DayPart>& parts) {
      rows.push_back({escape(run.step), std::string(name),
                      figure.seconds ? typeset(seconds_words(*figure.seconds)) : "-",
                      figure.seconds ? typeset("from: " + figure.since + "; to: " + figure.until)
                                     : "not known: " + typeset(figure.reason),
                      typeset(parts_words(parts))});
    };
    row("MTTD", run.detection, run.detectionParts);
    row("MTTA", run.acknowledgement, run.acknowledgementParts);
    row("MTTR", run.repair, run.repairParts);
  }
  if (!rows.empty())
    body += table("Each fault", {{"step"}, {""}, {"took", true}, {"between"}, {"parts"}},
                  std::move(rows));
  std::size_t drawn = 0;
  for (const api::DayRun& run : r.runs) {
    if (run.detections.empty()) continue;
    if (++drawn > kMostRows) break;
    body += "<h3>" + escape(run.step) + " <span class=\"on\">" + escape(run.run) +
            "</span></h3>\n" + waterfall(run);
  }
  return section("noticed", "Did anyone notice?",
                 "Seconds count from the first injected event. <em>Floor</em> is the earliest that "
                 "the settings of the monitoring allow. The fault is shaded.",
                 body.empty() ? "<p>No fault was begun.</p>\n" : body);
}

std::string runbooks(const api::GameDayReport& r) {
  std::string body;
  for (const api::DayTask& task : r.tasks) {
    std::string about = "for " + task.role + "; " + outcome_word(task.outcome);
    if (task.seconds) about += " after " + seconds_words(*task.seconds);
    if (!task.runbook.empty()) about += "; runbook " + task.runbook;
    body += "<h3>" +
            escape((task.title.empty() ? task.step : task.title) + again_words(task.times)) +
            "</h3><p>" + escape(task.text) + " <span class=\"role\">" + typeset(about) +
            "</span></p>\n";
    Rows rows;
    for (const api::DayItem& item : task.items)
      rows.push_back({std::to_string(item.number), typeset(item.text),
                      badge(!item.worked   ? "untouched"
                            : *item.worked ? "worked"
                                           : "did not work",
                            !item.worked   ? "calm"
                            : *item.worked ? "good"
                                           : "warn"),
                      item.seconds ? typeset(seconds_words(*item.seconds)) : "", escape(item.who)});
    for (const api::DayMissing& missing : task.missing)
      rows.push_back({"+", typeset(missing.text), badge("missing", "warn"),
                      missing.seconds ? typeset(seconds_words(*missing.seconds)) : "",
                      escape(missing.who)});
    if (!rows.empty())
      body += table(std::to_string(task.worked) + " worked, " + std::to_string(task.failed) +
                        " did not, " + std::to_string(task.untouched) + " untouched",
                    {{""}, {"item"}, {""}, {"after", true}, {"who"}}, std::move(rows));
  }
  return section("runbooks", "Runbooks", "Seconds count from the begin of the step.",
                 body.empty() ? "<p>The day had no task for people.</p>\n" : body);
}

template <class Items, class Words>
std::string list(std::string_view id, std::string_view title, std::string_view lead,
                 const Items& items, const Words& words, std::string_view none) {
  if (items.empty()) return section(id, title, "", "<p>" + std::string(none) + "</p>\n");
  std::string body = "<ul>\n";
  for (std::size_t i = 0; i < items.size() && i < kMostRows; ++i)
    body += "<li>" + typeset(words(items[i])) + "</li>\n";
  if (items.size() > kMostRows)
    body += "<li>" + typeset(plural(items.size() - kMostRows, "more is", "more are")) +
            " in the JSON</li>\n";
  return section(id, title, lead, body + "</ul>\n");
}

std::string gaps(const api::GameDayReport& r) {
  if (r.gaps.empty()) return "<p>" + badge("no gaps", "good") + "</p>\n";
  Rows rows;
  for (const api::DayGap& gap : r.gaps)
    rows.push_back({escape(gap.where), escape(gap.what), clock_words(gap.from), clock_words(gap.to),
                    typeset(gap.reason)});
  return table("Gaps: what is not known", {{"where"}, {"what"}, {"from"}, {"to"}, {"why"}},
               std::move(rows));
}

std::string honesty(const api::GameDayReport& r) {
  std::string body;
  for (const api::DayRest& rest : r.residue)
    body += "<p>" + badge("residue", "bad") + " " + escape(rest.step) + ": " + typeset(rest.text) +
            "</p>\n";
  if (r.residue.empty())
    body += "<p>" + badge("residue: none", "good") +
            " No run whose report is there left anything behind.</p>\n";
  return section("honesty", "Residue and gaps", "", body + gaps(r));
}

std::string earlier(const api::GameDayReport& r) {
  if (!r.comparison)
    return section("earlier", "Beside earlier days", "",
                   "<p>It is the first day of its name.</p>\n");
  std::string body =
      "<p>" + badge(change_word(r.comparison->detection), tone_of(r.comparison->detection)) +
      " Beside " + escape(r.comparison->day) + ": " + typeset(r.comparison->words) + ".</p>\n";
  Rows rows;
  for (const api::DayCompared& one : r.comparison->figures)
    rows.push_back(
        {escape(one.what), typeset(seconds_or_dash(one.before)), typeset(seconds_or_dash(one.now)),
         one.change ? typeset((*one.change > 0 ? "+" : "") + seconds_words(*one.change)) : ""});
  for (const api::DayOutcomes& one : r.comparison->outcomes)
    rows.push_back({escape(one.step), outcome_word(one.before), outcome_word(one.now), ""});
  body += table("Figures, and outcomes that are others",
                {{""}, {"before", true}, {"now", true}, {"change", true}}, std::move(rows));
  rows.clear();
  for (const api::DayFollowUp& one : r.followUps)
    rows.push_back({badge(change_word(one.change), tone_of(one.change)),
                    typeset(action_words(one.action)), escape(one.day), typeset(one.words)});
  if (!rows.empty())
    body += table("Which action items changed anything?",
                  {{""}, {"action item"}, {"of"}, {"by what"}}, std::move(rows));
  rows.clear();
  double most = 0;
  for (const api::DayTrendPoint& point : r.trend)
    most = std::max(most, point.mttd.seconds.value_or(0));
  for (const api::DayTrendPoint& point : r.trend) {
    const int wide = most > 0 ? static_cast<int>(200 * point.mttd.seconds.value_or(0) / most) : 0;
    rows.push_back({escape(point.day), date_words(point.at),
                    "<span class=\"trend\"><i style=\"width:" + std::to_string(wide) +
                        "px\"></i></span>" + typeset(mean_words(point.mttd))});
  }
  return section(
      "earlier", "Beside earlier days", "",
      body + table("MTTD over all days", {{"day"}, {"begun"}, {"MTTD"}}, std::move(rows)));
}

std::string checks(const api::GameDayReport& r) {
  Rows rows;
  for (const api::DayCheck& check : r.checks)
    rows.push_back({badge(check.good ? "good" : "not good", check.good ? "good" : "bad"),
                    escape(check.name), check.seconds ? typeset(seconds_words(*check.seconds)) : "",
                    typeset(check.text)});
  return rows.empty()
             ? ""
             : section("checks", "Checked before", "",
                       table("Checks", {{""}, {"what"}, {"took", true}, {""}}, std::move(rows)));
}

}  // namespace
}  // namespace gameday

std::string gameday_html(const api::GameDayReport& foreign) {
  using namespace gameday;  // NOLINT(google-build-using-namespace)
  const api::GameDayReport r = shown(foreign, kMostShownText);
  std::string out = html_head("Game day: " + (r.title.empty() ? r.name : r.title), false);
  out += web::kReportCss;
  out += kAxisStyle;
  out += "</style>\n</head>\n<body>\n<main>\n" + header(r) + beliefs(r) + gameday::timeline(r) +
         spread(r) + noticed_section(r) + runbooks(r);
  const auto rest = [](const api::DayRest& one) { return one.step + ": " + one.text; };
  out += list("surprises", "What surprised us", "", r.surprises, surprise_words, "Nothing.");
  out += list("unrecovered", "What never recovered", "", r.neverRecovered, rest,
              "Nothing is known that did not recover.");
  out += honesty(r);
  out += list("actions", "Action items", "", r.actions, action_words,
              "No action item was written down.");
  out += earlier(r) + checks(r);
  return out + "</main>\n</body>\n</html>\n";
}

}  // namespace faultline::report
