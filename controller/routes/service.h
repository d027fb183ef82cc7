// SPDX-License-Identifier: Apache-2.0
// Engine, store and HTTP put together. Everything here runs on one event loop, on one thread, but
// for SQLite and for what takes long: writes on the worker "fl-store", reading runs, building
// reports and other long answers on "fl-report", reading experiments on "fl-parse", and long
// messages of agents on "fl-sync", long answers of the monitoring on "fl-answer". Writes and syncs
// have threads of their own because an answer to an agent renews its lease, and must not wait for a
// report.
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
#include <boost/asio/cancellation_signal.hpp>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "api/node_status.h"
#include "base/clock.h"
#include "base/slept.h"
#include "controller/announce/announcer.h"
#include "controller/audit.h"
#include "controller/engine/engine.h"
#include "controller/engine/scope.h"
#include "controller/kubernetes/leadership.h"
#include "controller/kubernetes/run_control.h"
#include "controller/routes/metrics.h"
#include "controller/routes/monitoring.h"
#include "controller/routes/signal.h"
#include "controller/store/day_journal.h"
#include "controller/store/journal.h"
#include "controller/store/reserve.h"
#include "controller/store/store.h"
#include "controller/store/worker.h"
#include "http/server.h"

namespace faultline::controller {

class DayControl;

struct ServiceOptions {
  std::string store_path;
  std::int64_t max_store_pages = 0;
  std::int64_t max_run_bytes = kMaxRunBytes;
  Retention retention;
  RunTimes times;
  bool journaled = false;     // journal() follows
  AuditLog* audit = nullptr;  // outlives it; none: nothing is kept of who decided what
  // Of the token that lets Alertmanager in, for whoever has to paste it; empty: the door is closed.
  std::string notifications_token_file;
};

class Service final : public RunControl, public std::enable_shared_from_this<Service> {
 public:
  // Opens the store and, unless it is journaled, takes over runs that an earlier controller did not
  // finish. On a disk that is full it uses the room that was kept for that (store/reserve.h), and
  // no run can start until that is there again. `clock` must outlive it. Blocks: call it before the
  // loop runs.
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
  // Both, or none.
  void journal(std::unique_ptr<Journal> journal, std::unique_ptr<DayJournal> days = {}) {
    journal_ = std::move(journal);
    day_journal_ = std::move(days);
  }
  // How a runbook is fetched that is in a ConfigMap, with the rights of `who`. Without it none is.
  using FetchText = std::function<boost::asio::awaitable<Result<std::string>>(
      http::Identity who, std::string ns, std::string name, std::string key)>;
  void config_maps(FetchText fetch) { fetch_text_ = std::move(fetch); }
  // The same of a surprise that is in a Secret. Without it a day that has one is refused.
  void secrets(FetchText fetch) { fetch_secret_ = std::move(fetch); }
  // Empty: in order; else why the controller is not ready.
  void readiness(std::function<std::string()> not_ready) { not_ready_ = std::move(not_ready); }
  // What holds for experiments from now on.
  void rules(Rules rules) { engine_.rules(std::move(rules)); }
  // As Engine::services(); nodes are told at once.
  void services(std::vector<KnownService> services);
  // Where the monitoring is from now on; Rules::has_prometheus has to agree.
  void monitoring(std::vector<api::MonitoringEndpoint> endpoints);
  // Who is told of runs from now on.
  void destinations(std::vector<api::EventDestination> destinations) {
    announcer_.configure(std::move(destinations));
  }
  // What keeps an experiment from running on this controller as things are now, one sentence each.
  // Empty: nothing that is known, also where no agent is connected.
  [[nodiscard]] std::vector<std::string> obstacles(const api::Experiment& experiment) const;
  // Why it can never run here, whatever pods there are: kDenied, kUnsupported.
  [[nodiscard]] Result<> never_runs(const api::Experiment& experiment) const;
  void add_routes(http::Server& server);
  void start();  // the loops that move and store runs
  // Ends all runs with `reason` in their record, and waits at most `grace` until agents reported
  // that nothing is left. New experiments are refused from now on.
  boost::asio::awaitable<void> end_runs(std::chrono::milliseconds grace,
                                        std::string reason = "the controller was told to end");
  // Another controller goes on with the runs: what is known of them is written down, for at most
  // `limit`, and nothing is begun any more.
  boost::asio::awaitable<void> hand_over(std::chrono::milliseconds limit);
  // Call when the server has stopped. Waits for the workers.
  void close();

