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

// Counts what an answer takes in memory once it is read.
class Kept {
 public:
  // False: it is more than may be kept.
  bool add(std::size_t bytes) { return (bytes_ += bytes) <= kMost; }
  static tl::unexpected<Error> too_many() {
    return fail(Errc::kUnavailable,
                "the answer has more series and labels than can be kept: " + bytes_words(kMost));
  }

 private:
  static constexpr std::size_t kMost = 64 << 20;
  std::size_t bytes_ = 0;
};

// Of an object at `key`; what is no text is left out. Those that are too long, too.
Labels labels_in(const json::object& object, std::string_view key) {
  Labels out;
  if (const json::object* labels = kube::object_at(object, key))
    for (const auto& label : *labels)
      if (const json::string* value = label.value().if_string();
          value != nullptr && value->size() <= kLongestLabel && label.key().size() <= kLongestLabel)
        out.emplace(std::string(label.key()), std::string(value->data(), value->size()));
  return out;
}

std::string seconds_text(double seconds) {
  char text[32];
  static_cast<void>(std::snprintf(text, sizeof text, "%.3f", seconds));
  return text;
}

}  // namespace

Result<const json::value*> Prometheus::data_in(const json::value& answer) {
  const json::object* object = answer.if_object();
  if (object == nullptr) return strange("it is not an object");
  const std::string_view status = kube::text_at(*object, "status");
  if (status == "error")
    return fail(Errc::kInvalid, printable(kube::text_at(*object, "error"), 300));
  const json::value* data = object->if_contains("data");
  if (status != "success" || data == nullptr) return strange("no status and data");
  return data;
}

Result<json::value> data_of(const json::value& answer) {
  const auto data = Prometheus::data_in(answer);
  if (!data) return fail(data.error());
  return **data;
}

Result<std::vector<Series>> parse_series(const json::value& data, NotTaken* left_out) {
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
  Kept kept;
  for (const json::value& one : *all) {
    const json::object* series = one.if_object();
    if (series == nullptr) return strange("a series that is not an object");
    Series to;
    if (const json::object* labels = kube::object_at(*series, "metric")) {
      if (std::string why = too_much(*labels); !why.empty()) {
        if (left_out == nullptr) return fail(Errc::kInvalid, "a series has " + why);
        left_out->add(*labels, std::move(why));
        continue;
      }
      to.labels = labels_of(*labels);
    }
    if (const json::value* value = series->if_contains("value")) {
      const auto point = point_in(*value);
      if (!point) return strange("a value that is not a number");
      to.points.push_back(*point);
    }
    if (const json::array* values = kube::array_at(*series, "values")) {
      if (!kept.add(values->size() * sizeof(Point))) return Kept::too_many();
      to.points.reserve(values->size());
      for (const json::value& value : *values) {
        const auto point = point_in(value);
        if (!point) return strange("a value that is not a number");
        to.points.push_back(*point);
      }
    }
    std::ranges::stable_sort(to.points, {}, &Point::at);
    if (!kept.add(sizeof to + bytes_of_labels(to.labels))) return Kept::too_many();
    out.push_back(std::move(to));
  }
  return out;
}

Result<std::optional<double>> parse_number(const json::value& data, double at) {
  if (const json::object* object = data.if_object();
      object != nullptr && kube::text_at(*object, "resultType") == "matrix")
    return fail(Errc::kInvalid, "the answer is a range of samples, not the value of one time");
  const auto series = parse_series(data);
  if (!series) return fail(series.error());
  if (series->size() != 1 || series->front().points.size() != 1) return std::optional<double>();
  const Point& point = series->front().points.front();
  if (std::abs(point.at - at) > kSameTime)
    return fail(Errc::kInvalid, "the value is of another time than was asked for");
  return std::isfinite(point.value) ? std::optional(point.value) : std::nullopt;
}

