// SPDX-License-Identifier: Apache-2.0
// The monitoring as it is configured now, and what notifications taught of it. Not thread-safe.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "api/experiment.h"
#include "api/monitoring_config.h"
#include "base/clock.h"
#include "controller/observe/prometheus.h"
#include "controller/observe/watcher.h"
#include "controller/routes/turns.h"
#include "controller/store/worker.h"

namespace faultline::controller {

namespace observe {
struct TuneQuestion;
struct TuneData;
}  // namespace observe

// The receiver that `faultline monitoring` prints for Alertmanager's configuration.
inline constexpr const char* kOwnReceiver = "faultline";

class Monitoring {
 public:
  // `clock` must outlive this, and `reader`, which reads long answers.
  Monitoring(boost::asio::any_io_executor executor, const Clock& clock, Worker* reader)
      : executor_(std::move(executor)),
        clock_(clock),
        reader_(reader),
        turns_(clock, {.under_way = kMostAsking, .patience = kTurn}),
        quick_(clock, {.under_way = kMostAsking, .patience = kTurn}),
        slow_(clock, {.under_way = kMostAsking, .patience = kTurn}),
        long_(clock, {.under_way = kMostLong, .waiting = 256, .of_caller = 256, .patience = kLong}),
        tuning_(clock, {.under_way = 1, .waiting = 8, .of_caller = 2, .patience = kTurn}) {}

  // From now on; runs under way go on with what they have.
  void configure(std::vector<api::MonitoringEndpoint> endpoints) {
    endpoints_ = std::move(endpoints);
  }
  [[nodiscard]] bool has_prometheus() const;
  [[nodiscard]] const std::vector<api::MonitoringEndpoint>& endpoints() const { return endpoints_; }

  // A watcher that has asked for all that is known before a run. Errors name the source and the
  // file (a token or certificate that cannot be read). A source that does not answer is no error
  // but a problem in the record. What a source answers may be megabytes, so that only kMostAsking
  // ask at a time and the others wait for their turn, each `caller` in its own (turns.h).
  // kUnavailable: it did not come in kTurn.
  [[nodiscard]] boost::asio::awaitable<Result<std::shared_ptr<observe::Watcher>>> begin(
      api::Experiment experiment, std::string caller);

  // The same in two steps, for a run that goes on already: the watcher, which has asked nothing
  // yet, and its begin(). Errors of the first name the source and the file; kUnavailable of the
  // second: its turn did not come.
  [[nodiscard]] Result<std::shared_ptr<observe::Watcher>> watcher(api::Experiment experiment);
  [[nodiscard]] boost::asio::awaitable<Result<>> begin(std::shared_ptr<observe::Watcher> watcher,
                                                       std::string caller);

  // The raw samples, between two times of our clock, of all that an expression reads in one
  // Prometheus. kNotFound: there is none of this name any more; else as begin() and
  // observe::samples_of().
  [[nodiscard]] boost::asio::awaitable<Result<std::vector<observe::Series>>> samples(
      std::string source, std::string expr, double from, double to, std::string caller);

  // What observe::tune_plan() and tuned() need, asked of one Prometheus. It takes a turn for each
  // question, so that a start waits for one question and not for all. One tuning at a time, of a
  // caller one more may wait; errors as samples() and observe::ask_tune().
  [[nodiscard]] boost::asio::awaitable<Result<observe::TuneData>> tune(
      observe::TuneQuestion question, std::string caller);

  // The alerts that fire now in any Prometheus, each in its own labels. An error of one of them is
  // an error of all: what one cannot say must not be taken for silence. kNotFound: there is none.
  [[nodiscard]] boost::asio::awaitable<Result<std::vector<observe::ActiveAlert>>> firing(
      std::string caller);
  // A query that is asked again and again. The quick ones do not wait behind the slow ones.
  struct Standing {
    std::string promql;
    bool slow = false;              // it took long the last time
    std::function<void()> sending;  // is called when its turn has come
  };
  struct Answered {
    Result<double> value = fail(Errc::kUnavailable, "not asked");
    std::optional<SteadyTime> sent;  // nothing: its turn did not come
  };
  // The value of a query that has one, of the first Prometheus. kNotFound: it has none, or several;
  // kInvalid: it is of a part of the stores; else as observe::parse_number().
  [[nodiscard]] boost::asio::awaitable<Answered> value(Standing query, std::string caller);

  // A notification of this receiver arrived here. Of a flood of names the first are kept.
  void heard_of(const std::string& receiver);
  // Those whose notifications come here: one arrived within kHeard.
  [[nodiscard]] std::set<std::string> receivers() const;
  static constexpr std::chrono::hours kHeard{24};  // what fires is told again after some hours

 private:
  static constexpr std::size_t kMostAsking = 2;
  static constexpr std::chrono::seconds kTurn{10};
  // Answers beyond observe::kShortAnswer, of all runs and questions together.
  static constexpr std::size_t kMostLong = 2;
  static constexpr std::chrono::seconds kLong{3};
  // What the watchers of all runs keep together, bytes.
  static constexpr std::size_t kMostKept = 128 << 20;

  [[nodiscard]] boost::asio::awaitable<Result<std::shared_ptr<void>>> turn(std::string caller);
  [[nodiscard]] Result<observe::MonitoringSources> sources();
  [[nodiscard]] Result<observe::SourceOptions> prometheus(const std::string& name);
  // Of an endpoint, with what is bounded for all.
  [[nodiscard]] Result<observe::SourceOptions> options_of(const api::MonitoringEndpoint& endpoint);

  boost::asio::any_io_executor executor_;
  const Clock& clock_;
  Worker* reader_;
  std::vector<api::MonitoringEndpoint> endpoints_;
  Turns turns_, quick_, slow_, long_, tuning_;
  std::shared_ptr<observe::Room> room_ = std::make_shared<observe::Room>(kMostKept);
  std::map<std::string, SteadyTime> receivers_;  // when a notification of it arrived last
};

}  // namespace faultline::controller