  // ---- RunControl
  boost::asio::awaitable<Result<>> take_over() override;
  boost::asio::awaitable<Result<std::string>> start_run(api::Experiment experiment, std::string who,
                                                        std::string uid) override;
  boost::asio::awaitable<Result<std::string>> run_of(std::string name, std::string uid) override;
  [[nodiscard]] std::string active_run_of(const std::string& uid) const override;
  [[nodiscard]] std::vector<const api::RunRecord*> active_runs() const override {
    return engine_.active_heads();
  }
  void stop_run(const std::string& run, const std::string& reason) override;
  boost::asio::awaitable<Result<RunNow>> run_now(std::string run) override;
  [[nodiscard]] std::uint64_t changes() const override { return run_changes_; }
  boost::asio::awaitable<void> wait_for_change(std::uint64_t seen, SteadyTime until) override;

  // The game days. They live as long as this.
  [[nodiscard]] DayControl& days();

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
  awaitable<Result<>> copy_entry(api::RunLogEntry entry);
  awaitable<Result<std::optional<api::RunLogEntry>>> next_entry(std::string run,
                                                                std::shared_ptr<EntryPlace> place);
  [[nodiscard]] std::optional<Response> elsewhere(std::uint64_t known_term) const;

  // ---- loops
  awaitable<void> tick_loop();
  awaitable<void> store_loop();
  awaitable<bool> store_run(const std::string& run);
  awaitable<void> prune();
  awaitable<void> finish_loop();      // of the journal
  awaitable<void> tell_detections();  // once: /metrics goes on with what earlier runs showed

  // ---- the monitoring (watching.cpp)
  struct Watched {
    std::shared_ptr<observe::Watcher> watcher;
    boost::asio::cancellation_signal cancel;
    bool begun = true;                       // what is asked before a run was asked
    std::vector<api::MonitoringGap> before;  // while nobody followed it, of a run taken over
    std::optional<SteadyTime> fault_since;   // as far as it was watched
  };
  // A run that was taken over with its monitoring, which cannot be asked: a file of its sources
  // cannot be read. It is tried again and again.
  struct Unwatched {
    std::optional<SteadyTime> fault_since;  // as far as this controller has it
    std::optional<SteadyTime> tried;
  };
  // Null: the experiment asks nothing of the monitoring. kInvalid: an alert that it expects could
  // not fire, and nobody said that it runs anyway.
  awaitable<Result<std::shared_ptr<observe::Watcher>>> look_before(api::Experiment experiment,
                                                                   std::string who);
  awaitable<Result<std::vector<api::PlannedAlert>>> plan_alerts(api::Experiment experiment,
                                                                std::string who);
  // `begun`: the watcher has asked what is asked before a run; else it does that beside the queries
  // of abortWhen.
  void follow_monitoring(const std::string& run, std::shared_ptr<observe::Watcher> watcher,
                         bool begun = true);
  awaitable<void> watch(std::string run, std::shared_ptr<observe::Watcher> watcher, bool begun);
  // Of each run that was taken over with its monitoring: what happens from now on is seen again.
  void watch_again();
  void watch_again(const std::string& run);
  awaitable<void> begin_again(std::string run, std::shared_ptr<observe::Watcher> watcher);
  void watched_ended(const std::string& run, const std::exception_ptr& error);
  void stop_watching();
  void check_queries();

  // ---- routes
  awaitable<Response> sync(http::Request request);
  awaitable<Result<api::SyncRequest>> parse_sync(http::Request& request);
  // Reads the body on a worker: within the budget of the caller, who may be one without any right.
  awaitable<Result<api::Experiment>> parse_experiment(http::Request& request);
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
  awaitable<void> stream_events(http::EventSink& sink, std::string run, std::uint64_t cursor,
                                http::Identity who);
  awaitable<Response> get_metrics(http::Request request);
  awaitable<Response> get_monitoring(http::Request request);
  awaitable<Response> get_alerts(http::Request request);
  awaitable<Response> get_rule_test(http::Request request);
  awaitable<Response> get_tune(http::Request request);
  // Each with the right to get it: kInvalid, what choose() and load() say.
  awaitable<Result<std::vector<api::RunRecord>>> runs_to_tune(const http::Request& request);
  awaitable<Response> take_notification(http::Request request);
  awaitable<Response> get_health(http::Request request);
  awaitable<Response> get_ready(http::Request request);

