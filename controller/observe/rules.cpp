// SPDX-License-Identifier: Apache-2.0
#include "controller/observe/rules.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <span>

#include "base/printable.h"
#include "base/quoted.h"
#include "kube/json.h"
#include "report/promql.h"

namespace faultline::controller::observe {
namespace {

namespace json = boost::json;

constexpr std::array<std::string_view, 13> kRuleKeys = {
    "state",  "name",   "query",     "duration",       "keepFiringFor",  "labels", "annotations",
    "alerts", "health", "lastError", "evaluationTime", "lastEvaluation", "type"};
constexpr std::array<std::string_view, 9> kGroupKeys = {
    "name",           "file",           "rules",
    "interval",       "limit",          "sourceTenants",
    "evaluationTime", "lastEvaluation", "partialResponseStrategy"};
constexpr int kDeepest = 8;  // recording rules behind each other
constexpr std::size_t kMostTold = 20;
constexpr double kLongest = 366 * 86'400.0;  // seconds; what is longer is no setting

class Reader {
 public:
  Reader(const std::string& source, const Offset& offset) : source_(source), offset_(offset) {}

  Rules run(const json::array& groups) {
    for (const json::value& one : groups) {
      const json::object* group = one.if_object();
      if (group == nullptr) {
        tell("a group that is not an object");
        continue;
      }
      unknown(*group, kGroupKeys, "group");
      read_group(*group);
    }
    return std::move(out_);
  }

 private:
  void tell(std::string words) {
    if (out_.told.size() < kMostTold && std::ranges::find(out_.told, words) == out_.told.end())
      out_.told.push_back(std::move(words));
  }
  void unknown(const json::object& object, std::span<const std::string_view> known,
               std::string_view what) {
    for (const auto& field : object)
      if (std::ranges::find(known, std::string_view(field.key())) == known.end())
        tell("unknown field " + in_quotes(field.key()) + " of a " + std::string(what));
  }
  // Seconds; 0: not there, or no length of time.
  static double length(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    if (value == nullptr || !value->is_number()) return 0;
    const double seconds = value->to_number<double>();
    return seconds >= 0 && seconds <= kLongest ? seconds : 0;
  }

  void read_group(const json::object& group) {
    const std::string name = printable(kube::text_at(group, "name"), 253);
    const double interval = length(group, "interval");
    const json::array* rules = kube::array_at(group, "rules");
    if (rules == nullptr) return;
    double grid = parse_time(kube::text_at(group, "lastEvaluation")).value_or(0);
    const std::size_t first = out_.alerts.size();
    for (const json::value& one : *rules) {
      const json::object* rule = one.if_object();
      const std::string_view expr = rule != nullptr ? kube::text_at(*rule, "query") : "";
      if (expr.empty() || kube::text_at(*rule, "name").empty()) {
        tell("a rule of group " + in_quotes(name) + " without name or query");
        continue;
      }
      unknown(*rule, kRuleKeys, "rule");
      if (kube::text_at(*rule, "type") == "recording")
        out_.recordings.emplace(std::string(kube::text_at(*rule, "name")),
                                RecordingRule{std::string(expr), interval});
      else
        read_alert(*rule, name, interval, grid);
    }
    // lastEvaluation is when the work was done, milliseconds after the time that it was done for;
    // an alert's activeAt is that time itself, the same for all rules of a group.
    for (std::size_t i = first; i < out_.alerts.size(); ++i)
      out_.alerts[i].lastEvaluation = to_ours(grid, offset_);
  }

