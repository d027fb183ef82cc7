// SPDX-License-Identifier: Apache-2.0
#include "controller/observe/rule_test.h"

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>
#include <charconv>
#include <cmath>
#include <set>

#include "base/printable.h"
#include "base/quoted.h"
#include "report/promql.h"

namespace faultline::controller::observe {
namespace {

constexpr double kCalm = 30;  // seconds before the first injected event
constexpr double kLongestTest = 86'400;
constexpr std::size_t kLongestText = 4'096;  // of a label or annotation

// JSON's strings are YAML's, too.
std::string yaml(std::string_view text) {
  return boost::json::serialize(boost::json::string(text.data(), text.size()));
}

std::string yaml(const Labels& labels) {
  std::string out = "{";
  for (const auto& [name, value] : labels)
    out += (out.size() > 1 ? ", " : "") + yaml(name) + ": " + yaml(value);
  return out + "}";
}

std::string words(double seconds) { return report::promql_duration_words(seconds); }

std::string series_name(const Labels& labels) {
  std::string name, out;
  for (const auto& [label, value] : labels) {
    if (label == "__name__") {
      name = value;
      continue;
    }
    out += (out.empty() ? "" : ",") + label + "=\"";
    for (const char c : value) {
      if (c == '\\' || c == '"') out += '\\';
      if (c == '\n')
        out += "\\n";
      else
        out += c;
    }
    out += '"';
  }
  return out.empty() ? name : name + "{" + out + "}";
}

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Inf" : "-Inf";
  char text[64];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

// The distance of a series' samples: the middle one of all.
double interval_of(const Series& series) {
  std::vector<double> steps;
  for (std::size_t i = 1; i < series.points.size(); ++i)
    steps.push_back(series.points[i].at - series.points[i - 1].at);
  if (steps.empty()) return 0;
  const auto middle = steps.begin() + static_cast<std::ptrdiff_t>(steps.size() / 2);
  std::ranges::nth_element(steps, middle);
  return *middle;
}

// Scrapes are late by milliseconds: 0.998 s is one second.
double rounded(double seconds) {
  const double whole = std::round(seconds);
  if (whole >= 1 && std::abs(seconds - whole) < 0.05 * whole) return whole;
  return std::max(std::round(seconds * 1000) / 1000, 0.001);
}

// One slot of the test: a sample, a stale marker, or nothing.
struct Slot {
  enum { kNothing, kStale, kSample } what = kNothing;
  double value = 0;
};

bool is_whole(double value) { return value == std::floor(value) && std::abs(value) < 1e15; }

// "_x3 1+0x5 10+2x4 stale": what repeats, or grows by the same whole number, is written once.
std::string expanded(const std::vector<Slot>& slots) {
  std::string out;
  const auto put = [&](const std::string& word) { out += (out.empty() ? "" : " ") + word; };
  for (std::size_t i = 0; i < slots.size();) {
    std::size_t end = i + 1;
    if (slots[i].what != Slot::kSample) {
      while (end < slots.size() && slots[end].what == slots[i].what) ++end;
      const bool stale = slots[i].what == Slot::kStale;
      if (stale)
        for (std::size_t k = i; k < end; ++k) put("stale");
      else
        put(end - i == 1 ? "_" : "_x" + std::to_string(end - i));
      i = end;
      continue;
    }
    const double first = slots[i].value;
    double step = 0;
    if (end < slots.size() && slots[end].what == Slot::kSample) {
      step = slots[end].value - first;
      const bool fits = step == 0 || (is_whole(first) && is_whole(step));
      while (fits && end < slots.size() && slots[end].what == Slot::kSample &&
             slots[end].value - slots[end - 1].value == step &&
             (step == 0 || is_whole(slots[end].value)))
        ++end;
    }
    if (end - i < 3) {
      put(number(first));
      ++i;
      continue;
    }
    put(number(first) + (step < 0 ? "" : "+") + number(step) + "x" + std::to_string(end - i - 1));
    i = end;
  }
  return out;
}

// The series on the grid of the test. A sample is at most one interval of its series from its slot;
// where none came for longer than that, Prometheus had marked the series as stale.
std::vector<Slot> on_grid(const Series& series, double from, double interval, std::size_t count) {
  std::vector<Slot> out(count);
  const double own = std::max(interval_of(series), interval);
  const Point& origin = series.points.front();
  const double base = std::max(0.0, std::floor((origin.at - from) / interval));
  double last = -1;
  double last_at = 0;
  const auto stale_from = [&](double index) {
    if (index >= 0 && index < static_cast<double>(count))
      out[static_cast<std::size_t>(index)].what = Slot::kStale;
  };
  const double stride = std::max(1.0, std::round(own / interval));
  for (const Point& point : series.points) {
    const double index = base + std::round((point.at - origin.at) / interval);
    if (index < 0 || index >= static_cast<double>(count)) break;
    if (last >= 0 && point.at - last_at > 1.5 * own && last + stride < index)
      stale_from(last + stride);
    out[static_cast<std::size_t>(index)] = {Slot::kSample, point.value};
    last = index;
    last_at = point.at;
  }
  if (last >= 0 && last + 2 * stride <= static_cast<double>(count)) stale_from(last + stride);
  return out;
}

// What promtool would make of a template's text: only labels are known here. False: there is more
// in it.
bool expand(std::string& text, const Labels& labels) {
  std::string out;
  std::string_view left = text;
  for (;;) {
    const std::size_t open = left.find("{{");
    out += left.substr(0, open);
    if (open == std::string_view::npos) break;
    const std::size_t close = left.find("}}", open);
    if (close == std::string_view::npos) return false;
    std::string inside(left.substr(open + 2, close - open - 2));
    std::erase(inside, ' ');
    constexpr std::string_view kLabels = "$labels.";
    if (!inside.starts_with(kLabels)) return false;
    const std::string name = inside.substr(kLabels.size());
    if (name.empty() || !std::ranges::all_of(name, [](char c) {
          return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
        }))
      return false;
    // A label that is not there is an empty text.
    if (const auto found = labels.find(name); found != labels.end()) out += found->second;
    left = left.substr(close + 2);
  }
  text = std::move(out);
  return true;
}

std::string plain_name(const std::string& alert) {
  std::string out;
  for (const char c : alert.substr(0, 100))
    out += std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' ? c : '_';
  return out.empty() ? "alert" : out;
}

// The states of all instances, to know who fires at a time.
struct Instances {
  std::map<Labels, std::vector<std::pair<double, bool>>> states;  // firing, from a time on
  std::vector<double> changes;                                    // in order

