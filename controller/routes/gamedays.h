// SPDX-License-Identifier: Apache-2.0
// The game days that are under way: each is driven by one coroutine on the event loop, so that its
// entries have one order. What it decides is stored before it is acted on (gameday/day.h).
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "api/gameday_plan.h"
#include "controller/gameday/day.h"
#include "controller/gameday/words.h"
#include "controller/kubernetes/day_control.h"
#include "controller/routes/gameday_rights.h"
#include "controller/routes/reading_thread.h"
#include "controller/routes/service.h"
#include "controller/store/order_file.h"

namespace faultline::controller {

class Service::GameDays final : public DayControl {
 public:
  // Of both bases the same.
  template <class T>
  using awaitable = boost::asio::awaitable<T>;
  explicit GameDays(Service& service);

  // Reads what an earlier controller left under way. Blocks: call it before the loop runs.
  Result<> take_over();
  // From now on they are driven. Call once.
  void start();
  // Whoever waits for something of a day is woken, and learns nothing more.
  void stop();

  // Stores the day and begins with its pre-checks. The id, which is made where none is given.
  // kConflict: too many days are under way, there is one with this id, or the key is of another
  // one. kUnavailable: it is not known whether it was stored, and the message says how to find out.
  // The same key (empty: none) by the same person within an hour is the same day.
  awaitable<Result<std::string>> create(api::GameDay document, http::Identity who, bool unattended,
                                        std::string key, std::string id = {});
  // `day` is an id; it may be over. kNotFound; kUnavailable: too much is being said, or it cannot
  // be stored; else as Day::say().
  awaitable<Result<api::DayEntry>> say(std::string day, api::DayWord word, std::string who,
                                       std::string via);
  // Whether there is such a day for anybody: one that is not over and not in memory is being made,
  // or was made in vain.
  [[nodiscard]] bool is_there(const DayRef& ref) const;
  // The day with this id, also one that is over. kNotFound.
  awaitable<Result<std::shared_ptr<const gameday::Day>>> find(std::string day);
  // Of a day in memory: all that are under way are. Good until the caller waits.
  [[nodiscard]] const gameday::Day* in_memory(const std::string& day) const;
  // As the store has it; nothing: it is not in memory.
  [[nodiscard]] std::optional<DayRef> ref_in_memory(const std::string& day) const;
  // Until the day has an entry above number `after` that this person may see, or `until`.
  awaitable<void> wait_for_entry(std::string day, std::string user, std::uint64_t after,
                                 SteadyTime until);
  // The newest day under way with this id or name, in the namespace if one is given; empty: none.
  [[nodiscard]] std::string open_day(const std::string& day,
                                     const std::optional<std::string>& ns) const;
  // Whether the run is of a step that is a surprise for this person (gameday_hidden.cpp).
  [[nodiscard]] bool hidden(const std::string& run, const http::Identity& who) const;
  // There is this run in the store, or there will be; whatever it is of.
  void note_run(const api::RunRecord& head);
  // The store does not have it any more.
  void run_deleted(const std::string& run) { rehearsals_.erase(run); }

  // The place of one report of a day that is being made for a caller, until it is let go; null: too
  // many are under way.
  [[nodiscard]] std::shared_ptr<void> report_place(const std::string& caller);
  // Where these reports are made, so that nobody else waits for them; and where days are looked up
  // and their views written, which is never long.
  [[nodiscard]] ReadingThread& reports() { return reports_; }
  [[nodiscard]] ReadingThread& looks() { return looks_; }

  // ---- who may end a day (gameday_rights.cpp)
  // Whether `who` may see this day and end it. Where the cluster does not say so within
  // DayRights::kPatience, what it said of this person and this day within DayRights::kProven.
  awaitable<DayVerdict> may_end(http::Identity who, std::string day,
                                std::set<std::string> namespaces);
  // `who` looks at the day: so that it is known when it is needed, the cluster is asked, if it was
  // not for a while. Returns at once.
  void ask_ahead(const http::Identity& who, const std::string& day);