  // ---- game days (gamedays.h, gameday_routes.cpp)
  class GameDays;
  awaitable<Response> start_gameday(http::Request request, AuditEntry& entry);
  awaitable<Response> list_gamedays(http::Request request);
  awaitable<Response> get_gameday(http::Request request);
  awaitable<Response> get_gameday_report(http::Request request);
  awaitable<Response> say_on_gameday(http::Request request, AuditEntry& entry);
  awaitable<Response> take_chat_note(http::Request request);
  // The day that is meant, where `asks` has the rights that `word` needs of `who`.
  awaitable<Result<DayRef>> may_say(http::Identity asks, std::string who, std::string day,
                                    const api::DayWord& word);
  // Puts in what runbooks say that are in ConfigMaps.
  awaitable<Result<>> fetch_runbooks(http::Identity who, api::GameDay& day);
  // Puts in what the Secrets of its steps say, once and for all (gameday_secrets.cpp). Call when
  // the rights of `who` were asked in what the day names: nothing else may be in a Secret. Nothing
  // in an error is of what they say.
  awaitable<Result<>> fetch_surprises(http::Identity who, api::GameDay& day);
  awaitable<Result<>> copy_days();
  awaitable<Result<api::GameDay>> parse_day(http::Request& request);
  awaitable<Result<>> allow_day(http::Identity who, std::string verb,
                                std::set<std::string> namespaces);
  // Whether the run is of a step of a game day that is a surprise for this person.
  [[nodiscard]] bool hidden(const std::string& run, const http::Identity& who) const;
  // The day that is meant, with the right to `verb` it: kNotFound, kDenied.
  awaitable<Result<DayRef>> choose_day(http::Identity who, std::string verb, std::string day);
  // Whether somebody may see a day, and do something with it.
  struct DayVerdict {
    Result<> see, act;
  };
  awaitable<DayVerdict> judge_day(http::Identity who, std::string verb, DayRef ref);
  [[nodiscard]] http::Identity speaker(const http::Request& request, const std::string& as) const;
  static constexpr std::size_t kMostDaysParsed = 4;  // documents of one caller at a time

  // ---- who may (allow.cpp)
  awaitable<Result<>> allow(http::Identity who, std::string verb, std::set<std::string> namespaces);
  awaitable<Result<>> allow_run(http::Identity who, std::string verb, RunRef ref);
  awaitable<Result<>> allow_start(http::Identity who, const api::Experiment& experiment);
  awaitable<Result<>> allow_scope(http::Identity who, Scope scope);
  class Sight;
  struct Wanted {
    std::string name;               // or the id of a run
    std::optional<std::string> ns;  // of the experiment
    bool is_name = false;           // it cannot be an id: it was given as NAMESPACE/NAME
  };
  // `text` is what a request says in {run} or run=; with its namespace=. kInvalid.
  static Result<Wanted> wanted(const http::Request& request, const std::string& text);
  // The run that is meant, with the right to `verb` it: kNotFound, kDenied, kConflict (a name that
  // means several, where something is changed). Act on RunRef::run only.
  awaitable<Result<RunRef>> choose(http::Identity who, std::string verb, Wanted wanted);
  // `ns`: only the pods of this namespace. kInvalid: they are of more namespaces than one request
  // may ask about.
  awaitable<Result<std::vector<api::NodeStatus>>> visible_pods(http::Identity who,
                                                               std::vector<api::NodeStatus> nodes,
                                                               std::optional<std::string> ns);
  awaitable<Result<RunRef>> newest(Sight& sight, Wanted wanted);
  awaitable<Result<RunRef>> only_active(Sight& sight, RunRef newest);
  struct Page {
    std::vector<RunRef> runs;
    std::optional<std::pair<UtcTime, std::string>> more;  // where the next page begins
  };
  // Those that `who` may see, at most `most`; what is looked at, and asked, is bounded.
  awaitable<Result<Page>> visible(http::Identity who, RefQuery query, std::size_t most);
  static RunRef ref_of(const Run& run);
  awaitable<Result<RunRef>> ref(std::string run);
  awaitable<Result<std::vector<RunRef>>> refs(RefQuery query);

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
  void audit_within_budget(AuditEntry entry);
  void audit_stop(const Run& run, const AuditEntry& asked);
  void audit_operator(AuditEntry entry, const Error* error);
  Result<> audit(const AuditEntry& entry);
  void audit_run(const Run& run);  // all that is new
  // Who ends a run: called before it is ended.
  void note_cause(const std::string& run, const AuditEntry& entry);
  void note_cause_of_all(const std::string& via);
  static void describe(AuditEntry& entry, const api::Experiment& experiment);
  static AuditEntry about(const Run& run);
  // As start_run(), with an empty `uid` for a run that is not of an Experiment of the cluster;
  // `entry` says who, and is written as soon as it is clear that it may begin.
  // Errors, kUnavailable: why no run can begin now.
  [[nodiscard]] Result<> can_begin() const;
  // `still_wanted` is asked once more when the monitoring has answered; no: kConflict.
  awaitable<Result<std::string>> begin_run(api::Experiment experiment, std::string who,
                                           std::string uid, AuditEntry& entry,
                                           std::function<bool()> still_wanted);
  awaitable<Result<std::string>> begin_run(api::Experiment experiment, std::string who,
                                           std::string uid, AuditEntry& entry);

