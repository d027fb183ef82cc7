// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "api/codec.h"
#include "report/format.h"
#include "report/markdown_parts.h"
#include "report/noticed.h"
#include "report/report.h"
#include "report/shown.h"
#include "report/story.h"

namespace faultline::report {
namespace {

constexpr std::size_t kTelling = 8;

// Between <pre> and </pre>, where quotes are quotes.
std::string in_pre(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else
      out += c;
  }
  return out;
}

void head(const api::Report& report, std::string& out) {
  const std::string& name = report.experiment.metadata.name;
  out += "# " + md_text(name.empty() ? report.run : name) + ": " + headline(report) + "\n\n";
  const std::string& purpose = report.experiment.spec.purpose;
  if (!purpose.empty()) out += "> " + md_text(purpose) + "\n\n";
  out += md_text(summary(report)) + "\n\n";
}

void expectations(const api::Report& report, std::string& out) {
  if (report.expectations.empty()) return;
  out +=
      "## What was expected\n\nEach line is a bound from the experiment, held against what the "
      "kernel measured while the fault acted.\n\n";
  std::vector<MdRow> rows;
  for (const api::ExpectationReport& e : report.expectations)
    rows.push_back({e.met ? "met" : "missed", e.text, e.measured});
  md_table(out, {"", "expected", ">measured"}, rows);
}

std::string after(const std::optional<double>& seconds) {
  return seconds ? seconds_words(*seconds) : "";
}

void did_anyone_notice(const api::Report& report, std::string& out) {
  if (report.detections.empty() && report.signals.empty()) return;
  out += "## Did anyone notice?\n\n";
  if (!report.detections.empty()) {
    out +=
        "Seconds count from the first injected event. *Floor* is the earliest that the settings of "
        "the monitoring allow.\n\n";
    std::vector<MdRow> rows, steps;
    for (const api::DetectionReport& d : report.detections) {
      rows.push_back({std::string(detection_word(d.verdict)), alert_words(d),
                      after(after_injection(report, d.pendingAt)), after(d.seconds), after(d.floor),
                      after(after_injection(report, d.notifiedAt)), join(d.receivers, ", "),
                      after(after_injection(report, d.resolvedAt)), d.reason});
      for (const api::DetectionStep& step : d.steps)
        steps.push_back(
            {alert_words(d), step.name, after(step.seconds), after(step.floor), step.cause});
    }
    md_table(out,
             {"", "alert", ">pending", ">firing", ">floor", ">told", "whom", ">resolved", "why"},
             rows);
    if (!steps.empty()) md_table(out, {"alert", "step", ">took", ">floor", "because of"}, steps);
    for (const api::DetectionReport& d : report.detections)
      for (const std::string& hint : hint_words(d))
        out += "- " + md_text(alert_words(d)) + ": " + md_text(hint) + ".\n";
    out += "\n";
  }
  std::vector<MdRow> rows;
  for (const api::SignalReport& s : report.signals)
    rows.push_back({std::string(signal_word(s.verdict)), signal_words(s)});
  if (!rows.empty()) md_table(out, {"", "signal"}, rows);
}

void injections(const api::Report& report, std::string& out) {
  out += "## What was injected\n\n";
  if (report.injections.empty()) {
    out += "Nothing: this run only measured.\n\n";
    return;
  }
  out +=
      "*Matched* are the events that the fault's filter chose, *hit* those it acted on. The "
      "interval holds the true rate in 95 of 100 runs; a fault is *confirmed* when what was "
      "asked agrees with what was counted.\n\n";
  std::vector<MdRow> rows;
  for (const api::InjectionReport& row : report.injections) {
    std::string rate = row.rate ? percent_words(*row.rate) : "";
    if (row.rateCi95 && row.matched > 0)
      rate += " (" + percent_words(row.rateCi95->low) + " to " + percent_words(row.rateCi95->high) +
              ")";
    std::string added;
    if (row.addedLatency && row.addedLatency->p50)
      added = "+" + seconds_words(*row.addedLatency->p50, 4) + " p50, +" +
              seconds_words(row.addedLatency->p99.value_or(0), 4) + " p99";
    rows.push_back({row.pod, row.fault, row.asked, count_words(row.matched),
                    count_words(row.injected), rate, added,
                    std::string(verdict_word(row.verdict))});
  }
  md_table(
      out,
      {"pod", "fault", "asked", ">matched", ">hit", "rate (95 % interval)", "added", "verdict"},
      rows);
  for (const api::InjectionReport& row : report.injections) {
    if (!row.reason.empty())
      out += "- " + md_text(row.fault) + " on " + md_text(row.pod) + ": " + md_text(row.reason) +
             ".\n";
    if (!row.mechanism.empty())
      out += "- " + md_text(row.fault) + " on " + md_text(row.pod) + " was made by " +
             md_text(row.mechanism) + ".\n";
    if (row.link) out += "- " + md_text(link_words(*row.link)) + ".\n";
    for (const auto& [name, n] : row.byErrno)
      out += "- Applications of " + md_text(row.pod) + " were told " + md_text(name) + " " +
             plural(n, "time", "times") + ".\n";
    for (const auto& [name, n] : row.byCall)
      out += "- " + md_text(name) + " of " + md_text(row.pod) + ": " + count_words(n.injected) +
             " of " + count_words(n.matched) + " matched calls were hit.\n";
  }
  out += "\n";
}

MdRow effect_row(const api::EffectReport& e) {
  const api::Metric& metric = *api::find_metric(e.metric);
  const Telling figure = telling_figure(e);
  return {e.pod,
          std::string(role_word(e.role)),
          metric_words(e),
          labels_words(e.labels),
          figure_words(figure.before, metric),
          figure_words(figure.during, metric),
          figure_words(figure.after, metric),
          figure.change ? change_words(metric, *figure.change, figure.ci95) : "not comparable",
          change_word(figure.significant),
          e.changeAgainstControls
              ? change_words(metric, *e.changeAgainstControls, e.ci95AgainstControls)
              : ""};
}

void effects(const api::Report& report, std::string& out) {
  out += "## What that did\n\n";
  if (report.effects.empty()) {
    out += "Nothing was measured.\n\n";
    return;
  }
  out +=
      "Measured in the kernel, in windows of 1 s. *Change* is during minus before, with the "
      "interval that holds it in 95 of 100 runs; it is *beyond chance* when it also holds among "
      "all changes of this report, of which 1 in 20 may then be none. Of a latency the row shows "
      "the median or the slow end, whichever changed more. No fault was armed on *control* pods: "
      "they show what moved for other reasons, and *against controls* is the change of the median "
      "or share less theirs.\n\n";
  const MdRow columns{"pod",     "role",   "metric", "seen",          ">before",
                      ">during", ">after", "change", "beyond chance", "against controls"};
  const std::vector<const api::EffectReport*> telling = telling_effects(report, kTelling);
  std::vector<MdRow> rows;
  for (const api::EffectReport* e : telling) rows.push_back(effect_row(*e));
  md_table(out, columns, rows);
  for (const api::EffectReport* e : moved_controls(report))
    out += "- " + md_text(moved_control_words(*e)) + "\n";
  for (const api::Metric* metric : metrics_told(telling))
    out += "- *" + md_text(metric->name) + "*: " + md_text(metric->help) + ".\n";
  out += "\n";

  std::vector<MdRow> tails;
  for (const api::EffectReport* e : ranked_effects(report)) {
    const api::Metric& metric = *api::find_metric(e->metric);
    if (metric.kind != api::MetricKind::kHistogram) continue;
    const auto phase = [&](const char* name, const std::optional<api::PhaseStats>& stats) {
      if (!stats) return;
      tails.push_back({e->pod, e->metric, labels_words(e->labels), name, count_words(stats->count),
                       figure_words(stats->p50, metric), figure_words(stats->p90, metric),
                       figure_words(stats->p99, metric), figure_words(stats->max, metric)});
    };
    phase("before", e->baseline);
    phase("during", e->fault);
    phase("after", e->recovery);
  }
  if (!tails.empty()) {
    out +=
        "### Latencies in full\n\nHalf of the values are at or under p50, 99 of 100 at or under "
        "p99. Quantiles are right to 1.6 %, the maximum as it was seen.\n\n";
    md_table(out, {"pod", "metric", "seen", "phase", ">values", ">p50", ">p90", ">p99", ">max"},
             tails);
  }
  if (report.effects.size() > rows.size()) {
    out +=
        "<details><summary>Every effect (" + count_words(report.effects.size()) + ")</summary>\n\n";
    std::vector<MdRow> all;
    for (const api::EffectReport* e : ranked_effects(report)) all.push_back(effect_row(*e));
    md_table(out, columns, all);
    out += "</details>\n\n";
  }
}

void timeline(const api::Report& report, std::string& out) {
  if (report.timeline.empty()) return;
  out +=
      "## When\n\nSeconds count from the moment the run was asked for. All times are on the "
      "controller's clock.\n\n";
  std::vector<MdRow> rows;
  for (const api::TimelineEntry& entry : report.timeline)
    rows.push_back({entry.monotonic ? offset_words(*entry.monotonic) : "", entry.name,
                    entry.at.format(), entry.detail});
  md_table(out, {">after", "what", "at (UTC)", ""}, rows);
  if (!report.recovery.text.empty())
    out += "Recovery: " + (report.recovery.seconds ? recovery_words(report) + " " : "") +
           md_text(report.recovery.text) + ".\n\n";
}

void honesty(const api::Report& report, std::string& out) {
  out += "## What was left, and what is not known\n\n";
  out += "- Residue: " + md_text(residue_words(report)) +
         (report.residue && report.residue->empty()
              ? " (each node looked for programs, devices and rules of ours after the run)"
              : "") +
         ".\n";
  if (report.gaps.empty()) out += "- Gaps: none; everything was measured throughout.\n";
  for (const api::Gap& gap : report.gaps) {
    MdRow where;
    for (const std::string* part : {&gap.node, &gap.pod, &gap.metric})
      if (!part->empty()) where.push_back(md_text(*part));
    out += "- Gap";
    if (!where.empty()) out += " on " + join(where, ", ");
    if (gap.from.set()) out += ", " + gap.from.format();
    if (gap.to.set()) out += " to " + gap.to.format();
    out += ": " + md_text(gap_words(gap)) + ".\n";
  }
  out += "\n";
}

void where(const api::Report& report, const std::string& yaml, std::string& out) {
  if (!report.nodes.empty()) {
    out +=
        "## Where\n\nThe clock offset is the node's clock minus the controller's, and is taken "
        "out of every time above.\n\n";
    std::vector<MdRow> rows;
    for (const api::ReportNode& node : report.nodes)
      rows.push_back({node.name, node.kernel + " " + node.arch, node.agentVersion,
                      join(node.mechanisms, ", "),
                      change_words(*api::find_metric("tcp.rtt"), node.clockOffset) + " +- " +
                          seconds_words(node.clockUncertainty, 2)});
    md_table(out, {"node", "kernel", "agent", "mechanisms", "clock offset"}, rows);
  }
  // Not a fence of backticks: what is between those reaches a viewer that knows no fences as HTML.
  out += "<details><summary>The experiment</summary>\n\n<pre lang=\"yaml\"><code>" + in_pre(yaml) +
         "</code></pre>\n\n</details>\n\n";
  out += "Run " + md_text(report.run) + ".\n";
}

}  // namespace

std::string to_markdown(const api::Report& foreign) {
  const api::Report report = shown(foreign);
  std::string out;
  head(report, out);
  did_anyone_notice(report, out);
  expectations(report, out);
  injections(report, out);
  effects(report, out);
  timeline(report, out);
  honesty(report, out);
  where(report, api::to_yaml(foreign.experiment), out);
  return out;
}

}  // namespace faultline::report
