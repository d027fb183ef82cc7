// SPDX-License-Identifier: Apache-2.0
// Engine, store and HTTP put together. Everything here runs on one event loop, on one thread, but
// for SQLite: writes on the worker "fl-store", reading runs and building reports on "fl-report".
// Writes have a thread of their own because an answer to an agent renews its lease, and must not
// wait for a report.
//
// What the engine learns of measurements is stored before: it never acts on what a restart would
// forget. A write that fails ends all runs and makes syncs with measurements fail with 503, so that
// agents keep what they have and their lease ends the injection.
//
// With a journal (store/journal.h) the SQLite file is a copy of it, made when this controller takes
// over. Batches are acknowledged when they are in the journal: what is not, agents send again.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <deque>
#include <map>
#include <memory>
#include <string>

#include "api/node_status.h"
#include "base/clock.h"
#include "base/slept.h"
#include "controller/audit.h"
#include "controller/engine/engine.h"
#include "controller/engine/scope.h"
#include "controller/kubernetes/leadership.h"
#include "controller/kubernetes/run_control.h"
#include "controller/routes/metrics.h"
#include "controller/routes/signal.h"
#include "controller/store/journal.h"
#include "controller/store/store.h"
#include "controller/store/worker.h"
#include "http/server.h"

namespace faultline::controller {

struct ServiceOptions {
  std::string store_path;
  std::int64_t max_store_pages = 0;
  Retention retention;
  RunTimes times;
  bool journaled = false;     // journal() follows
  AuditLog* audit = nullptr;  // outlives it; none: nothing is kept of who decided what
};

class Service final : public RunControl, public std::enable_shared_from_this<Service> {
 public:
  // Opens the store and, unless it is journaled, takes over runs that an earlier controller did not
  // finish. `clock` must outlive it. Blocks: call it before the loop runs.
  static Result<std::shared_ptr<Service>> open(boost::asio::any_io_executor executor,
                                               const Clock& clock, ServiceOptions options);
  ~Service() override;

  // Before add_routes(). `may`: asked before anything is done for a person, or shown to one;
  // without it a person may everything. While another one leads, agents and people are sent there
  // (421).
  using May = std::function<boost::asio::awaitable<Result<>>(http::Identity who, std::string verb,
                                                             std::set<std::string> namespaces)>;
  void authority(May may, std::function<Leadership()> leadership) {
    may_ = std::move(may);
    leadership_ = std::move(leadership);
  }
  void journal(std::unique_ptr<Journal> journal) { journal_ = std::move(journal); }
  // Empty: in order; else why the controller is not ready.
  void readiness(std::function<std::string()> not_ready) { not_ready_ = std::move(not_ready); }
  // What holds for experiments from now on.
  void rules(Rules rules) { engine_.rules(std::move(rules)); }
  void add_routes(http::Server& server);
  void start();  // the loops that move and store runs
  // Ends all runs, and waits at most `grace` until agents reported that nothing is left. New
  // experiments are refused from now on.
  boost::asio::awaitable<void> end_runs(std::chrono::milliseconds grace);
  // Another controller goes on with the runs: what is known of them is written down, for at most
  // `limit`, and nothing is begun any more.
  boost::asio::awaitable<void> hand_over(std::chrono::milliseconds limit);
  // Call when the server has stopped. Waits for the workers.
  void close();

  // ---- RunControl
  boost::asio::awaitable<Result<>> take_over() override;
  boost::asio::awaitable<Result<std::string>> start_run(api::Experiment experiment,
                                                        std::string who) override;
  void stop_run(const std::string& run, const std::string& reason) override;
  boost::asio::awaitable<Result<RunNow>> run_now(std::string run) override;
  [[nodiscard]] std::uint64_t changes() const override { return run_changes_; }
  boost::asio::awaitable<void> wait_for_change(std::uint64_t seen, SteadyTime until) override;

  static constexpr std::chrono::seconds kLongestPoll{30};

 private:
  using Response = http::Response;
  template <class T>
  using awaitable = boost::asio::awaitable<T>;
  struct LoggedEvent {
    std::uint64_t id = 0;
    std::string run;
    std::string words;  // state and reason
    std::string data;
    bool last = false;  // the run is over
  };

  Service(boost::asio::any_io_executor executor, const Clock& clock, ServiceOptions options);
  Result<> take_over_stored(const std::string& successor);
  awaitable<Result<>> copy_journal();
  awaitable<void> copy_finished();
  [[nodiscard]] std::optional<Response> elsewhere(std::uint64_t known_term) const;

  // ---- loops
  awaitable<void> tick_loop();
  awaitable<void> store_loop();
  awaitable<bool> store_run(const std::string& run);
  awaitable<void> prune();
  awaitable<void> finish_loop();  // of the journal

