// SPDX-License-Identifier: Apache-2.0
#include "controller/observe/rules.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <span>
#include <unordered_set>

#include "base/printable.h"
#include "base/quoted.h"
#include "controller/observe/room.h"
#include "kube/json.h"
#include "report/format.h"
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
constexpr std::size_t kMostKept = 64 << 20;  // bytes of all that is read
constexpr std::size_t kNode = 32 + sizeof(std::string) + sizeof(RecordingRule);
constexpr std::size_t kShownExpression = 300;  // bytes
constexpr double kLongest = 366 * 86'400.0;    // seconds; what is longer is no setting

class Reader {
 public:
  Reader(const std::string& source, const Offset& offset, const WantedRules& wanted)
      : source_(source), offset_(offset), wanted_(wanted) {}

  Result<Rules> run(const json::array& groups) {
    for (const json::value& one : groups) {
      const json::object* group = one.if_object();
      if (group == nullptr) {
        tell("a group that is not an object");
        continue;
      }
      unknown(*group, kGroupKeys, "group");
      read_group(*group);
      if (bytes_ > kMostKept)
        return fail(Errc::kUnavailable,
                    "there are more rules than can be kept: " + bytes_words(kMostKept));
    }
    return std::move(out_);
  }

 private:
  void tell(std::string words) {
    if (out_.told.size() < kMostTold && std::ranges::find(out_.told, words) == out_.told.end())
      out_.told.push_back(std::move(words));
  }
  void leave_out(std::string words) {
    if (out_.left_out.size() < kMostTold &&
        std::ranges::find(out_.left_out, words) == out_.left_out.end())
      out_.left_out.push_back(std::move(words));
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
      if (kube::text_at(*rule, "type") != "recording")
        read_alert(*rule, name, interval, grid);
      else if (expr.size() <= kLongestExpression)
        add_recording(kube::text_at(*rule, "name"), expr, interval);
    }
    // lastEvaluation is when the work was done, milliseconds after the time that it was done for;
    // an alert's activeAt is that time itself, the same for all rules of a group.
    for (std::size_t i = first; i < out_.alerts.size(); ++i)
      out_.alerts[i].lastEvaluation = to_ours(grid, offset_);
  }

  void add_recording(std::string_view name, std::string_view expr, double interval) {
    bytes_ += kNode + name.size() + expr.size();
    if (bytes_ <= kMostKept)
      out_.recordings.emplace(std::string(name), RecordingRule{std::string(expr), interval});
  }

  void add_name(std::string_view name) {
    // Those that are asked for are never too many.
    if (out_.names.size() >= kMostRuleNames && !(wanted_ && wanted_(std::string(name), {}))) return;
    if (!names_.insert(name).second) return;  // the texts of the answer outlive this
    bytes_ += sizeof(std::string) + name.size();
    out_.names.emplace_back(name);
  }

  // Its labels. Empty: it is not wanted, or too much of it is not taken.
  std::optional<Labels> labels_of_wanted(const json::object& rule, const std::string& alert) {
    const json::object none;
    const json::object* labels = kube::object_at(rule, "labels");
    if (labels == nullptr) labels = &none;
    std::string why = too_much(*labels);
    const std::size_t expression = kube::text_at(rule, "query").size();
    if (why.empty() && expression > kLongestExpression)
      why = "an expression of " + bytes_words(expression);
    if (!why.empty()) {
      if (!wanted_ || wanted_(alert, {}))
        leave_out("a rule of the alert " + in_quotes(alert) + " with " + why + " was not taken");
      return std::nullopt;
    }
    Labels out = labels_of(*labels);
    if (!wanted_) return out;
    if (!wanted_(alert, out)) return std::nullopt;
    if (++of_alert_[alert] > kMostRulesOfAlert) {
      leave_out("there are more than " + std::to_string(kMostRulesOfAlert) +
                " rules of the alert " + in_quotes(alert) + ": the others were not taken");
      return std::nullopt;
    }
    return out;
  }

  void read_alert(const json::object& rule, const std::string& group, double interval,
                  double& grid) {
    if (const json::array* active = kube::array_at(rule, "alerts"))
      for (const json::value& one : *active)
        if (const json::object* alert = one.if_object())
          if (const auto at = parse_time(kube::text_at(*alert, "activeAt"))) grid = *at;
    const std::string_view name = kube::text_at(rule, "name");
    if (name.size() > kLongestLabel) {
      leave_out("a rule with a name of " + bytes_words(name.size()) + " was not taken");
      return;
    }
    add_name(name);
    api::AlertRule out;
    out.alert = name;
    auto labels = labels_of_wanted(rule, out.alert);
    if (!labels) return;
    out.labels = std::move(*labels);
    out.source = source_;
    out.group = group;
    out.expr = kube::text_at(rule, "query");
    out.forSeconds = length(rule, "duration");
    out.keepFiringForSeconds = length(rule, "keepFiringFor");
    out.evaluationInterval = interval;
    if (const json::object* found = kube::object_at(rule, "annotations"))
      for (const auto& one : *found)
        if (const json::string* value = one.value().if_string();
            value != nullptr && out.annotations.size() < kMostLabels &&
            one.key().size() <= kLongestLabel)
          // One byte more than is used, so that what was cut is told from what was not.
          out.annotations.emplace(
              std::string(one.key()),
              std::string(value->data(), std::min(value->size(), kLongestAnnotation + 1)));
    if (kube::text_at(rule, "health") == "err")
      out.problem =
          "its last evaluation failed: " + printable(kube::text_at(rule, "lastError"), 300);
    if (!(interval > 0)) tell("group " + in_quotes(group) + " tells no interval");
    bytes_ += bytes_of(out);
    if (bytes_ > kMostKept) return;
    out_.alerts.push_back(std::move(out));
  }

  const std::string& source_;
  const Offset& offset_;
  const WantedRules& wanted_;
  Rules out_;
  std::size_t bytes_ = 0;
  std::unordered_set<std::string_view> names_;
  std::map<std::string, std::size_t> of_alert_;
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