  void read_alert(const json::object& rule, const std::string& group, double interval,
                  double& grid) {
    api::AlertRule out;
    out.source = source_;
    out.group = group;
    out.alert = kube::text_at(rule, "name");
    out.expr = kube::text_at(rule, "query");
    out.forSeconds = length(rule, "duration");
    out.keepFiringForSeconds = length(rule, "keepFiringFor");
    out.evaluationInterval = interval;
    const auto texts = [&](std::string_view key, Labels& to, std::size_t longest) {
      if (const json::object* found = kube::object_at(rule, key))
        for (const auto& one : *found)
          if (const json::string* value = one.value().if_string())
            to.emplace(std::string(one.key()),
                       std::string(value->data(), std::min(value->size(), longest)));
    };
    texts("labels", out.labels, std::string::npos);
    // One byte more than is used, so that what was cut is told from what was not.
    texts("annotations", out.annotations, kLongestAnnotation + 1);
    if (kube::text_at(rule, "health") == "err")
      out.problem =
          "its last evaluation failed: " + printable(kube::text_at(rule, "lastError"), 300);
    if (!(interval > 0)) tell("group " + in_quotes(group) + " tells no interval");
    if (const json::array* active = kube::array_at(rule, "alerts"))
      for (const json::value& one : *active)
        if (const json::object* alert = one.if_object())
          if (const auto at = parse_time(kube::text_at(*alert, "activeAt"))) grid = *at;
    out_.alerts.push_back(std::move(out));
  }

  const std::string& source_;
  const Offset& offset_;
  Rules out_;
};

// Follows recording rules. Each is looked at once, so that rules that read each other cost no more
// than their number.
class Behind {
 public:
  explicit Behind(const Rules& rules) : rules_(rules) {}

  double window(std::string_view expr, int depth = 0) {
    const report::PromqlText text = report::scan_promql(expr);
    double behind = 0;
    for (const std::string& metric : text.metrics) behind = std::max(behind, of(metric, depth));
    return text.longest_window + behind;
  }
  void metrics(std::string_view expr, std::set<std::string>& out, int depth = 0) {
    for (const std::string& metric : report::scan_promql(expr).metrics) {
      const auto [from, to] = rules_.recordings.equal_range(metric);
      if (from == to || depth >= kDeepest) {
        out.insert(metric);
      } else if (seen_.insert(metric).second) {
        for (auto rule = from; rule != to; ++rule) metrics(rule->second.expr, out, depth + 1);
      }
    }
  }

 private:
  double of(const std::string& metric, int depth) {
    const auto [from, to] = rules_.recordings.equal_range(metric);
    if (from == to || depth >= kDeepest) return 0;
    const auto [known, added] = windows_.emplace(metric, 0);
    if (!added) return known->second;  // also of a rule that reads itself
    double longest = 0;
    for (auto rule = from; rule != to; ++rule)
      longest = std::max(longest, window(rule->second.expr, depth + 1));
    return windows_[metric] = longest;
  }

  const Rules& rules_;
  std::map<std::string, double> windows_;  // by recording rule
  std::set<std::string> seen_;
};

}  // namespace

Result<Rules> parse_rules(const json::value& data, const std::string& source,
                          const Offset& offset) {
  const json::object* object = data.if_object();
  const json::array* groups = object != nullptr ? kube::array_at(*object, "groups") : nullptr;
  if (groups == nullptr)
    return fail(Errc::kUnavailable, source + ": no groups of rules in the answer");
  Rules out = Reader(source, offset).run(*groups);
  Behind behind(out);
  for (api::AlertRule& rule : out.alerts)
    rule.longestWindow = std::min(behind.window(rule.expr), kLongest);
  return out;
}

std::vector<std::string> metrics_behind(std::string_view expr, const Rules& rules) {
  std::set<std::string> found;
  Behind(rules).metrics(expr, found);
  return {found.begin(), found.end()};
}

std::optional<double> scrape_interval(const std::vector<std::string>& jobs,
                                      const std::vector<Target>& targets) {
  std::optional<double> longest;
  for (const Target& target : targets) {
    const auto job = target.labels.find("job");
    if (job == target.labels.end() || std::ranges::find(jobs, job->second) == jobs.end()) continue;
    if (target.scrape_interval > 0) longest = std::max(longest.value_or(0), target.scrape_interval);
  }
  return longest;
}

}  // namespace faultline::controller::observe
