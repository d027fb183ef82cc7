// SPDX-License-Identifier: Apache-2.0
#include "controller/observe/rule_test.h"

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>
#include <cmath>
#include <set>

#include "base/printable.h"
#include "base/quoted.h"
#include "controller/observe/rules.h"
#include "controller/observe/test_series.h"
#include "report/alert_episodes.h"
#include "report/promql.h"

namespace faultline::controller::observe {
namespace {

constexpr double kCalm = 30;  // seconds before the first injected event
constexpr double kLongestTest = 86'400;

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

// Several rules may have one name, and labels of their own.
bool is_change_of(const api::AlertRule& rule, const api::AlertChange& change) {
  return change.source == rule.source && change.alert == rule.alert &&
         report::is_of(rule, change.labels);
}

std::string words(double seconds) { return report::promql_duration_words(seconds); }

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

// Makes the two files of one alert that fired at `fired`. All times in it are seconds since the
// begin of the test.
class Maker {
 public:
  Maker(const RuleTestInput& input, api::Timestamp fired)
      : input_(input),
        rule_(input.rule),
        from_(to_theirs(rule_test_from(rule_, input.first_injected.value), input.offset)),
        fired_(since(fired)) {}

  Result<RuleTest> run() {
    if (auto read = read_series(); !read) return fail(std::move(read.error()));
    read_instances();
    choose_times();
    firing_ = instances_.firing(after_);
    if (firing_.empty())
      return fail(Errc::kInvalid, "alert: " + in_quotes(rule_.alert) + " fired for less than the " +
                                      words(margin_) +
                                      " that a test cannot tell apart: a scrape and an evaluation");
    leave_out();
    const std::string name = plain_name(rule_.alert);
    out_.rules_file = name + ".rules.yml";
    out_.test_file = name + ".test.yml";
    write_rules();
    if (auto written = write_test(); !written) return fail(std::move(written.error()));
    return std::move(out_);
  }

 private:
  [[nodiscard]] double since(api::Timestamp at) const {
    return to_theirs(at.value, input_.offset) - from_;
  }

  // Those that have samples, and the distances of samples and evaluations.
  Result<> read_series() {
    double interval = 0;
    for (const Series& series : input_.series) {
      if (series.points.empty()) continue;
      series_.push_back(&series);
      const double own = interval_of(series);
      if (own > 0 && (interval == 0 || own < interval)) interval = own;
    }
    if (series_.empty()) return no_samples();
    interval_ = rounded_interval(interval > 0 ? interval : rule_.scrapeInterval.value_or(15));
    evaluation_ =
        rule_.evaluationInterval > 0 ? rounded_interval(rule_.evaluationInterval) : interval_;
    margin_ = interval_ + evaluation_;
    return {};
  }

  void read_instances() {
    for (const api::AlertChange& change : input_.changes) {
      if (change.state == api::AlertState::pending || !is_change_of(rule_, change)) continue;
      instances_.states[change.labels].emplace_back(since(change.at),
                                                    change.state == api::AlertState::firing);
      instances_.changes.push_back(since(change.at));
    }
    std::ranges::sort(instances_.changes);
  }

  // When it fires for sure: at the first evaluation around which no instance changes.
  void choose_times() {
    const auto on_evaluation = [&](double at) { return std::ceil(at / evaluation_) * evaluation_; };
    // Before it could be pending, as promtool sees it: a Prometheus on a busy machine leaves out an
    // evaluation, so that it fired later than the same samples make it fire there.
    const double quiet = fired_ - rule_.forSeconds - margin_ - evaluation_ - 1e-3;
    before_ = std::floor(quiet / evaluation_) * evaluation_;
    after_ = on_evaluation(fired_ + margin_);
    for (const double change : instances_.changes) {
      const double at = on_evaluation(change + margin_ + 1e-3);
      if (change + 1e-3 < fired_ || instances_.firing(at).empty() ||
          !instances_.calm(at - margin_, at + margin_))
        continue;
      after_ = at;
      return;
    }
    out_.notes.push_back("which instances fire changed within " + words(margin_) +
                         " of the time that the test looks at: it may not pass");
  }

  // What cannot be known beforehand is left out of the rule and of what is expected.
  void leave_out() {
    const auto known = [&](const std::string& text) {
      return std::ranges::all_of(firing_, [&](const Labels& one) {
        std::string copy = text;
        return text.size() <= kLongestAnnotation && expand(copy, one);
      });
    };
    constexpr const char* kWhy = " is made from more than labels: the test is without it";
    for (const auto& [name, value] : rule_.labels) {
      if (known(value)) {
        labels_[name] = value;
        continue;
      }
      left_out_.insert(name);
      out_.notes.push_back("the label " + in_quotes(name) + kWhy);
    }
    for (const auto& [name, value] : rule_.annotations) {
      if (known(value))
        annotations_[name] = value;
      else
        out_.notes.push_back("the annotation " + in_quotes(name) + kWhy);
    }
  }

