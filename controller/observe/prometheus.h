// SPDX-License-Identifier: Apache-2.0
// Read-only client of Prometheus' HTTP API, and of whatever answers it (Thanos, Mimir,
// VictoriaMetrics). What parses an answer is a pure function of its own.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "controller/observe/in_part.h"
#include "controller/observe/source.h"

namespace faultline::controller::observe {

// Seconds since the epoch by the source's clock. The value may be NaN or infinite: what that means
// is the caller's question, it is never a number to compare.
struct Point {
  double at = 0;
  double value = 0;
};
struct Series {
  Labels labels;
  std::vector<Point> points;  // in order of time; of an instant query one
};

struct BuildInfo {
  std::string version;
  std::string program;     // "Prometheus"; others say who they are in other fields
  api::Timestamp started;  // of its process, by its own clock; not set: not told
};

// One active alert, as /api/v1/alerts tells it.
struct ActiveAlert {
  std::string alert;
  Labels labels;  // without alertname
  bool firing = false;
  double active_at = 0;  // pending since: a time of the rule's evaluations
};

struct Target {
  Labels labels;  // after relabelling
  std::string scrape_pool;
  double scrape_interval = 0;  // seconds; 0: not told
  bool up = false;
  std::string last_error;
};

// The `data` of an answer. kUnavailable: it is no answer of Prometheus; kInvalid: it is an error
// that Prometheus tells.
[[nodiscard]] Result<boost::json::value> data_of(const boost::json::value& answer);
// Vectors, matrices and scalars. kUnavailable: anything else, or a value that is no number, or more
// than can be kept. A native histogram has no points. A series with too_much() labels is one of
// `left_out`; where that is null, it is kInvalid.
[[nodiscard]] Result<std::vector<Series>> parse_series(const boost::json::value& data,
                                                       NotTaken* left_out = nullptr);
// The number of an answer to a query of one time, `at`. Empty: there is no series, or several, or
// no finite value. Errors: those of parse_series(); kInvalid: a matrix, or a value of another time:
// what is old or of a time to come says nothing of `at`.
[[nodiscard]] Result<std::optional<double>> parse_number(const boost::json::value& data, double at);
// How far a value's time may be from the one that was asked for, seconds.
inline constexpr double kSameTime = 1;
// Those whose labels are not too_much(), but for the labels that are too long: an alert that fires
// must not be missed for one of them.
[[nodiscard]] Result<std::vector<ActiveAlert>> parse_alerts(const boost::json::value& data);
[[nodiscard]] Result<std::vector<Target>> parse_targets(const boost::json::value& data);
// A list of texts, as of the values of a label; what is none is left out.
[[nodiscard]] Result<std::vector<std::string>> parse_names(const boost::json::value& data);
// Sets of labels, as of /api/v1/series.
[[nodiscard]] Result<std::vector<Labels>> parse_label_sets(const boost::json::value& data);

// Series of ALERTS, and those that were not taken.
struct AlertSeries {
  std::vector<Series> series;
  NotTaken left_out;
};
using NumberInPart = InPart<std::optional<double>>;

// Not thread-safe; one question at a time. Errors as Source::get().
class Prometheus {
 public:
  template <class T>
  using Task = boost::asio::awaitable<Result<T>>;

  Prometheus(boost::asio::any_io_executor executor, SourceOptions options, const Clock& clock)
      : source_(std::move(executor), std::move(options), clock) {}

  // What `read` makes of the `data` at `target`; it may run on another thread. An answer that is
  // not whole is kUnavailable, here and below, but where InPart says it.
  template <class T>
  [[nodiscard]] Task<T> data(std::string target,
                             std::function<Result<T>(const boost::json::value&)> read) {
    std::function<Result<T>(const Answer&)> of_answer =
        [read = std::move(read)](const Answer& answer) -> Result<T> {
      const auto data = data_in(answer.body);
      if (!data) return fail(data.error());
      if (std::string missing = missing_words(answer.body); !missing.empty())
        return fail(Errc::kUnavailable, std::move(missing));
      return read(**data);
    };
    return source_.get<T>(std::move(target), std::move(of_answer));
  }
  template <class T>
  [[nodiscard]] Task<InPart<T>> data_in_part(
      std::string target, std::function<Result<T>(const boost::json::value&)> read) {
    std::function<Result<InPart<T>>(const Answer&)> of_answer =
        [read = std::move(read)](const Answer& answer) -> Result<InPart<T>> {
      const auto data = data_in(answer.body);
      if (!data) return fail(data.error());
      Result<T> value = read(**data);
      if (!value) return fail(std::move(value.error()));
      return InPart<T>{std::move(*value), missing_words(answer.body)};
    };
    return source_.get<InPart<T>>(std::move(target), std::move(of_answer));
  }

  // `at`: seconds since the epoch by the source's clock. A range selector as `promql` ("up[5m]")
  // gives the stored samples with their own times.
  [[nodiscard]] Task<std::vector<Series>> query(std::string promql, double at);
  // As parse_number().
  [[nodiscard]] Task<std::optional<double>> number(std::string promql, double at);
  [[nodiscard]] Task<NumberInPart> number_in_part(std::string promql, double at);
  // As query(), of a selector of ALERTS.
  [[nodiscard]] Task<InPart<AlertSeries>> query_alerts(std::string promql, double at);
  // `step` is made longer where the range would have more than kMostPoints of them. kUnavailable
  // also: an answer with times that were not asked for.
  [[nodiscard]] Task<std::vector<Series>> query_range(std::string promql, double from, double to,
                                                      double step);
  static constexpr double kMostPoints = 10'000;  // Prometheus takes 11 000

  // The names of the metrics whose series match `selector` ("{pod=\"x\"}") between the two times.
  [[nodiscard]] Task<std::vector<std::string>> metric_names(std::string selector, double from,
                                                            double to);
  // The labels of the series that match, also in part: `most` is a wish, which old versions do not
  // know, and others warn that they kept to it.
  [[nodiscard]] Task<std::vector<Labels>> series(std::string selector, double from, double to,
                                                 int most);

  [[nodiscard]] Task<std::vector<ActiveAlert>> alerts();
  [[nodiscard]] Task<std::vector<Target>> targets();
  [[nodiscard]] Task<std::string> config();  // YAML, secrets left out by Prometheus
  [[nodiscard]] Task<Labels> flags();
  [[nodiscard]] Task<BuildInfo> build_info();
  // How far its clock is from ours, by time() of a query; by the Date header where it has no
  // time().
  [[nodiscard]] Task<Offset> clock_offset();

  [[nodiscard]] const SourceOptions& options() const { return source_.options(); }

 private:
  // As data_of(), without a copy.
  [[nodiscard]] static Result<const boost::json::value*> data_in(const boost::json::value& answer);
  friend Result<boost::json::value> data_of(const boost::json::value& answer);
  Source source_;
};

}  // namespace faultline::controller::observe
