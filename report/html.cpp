// SPDX-License-Identifier: Apache-2.0
#include "api/codec.h"
#include "report/format.h"
#include "report/html_parts.h"
#include "report/report.h"
#include "report/shown.h"
#include "report/story.h"
#include "report/web/assets.h"

namespace faultline::report {
namespace {

using Rows = std::vector<std::vector<std::string>>;

std::string_view tone_of(const api::Report& report) {
  const std::string word = headline(report);
  if (word == "met") return "good";
  if (word == "missed" || word == "partial" || word == "aborted") return "warn";
  return word == "running" ? "calm" : "bad";
}

std::string section(std::string_view id, std::string_view title, std::string_view lead,
                    const std::string& body) {
  return "<section aria-labelledby=\"" + std::string(id) + "\"><h2 id=\"" + std::string(id) +
         "\">" + escape(title) + "</h2>" +
         (lead.empty() ? "" : "<p class=\"lead\">" + std::string(lead) + "</p>") + "\n" + body +
         "</section>\n";
}

std::string counted(std::uint64_t n) { return typeset(count_words(n)); }

// The clearest effect of a role, as a figure to remember.
std::string key_effect(const api::Report& report, api::PodRole role) {
  for (const api::EffectReport* e : ranked_effects(report)) {
    const Telling figure = telling_figure(*e);
    if (e->role != role || !figure.change || !is_felt(*e)) continue;
    const api::Metric& metric = *api::find_metric(e->metric);
    const std::string what = is_change(*e)        ? change_words(metric, *figure.change)
                             : figure.significant ? "no change beyond chance"
                                                  : "too short to tell";
    return "<div><dt>" + escape(metric_words(*e)) + " of " + escape(e->pod) + "</dt><dd>" +
           typeset(what) + "</dd><dd class=\"small\">" +
           typeset(figure_words(figure.before, metric)) + " &rarr; " +
           typeset(figure_words(figure.during, metric)) + ", " + std::string(role_word(role)) +
           "</dd></div>";
  }
  return "";
}

std::string key_figures(const api::Report& report) {
  std::string out = "<dl class=\"keys\">" + key_effect(report, api::PodRole::observed);
  out += key_effect(report, api::PodRole::target);
  out += key_effect(report, api::PodRole::control);
  if (report.recovery.seconds)
    out += "<div><dt>back to normal after</dt><dd>" + typeset(recovery_words(report)) +
           "</dd><dd class=\"small\">in windows of 1 s</dd></div>";
  out +=
      "<div><dt>left behind</dt><dd>" +
      std::string(!report.residue           ? "not known"
                  : report.residue->empty() ? "nothing"
                                            : "something") +
      "</dd><dd class=\"small\">" +
      (report.gaps.empty() ? std::string("no gaps") : plural(report.gaps.size(), "gap", "gaps")) +
      " in the measuring</dd></div></dl>\n";
  return out;
}

std::string header(const api::Report& report) {
  const std::string& name = report.experiment.metadata.name;
  const std::string& purpose = report.experiment.spec.purpose;
  return "<header><p class=\"run\">Faultline report &middot; " + escape(report.run) + "</p><h1>" +
         escape(name.empty() ? report.run : name) + " " + badge(headline(report), tone_of(report)) +
         "</h1>" + (purpose.empty() ? "" : "<p class=\"purpose\">" + escape(purpose) + "</p>") +
         "<p class=\"summary " + std::string(tone_of(report)) + "\">" + typeset(summary(report)) +
         "</p>\n" + key_figures(report) + "</header>\n";
}

std::string expectations(const api::Report& report) {
  if (report.expectations.empty()) return "";
  Rows rows;
  for (const api::ExpectationReport& e : report.expectations)
    rows.push_back({badge(e.met ? "met" : "missed", e.met ? "good" : "warn"), typeset(e.text),
                    typeset(e.measured)});
  return section(
      "expected", "What was expected",
      "Bounds of the experiment, held against what the kernel measured while the fault acted.",
      html_table("Expectations", {{""}, {"expected"}, {"measured", true}}, rows));
}

std::string did_anyone_notice(const api::Report& report) {
  const std::string parts = noticed_parts(report);
  if (parts.empty()) return "";
  return section("noticed", "Did anyone notice?",
                 "Seconds count from the first injected event. <em>Floor</em> is the earliest that "
                 "the settings of the monitoring allow. The bars have the time axis of the run; "
                 "the fault is shaded.",
                 parts);
}

std::string injections(const api::Report& report) {
  if (report.injections.empty())
    return section("injected", "Asked against injected", "",
                   "<p>Nothing was injected: this run only measured.</p>");
  const std::size_t faults = report.experiment.spec.faults.size();
  std::string cards;
  for (std::size_t i = 0; i < report.injections.size(); ++i)
    cards += injection_card(report.injections[i],
                            faults > 0 ? &report.experiment.spec.faults[i % faults] : nullptr);
  return section("injected", "Asked against injected",
                 "The line is what the experiment asked for, the dot what the kernel counted. "
                 "<em>Matched</em> are the events that the fault&#39;s filter chose.",
                 "<div class=\"cards\">" + cards + "</div>");
}

std::vector<std::string> effect_row(const api::EffectReport& e) {
  const api::Metric& metric = *api::find_metric(e.metric);
  const std::string labels = labels_words(e.labels);
  const Telling figure = telling_figure(e);
  const bool changed = is_change(e);
  return {escape(e.pod) + " <span class=\"role\">" + std::string(role_word(e.role)) + "</span>",
          "<span title=\"" + escape(metric.help) + "\">" + escape(metric_words(e)) + "</span>" +
              (labels.empty() ? "" : " <span class=\"role\">" + escape(labels) + "</span>"),
          typeset(figure_words(figure.before, metric)),
          typeset(figure_words(figure.during, metric)),
          typeset(figure_words(figure.after, metric)),
          (changed ? "<strong>" : "") +
              typeset(figure.change ? change_words(metric, *figure.change, figure.ci95)
                                    : "not comparable") +
              (changed ? "</strong>" : "") +
              (figure.change && !figure.significant ? " (too short to tell)" : ""),
          e.changeAgainstControls
              ? typeset(change_words(metric, *e.changeAgainstControls, e.ci95AgainstControls))
              : ""};
}

std::string tails(const api::Report& report) {
  Rows rows;
  for (const api::EffectReport* e : ranked_effects(report)) {
    const api::Metric& metric = *api::find_metric(e->metric);
    if (metric.kind != api::MetricKind::kHistogram) continue;
    const auto add = [&](const char* name, const std::optional<api::PhaseStats>& stats) {
      if (!stats) return;
      const std::string labels = labels_words(e->labels);
      rows.push_back(
          {escape(e->pod),
           escape(e->metric) +
               (labels.empty() ? "" : " <span class=\"role\">" + escape(labels) + "</span>"),
           name, counted(stats->count), typeset(figure_words(stats->p50, metric)),
           typeset(figure_words(stats->p90, metric)), typeset(figure_words(stats->p99, metric)),
           typeset(figure_words(stats->max, metric))});
    };
    add("before", e->baseline);
    add("during", e->fault);
    add("after", e->recovery);
  }
  if (rows.empty()) return "";
  return "<details><summary>Latencies in full: p50, p90, p99 and maximum</summary>" +
         html_table("Latencies by phase",
                    {{"pod"},
                     {"metric"},
                     {"phase"},
                     {"values", true},
                     {"p50", true},
                     {"p90", true},
                     {"p99", true},
                     {"max", true}},
                    rows) +
         "</details>\n";
}

std::string effects(const api::Report& report) {
  if (report.effects.empty())
    return section("effects", "What that did", "", "<p>Nothing was measured.</p>");
  constexpr std::size_t kTelling = 10;
  const std::vector<Column> columns{{"pod"},
                                    {"metric"},
                                    {"before", true},
                                    {"during", true},
                                    {"after", true},
                                    {"change (95 % interval)"},
                                    {"against controls"}};
  Rows telling, all;
  const std::vector<const api::EffectReport*> shown_first = telling_effects(report, kTelling);
  for (const api::EffectReport* e : shown_first) telling.push_back(effect_row(*e));
  for (const api::EffectReport* e : ranked_effects(report)) all.push_back(effect_row(*e));
  std::string body =
      "<div id=\"charts\" class=\"grid\"></div>\n"
      "<noscript><p>The charts need JavaScript; every figure is in the tables.</p></noscript>\n" +
      html_table("The most telling effects", columns, telling);
  for (const api::EffectReport* e : moved_controls(report))
    body += "<p>" + badge("control changed", "warn") + " " + typeset(moved_control_words(*e)) +
            "</p>\n";
  body += "<dl class=\"terms\">";
  for (const api::Metric* metric : metrics_told(shown_first))
    body += "<div><dt>" + escape(metric->name) + "</dt><dd>" + escape(metric->help) + "</dd></div>";
  body += "</dl>\n";
  if (all.size() > telling.size())
    body += "<details><summary>Every effect (" + counted(all.size()) + ")</summary>" +
            html_table("Every effect", columns, all) + "</details>\n";
  body += tails(report);
  body +=
      "<details id=\"more\" hidden><summary>Charts of the other effects</summary>"
      "<div id=\"more-charts\" class=\"grid\"></div></details>\n";
  return section(
      "effects", "What that did",
      "Measured in the kernel in windows of 1 s; the fault phase is shaded. A change in "
      "<strong>bold</strong> is beyond chance, also among all changes of this report, of which 1 "
      "in 20 may then be none. Of a latency the row shows the median or the slow end, whichever "
      "changed more. No fault was armed on control pods: they show what moved for other reasons, "
      "and <em>against controls</em> is the change of the median or share less theirs.",
      body);
}

std::string shapes(const api::Report& report) {
  for (const api::EffectReport& e : report.effects)
    if (const auto* m = api::find_metric(e.metric); m && m->kind == api::MetricKind::kHistogram)
      return section("shapes", "How latencies were spread",
                     "The share of values at each latency, before, during and after. The scale is "
                     "logarithmic: each step to the right is a multiple.",
                     "<div id=\"shape-charts\" class=\"grid\"></div>\n");
  return "";
}

std::string timeline(const api::Report& report) {
  std::string items;
  for (const api::TimelineEntry& entry : report.timeline) {
    const bool ours =
        entry.key.size() > 1 && entry.key[0] == 't' && entry.key[1] >= '0' && entry.key[1] <= '9';
    items +=
        std::string("<li") + (ours ? " class=\"key\"" : "") + "><span class=\"at\">" +
        escape(entry.monotonic ? offset_words(*entry.monotonic) : "") + "</span><span><b>" +
        escape(entry.name) + "</b>" +
        (entry.detail.empty() ? "" : " <span class=\"role\">" + escape(entry.detail) + "</span>") +
        "<br><time datetime=\"" + escape(entry.at.format()) + "\">" + escape(entry.at.format()) +
        "</time></span></li>\n";
  }
  std::string body = "<ol class=\"timeline\">\n" + items + "</ol>\n";
  if (!report.recovery.text.empty())
    body +=
        "<p>Recovery: " + (report.recovery.seconds ? typeset(recovery_words(report)) + " " : "") +
        typeset(report.recovery.text) + ".</p>\n";
  return section("timeline", "When",
                 "Seconds since the run was asked for, on the controller&#39;s clock.", body);
}

std::string honesty(const api::Report& report) {
  const bool clean = report.residue && report.residue->empty();
  std::string body =
      "<p>" +
      badge("residue: " + std::string(clean            ? "none"
                                      : report.residue ? "found"
                                                       : "not known"),
            clean ? "good" : "bad") +
      (clean ? " Each node looked for programs, devices and rules of ours after the run."
             : " " + escape(residue_words(report))) +
      "</p>\n";
  if (report.gaps.empty()) {
    body += "<p>" + badge("no gaps", "good") + " Everything was measured throughout.</p>\n";
  } else {
    Rows rows;
    for (const api::Gap& gap : report.gaps)
      rows.push_back({escape(gap.node), escape(gap.pod), escape(gap.metric),
                      escape(gap.from.set() ? gap.from.format() : ""),
                      escape(gap.to.set() ? gap.to.format() : ""), typeset(gap_words(gap))});
    body += html_table("Gaps: what was not measured",
                       {{"node"}, {"pod"}, {"metric"}, {"from"}, {"to"}, {"why"}}, rows);
  }
  return section("honesty", "What was left, and what is not known", "", body);
}

std::string where(const api::Report& report, const std::string& yaml) {
  Rows rows;
  for (const api::ReportNode& node : report.nodes)
    rows.push_back({escape(node.name), escape(node.kernel + " " + node.arch),
                    escape(node.agentVersion), escape(join(node.mechanisms, ", ")),
                    typeset(change_words(*api::find_metric("tcp.rtt"), node.clockOffset)) +
                        " &plusmn; " + typeset(seconds_words(node.clockUncertainty, 2))});
  return section(
      "where", "Where", "",
      (rows.empty()
           ? ""
           : html_table("Nodes",
                        {{"node"}, {"kernel"}, {"agent"}, {"mechanisms"}, {"clock offset"}},
                        rows)) +
          "<details><summary>The experiment (YAML)</summary><pre><code>" + escape(yaml) +
          "</code></pre></details>\n");
}

}  // namespace

std::string to_html(const api::Report& foreign, const api::RunRecord& record) {
  const api::Report report = shown(foreign);
  const std::string& name = report.experiment.metadata.name;
  std::string out = html_head((name.empty() ? report.run : name) + ": " + headline(report), true);
  out += web::kUplotCss;
  out += web::kReportCss;
  out += "</style>\n</head>\n<body>\n<main>\n";
  out += header(report) + did_anyone_notice(report) + expectations(report) + injections(report) +
         effects(report) + shapes(report) + timeline(report) + honesty(report) +
         where(report, api::to_yaml(foreign.experiment));
  out += "</main>\n<script type=\"application/json\" id=\"data\">" + html_data(foreign, record) +
         "</script>\n<script>";
  out += web::kUplotJs;
  out += "</script>\n<script>";
  out += web::kReportJs;
  out += "</script>\n</body>\n</html>\n";
  return out;
}

}  // namespace faultline::report