Result<Rules> parse_rules(const json::value& data, const std::string& source, const Offset& offset,
                          const WantedRules& wanted) {
  const json::object* object = data.if_object();
  const json::array* groups = object != nullptr ? kube::array_at(*object, "groups") : nullptr;
  if (groups == nullptr) return fail(Errc::kUnavailable, "no groups of rules in the answer");
  auto out = Reader(source, offset, wanted).run(*groups);
  if (!out) return out;
  Behind behind(*out);
  for (api::AlertRule& rule : out->alerts)
    rule.longestWindow = std::min(behind.window(rule.expr), kLongest);
  return out;
}

boost::asio::awaitable<Result<Rules>> ask_rules(Prometheus& client, Offset offset,
                                                WantedRules wanted) {
  std::function<Result<Rules>(const json::value&)> read =
      [source = client.options().name, offset, wanted = std::move(wanted)](
          const json::value& data) { return parse_rules(data, source, offset, wanted); };
  std::string target = "/api/v1/rules";
  auto some = co_await client.data_in_part(std::move(target), std::move(read));
  if (!some) co_return fail(std::move(some.error()));
  if (!some->missing.empty())
    some->value.left_out.insert(some->value.left_out.begin(),
                                client.options().name + ": " + some->missing);
  some->value.missing = std::move(some->missing);
  co_return std::move(some->value);
}

std::string changed_words(const api::AlertRule& before, const api::AlertRule& now) {
  std::vector<std::string> words;
  const auto length = [&](const char* what, double was, double is) {
    if (was != is)
      words.push_back(std::string(what) + " was " + report::promql_duration_words(was) +
                      " and is " + report::promql_duration_words(is));
  };
  length("for", before.forSeconds, now.forSeconds);
  length("keep_firing_for", before.keepFiringForSeconds, now.keepFiringForSeconds);
  length("the evaluation interval", before.evaluationInterval, now.evaluationInterval);
  if (before.expr != now.expr)
    words.push_back("the expression was " + printable(before.expr, kShownExpression) + " and is " +
                    printable(now.expr, kShownExpression));
  return report::join(words, "; ");
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