  [[nodiscard]] std::string origin() const {
    return "# From the run " + printable(input_.run, 300) + ", made by `faultline rule-test`.\n";
  }

  void write_rules() {
    std::string& out = out_.rules;
    out = origin() + "groups:\n- name: " + yaml(rule_.group.empty() ? "alerts" : rule_.group) +
          "\n  interval: " + words(evaluation_) + "\n  rules:\n  - alert: " + yaml(rule_.alert) +
          "\n    expr: " + yaml(rule_.expr) + "\n    for: " + words(rule_.forSeconds) + "\n";
    if (rule_.keepFiringForSeconds > 0)
      out += "    keep_firing_for: " + words(rule_.keepFiringForSeconds) + "\n";
    if (!labels_.empty()) out += "    labels: " + yaml(labels_) + "\n";
    if (!annotations_.empty()) out += "    annotations: " + yaml(annotations_) + "\n";
  }

  Result<> write_series() {
    const double length = after_ + evaluation_;
    const auto count = static_cast<std::size_t>(std::ceil(length / interval_)) + 1;
    if (series_.size() > kMostTestSeries || count * series_.size() > kMostTestSamples)
      return fail(Errc::kInvalid, "the rule reads " + std::to_string(series_.size()) +
                                      " series over " + words(length) +
                                      ", which is more than a test may hold (" +
                                      std::to_string(kMostTestSeries) + " series, " +
                                      std::to_string(kMostTestSamples) + " samples)");
    bool any = false;
    for (const Series* series : series_) {
      const std::vector<Slot> slots = on_grid(*series, from_, interval_, count);
      any = any ||
            std::ranges::any_of(slots, [](const Slot& slot) { return slot.what == Slot::kSample; });
      out_.test += "  - series: " + yaml(series_name(series->labels)) +
                   "\n    values: " + yaml(expanded(slots)) + "\n";
    }
    if (!any) return no_samples();
    return {};
  }

  Result<> write_test() {
    std::string& out = out_.test;
    out = origin() +
          "# To test the rule as it is in a file of yours, name that file here. Time 0 is " +
          to_ours(from_, input_.offset).format() + ".\nrule_files: [" + yaml(out_.rules_file) +
          "]\nevaluation_interval: " + words(evaluation_) +
          "\ntests:\n- interval: " + words(interval_) + "\n  input_series:\n";
    if (auto written = write_series(); !written) return written;
    out += "  alert_rule_test:\n";
    if (before_ > 0 && instances_.firing(before_).empty() &&
        instances_.calm(std::max(0.0, before_ - margin_), before_))
      out += "  - {eval_time: " + words(before_) + ", alertname: " + yaml(rule_.alert) +
             ", exp_alerts: []}\n";
    else
      out_.notes.emplace_back("it fired already shortly before: that it was silent is not tested");
    out += "  - eval_time: " + words(after_) + "\n    alertname: " + yaml(rule_.alert) +
           "\n    exp_alerts:\n";
    for (Labels one : firing_) {
      Labels says = annotations_;
      for (auto& [unused, text] : says) static_cast<void>(expand(text, one));
      for (const std::string& label : left_out_) one.erase(label);
      one.erase("alertname");
      out += "    - exp_labels: " + yaml(one) + "\n";
      if (!says.empty()) out += "      exp_annotations: " + yaml(says) + "\n";
    }
    return {};
  }

  static tl::unexpected<Error> no_samples() {
    return fail(Errc::kInvalid, "Prometheus has no sample any more of what the rule reads");
  }

  const RuleTestInput& input_;
  const api::AlertRule& rule_;
  const double from_;  // the begin, seconds since the epoch by the source's clock
  const double fired_;
  std::vector<const Series*> series_;
  double interval_ = 0, evaluation_ = 0;
  double margin_ = 0;  // how much earlier or later it may fire in the test
  Instances instances_;
  double before_ = 0, after_ = 0;  // the two times that the test looks at
  std::vector<Labels> firing_;     // at the second
  Labels labels_, annotations_;    // of the rule as it is written
  std::set<std::string> left_out_;
  RuleTest out_;
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
    if (is_change_of(rule, change) && change.state == api::AlertState::firing &&
        first_injected <= change.at && (!first.set() || change.at < first))
      first = change.at;
  return first;
}

Result<RuleTest> rule_test(const RuleTestInput& input) {
  const api::Timestamp fired = first_firing(input.changes, input.rule, input.first_injected);
  if (!input.first_injected.set() || !fired.set())
    return fail(Errc::kInvalid, "alert: " + in_quotes(input.rule.alert) +
                                    " did not fire after the first injected event of this run: a "
                                    "test needs a run in which it did");
  return Maker(input, fired).run();
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