Result<std::vector<ActiveAlert>> parse_alerts(const json::value& data) {
  const json::object* object = data.if_object();
  const json::array* all = object != nullptr ? kube::array_at(*object, "alerts") : nullptr;
  if (all == nullptr) return strange("no alerts");
  std::vector<ActiveAlert> out;
  Kept kept;
  for (const json::value& one : *all) {
    const json::object* alert = one.if_object();
    if (alert == nullptr) return strange("an alert that is not an object");
    ActiveAlert active;
    active.labels = labels_in(*alert, "labels");
    if (!kept.add(sizeof active + bytes_of_labels(active.labels))) return Kept::too_many();
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
  Kept kept;
  for (const json::value& one : *all) {
    const json::object* from = one.if_object();
    if (from == nullptr) return strange("a target that is not an object");
    Target target;
    target.labels = labels_in(*from, "labels");
    if (!kept.add(sizeof target + bytes_of_labels(target.labels))) return Kept::too_many();
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
    if (const json::string* name = one.if_string();
        name != nullptr && name->size() <= kLongestLabel)
      out.emplace_back(name->data(), name->size());
  return out;
}

Result<std::vector<Labels>> parse_label_sets(const json::value& data) {
  const json::array* all = data.if_array();
  if (all == nullptr) return strange("no list of series");
  std::vector<Labels> out;
  Kept kept;
  for (const json::value& one : *all) {
    const json::object* labels = one.if_object();
    if (labels == nullptr) continue;
    if (const std::string why = too_much(*labels); !why.empty())
      return fail(Errc::kInvalid, "a series has " + why);
    out.push_back(labels_of(*labels));
    if (!kept.add(sizeof(Labels) + bytes_of_labels(out.back()))) return Kept::too_many();
  }
  return out;
}

namespace {

// The times of an answer to a range: none that was not asked for, and no more than were.
Result<> check_times(const std::vector<Series>& series, double from, double to, double step) {
  const double most = std::floor((to - from) / step + 1e-6) + 2;
  for (const Series& one : series) {
    if (one.points.empty()) continue;
    // VictoriaMetrics moves both ends to multiples of the step.
    if (static_cast<double>(one.points.size()) > most ||
        one.points.front().at < from - step - kSameTime ||
        one.points.back().at > to + step + kSameTime)
      return strange("values of times that were not asked for");
  }
  return {};
}

std::string query_target(const std::string& promql, double at) {
  return "/api/v1/query?query=" + http::percent_encode(promql) + "&time=" + seconds_text(at);
}

}  // namespace

Prometheus::Task<std::vector<Series>> Prometheus::query(std::string promql, double at) {
  std::function<Result<std::vector<Series>>(const json::value&)> read =
      [](const json::value& data) { return parse_series(data); };
  return data(query_target(promql, at), std::move(read));
}

Prometheus::Task<std::optional<double>> Prometheus::number(std::string promql, double at) {
  std::function<Result<std::optional<double>>(const json::value&)> read =
      [at](const json::value& data) { return parse_number(data, at); };
  return data(query_target(promql, at), std::move(read));
}

Prometheus::Task<NumberInPart> Prometheus::number_in_part(std::string promql, double at) {
  std::function<Result<std::optional<double>>(const json::value&)> read =
      [at](const json::value& data) { return parse_number(data, at); };
  return data_in_part(query_target(promql, at), std::move(read));
}

Prometheus::Task<InPart<AlertSeries>> Prometheus::query_alerts(std::string promql, double at) {
  std::function<Result<AlertSeries>(const json::value&)> read =
      [](const json::value& data) -> Result<AlertSeries> {
    AlertSeries out;
    auto series = parse_series(data, &out.left_out);
    if (!series) return fail(series.error());
    out.series = std::move(*series);
    return out;
  };
  return data_in_part(query_target(promql, at), std::move(read));
}

Prometheus::Task<std::vector<Series>> Prometheus::query_range(std::string promql, double from,
                                                              double to, double step) {
  if (!(to >= from) || !(step > 0))
    co_return fail(Errc::kInvalid, "a range of time needs an end behind its begin, and a step");
  step = std::max(step, (to - from) / kMostPoints);
  std::string target = "/api/v1/query_range?query=" + http::percent_encode(promql) +
                       "&start=" + seconds_text(from) + "&end=" + seconds_text(to) +
                       "&step=" + seconds_text(step);
  std::function<Result<std::vector<Series>>(const json::value&)> read =
      [from, to, step](const json::value& data) -> Result<std::vector<Series>> {
    auto series = parse_series(data);
    if (!series) return series;
    // Steps are whole milliseconds in the question.
    if (auto good = check_times(*series, from, to, std::max(0.001, step - 0.0005)); !good)
      return fail(good.error());
    return series;
  };
  co_return co_await data(std::move(target), std::move(read));
}

Prometheus::Task<std::vector<std::string>> Prometheus::metric_names(std::string selector,
                                                                    double from, double to) {
  std::function<Result<std::vector<std::string>>(const json::value&)> read = parse_names;
  return data("/api/v1/label/__name__/values?match%5B%5D=" + http::percent_encode(selector) +
                  "&start=" + seconds_text(from) + "&end=" + seconds_text(to),
              std::move(read));
}

Prometheus::Task<std::vector<Labels>> Prometheus::series(std::string selector, double from,
                                                         double to, int most) {
  std::function<Result<std::vector<Labels>>(const json::value&)> read = parse_label_sets;
  std::string target = "/api/v1/series?match%5B%5D=" + http::percent_encode(selector) +
                       "&start=" + seconds_text(from) + "&end=" + seconds_text(to) +
                       "&limit=" + std::to_string(most);
  auto some = co_await data_in_part(std::move(target), std::move(read));
  if (!some) co_return fail(std::move(some.error()));
  co_return std::move(some->value);
}

Prometheus::Task<std::vector<ActiveAlert>> Prometheus::alerts() {
  std::function<Result<std::vector<ActiveAlert>>(const json::value&)> read = parse_alerts;
  return data("/api/v1/alerts", std::move(read));
}

Prometheus::Task<std::vector<Target>> Prometheus::targets() {
  std::function<Result<std::vector<Target>>(const json::value&)> read = parse_targets;
  return data("/api/v1/targets?state=active", std::move(read));
}

Prometheus::Task<std::string> Prometheus::config() {
  std::function<Result<std::string>(const json::value&)> read =
      [](const json::value& data) -> Result<std::string> {
    const json::object* object = data.if_object();
    if (object == nullptr || !object->contains("yaml"))
      return fail(Errc::kUnavailable, "no configuration in the answer");
    return std::string(kube::text_at(*object, "yaml"));
  };
  return data("/api/v1/status/config", std::move(read));
}

Prometheus::Task<Labels> Prometheus::flags() {
  std::function<Result<Labels>(const json::value&)> read =
      [](const json::value& data) -> Result<Labels> {
    return labels_in(json::object{{"flags", data}}, "flags");
  };
  return data("/api/v1/status/flags", std::move(read));
}

Prometheus::Task<BuildInfo> Prometheus::build_info() {
  std::function<Result<BuildInfo>(const json::value&)> read =
      [](const json::value& data) -> Result<BuildInfo> {
    BuildInfo out{.version = {}, .program = "Prometheus", .started = {}};
    if (const json::object* object = data.if_object()) {
      out.version = printable(kube::text_at(*object, "version"), 60);
      if (const auto program = kube::text_at(*object, "application"); !program.empty())
        out.program = printable(program, 60);
    }
    return out;
  };
  Result<BuildInfo> out = co_await data("/api/v1/status/buildinfo", std::move(read));
  if (!out) co_return out;
  // Mimir and VictoriaMetrics have none of it: then a restart cannot be seen.
  std::function<Result<api::Timestamp>(const json::value&)> started =
      [](const json::value& data) -> Result<api::Timestamp> {
    const json::object* object = data.if_object();
    const auto at = object != nullptr ? parse_time(kube::text_at(*object, "startTime"))
                                      : std::optional<double>();
    return at ? to_ours(*at, {}) : api::Timestamp{};
  };
  const auto at = co_await data("/api/v1/status/runtimeinfo", std::move(started));
  if (at) out->started = *at;
  co_return out;
}

Prometheus::Task<Offset> Prometheus::clock_offset() {
  std::function<Result<Offset>(const Answer&)> read = [](const Answer& answer) -> Result<Offset> {
    if (const auto data = data_in(answer.body)) {
      const auto series = parse_series(**data);
      if (series && series->size() == 1 && series->front().points.size() == 1 &&
          std::isfinite(series->front().points.front().value))
        return offset_of(answer.asked, answer.answered, series->front().points.front().value,
                         0.001);
    }
    if (!answer.date) return fail(Errc::kUnavailable, "it does not tell its time");
    return offset_of(answer.asked, answer.answered,
                     std::chrono::duration<double>(answer.date->time_since_epoch()).count(), 1);
  };
  // Without a time of ours in the question: then time() is the source's own clock.
  return source_.get("/api/v1/query?query=time()", std::move(read));
}

}  // namespace faultline::controller::observe