  [[nodiscard]] std::vector<Labels> firing(double at) const {
    std::vector<Labels> out;
    for (const auto& [labels, list] : states) {
      bool fires = false;
      for (const auto& [since, firing] : list)
        if (since <= at) fires = firing;
      if (fires) out.push_back(labels);
    }
    return out;
  }
  [[nodiscard]] bool calm(double from, double to) const {
    return std::ranges::none_of(changes, [&](double at) { return from <= at && at <= to; });
  }
};

}  // namespace

UtcTime rule_test_from(const api::AlertRule& rule, UtcTime first_injected) {
  const double behind = report::scan_promql(rule.expr).longest_offset + rule.longestWindow +
                        rule.forSeconds + kCalm + 2 * rule.scrapeInterval.value_or(0);
  return first_injected -
         std::chrono::milliseconds(std::llround(std::min(behind, kLongestTest) * 1000));
}

api::Timestamp first_firing(const std::vector<api::AlertChange>& changes,
                            const api::AlertRule& rule, api::Timestamp first_injected) {
  api::Timestamp first;
  for (const api::AlertChange& change : changes)
    if (change.source == rule.source && change.alert == rule.alert &&
        change.state == api::AlertState::firing && first_injected <= change.at &&
        (!first.set() || change.at < first))
      first = change.at;
  return first;
}

Result<RuleTest> rule_test(const RuleTestInput& input) {
  const api::AlertRule& rule = input.rule;
  const api::Timestamp fired = first_firing(input.changes, rule, input.first_injected);
  if (!input.first_injected.set() || !fired.set())
    return fail(Errc::kInvalid, "alert: " + in_quotes(rule.alert) +
                                    " did not fire after the first injected event of this run: a "
                                    "test needs a run in which it did");
  std::vector<const Series*> all;
  std::size_t samples = 0;
  double interval = 0;
  for (const Series& series : input.series) {
    if (series.points.empty()) continue;
    all.push_back(&series);
    const double own = interval_of(series);
    if (own > 0 && (interval == 0 || own < interval)) interval = own;
  }
  if (all.empty())
    return fail(Errc::kInvalid, "Prometheus has no sample any more of what the rule reads");
  interval = rounded(interval > 0 ? interval : rule.scrapeInterval.value_or(15));
  const double evaluation =
      rule.evaluationInterval > 0 ? rounded(rule.evaluationInterval) : interval;
  const double margin = interval + evaluation;

  // All times from here on are seconds since the begin of the test.
  const double from = to_theirs(rule_test_from(rule, input.first_injected.value), input.offset);
  const auto since = [&](api::Timestamp at) { return to_theirs(at.value, input.offset) - from; };
  Instances instances;
  for (const api::AlertChange& change : input.changes) {
    if (change.source != rule.source || change.alert != rule.alert ||
        change.state == api::AlertState::pending)
      continue;
    instances.states[change.labels].emplace_back(since(change.at),
                                                 change.state == api::AlertState::firing);
    instances.changes.push_back(since(change.at));
  }
  std::ranges::sort(instances.changes);
  const auto on_evaluation = [&](double at) { return std::ceil(at / evaluation) * evaluation; };
  RuleTest out;
  double after = on_evaluation(since(fired) + margin);
  bool calm = false;
  for (const double change : instances.changes) {
    const double at = on_evaluation(change + margin + 1e-3);
    if (change + 1e-3 < since(fired) || instances.firing(at).empty() ||
        !instances.calm(at - margin, at + margin))
      continue;
    after = at;
    calm = true;
    break;
  }
  if (!calm)
    out.notes.push_back("which instances fire changed within " + words(margin) +
                        " of the time that the test looks at: it may not pass");
  const double before = std::floor((since(fired) - margin - 1e-3) / evaluation) * evaluation;
  const double calm_since = std::max(0.0, before - margin);

  const double length = after + evaluation;
  const auto count = static_cast<std::size_t>(std::ceil(length / interval)) + 1;
  if (all.size() > kMostTestSeries || count * all.size() > kMostTestSamples)
    return fail(Errc::kInvalid, "the rule reads " + std::to_string(all.size()) + " series over " +
                                    words(length) + ", which is more than a test may hold (" +
                                    std::to_string(kMostTestSeries) + " series, " +
                                    std::to_string(kMostTestSamples) + " samples)");

  // What cannot be known beforehand is left out of the rule and of what is expected.
  Labels labels, annotations;
  const std::vector<Labels> firing = instances.firing(after);
  if (firing.empty())
    return fail(Errc::kInvalid, "alert: " + in_quotes(rule.alert) + " fired for less than the " +
                                    words(margin) +
                                    " that a test cannot tell apart: a scrape and an evaluation");
  const auto known = [&](const std::string& text) {
    return std::ranges::all_of(firing, [&](const Labels& one) {
      std::string copy = text;
      return text.size() <= kLongestText && expand(copy, one);
    });
  };
  std::set<std::string> left_out;
  for (const auto& [name, value] : rule.labels) {
    if (known(value)) {
      labels[name] = value;
      continue;
    }
    left_out.insert(name);
    out.notes.push_back("the label " + in_quotes(name) +
                        " is made from more than labels: the test is without it");
  }
  for (const auto& [name, value] : rule.annotations) {
    if (known(value))
      annotations[name] = value;
    else
      out.notes.push_back("the annotation " + in_quotes(name) +
                          " is made from more than labels: the test is without it");
  }

  const std::string name = plain_name(rule.alert);
  out.rules_file = name + ".rules.yml";
  out.test_file = name + ".test.yml";
  const std::string origin =
      "# From the run " + printable(input.run, 300) + ", made by `faultline rule-test`.\n";
  out.rules = origin + "groups:\n- name: " + yaml(rule.group.empty() ? "alerts" : rule.group) +
              "\n  interval: " + words(evaluation) + "\n  rules:\n  - alert: " + yaml(rule.alert) +
              "\n    expr: " + yaml(rule.expr) + "\n    for: " + words(rule.forSeconds) + "\n";
  if (rule.keepFiringForSeconds > 0)
    out.rules += "    keep_firing_for: " + words(rule.keepFiringForSeconds) + "\n";
  if (!labels.empty()) out.rules += "    labels: " + yaml(labels) + "\n";
  if (!annotations.empty()) out.rules += "    annotations: " + yaml(annotations) + "\n";

  out.test = origin +
             "# To test the rule as it is in a file of yours, name that file here. Time 0 is " +
             to_ours(from, input.offset).format() + ".\nrule_files: [" + yaml(out.rules_file) +
             "]\nevaluation_interval: " + words(evaluation) +
             "\ntests:\n- interval: " + words(interval) + "\n  input_series:\n";
  for (const Series* series : all) {
    const std::vector<Slot> slots = on_grid(*series, from, interval, count);
    samples += static_cast<std::size_t>(
        std::ranges::count_if(slots, [](const Slot& slot) { return slot.what == Slot::kSample; }));
    out.test += "  - series: " + yaml(series_name(series->labels)) +
                "\n    values: " + yaml(expanded(slots)) + "\n";
  }
  if (samples == 0)
    return fail(Errc::kInvalid, "Prometheus has no sample any more of what the rule reads");
  out.test += "  alert_rule_test:\n";
  if (before > 0 && instances.firing(before).empty() && instances.calm(calm_since, before))
    out.test += "  - {eval_time: " + words(before) + ", alertname: " + yaml(rule.alert) +
                ", exp_alerts: []}\n";
  else
    out.notes.emplace_back("it fired already shortly before: that it was silent is not tested");
  out.test += "  - eval_time: " + words(after) + "\n    alertname: " + yaml(rule.alert) +
              "\n    exp_alerts:\n";
  for (Labels one : firing) {
    Labels says = annotations;
    for (auto& [unused, text] : says) static_cast<void>(expand(text, one));
    for (const std::string& label : left_out) one.erase(label);
    one.erase("alertname");
    out.test += "    - exp_labels: " + yaml(one) + "\n";
    if (!says.empty()) out.test += "      exp_annotations: " + yaml(says) + "\n";
  }
  return out;
}

boost::asio::awaitable<Result<std::vector<Series>>> samples_of(Prometheus& client, std::string expr,
                                                               double from, double to) {
  const report::PromqlText text = report::scan_promql(expr);
  if (text.fixed_time)
    co_return fail(Errc::kInvalid, "the rule reads a fixed time (@), which a test has not");
  const double length = std::clamp(std::ceil(to - from), 1.0, kLongestTest);
  const std::string range = "[" + std::to_string(static_cast<std::int64_t>(length)) + "s]";
  std::set<Labels> seen;
  std::vector<Series> out;
  std::size_t samples = 0;
  for (const std::string& selector : text.selectors) {
    std::string question = selector + range;
    auto found = co_await client.query(std::move(question), to);
    if (!found) co_return fail(found.error());
    for (Series& one : *found) {
      samples += one.points.size();
      if (seen.size() >= kMostTestSeries || samples > kMostTestSamples)
        co_return fail(Errc::kInvalid, "the rule reads more than " +
                                           std::to_string(kMostTestSeries) + " series or " +
                                           std::to_string(kMostTestSamples) +
                                           " samples: a test cannot hold them");
      if (seen.insert(one.labels).second) out.push_back(std::move(one));
    }
  }
  co_return out;
}

}  // namespace faultline::controller::observe
