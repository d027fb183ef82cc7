// SPDX-License-Identifier: Apache-2.0
#include "controller/observe/prometheus.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>

#include "base/printable.h"
#include "http/target.h"
#include "kube/json.h"
#include "report/promql.h"

namespace faultline::controller::observe {
namespace {

namespace json = boost::json;

tl::unexpected<Error> strange(std::string_view what) {
  return fail(Errc::kUnavailable,
              "the answer is none of Prometheus' HTTP API: " + std::string(what));
}

// "1", "NaN", "+Inf": values are texts.
std::optional<double> number_in(const json::value& value) {
  const json::string* text = value.if_string();
  if (text == nullptr) return std::nullopt;
  std::string_view word(text->data(), text->size());
  if (word.starts_with('+')) word.remove_prefix(1);
  if (word == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (word == "Inf") return std::numeric_limits<double>::infinity();
  if (word == "-Inf") return -std::numeric_limits<double>::infinity();
  double number = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  if (error != std::errc{} || end != word.data() + word.size()) return std::nullopt;
  return number;
}

std::optional<Point> point_in(const json::value& value) {
  const json::array* pair = value.if_array();
  if (pair == nullptr || pair->size() != 2 || !(*pair)[0].is_number()) return std::nullopt;
  const auto number = number_in((*pair)[1]);
  const double at = (*pair)[0].to_number<double>();
  if (!number || !std::isfinite(at)) return std::nullopt;
  return Point{at, *number};
}

Labels labels_in(const json::object& object, std::string_view key) {
  Labels out;
  if (const json::object* labels = kube::object_at(object, key))
    for (const auto& label : *labels)
      if (const json::string* value = label.value().if_string())
        out.emplace(std::string(label.key()), std::string(value->data(), value->size()));
  return out;
}

std::string seconds_text(double seconds) {
  char text[32];
  static_cast<void>(std::snprintf(text, sizeof text, "%.3f", seconds));
  return text;
}

}  // namespace

Result<json::value> data_of(const json::value& answer) {
  const json::object* object = answer.if_object();
  if (object == nullptr) return strange("it is not an object");
  const std::string_view status = kube::text_at(*object, "status");
  if (status == "error")
    return fail(Errc::kInvalid, printable(kube::text_at(*object, "error"), 300));
  const json::value* data = object->if_contains("data");
  if (status != "success" || data == nullptr) return strange("no status and data");
  return *data;
}

Result<std::vector<Series>> parse_series(const json::value& data) {
  const json::object* object = data.if_object();
  if (object == nullptr) return strange("the result has no type");
  const std::string_view type = kube::text_at(*object, "resultType");
  const json::value* result = object->if_contains("result");
  std::vector<Series> out;
  if (type == "scalar") {
    const auto point = result != nullptr ? point_in(*result) : std::nullopt;
    if (!point) return strange("a scalar without a number");
    out.push_back({{}, {*point}});
    return out;
  }
  const json::array* all = result != nullptr ? result->if_array() : nullptr;
  if ((type != "vector" && type != "matrix") || all == nullptr)
    return strange("a result of type " + printable(type, 60));
  for (const json::value& one : *all) {
    const json::object* series = one.if_object();
    if (series == nullptr) return strange("a series that is not an object");
    Series& to = out.emplace_back(Series{labels_in(*series, "metric"), {}});
    if (const json::value* value = series->if_contains("value")) {
      const auto point = point_in(*value);
      if (!point) return strange("a value that is not a number");
      to.points.push_back(*point);
    }
    if (const json::array* values = kube::array_at(*series, "values")) {
      to.points.reserve(values->size());
      for (const json::value& value : *values) {
        const auto point = point_in(value);
        if (!point) return strange("a value that is not a number");
        to.points.push_back(*point);
      }
    }
    std::ranges::stable_sort(to.points, {}, &Point::at);
  }
  return out;
}

Result<std::vector<ActiveAlert>> parse_alerts(const json::value& data) {
  const json::object* object = data.if_object();
  const json::array* all = object != nullptr ? kube::array_at(*object, "alerts") : nullptr;
  if (all == nullptr) return strange("no alerts");
  std::vector<ActiveAlert> out;
  for (const json::value& one : *all) {
    const json::object* alert = one.if_object();
    if (alert == nullptr) return strange("an alert that is not an object");
    ActiveAlert active;
    active.labels = labels_in(*alert, "labels");
    if (auto name = active.labels.extract("alertname"); !name.empty())
      active.alert = std::move(name.mapped());
    active.firing = kube::text_at(*alert, "state") == "firing";
    active.active_at = parse_time(kube::text_at(*alert, "activeAt")).value_or(0);
    if (!active.alert.empty()) out.push_back(std::move(active));
  }
  return out;
}

Result<std::vector<Target>> parse_targets(const json::value& data) {
  const json::object* object = data.if_object();
  const json::array* all = object != nullptr ? kube::array_at(*object, "activeTargets") : nullptr;
  if (all == nullptr) return strange("no targets");
  std::vector<Target> out;
  for (const json::value& one : *all) {
    const json::object* from = one.if_object();
    if (from == nullptr) return strange("a target that is not an object");
    Target target;
    target.labels = labels_in(*from, "labels");
    target.scrape_pool = kube::text_at(*from, "scrapePool");
    target.scrape_interval =
        report::parse_promql_duration(kube::text_at(*from, "scrapeInterval")).value_or(0);
    target.up = kube::text_at(*from, "health") == "up";
    target.last_error = printable(kube::text_at(*from, "lastError"), 300);
    out.push_back(std::move(target));
  }
  return out;
}

Result<std::vector<std::string>> parse_names(const json::value& data) {
  const json::array* all = data.if_array();
  if (all == nullptr) return strange("no list of names");
  std::vector<std::string> out;
  for (const json::value& one : *all)
    if (const json::string* name = one.if_string()) out.emplace_back(name->data(), name->size());
  return out;
}

Result<std::vector<Labels>> parse_label_sets(const json::value& data) {
  const json::array* all = data.if_array();
  if (all == nullptr) return strange("no list of series");
  std::vector<Labels> out;
  for (const json::value& one : *all)
    if (one.is_object()) out.push_back(labels_in(json::object{{"labels", one}}, "labels"));
  return out;
}

Prometheus::Task<json::value> Prometheus::data(std::string target) {
  Result<Answer> answer = co_await source_.get(std::move(target));
  if (!answer) co_return fail(answer.error());
  Result<json::value> data = data_of(answer->body);
  if (!data) co_return fail(data.error().with_context(options().name));
  co_return data;
}

Prometheus::Task<std::vector<Series>> Prometheus::query(std::string promql, double at) {
  const Result<json::value> found = co_await data(
      "/api/v1/query?query=" + http::percent_encode(promql) + "&time=" + seconds_text(at));
  if (!found) co_return fail(found.error());
  auto series = parse_series(*found);
  if (!series) co_return fail(series.error().with_context(options().name));
  co_return series;
}

Prometheus::Task<std::vector<Series>> Prometheus::query_range(std::string promql, double from,
                                                              double to, double step) {
  if (!(to >= from) || !(step > 0))
    co_return fail(Errc::kInvalid, "a range of time needs an end behind its begin, and a step");
  step = std::max(step, (to - from) / kMostPoints);
  const Result<json::value> found = co_await data(
      "/api/v1/query_range?query=" + http::percent_encode(promql) + "&start=" + seconds_text(from) +
      "&end=" + seconds_text(to) + "&step=" + seconds_text(step));
  if (!found) co_return fail(found.error());
  auto series = parse_series(*found);
  if (!series) co_return fail(series.error().with_context(options().name));
  co_return series;
}

Prometheus::Task<std::vector<std::string>> Prometheus::metric_names(std::string selector,
                                                                    double from, double to) {
  const Result<json::value> found =
      co_await data("/api/v1/label/__name__/values?match%5B%5D=" + http::percent_encode(selector) +
                    "&start=" + seconds_text(from) + "&end=" + seconds_text(to));
  if (!found) co_return fail(found.error());
  auto names = parse_names(*found);
  if (!names) co_return fail(names.error().with_context(options().name));
  co_return names;
}

Prometheus::Task<std::vector<Labels>> Prometheus::series(std::string selector, double from,
                                                         double to, int most) {
  const Result<json::value> found =
      co_await data("/api/v1/series?match%5B%5D=" + http::percent_encode(selector) +
                    "&start=" + seconds_text(from) + "&end=" + seconds_text(to) +
                    "&limit=" + std::to_string(most));
  if (!found) co_return fail(found.error());
  auto series = parse_label_sets(*found);
  if (!series) co_return fail(series.error().with_context(options().name));
  co_return series;
}

Prometheus::Task<json::value> Prometheus::rules() { return data("/api/v1/rules"); }

Prometheus::Task<std::vector<ActiveAlert>> Prometheus::alerts() {
  const Result<json::value> found = co_await data("/api/v1/alerts");
  if (!found) co_return fail(found.error());
  auto alerts = parse_alerts(*found);
  if (!alerts) co_return fail(alerts.error().with_context(options().name));
  co_return alerts;
}

Prometheus::Task<std::vector<Target>> Prometheus::targets() {
  const Result<json::value> found = co_await data("/api/v1/targets?state=active");
  if (!found) co_return fail(found.error());
  auto targets = parse_targets(*found);
  if (!targets) co_return fail(targets.error().with_context(options().name));
  co_return targets;
}

Prometheus::Task<std::string> Prometheus::config() {
  const Result<json::value> found = co_await data("/api/v1/status/config");
  if (!found) co_return fail(found.error());
  const json::object* object = found->if_object();
  if (object == nullptr || !object->contains("yaml"))
    co_return fail(Errc::kUnavailable, options().name + ": no configuration in the answer");
  co_return std::string(kube::text_at(*object, "yaml"));
}

Prometheus::Task<Labels> Prometheus::flags() {
  const Result<json::value> found = co_await data("/api/v1/status/flags");
  if (!found) co_return fail(found.error());
  co_return labels_in(json::object{{"flags", *found}}, "flags");
}

Prometheus::Task<BuildInfo> Prometheus::build_info() {
  const Result<json::value> found = co_await data("/api/v1/status/buildinfo");
  if (!found) co_return fail(found.error());
  BuildInfo out{.version = {}, .program = "Prometheus", .started = {}};
  if (const json::object* object = found->if_object()) {
    out.version = printable(kube::text_at(*object, "version"), 60);
    if (const auto program = kube::text_at(*object, "application"); !program.empty())
      out.program = printable(program, 60);
  }
  // Mimir and VictoriaMetrics have none of it: then a restart cannot be seen.
  if (const Result<json::value> runtime = co_await data("/api/v1/status/runtimeinfo"))
    if (const json::object* object = runtime->if_object())
      if (const auto at = parse_time(kube::text_at(*object, "startTime")))
        out.started = to_ours(*at, {});
  co_return out;
}

Prometheus::Task<Offset> Prometheus::clock_offset() {
  // Without a time of ours in the question: then time() is the source's own clock.
  Result<Answer> answer = co_await source_.get("/api/v1/query?query=time()");
  if (!answer) co_return fail(answer.error());
  const Result<json::value> data = data_of(answer->body);
  if (data) {
    const auto series = parse_series(*data);
    if (series && series->size() == 1 && series->front().points.size() == 1 &&
        std::isfinite(series->front().points.front().value))
      co_return offset_of(answer->asked, answer->answered, series->front().points.front().value,
                          0.001);
  }
  if (!answer->date)
    co_return fail(Errc::kUnavailable, options().name + ": it does not tell its time");
  co_return offset_of(answer->asked, answer->answered,
                      std::chrono::duration<double>(answer->date->time_since_epoch()).count(), 1);
}

}  // namespace faultline::controller::observe
