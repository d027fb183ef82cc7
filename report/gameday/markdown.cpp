// SPDX-License-Identifier: Apache-2.0
// The day as Markdown, to paste into a postmortem.
#include "report/format.h"
#include "report/gameday/gameday.h"
#include "report/gameday/times.h"
#include "report/gameday/words.h"
#include "report/markdown_parts.h"
#include "report/noticed.h"
#include "report/story.h"

namespace faultline::report {
namespace gameday {
namespace {

// An issue or a wiki page takes some ten thousand characters.
constexpr std::size_t kMostLines = 200, kMostRows = 200;

void section(std::string& out, std::string_view title) {
  out += "## " + std::string(title) + "\n\n";
}

void sentence(std::string& out, const std::string& text) { out += md_text(text) + "\n\n"; }

// At most kMostRows, and how many more there are.
void table(std::string& out, const MdRow& head, std::vector<MdRow> rows) {
  const std::size_t more = rows.size() > kMostRows ? rows.size() - kMostRows : 0;
  rows.resize(rows.size() - more);
  md_table(out, head, rows);
  if (more > 0) sentence(out, plural(more, "more is", "more are") + " in the JSON.");
}

void add_head(std::string& out, const api::GameDayReport& r) {
  out += "# Game day: " + md_text(r.title.empty() ? r.name : r.title) + "\n\n";
  std::vector<std::string> about{r.day, state_word(r.state)};
  if (r.startedAt.set()) about.push_back("begun " + date_words(r.startedAt));
  if (r.seconds) about.push_back(seconds_words(*r.seconds));
  if (!r.owner.empty()) about.push_back("owner: " + r.owner);
  if (r.unattended) about.push_back("unattended");
  sentence(out, join(about, ", "));
  sentence(out, r.summary);
}

void add_beliefs(std::string& out, const api::GameDayReport& r) {
  section(out, "What we believed");
  if (!r.hypothesis.empty()) out += "> " + md_text(r.hypothesis) + "\n\n";
  std::vector<MdRow> rows;
  for (const api::DayBelief& b : r.beliefs)
    rows.push_back({!b.met   ? "not judged"
                    : *b.met ? "held"
                             : "did not hold",
                    b.step, b.text, b.measured});
  if (!rows.empty()) table(out, {"", "step", "believed", "measured"}, std::move(rows));
  if (r.hypothesis.empty() && r.beliefs.empty()) sentence(out, "Nothing was written down.");
}

void add_figures(std::string& out, const api::GameDayReport& r) {
  section(out, "How fast");
  md_table(out, {"", ">mean", ">of the fault runs"},
           {{"MTTD: noticed", seconds_or_dash(r.mttd.seconds),
             std::to_string(r.mttd.known) + " of " + std::to_string(r.mttd.of)},
            {"MTTA: acknowledged", seconds_or_dash(r.mtta.seconds),
             std::to_string(r.mtta.known) + " of " + std::to_string(r.mtta.of)},
            {"MTTR: mitigated or recovered", seconds_or_dash(r.mttr.seconds),
             std::to_string(r.mttr.known) + " of " + std::to_string(r.mttr.of)}});
  std::vector<MdRow> rows;
  for (const api::DayRun& run : r.runs) {
    if (!run.fault) continue;
    const auto row = [&](std::string name, const api::DayFigure& figure,
                         const std::vector<api::DayPart>& parts) {
      rows.push_back(
          {run.step, run.run, std::move(name), figure_words(figure), parts_words(parts)});
    };
    row("MTTD", run.detection, run.detectionParts);
    row("MTTA", run.acknowledgement, run.acknowledgementParts);
    row("MTTR", run.repair, run.repairParts);
  }
  if (!rows.empty()) table(out, {"step", "run", "", "took", "parts"}, std::move(rows));
}

void add_timeline(std::string& out, const api::GameDayReport& r) {
  section(out, "Timeline (UTC)");
  const auto lines = telling_lines(r, kMostLines);
  std::vector<MdRow> rows;
  std::string date;
  for (const api::DayLine* line : lines) {
    const std::string day = line->at.set() ? line->at.format().substr(0, 10) : "";
    rows.push_back({(day == date ? "" : day + " ") + clock_words(line->at),
                    std::string(lane_word(line->lane)), line->who,
                    line->text + (line->late ? " (" + late_words(line->late) + ")" : "")});
    date = day;
  }
  if (rows.empty()) return sentence(out, "Nothing happened.");
  md_table(out, {"at", "", "who", "what"}, rows);
  if (lines.size() < r.timeline.size())
    sentence(out, plural(r.timeline.size() - lines.size(), "more line is", "more lines are") +
                      " in the JSON and on the page.");
}

void add_spread(std::string& out, const api::GameDayReport& r) {
  section(out, "How far it spread");
  std::vector<MdRow> rows;
  std::string counts;
  for (const api::DayRun& run : r.runs) {
    if (!run.known) continue;
    counts += (counts.empty() ? "" : "; ") + run.step + ": " + spread_words(run);
    for (const api::DayPod& pod : run.spread)
      rows.push_back({run.step, pod.pod, std::string(role_word(pod.role)),
                      clock_words(pod.firstChangeAt), join(pod.moved, "; ")});
  }
  if (counts.empty()) return sentence(out, "There is no report of a run to tell.");
  sentence(out, "Pods that moved beyond chance, of those that were measured: " + counts + ".");
  if (!rows.empty())
    table(out, {"step", "pod", "role", "first change", "what moved"}, std::move(rows));
}

void add_scorecard(std::string& out, const api::GameDayReport& r) {
  section(out, "Did anyone notice?");
  std::vector<MdRow> rows;
  for (const api::DayRun& run : r.runs)
    for (const api::DetectionReport& d : run.detections)
      rows.push_back(
          {std::string(detection_word(d.verdict)), run.step, alert_words(d), detection_words(d)});
  if (rows.empty()) return sentence(out, "No alert was expected, and none is known to have fired.");
  table(out, {"", "step", "alert", "how"}, std::move(rows));
}

void add_tasks(std::string& out, const api::GameDayReport& r) {
  section(out, "Runbooks");
  if (r.tasks.empty()) return sentence(out, "The day had no task for people.");
  for (const api::DayTask& task : r.tasks) {
    out += "### " +
           md_text((task.title.empty() ? task.step : task.title) + again_words(task.times)) +
           "\n\n";
    std::vector<std::string> about{"for " + task.role, outcome_word(task.outcome)};
    if (task.seconds) about.push_back(seconds_words(*task.seconds));
    if (!task.runbook.empty()) about.push_back("runbook " + task.runbook);
    if (!task.items.empty())
      about.push_back(std::to_string(task.worked) + " worked, " + std::to_string(task.failed) +
                      " did not, " + std::to_string(task.untouched) + " untouched");
    sentence(out, join(about, "; "));
    std::vector<MdRow> rows;
    for (const api::DayItem& item : task.items)
      rows.push_back({std::to_string(item.number), item.text, item_words(item), item.who});
    for (const api::DayMissing& missing : task.missing)
      rows.push_back(
          {"+", missing.text,
           "missing in the runbook" +
               (missing.seconds ? ", said after " + seconds_words(*missing.seconds) : ""),
           missing.who});
    if (!rows.empty()) table(out, {"", "item", "did it work?", "who"}, std::move(rows));
  }
}

template <class Items, class Words>
void add_list(std::string& out, std::string_view title, const Items& items, const Words& words,
              const std::string& none) {
  section(out, title);
  std::size_t n = 0;
  for (const auto& item : items) {
    if (++n > kMostRows) break;
    out += "- " + md_text(words(item)) + "\n";
  }
  if (items.empty()) out += md_text(none) + "\n";
  if (items.size() > kMostRows)
    out += "- " + plural(items.size() - kMostRows, "more is", "more are") + " in the JSON\n";
  out += "\n";
}

void add_earlier(std::string& out, const api::GameDayReport& r) {
  section(out, "Beside earlier days");
  if (!r.comparison) return sentence(out, "It is the first day of its name.");
  sentence(out, "Beside " + r.comparison->day + ", detection is " +
                    std::string(change_word(r.comparison->detection)) + ": " + r.comparison->words +
                    ".");
  std::vector<MdRow> rows;
  for (const api::DayCompared& one : r.comparison->figures)
    rows.push_back(
        {one.what, seconds_or_dash(one.before), seconds_or_dash(one.now),
         one.change ? change_words(*api::find_metric("request.latency"), *one.change) : "-"});
  for (const api::DayOutcomes& one : r.comparison->outcomes)
    rows.push_back({one.step, outcome_word(one.before), outcome_word(one.now), "-"});
  table(out, {"", ">before", ">now", ">change"}, std::move(rows));
  rows.clear();
  for (const api::DayFollowUp& one : r.followUps)
    rows.push_back(
        {std::string(change_word(one.change)), action_words(one.action), one.day, one.words});
  if (!rows.empty()) {
    out += "### Which action items changed anything?\n\n";
    table(out, {"", "action item", "of", "by what"}, std::move(rows));
  }
  rows.clear();
  for (const api::DayTrendPoint& point : r.trend)
    rows.push_back({point.day, date_words(point.at), mean_words(point.mttd)});
  out += "### MTTD over all days\n\n";
  table(out, {"day", "begun", ">MTTD"}, std::move(rows));
}

}  // namespace
}  // namespace gameday

std::string gameday_markdown(const api::GameDayReport& foreign) {
  using namespace gameday;  // NOLINT(google-build-using-namespace)
  const api::GameDayReport r = shown(foreign, kMostShownText);
  std::string out;
  add_head(out, r);
  gameday::add_beliefs(out, r);
  gameday::add_figures(out, r);
  gameday::add_timeline(out, r);
  add_spread(out, r);
  add_scorecard(out, r);
  add_tasks(out, r);
  add_list(out, "What surprised us", r.surprises, surprise_words, "Nothing.");
  const auto rest = [](const api::DayRest& one) { return one.step + ": " + one.text; };
  add_list(out, "What never recovered", r.neverRecovered, rest,
           "Nothing is known that did not recover.");
  add_list(out, "Residue", r.residue, rest, "None of the runs left anything behind.");
  add_list(
      out, "Gaps: what is not known", r.gaps,
      [](const api::DayGap& gap) {
        return gap.where + (gap.what.empty() ? "" : ", " + gap.what) + ": " + gap.reason;
      },
      "None.");
  section(out, "Action items");
  out += gameday_actions_markdown(r) + "\n";
  add_earlier(out, r);
  return out;
}

std::string gameday_actions_markdown(const api::GameDayReport& foreign) {
  api::GameDayReport r;
  r.actions = foreign.actions;
  std::string out;
  for (const api::DayAction& action : gameday::shown(r, gameday::kMostShownText).actions)
    out += "- [ ] " + md_text(gameday::action_words(action)) + "\n";
  return out.empty() ? "No action item was written down.\n" : out;
}

}  // namespace faultline::report