  // ---- routes
  awaitable<Response> sync(http::Request request);
  void tell_refused(const std::string& node, const Refused& refused);
  awaitable<void> wait_for_news(const std::string& node, const api::SyncRequest& message,
                                SteadyTime until);
  awaitable<Response> start_experiment(http::Request request, AuditEntry& entry);
  awaitable<Response> list_experiments(http::Request request);
  awaitable<Response> get_experiment(http::Request request);
  awaitable<Response> stop_experiment(http::Request request, AuditEntry& entry);
  awaitable<Response> stop_all(http::Request request, AuditEntry& entry);
  awaitable<Response> get_report(http::Request request);
  awaitable<Response> get_nodes(http::Request request);
  awaitable<Response> get_events(http::Request request);
  awaitable<void> stream_events(http::EventSink& sink, std::string run, std::uint64_t cursor);
  awaitable<Response> get_metrics(http::Request request);
  awaitable<Response> get_health(http::Request request);
  awaitable<Response> get_ready(http::Request request);

  // ---- who may (allow.cpp)
  awaitable<Result<>> allow(http::Identity who, std::string verb, std::set<std::string> namespaces);
  awaitable<Result<>> allow_run(http::Identity who, std::string verb, std::string run);
  awaitable<Result<>> allow_events(http::Identity who, std::string run);  // empty: of all
  awaitable<Result<>> allow_start(http::Identity who, const api::Experiment& experiment);
  awaitable<std::vector<api::RunSummary>> visible(http::Identity who,
                                                  std::vector<api::RunSummary> summaries);

  // ---- the audit log (audited.cpp)
  using Reading = awaitable<Response> (Service::*)(http::Request);
  using Changing = awaitable<Response> (Service::*)(http::Request, AuditEntry&);
  struct Audited {
    std::size_t marks = 0;  // of the run's history
    bool ending_told = false;
  };
  // A handler that changes something says itself what it allowed, before it does; what it refuses
  // is written here. Of reading only what somebody may not.
  awaitable<Response> audited(Changing handler, std::string verb, http::Request request);
  awaitable<Response> audited_reading(Reading handler, http::Request request);
  void audit_refused(const http::Request& request, const Response& response);
  void audit_denied(AuditEntry entry);
  void audit_stop(const Run& run, const AuditEntry& asked);
  void audit_operator(AuditEntry entry, const Error* error);
  Result<> audit(const AuditEntry& entry);
  void audit_run(const Run& run);  // all that is new
  // Who ends a run: called before it is ended.
  void note_cause(const std::string& run, const AuditEntry& entry);
  void note_cause_of_all(const std::string& via);
  static void describe(AuditEntry& entry, const api::Experiment& experiment);
  static AuditEntry about(const Run& run);
  // As start_run(); `entry` says who, and is written as soon as it is clear that it may begin.
  awaitable<Result<std::string>> begin_run(api::Experiment experiment, std::string who,
                                           AuditEntry& entry);

  // ---- helpers
  // For the engine: its steady clock goes on while the machine sleeps. Timers and waits are by
  // clock_.
  [[nodiscard]] Instant now() const { return {clock_.steady() + machine_slept(), clock_.utc()}; }
  // After each call of the engine: wakes who waits for what it changed.
  void publish();
  void store_failed(const Error& error);
  void store_works();
  Signal& node_signal(const std::string& node);
  // Reads with the reader on its worker; the newest head of a run in memory goes along.
  awaitable<Result<api::RunRecord>> load(std::string run_or_name);
  awaitable<Result<api::RunSummary>> stored_summary(std::string run_or_name);

  boost::asio::any_io_executor executor_;
  const Clock& clock_;
  ServiceOptions options_;
  May may_;
  std::function<Leadership()> leadership_;
  std::function<std::string()> not_ready_;
  Engine engine_;
  std::size_t refusals_ = 0;
  SteadyTime next_refusal_;
  Metrics metrics_;
  std::unique_ptr<Store> store_, reader_;
  std::unique_ptr<Journal> journal_;  // or none
  bool taken_over_ = false;           // the store has what an earlier controller left
  bool complete_ = true;              // also the runs that were over
  std::set<std::string> to_finish_;   // runs that are over, in the journal
  Signal finish_signal_;
  std::map<std::string, std::pair<std::string, std::uint64_t>> acked_;  // node: instance, number
  std::map<std::string, std::unique_ptr<Signal>> node_signals_;
  Signal tick_signal_, store_signal_, event_signal_;
  std::deque<LoggedEvent> events_;  // of all runs, the newest
  std::uint64_t last_event_;
  std::uint64_t run_changes_ = 0;
  std::map<std::string, Audited> audited_;    // by run
  std::map<std::string, AuditEntry> causes_;  // of an end that was asked for, by run
  std::map<std::string, std::string> operator_said_;
  double denied_left_ = 0;  // lines that may be written now
  std::uint64_t denied_left_out_ = 0;
  SteadyTime denied_at_;
  std::string store_error_;  // empty: the last write was done
  bool ending_ = false;      // no new experiments
  bool closed_ = false;
  Worker store_worker_{"fl-store"}, report_worker_{"fl-report"};  // last: join before the stores go
};

}  // namespace faultline::controller
