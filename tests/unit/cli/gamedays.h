// SPDX-License-Identifier: Apache-2.0
// A game day of three steps, and a test double of the controller that plays it: the real
// http::Server in front of a day whose course the test sets; and the fixture of its tests.
#pragma once

#include <gtest/gtest.h>

#include <atomic>

#include "api/gameday_plan.h"
#include "api/gameday_record.h"
#include "api/gameday_report.h"
#include "tests/unit/cli/harness.h"

namespace faultline::cli {

inline constexpr const char* kGameDay = R"(apiVersion: faultline.dev/v1alpha1
kind: GameDay
metadata: {name: pay}
spec:
  title: Payments is slow
  hypothesis: Checkout stays up
  owner: shop
  roles: {facilitator: [jane], commander: [joe]}
  steps:
  - {name: briefing, waitFor: {person: Everybody is here}}
  - name: slow
    surprise: true
    deadline: 5m
    onMiss: hold
    experiment: {file: slow.yaml}
  - name: both
    parallel:
    - {name: mend, task: {text: Bring it back, role: commander, timeout: 10m,
       runbook: {file: mend.md}}}
    - {name: rest, when: {step: slow, is: [met]}, repeat: 2, pause: 20s}
)";

class GameDayDouble {
 public:
  struct Script {
    bool hostile = false;  // every text that its messages can hold is
    bool checks_good = true;
    int busy = 0;             // so many words are answered by 503
    int too_many = 0;         // so many words are answered by 429
    int lost = 0;             // so many answers to the making of a day are lost
    bool takes_busy = false;  // and taken all the same: their answer was lost
    api::StepOutcome outcome = api::StepOutcome::met;
    api::DayState end = api::DayState::completed;
    milliseconds step{30};
    bool surprise = false;  // the step is not shown before it is over
    std::vector<api::StepPlan> plans;
    std::vector<std::pair<std::string, std::string>> incident{{"README.md", "x"},
                                                              {"metrics/pods.prom", "y"}};
  };

  explicit GameDayDouble(Script script, std::uint16_t port = 0);
  ~GameDayDouble() { vanish(); }
  GameDayDouble(const GameDayDouble&) = delete;
  GameDayDouble& operator=(const GameDayDouble&) = delete;

  void vanish();
  [[nodiscard]] bool started() const { return started_; }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  void use(Shell& shell, const Folder& folder) const;
  // A day that is under way, its briefing waiting for a person.
  void begin_day();
  void change(const std::function<void(api::GameDayView&)>& how);
  std::vector<api::DayWord> words();
  std::vector<std::string> asked();
  std::string document();
  [[nodiscard]] int created() const { return created_; }

 private:
  static constexpr const char* kToken = "person-token-person-token";
  std::string key_;  // of the day

  void in_loop(std::function<void()> work);
  static api::Timestamp now() { return {SystemClock().utc()}; }
  template <class T>
  [[nodiscard]] T sent(T value) const {
    return script_.hostile ? testing_words::hostile_as_sent(std::move(value)) : value;
  }
  static http::Response json(const boost::json::value& value, int status = 200);
  const api::DayEntry& add(api::DayEntry entry);
  asio::awaitable<void> sleep(milliseconds time);

  asio::awaitable<void> course();

  // What is seen above `after`.
  api::GameDayView seen(std::uint64_t after) const;
  api::GameDayView shown(std::uint64_t after) const;

  http::Response said(const http::Request& request);

  void routes();

  Script script_;
  asio::io_context io_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::optional<http::Server> server_;
  std::thread thread_;
  std::uint16_t port_ = 0;
  bool started_ = false;
  bool alone_ = false;  // unattended: it starts by itself
  std::atomic<int> created_ = 0;
  // In the loop only:
  api::GameDayView view_;
  std::vector<api::DayEntry> entries_;
  static constexpr std::uint64_t kHidden = 2;  // the number of what is hidden first
  std::vector<std::uint64_t> hidden_;
  std::uint64_t revealed_at_ = 0;
  std::vector<api::DayWord> words_;
  std::vector<std::string> asked_;
  std::string document_;
};

// The day in a file, with those that it names, and a shell for `faultline gameday`.
class GameDays : public testing::Test {
 protected:
  GameDays() {
    folder_.file("slow.yaml", kExperiment);
    folder_.file("mend.md", "# Mend\n1. look\n2. mend\n");
    file_ = folder_.file("day.yaml", kGameDay);
  }
  int run(std::vector<std::string> words) {
    words.insert(words.begin(), "gameday");
    return shell_.run(words);
  }
  int run_file(std::vector<std::string> more = {}) {
    std::vector<std::string> words{"run", file_, "--report", folder_.path() + "/out"};
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  }
  Folder folder_;
  Shell shell_;
  std::string file_;
};

}  // namespace faultline::cli