  // Memory for an answer while it is made; given back with the last copy, on this thread. Waits a
  // while for that of others. kUnavailable: that was too long.
  awaitable<Result<std::shared_ptr<void>>> room_for(std::size_t bytes);

  // ---- DayControl (gameday_control.cpp)
  awaitable<Result<DayNow>> day_now(std::string day) override;
  awaitable<Result<>> make_day(std::string id, api::GameDay document, http::Identity who,
                               bool unattended) override;
  awaitable<Result<api::DayEntry>> say_on_day(std::string day, http::Identity who,
                                              api::DayWord word) override;
  void end_day(const std::string& day, const std::string& why) override;
  [[nodiscard]] std::map<std::string, std::string> days_of_objects() const override;
  [[nodiscard]] bool outlives_controller() const override;
  [[nodiscard]] std::uint64_t day_changes() const override { return changes_; }
  awaitable<void> wait_for_day_change(std::uint64_t seen, SteadyTime until) override;

  // What a day would do now (gameday_checks.cpp).
  awaitable<Result<api::GameDayPlan>> plan(api::GameDay document, std::string who);

 private:
  struct Said {
    api::DayWord word;
    std::string who, via;
    std::optional<Result<api::DayEntry>> answer;
  };
  struct Active {
    Active(api::GameDayRecord record, boost::asio::any_io_executor executor)
        : namespaces(namespaces_of(record.document)),
          day(std::move(record)),
          signal(std::move(executor)) {}
    std::set<std::string> namespaces;  // of all that the day hits and sees
    gameday::Day day;
    Signal signal;  // something was said, or there is a new entry
    std::deque<std::shared_ptr<Said>> pending;
    std::map<std::string, gameday::SeenRun> runs;               // by key
    std::map<std::string, SteadyTime> refused_since, next_try;  // by key
    std::set<std::string> beginning;                            // keys: begin() is under way
    std::map<std::string, SteadyTime> rests_until;              // by key
    // Since when a step runs, by its name and the time of its begin; later by the time in which the
    // day was held.
    std::map<std::pair<std::string, UtcTime>, SteadyTime> running_since;
    bool was_held = false;    // in the turn before, which was at turn_at
    bool watched = false;     // watch() is under way
    bool copy_lacks = false;  // the store has not all that the journal has
    SteadyTime turn_at{};
    // The wall clock before the steady one, as the timeline knows it.
    std::optional<std::chrono::nanoseconds> clock_ahead;
    std::set<std::string> stopped;              // runs that were told to end: once
    std::set<std::string> looked_up, not_read;  // keys that the store was asked for
    std::map<api::PreCheck, gameday::SeenCheck> checks;
    std::set<std::string> quiet_names;  // of quiet runs that are stored and begun right now
    // What ends it and waits to be stored, but for words of people: an order to abort, with what
    // the day decided before it in the same moment. Numbers and times are made when it is stored.
    std::vector<api::DayEntry> ending;
    bool awaiting_abort = false, abort_failed = false;  // end_unless_stored()
    bool in_orders = false;                             // the order file has it
    SteadyTime next_abort{};  // when storing an order to abort is tried again
    struct Value {
      double value = 0;
      SteadyTime at;  // of the newest answer that had one; before, since when it is asked
      bool known = false, asking = false, slow = false;
      SteadyTime next;                   // when it is asked again
      std::optional<SteadyTime> sent;    // and not answered yet
      std::optional<SteadyTime> failed;  // the newest that was sent and had no value
    };
    std::map<std::string, Value> queries;
    std::map<std::string, std::string> effects;  // Seen::effects, of the steps that run
    bool checking = false, looking = false, asking = false, measuring = false;
    bool looked = false;  // for runs that an earlier controller left, once
    bool heard = false;   // the turn before knew which alerts fire
  };
  using Shared = std::shared_ptr<Active>;

