// SPDX-License-Identifier: Apache-2.0
// Alertmanager's YAML -> Routing.
#include <algorithm>
#include <array>
#include <charconv>

#include "base/quoted.h"
#include "controller/observe/routes.h"
#include "document/yaml.h"
#include "kube/json.h"
#include "report/promql.h"

namespace faultline::controller::observe {
namespace {

namespace json = boost::json;

constexpr document::Budget kConfigBudget{4 << 20, 200'000, 64};
constexpr std::size_t kMostTold = 20;
constexpr std::array<std::string_view, 7> kWeekdays = {"sunday",   "monday", "tuesday", "wednesday",
                                                       "thursday", "friday", "saturday"};
constexpr std::array<std::string_view, 12> kMonths = {
    "january", "february", "march",     "april",   "may",      "june",
    "july",    "august",   "september", "october", "november", "december"};

std::optional<int> number_in(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

template <std::size_t N>
std::optional<int> word_or_number(std::string_view text,
                                  const std::array<std::string_view, N>& words, int first) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto found = std::ranges::find(words, lower);
  if (found != words.end()) return static_cast<int>(found - words.begin()) + first;
  return number_in(text);
}

std::optional<int> minutes_in(std::string_view text) {
  if (text.size() != 5 || text[2] != ':') return std::nullopt;
  const auto hours = number_in(text.substr(0, 2)), minutes = number_in(text.substr(3));
  if (!hours || !minutes || *hours < 0 || *minutes < 0 || *minutes > 59) return std::nullopt;
  const int all = *hours * 60 + *minutes;
  return all <= 24 * 60 ? std::optional(all) : std::nullopt;
}

class Reader {
 public:
  Result<Routing> run(const json::object& config) {
    const json::object* route = kube::object_at(config, "route");
    if (route == nullptr) return fail(Errc::kInvalid, "the configuration has no route");
    out_.root = read_route(*route, {}, 0);
    if (const json::array* receivers = kube::array_at(config, "receivers"))
      for (const json::value& one : *receivers) read_receiver(one);
    if (const json::array* rules = kube::array_at(config, "inhibit_rules"))
      for (const json::value& one : *rules) read_inhibit(one);
    // mute_time_intervals is the name before 0.24.
    for (const char* key : {"time_intervals", "mute_time_intervals"})
      if (const json::array* all = kube::array_at(config, key))
        for (const json::value& one : *all) read_interval(one);
    return std::move(out_);
  }

 private:
  void tell(std::string words) {
    if (out_.told.size() < kMostTold && std::ranges::find(out_.told, words) == out_.told.end())
      out_.told.push_back(std::move(words));
  }

  void read_length(const json::object& object, std::string_view key, double& to) {
    const std::string_view text = kube::text_at(object, key);
    if (text.empty()) return;
    if (const auto seconds = report::parse_promql_duration(text))
      to = *seconds;
    else
      tell(std::string(key) + ": " + in_quotes(text) + " is no duration");
  }

  void read_matchers(const json::object& object, std::string_view prefix,
                     std::vector<Matcher>& to) {
    const std::string key(prefix);
    for (const bool regex : {false, true})
      if (const json::object* all = kube::object_at(object, key + (regex ? "match_re" : "match")))
        for (const auto& one : *all)
          if (const json::string* value = one.value().if_string())
            to.push_back(
                {std::string(one.key()), std::string(value->data(), value->size()), regex, true});
    for (const std::string& text : kube::texts_at(object, key + "matchers")) {
      if (auto some = parse_matchers(text)) {
        to.insert(to.end(), some->begin(), some->end());
      } else {
        tell(some.error().message);
        to.push_back({"", "a matcher that was not understood", false, true});  // holds for none
      }
    }
    for (const Matcher& one : to)
      if (!matches(one, {}))
        tell("the regular expression " + in_quotes(one.value) + " is not understood");
  }

  RouteNode read_route(const json::object& from, RouteNode parent, int depth) {
    RouteNode out = std::move(parent);
    out.matchers.clear();
    out.routes.clear();
    out.mute_intervals = kube::texts_at(from, "mute_time_intervals");
    out.active_intervals = kube::texts_at(from, "active_time_intervals");
    if (const auto receiver = kube::text_at(from, "receiver"); !receiver.empty())
      out.receiver = receiver;
    out.goes_on = kube::text_at(from, "continue") == "true";
    if (from.contains("group_by")) out.group_by = kube::texts_at(from, "group_by");
    read_length(from, "group_wait", out.group_wait);
    read_length(from, "group_interval", out.group_interval);
    read_length(from, "repeat_interval", out.repeat_interval);
    read_matchers(from, "", out.matchers);
    const json::array* routes = kube::array_at(from, "routes");
    if (routes == nullptr || depth > 32) return out;
    const RouteNode mine = out;
    for (const json::value& one : *routes)
      if (const json::object* route = one.if_object())
        out.routes.push_back(read_route(*route, mine, depth + 1));
      else
        tell("a route that is not a map");
    return out;
  }

  void read_receiver(const json::value& value) {
    const json::object* from = value.if_object();
    if (from == nullptr) return;
    std::vector<std::string>& integrations =
        out_.receivers[std::string(kube::text_at(*from, "name"))];
    for (const auto& field : *from) {
      std::string_view key(field.key());
      const json::array* all = field.value().if_array();
      if (!key.ends_with("_configs") || all == nullptr) continue;
      key.remove_suffix(std::string_view("_configs").size());
      for (std::size_t i = 0; i < std::min<std::size_t>(all->size(), 16); ++i)
        integrations.emplace_back(key);
    }
  }

  void read_inhibit(const json::value& value) {
    const json::object* from = value.if_object();
    if (from == nullptr) return;
    InhibitRule rule;
    read_matchers(*from, "source_", rule.source);
    read_matchers(*from, "target_", rule.target);
    rule.equal = kube::texts_at(*from, "equal");
    out_.inhibit_rules.push_back(std::move(rule));
  }

  template <class Read>
  void read_spans(const json::object& from, std::string_view key,
                  std::vector<IntervalPart::Span>& to, Read read) {
    for (const std::string& text : kube::texts_at(from, key)) {
      const std::size_t colon = text.find(':');
      const auto first = read(std::string_view(text).substr(0, colon));
      const auto last =
          colon == std::string::npos ? first : read(std::string_view(text).substr(colon + 1));
      if (first && last)
        to.push_back({*first, *last});
      else
        tell(std::string(key) + ": " + in_quotes(text) + " is not understood");
    }
  }

  void read_interval(const json::value& value) {
    const json::object* from = value.if_object();
    const json::array* parts = from != nullptr ? kube::array_at(*from, "time_intervals") : nullptr;
    if (from == nullptr) return;
    std::vector<IntervalPart>& to = out_.intervals[std::string(kube::text_at(*from, "name"))];
    if (parts == nullptr) return;
    for (const json::value& one : *parts) {
      const json::object* object = one.if_object();
      if (object == nullptr) continue;
      IntervalPart part;
      if (const json::array* times = kube::array_at(*object, "times"))
        for (const json::value& time : *times)
          if (const json::object* span = time.if_object()) {
            const auto begin = minutes_in(kube::text_at(*span, "start_time"));
            const auto end = minutes_in(kube::text_at(*span, "end_time"));
            if (begin && end)
              part.times.push_back({*begin, *end});
            else
              tell("times: a time of day is not understood");
          }
      read_spans(*object, "weekdays", part.weekdays,
                 [](std::string_view text) { return word_or_number(text, kWeekdays, 0); });
      read_spans(*object, "days_of_month", part.days, number_in);
      read_spans(*object, "months", part.months,
                 [](std::string_view text) { return word_or_number(text, kMonths, 1); });
      read_spans(*object, "years", part.years, number_in);
      if (const auto location = kube::text_at(*object, "location");
          location != "UTC" && !location.empty())
        part.location = location;
      to.push_back(std::move(part));
    }
  }

  Routing out_;
};

}  // namespace

Result<Routing> parse_routing(std::string_view yaml) {
  // As texts: `severity: true` is the label's value "true".
  auto documents =
      document::read_documents(yaml, "the configuration of Alertmanager",
                               {.budget = kConfigBudget, .documents = 1, .texts = true});
  if (!documents) return fail(documents.error());
  const json::object* config = documents->empty() ? nullptr : documents->front().value.if_object();
  if (config == nullptr)
    return fail(Errc::kInvalid, "the configuration of Alertmanager is not a map");
  return Reader().run(*config);
}

}  // namespace faultline::controller::observe