  // ---- helpers
  // For the engine: its steady clock goes on while the machine sleeps. Timers and waits are by
  // clock_.
  [[nodiscard]] Instant now() const { return {clock_.steady() + machine_slept(), clock_.utc()}; }
  // After each call of the engine: wakes who waits for what it changed.
  void publish();
  static Result<std::shared_ptr<Service>> open_once(boost::asio::any_io_executor executor,
                                                    const Clock& clock, ServiceOptions options);
  void store_failed(const Error& error);
  void store_works();
  Signal& node_signal(const std::string& node);
  // The run with this id, or null; good until the caller waits. The engine also finds by name.
  [[nodiscard]] const Run* in_memory(const std::string& run) const;
  // Reads with the reader on its worker; the newest head of a run in memory goes along.
  awaitable<Result<api::RunRecord>> load(std::string run, Windows windows);
  // What reads a run from a store, on the thread of that store.
  using ReadRun = std::function<Result<api::RunRecord>(Store&)>;
  ReadRun reading(std::string run, Windows windows);
  // And what makes of it how the run stands.
  static std::function<Result<RunNow>(Store&)> reading_now(ReadRun read);
  awaitable<void> stream_record(http::BodySink& sink, std::shared_ptr<api::RunRecord> record);
  awaitable<Result<api::RunSummary>> stored_summary(std::string run);
  static tl::unexpected<Error> not_complete();

  boost::asio::any_io_executor executor_;
  const Clock& clock_;
  ServiceOptions options_;
  May may_;
  std::function<Leadership()> leadership_;
  std::function<std::string()> not_ready_;
  Engine engine_;
  Monitoring monitoring_;
  announce::Announcer announcer_;
  std::map<std::string, Watched> watched_;  // by run
  // Runs that were taken over and are not watched again yet, and since when.
  std::map<std::string, Unwatched> unwatched_;
  std::size_t notifications_parsing_ = 0;
  // Of an address. A flood comes as few large notifications; many small ones are not one.
  Rates notifiers_{{.burst = 40, .per_second = 20}};
  std::size_t refusals_ = 0;
  SteadyTime next_refusal_;
  Metrics metrics_;
  std::unique_ptr<Store> store_, reader_;
  std::unique_ptr<Journal> journal_;  // or none
  std::unique_ptr<DayJournal> day_journal_;
  FetchText fetch_text_, fetch_secret_;
  bool taken_over_ = false;          // the store has what an earlier controller left
  bool complete_ = true;             // also the runs that were over
  std::set<std::string> to_finish_;  // runs that are over, in the journal
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
  // Of what changed nothing.
  AuditBudget audit_budget_{{.burst = 20, .per_second = 1}, {.burst = 200, .per_second = 20}};
  StoreReserve reserve_{options_.store_path};
  bool lacks_reserve_ = false;
  std::string store_error_;  // empty: the last write was done, and a restart has its room
  bool ending_ = false;      // no new experiments
  bool closed_ = false;
  // What one person says on game days.
  Rates day_speakers_{{.burst = 50, .per_second = 10}};
  // Notes of a chat, of an address.
  Rates chat_notes_{{.burst = 20, .per_second = 2}};
  // Of all that come with one token, whatever names they give themselves.
  Rates day_callers_{{.burst = 200, .per_second = 50}};
  std::unique_ptr<GameDays> gamedays_;
  // What may be parsed for those who may start nothing as far as can be said without parsing.
  Rates strangers_{{.burst = 5, .per_second = 1}};
  std::map<std::string, std::size_t> parsing_;          // experiments, by caller
  std::shared_ptr<const http::Refusals> http_refused_;  // by the server, for the metrics
  // Last: join before the stores go. Of each kind one thread, so that a long job of one kind holds
  // up none of another.
  Worker store_worker_{"fl-store"}, report_worker_{"fl-report"}, parse_worker_{"fl-parse"},
      sync_worker_{"fl-sync"}, answer_worker_{"fl-answer"};
};

}  // namespace faultline::controller