  // What rights of a day are asked for.
  static std::set<std::string> namespaces_of(const api::GameDay& document);
  // One question about a person and a day, for all who wait for its answer.
  struct AskedRights {
    explicit AskedRights(boost::asio::any_io_executor executor) : answered(std::move(executor)) {}
    std::optional<DayVerdict> verdict;
    Signal answered;
  };
  awaitable<void> ask_rights(std::shared_ptr<AskedRights> asked, std::string key,
                             http::Identity who, std::set<std::string> namespaces);
  // The question that is under way, or a new one.
  std::shared_ptr<AskedRights> rights_of(const http::Identity& who, const std::string& key,
                                         const std::set<std::string>& namespaces);
  // The day of this name that was made with the key; empty: none was.
  awaitable<Result<std::string>> made_before(std::string name, std::string who, std::string key);
  awaitable<Result<std::string>> make(api::GameDay document, http::Identity who, bool unattended,
                                      std::string key, std::string id);
  awaitable<Result<Shared>> active_of(std::string day);
  awaitable<void> drive(Shared active);
  awaitable<void> hear(Active& active);
  [[nodiscard]] bool has_to_hear(const Active& active) const;
  awaitable<void> end_if_asked(Active& active);
  // Whether the day still wants the run to begin, with what is said and not heard yet.
  enum class Room { kYes, kHeld, kNone };
  [[nodiscard]] Room room_for(const Active& active, const gameday::WantedRun& run) const;
  void end_unwanted(Active& active);
  [[nodiscard]] gameday::Seen seen_now(Active& active) const;
  // An error: nothing is stored, and the day is as before. kUnavailable: that may change; else it
  // never will.
  awaitable<Result<>> write(Active& active, const std::vector<api::DayEntry>& entries);
  // ---- orders to abort (gameday_abort.cpp)
  // Whether one waits to be stored. Until it is, or the controller ends, the day stands still.
  [[nodiscard]] bool is_aborting(const Active& active) const;
  // Of every order to abort, by whatever way: sees to it that what injects ends when it is not
  // stored within a second, or its store fails. Returns at once.
  void await_abort(const Shared& active);
  awaitable<void> end_unless_stored(Shared active);
  // The order, as the file of orders has it. Nothing: none waits to be stored.
  [[nodiscard]] std::vector<api::DayEntry> order_of(const Active& active) const;
  // Writes it into the file of orders, which a killed controller does not take with it.
  awaitable<void> keep_order(Shared active);
  awaitable<void> drop_order(std::string day);
  // What an earlier controller was told, and could not store.
  void take_over_orders();
  // It failed: it is kept, and tried again.
  void abort_not_stored(Active& active);
  // Until the day is over: where a turn waits for longer than a second for what it stores or reads,
  // this looks whether the day has to end.
  awaitable<void> watch(Shared active);
  [[nodiscard]] std::vector<std::string> runs_under_way(const std::string& day) const;
  // Those whose state is known at once; the others, which have to be read.
  std::vector<gameday::WantedRun> look_at_runs(Active& active) const;
  awaitable<void> read_runs(Shared active, std::vector<gameday::WantedRun> runs);
  awaitable<void> read_run(Active& active, gameday::WantedRun run);
  // As Service::run_now(), on the thread of the days' course.
  awaitable<Result<RunNow>> run_now(std::string run);
  // ---- what agents measure (gameday_effects.cpp)
  static bool asks_effects(const gameday::Day& day);  // whether it waits for it, ever
  awaitable<void> look_at_effects(Shared active);     // until the day is over
  void reconcile(const Shared& active);
  awaitable<void> begin_apart(Shared active, gameday::WantedRun run);
  awaitable<void> begin(Active& active, gameday::WantedRun wanted, api::Experiment experiment);
  // ---- the monitoring (gameday_asking.cpp)
  void ask();                                  // ask_alerts(), if it does not run yet
  awaitable<void> ask_alerts();                // for all days
  awaitable<void> ask_queries(Shared active);  // of one day, each in a turn of its own
  // `ends`: it is of abortWhen.
  awaitable<void> ask_query(Shared active, std::string query, bool ends);
  [[nodiscard]] bool unasked(const Active& active, const std::string& query) const;
  void tell(const Active& active, const api::DayEntry& entry) const;
  void spawn(awaitable<void> work);
  void end_strays();
  // The day is not in memory any more.
  void forget(const std::string& day);
  void remember_secrets(const gameday::Day& day);
  Result<> take_over_secrets();
  // Whoever waits for the event loop goes first: between pieces of what takes long in all.
  awaitable<void> let_others();

  // ---- pre-checks (gameday_checks.cpp)
  awaitable<void> check(Shared active);
  awaitable<gameday::SeenCheck> check_one(Active& active, api::PreCheck check);
  awaitable<gameday::SeenCheck> check_plans(const gameday::Day& day, bool agents);
  awaitable<gameday::SeenCheck> check_monitoring(std::string who, bool needed);
  awaitable<gameday::SeenCheck> check_alerts(const api::GameDay& document, std::string who);
  awaitable<gameday::SeenCheck> rehearse(Active& active);
  // Always the same, so that a controller that takes over knows the run.
  static std::string rehearsal_key(const gameday::Day& day) {
    return std::string(gameday::kRunKey) + day.record().day + "//rehearsal";
  }

  static constexpr std::size_t kMostDays = 32;        // under way
  static constexpr std::size_t kMostDaysOfOne = 8;    // of whoever asked for them
  static constexpr std::size_t kMostPending = 64;     // of one day, and as many orders to abort
  static constexpr std::size_t kMostBeginning = 4;    // runs of one day at a time
  static constexpr std::size_t kMostAskedAtOnce = 4;  // queries of one day
  static constexpr std::size_t kMostAnswering = 64 << 20;  // bytes of answers that are being made
  static constexpr std::size_t kMostReports = 8, kMostReportsOfOne = 2;  // being made
  static constexpr std::chrono::milliseconds kTurn{100};
  static constexpr std::chrono::seconds kAsk{1};       // the monitoring
  static constexpr std::chrono::seconds kRefused{10};  // what may change is tried again so long
  static constexpr std::chrono::seconds kStays{60};    // in memory, when it is over and quiet

  Service& service_;
  std::map<std::string, Shared> days_;
  OrderFile orders_;                               // on orders_worker_, and before it runs
  std::vector<std::string> unreadable_;            // ids of days that failed in take_over()
  std::map<std::string, std::string> rehearsals_;  // that are quiet: run, day
  // Days that failed before all of them began, and are not in memory: who knows of what they hide.
  std::map<std::string, std::vector<std::string>> secrets_of_;
  std::shared_ptr<const gameday::Day> read_;  // the last one that was read: it is read in pages
  std::set<std::string> reading_;             // days that are being read
  std::size_t answering_ = 0;                 // bytes
  Signal answered_;                           // there is room again
  bool asking_ = false, stopped_ = false;
  std::set<std::pair<std::string, std::string>> making_;  // person and key
  std::map<std::string, std::string> made_now_;           // ids of days being stored, and of whom
  struct Made {
    std::string day, name;
    SteadyTime at;
  };
  std::map<std::pair<std::string, std::string>, Made> made_;  // in the last hour, by person and key
  Signal changed_;                                            // of any day
  std::uint64_t changes_ = 1;
  // What the monitoring said last: of all days the same.
  std::optional<std::vector<gameday::SeenAlert>> alerts_;
  // When the source of the queries answered last, and since when it answered none that was sent.
  std::optional<SteadyTime> spoke_at_, silent_since_;
  std::map<std::string, std::size_t> reports_of_;  // being made, by caller
  std::size_t all_reports_ = 0;
  DayRights rights_;
  std::map<std::string, std::shared_ptr<AskedRights>> rights_asked_;  // under way, by key
  // Last: join before the others go. What is long in one holds up none of the others, and reports
  // of single runs (Service) hold up none of them.
  ReadingThread reports_, course_, looks_;
  Worker orders_worker_{"fl-orders"};
};

}  // namespace faultline::controller
