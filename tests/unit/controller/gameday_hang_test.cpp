// SPDX-License-Identifier: Apache-2.0
// Game days while something outside them is slow, hostile, broken or killed, through a whole
// controller on loopback.
#include <SQLiteCpp/SQLiteCpp.h>
#include <gmock/gmock.h>

#include "api/gameday_record.h"
#include "controller/store/order_file.h"
#include "house.h"
#include "tests/unit/http/loopback.h"

namespace faultline::controller::test {
namespace {

namespace asio = boost::asio;
using api::DayState;
using api::EntryKind;
using testing::HasSubstr;

// Takes connections and never says a word.
class Silent {
 public:
  Silent() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ::bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    ::listen(socket_, 128);
    ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  ~Silent() { ::close(socket_); }
  Silent(const Silent&) = delete;
  Silent& operator=(const Silent&) = delete;
  [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

 private:
  int socket_;
  std::uint16_t port_ = 0;
};

std::string experiment(const std::string& app, const std::string& fault,
                       const std::string& more = "") {
  return "{spec: {target: {selector: {namespaces: [shop], labelSelectors: {app: " + app +
         "}}}, faults: [{networkLatency: {latency: 50ms}}], phases: {baseline: 100ms, fault: " +
         fault + ", recovery: 100ms}" + more + "}}";
}

std::string day_text(const std::string& name, const std::string& steps,
                     const std::string& more = "  preChecks: []\n") {
  return "apiVersion: faultline.dev/v1alpha1\nkind: GameDay\nmetadata: {name: " + name +
         "}\nspec:\n  title: Payments is slow\n" + more + "  steps:\n" + steps;
}

class GameDayHang : public testing::Test {
 protected:
  void open(const std::string& prometheus = "") {
    house_ = std::make_unique<House>(
        HouseOptions{.store_path = dir_.file("store.db"), .port = port_, .prometheus = prometheus});
    port_ = house_->port();
    if (!agent_) {
      agent_ = std::make_unique<AgentDouble>(house_->client("agent-token"), "n1");
      std::this_thread::sleep_for(milliseconds(500));
    }
  }
  std::string create(const std::string& text, const std::string& as = "jane") {
    const auto answer =
        house_->call("POST", "/api/v1/gamedays?namespace=shop&anyway=true&as=" + as, text);
    EXPECT_EQ(answer.status, 201) << answer.body;
    auto view = api::from_json_text<api::GameDayView>(answer.body);
    return view ? view->day : "";
  }
  [[nodiscard]] api::GameDayView look(const std::string& day) const {
    const auto answer = house_->call("GET", "/api/v1/gamedays/" + day);
    auto view = api::from_json_text<api::GameDayView>(answer.body);
    if (view) return std::move(*view);
    ADD_FAILURE() << answer.status << " " << answer.body;
    return {};
  }
  api::GameDayView until(const std::string& day, DayState state,
                         milliseconds limit = milliseconds(20'000)) const {
    const auto late = std::chrono::steady_clock::now() + limit;
    api::GameDayView view = look(day);
    while (view.state != state && std::chrono::steady_clock::now() < late) {
      std::this_thread::sleep_for(milliseconds(20));
      view = look(day);
    }
    EXPECT_EQ(view.state, state) << view.stateReason << " " << view.next;
    return view;
  }
  http::ClientResponse say(const std::string& day, EntryKind kind, const std::string& text = "",
                           const std::string& as = "jane") {
    const api::DayWord word{
        .kind = kind, .key = "word-number-" + std::to_string(++words_), .as = as, .text = text};
    return house_->call("POST", "/api/v1/gamedays/" + day + "/entries", api::to_json_text(word));
  }
  std::string run_of(const std::string& day, const std::string& step) const {
    for (int i = 0; i < 500; ++i) {
      for (const api::StepView& one : look(day).steps)
        if (one.name == step && !one.runs.empty()) return one.runs.back();
      std::this_thread::sleep_for(milliseconds(10));
    }
    ADD_FAILURE() << step << " has no run";
    return "";
  }

  TempDir dir_;
  std::uint16_t port_ = 0;
  std::unique_ptr<House> house_;
  std::unique_ptr<AgentDouble> agent_;
  std::atomic<int> words_ = 0;
};

// Each begin of a run that asks the monitoring takes as long as a question may.
TEST_F(GameDayHang, AnAbortIsHeardAtOnceAndNothingBeginsAfterIt) {
  const Silent prometheus;
  open(prometheus.url());
  std::string steps =
      "  - name: p\n    parallel:\n    - {name: f, experiment: " + experiment("payments", "40s") +
      "}\n";
  for (int i = 0; i < 8; ++i)
    steps += "    - {name: e" + std::to_string(i) + ", experiment: " +
             experiment("idle", "10s", ", expect: {alerts: [{name: A, within: 5s}]}") + "}\n";
  const std::string day = create(day_text("hang", steps));
  EXPECT_EQ(say(day, EntryKind::started).status, 201);
  const std::string run = run_of(day, "f");
  house_->until(run, api::RunState::Injecting);
  const auto asked = std::chrono::steady_clock::now();
  EXPECT_EQ(say(day, EntryKind::aborted, "enough").status, 201);
  while (agent_->told_at(api::RunPhase::recovery) == SteadyTime{} &&
         std::chrono::steady_clock::now() - asked < seconds(10))
    std::this_thread::sleep_for(milliseconds(5));
  EXPECT_LT(std::chrono::steady_clock::now() - asked, milliseconds(1500));
  const auto over = until(day, DayState::aborted, milliseconds(40'000));
  for (const api::DayEntry& entry : over.entries)
    EXPECT_TRUE(entry.kind != EntryKind::run_begun || entry.run == run) << entry.step;
}

// A Prometheus that answers what has "slow" in it after a while.
class SlowPrometheus {
 public:
  SlowPrometheus()
      : server_([](http::Server& server) {
          server.route(
              "GET", "/api/v1/query", {},
              [](http::Request request) -> asio::awaitable<http::Response> {
                if (request.query["query"].find("slow") != std::string::npos) {
                  asio::steady_timer timer(co_await asio::this_coro::executor, milliseconds(900));
                  co_await timer.async_wait(asio::use_awaitable);
                }
                http::Response answer;
                const std::string at = request.query["time"];
                answer.body = R"({"status":"success","data":{"resultType":"vector","result":[)"
                              R"({"metric":{},"value":[)" +
                              (at.empty() ? "1795428900" : at) + R"(,"1"]}]}})";
                co_return answer;
              });
        }) {}
  [[nodiscard]] std::string url() const { return server_.client_options().base_url; }

 private:
  http::Loopback server_;
};

TEST_F(GameDayHang, TheSlowQueriesOfOneDayDoNotAbortAnother) {
  const SlowPrometheus prometheus;
  open(prometheus.url());
  const std::string victim =
      create(day_text("victim", "  - {name: w, pause: 60s}\n",
                      "  preChecks: []\n  abortWhen: [{promql: up, above: 5}]\n"));
  EXPECT_EQ(say(victim, EntryKind::started).status, 201);
  std::string steps = "  - name: g\n    parallel:\n";
  for (int i = 0; i < 16; ++i)
    steps += "    - {name: s" + std::to_string(i) + ", waitFor: {promql: 'slow + " +
             std::to_string(i) + "', above: 1000}}\n";
  const std::string noisy = create(day_text("noisy", steps), "joe");
  EXPECT_EQ(say(noisy, EntryKind::started, "", "joe").status, 201);
  for (int i = 0; i < 90; ++i) {
    std::this_thread::sleep_for(milliseconds(100));
    const auto view = look(victim);
    ASSERT_EQ(view.state, DayState::running) << view.stateReason;
  }
}

TEST_F(GameDayHang, ADayWhoseConditionNobodyCanTellIsAborted) {
  const Silent prometheus;
  open(prometheus.url());
  const std::string day =
      create(day_text("blind", "  - {name: w, pause: 60s}\n",
                      "  preChecks: []\n  abortWhen: [{promql: up, above: 5}]\n"));
  EXPECT_EQ(say(day, EntryKind::started).status, 201);
  const auto over = until(day, DayState::aborted, milliseconds(9000));
  EXPECT_THAT(over.stateReason, HasSubstr("nobody could say"));
}

TEST_F(GameDayHang, KilledInTheRehearsalOfAnAbortItRehearsesAgain) {
  open();
  const std::string day = create(
      day_text("again", "  - {name: one, experiment: " + experiment("payments", "1s") + "}\n",
               "  preChecks: [abort]\n"));
  for (int i = 0; i < 300; ++i) {
    const auto runs = house_->get("/api/v1/experiments");
    if (!runs.as_array().empty() && runs.as_array()[0].at("state") == "Injecting") break;
    std::this_thread::sleep_for(milliseconds(10));
  }
  house_->kill();
  open();
  const auto view = until(day, DayState::waiting);
  EXPECT_TRUE(view.entries.back().good) << view.entries.back().text;
  EXPECT_EQ(house_->get("/api/v1/experiments").as_array().size(), 2U);
}

TEST_F(GameDayHang, OneDayThatCannotBeReadFailsAndTheOthersGoOn) {
  open();
  const std::string bad = create(
      day_text("bad", "  - {name: one, experiment: " + experiment("payments", "40s") + "}\n"));
  const std::string good = create(day_text("good", "  - {name: w, pause: 600s}\n"));
  until(good, DayState::waiting);
  EXPECT_EQ(say(bad, EntryKind::started).status, 201);
  const std::string run = run_of(bad, "one");
  house_->until(run, api::RunState::Injecting);
  house_->kill();
  {
    SQLite::Database db(dir_.file("store.db"), SQLite::OPEN_READWRITE);
    SQLite::Statement row(db, "UPDATE gameday_entries SET body = '{' WHERE day = ? AND number = 2");
    row.bind(1, bad);
    EXPECT_EQ(row.exec(), 1);
  }
  open();
  until(good, DayState::waiting);
  const auto ended = house_->until(run, api::RunState::Aborted);
  EXPECT_THAT(ended.stateReason, HasSubstr("cannot be read"));
  const auto days = house_->get("/api/v1/gamedays");
  for (const auto& one : days.as_array()) {
    if (one.at("day") != bad.c_str()) continue;
    EXPECT_EQ(one.at("state"), "failed");
    EXPECT_THAT(std::string(one.at("stateReason").as_string()), HasSubstr("cannot be read"));
  }
}

TEST_F(GameDayHang, AFloodOfWordsStopsNeitherTheDayNorAnAbort) {
  open();
  const std::string day =
      create(day_text("flood", "  - {name: a, pause: 1s}\n  - {name: b, pause: 600s}\n"));
  EXPECT_EQ(say(day, EntryKind::started).status, 201);
  std::atomic<bool> stop = false;
  std::atomic<int> taken = 0;
  const auto begin = std::chrono::steady_clock::now();
  std::vector<std::thread> people;
  for (int person = 0; person < 12; ++person)
    people.emplace_back([&, person] {
      // Whoever has the token may call themselves anything.
      for (int i = 0; !stop; ++i)
        if (say(day, EntryKind::note, "x", "u" + std::to_string(person * 100'000 + i)).status ==
            201)
          ++taken;
    });
  api::GameDayView view;
  for (int i = 0; i < 100; ++i) {
    std::this_thread::sleep_for(milliseconds(50));
    view = look(day);
    if (view.steps.at(1).state == "running") break;
  }
  EXPECT_EQ(view.steps.at(1).state, "running");
  EXPECT_EQ(say(day, EntryKind::aborted, "enough", "joe").status, 201);
  until(day, DayState::aborted, milliseconds(5000));
  stop = true;
  for (std::thread& person : people) person.join();
  const auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin);
  EXPECT_LE(taken, 200 + 50 * took.count()) << "what one token may say";
}

// The store takes everything but the order to abort, as a disk that is nearly full.
TEST_F(GameDayHang, AnAbortThatCannotBeStoredEndsWhatInjectsAndIsKeptUntilItIs) {
  open();
  const std::string day = create(day_text(
      "disk",
      "  - name: g\n    parallel:\n    - {name: one, experiment: " + experiment("payments", "60s") +
          "}\n    - name: s\n      serial:\n      - {name: w, pause: 3s}\n      "
          "- {name: two, experiment: " +
          experiment("payments", "60s") + "}\n"));
  EXPECT_EQ(say(day, EntryKind::started).status, 201);
  const std::string run = run_of(day, "one");
  house_->until(run, api::RunState::Injecting);
  SQLite::Database db(dir_.file("store.db"), SQLite::OPEN_READWRITE);
  db.exec(
      "CREATE TRIGGER full BEFORE INSERT ON gameday_entries WHEN NEW.body LIKE '%\"aborted\"%' "
      "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END");
  Result<http::ClientResponse> answer;
  std::thread says([&] {
    answer = http::request_blocking(
        house_->client("person-token"), "POST", "/api/v1/gamedays/" + day + "/entries",
        R"({"kind": "aborted", "key": "0123456789", "text": "enough"})", seconds(60));
  });
  for (int i = 0; i < 1000 && agent_->told_at(api::RunPhase::recovery) == SteadyTime{}; ++i)
    std::this_thread::sleep_for(milliseconds(10));
  EXPECT_NE(agent_->told_at(api::RunPhase::recovery), SteadyTime{});
  EXPECT_EQ(say(day, EntryKind::note, "what now").status, 503) << "nothing goes past it";
  says.join();
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 503) << answer->body;
  EXPECT_THAT(answer->body, HasSubstr("it is kept"));
  std::this_thread::sleep_for(seconds(2));
  for (const api::StepView& step : look(day).steps)
    EXPECT_TRUE(step.name != "two" || step.runs.empty()) << "nothing begins after it";
  db.exec("DROP TRIGGER full");
  const auto over = until(day, DayState::aborted);
  EXPECT_EQ(over.stateReason, "enough") << "nobody said it again";
}

// And whoever kills the controller before the disk has room again does not take the order back.
TEST_F(GameDayHang, AnAbortThatCannotBeStoredOutlivesAControllerThatIsKilled) {
  open();
  const std::string day = create(day_text(
      "disk", "  - {name: one, experiment: " + experiment("payments", "60s") +
                  "}\n  - {name: two, experiment: " + experiment("payments", "60s") + "}\n"));
  EXPECT_EQ(say(day, EntryKind::started).status, 201);
  house_->until(run_of(day, "one"), api::RunState::Injecting);
  const auto lines = look(day).entries.size();
  {
    SQLite::Database db(dir_.file("store.db"), SQLite::OPEN_READWRITE);
    db.exec(
        "CREATE TRIGGER full BEFORE INSERT ON gameday_entries BEGIN SELECT RAISE(ABORT, 'database "
        "or disk is full'); END");
  }
  const std::string word = R"({"kind": "aborted", "key": "0123456789", "text": "enough"})";
  const auto said =
      http::request_blocking(house_->client("person-token"), "POST",
                             "/api/v1/gamedays/" + day + "/entries", word, seconds(60));
  ASSERT_TRUE(said) << said.error().message;
  EXPECT_EQ(said->status, 503) << said->body;
  // The next one cannot store it either, and is killed as well.
  for (int i = 0; i < 2; ++i) {
    house_->kill();
    open();
    std::this_thread::sleep_for(seconds(1));
    EXPECT_EQ(look(day).entries.size(), lines) << "nothing goes past the order";
  }
  house_->kill();
  {
    SQLite::Database db(dir_.file("store.db"), SQLite::OPEN_READWRITE);
    db.exec("DROP TRIGGER full");
  }
  open();
  const auto over = until(day, DayState::aborted);
  EXPECT_EQ(over.stateReason, "enough") << "nobody said it again";
  EXPECT_TRUE(over.steps.at(1).runs.empty()) << "nothing began after it";
  const auto aborted = std::ranges::find(over.entries, EntryKind::aborted, &api::DayEntry::kind);
  ASSERT_NE(aborted, over.entries.end());
  EXPECT_GT(aborted->recordedAt.value - aborted->at.value, seconds(2)) << "when it was said";
  // The same word again is the same entry, and no later controller is told of it.
  const auto again = house_->call("POST", "/api/v1/gamedays/" + day + "/entries", word);
  EXPECT_EQ(again.status, 201) << again.body;
  EXPECT_EQ(look(day).entries.size(), over.entries.size());
  for (int i = 0; i < 500 && !OrderFile(orders_beside(dir_.file("store.db"))).read()->empty(); ++i)
    std::this_thread::sleep_for(milliseconds(10));
  EXPECT_TRUE(OrderFile(orders_beside(dir_.file("store.db"))).read()->empty());
}

TEST_F(GameDayHang, AKeyIsOfOneDayAlsoWhenThatIsOverAndNotInMemory) {
  open();
  const auto make = [&](const std::string& name) {
    return house_->call("POST", "/api/v1/gamedays?namespace=shop&as=jane&key=mine",
                        day_text(name, "  - {name: w, pause: 60s}\n"));
  };
  const auto first = make("first");
  ASSERT_EQ(first.status, 201) << first.body;
  const auto view = api::from_json_text<api::GameDayView>(first.body);
  EXPECT_EQ(say(view->day, EntryKind::aborted, "enough").status, 201);
  until(view->day, DayState::aborted);
  house_->kill();
  open();
  const auto same = make("first");
  EXPECT_EQ(same.status, 201) << same.body;
  EXPECT_THAT(same.body, HasSubstr(view->day));
  const auto other = make("second");
  EXPECT_EQ(other.status, 409) << other.body;
  EXPECT_EQ(house_->get("/api/v1/gamedays").as_array().size(), 1U);
}

// However many others there are.
TEST_F(GameDayHang, AKeyIsFoundAmongManyDays) {
  open();
  const auto make = [&](const std::string& name, const std::string& who, const std::string& key) {
    return house_->call("POST", "/api/v1/gamedays?namespace=shop&as=" + who + "&key=" + key,
                        day_text(name, "  - {name: w, pause: 60s}\n"));
  };
  const auto make_and_end = [&](const std::string& name, const std::string& who,
                                const std::string& key) {
    const auto made = make(name, who, key);
    ASSERT_EQ(made.status, 201) << made.body;
    const auto view = api::from_json_text<api::GameDayView>(made.body);
    EXPECT_EQ(say(view->day, EntryKind::aborted, "enough", who).status, 201);
    until(view->day, DayState::aborted);
  };
  make_and_end("first", "jane", "mine");
  for (int i = 0; i < 25; ++i)
    make_and_end("more-" + std::to_string(i), "joe", "k" + std::to_string(i));
  const auto other = make("second", "jane", "mine");
  EXPECT_EQ(other.status, 409) << other.body;
  const auto same = make("first", "jane", "mine");
  EXPECT_EQ(same.status, 201) << same.body;
  EXPECT_EQ(house_->get("/api/v1/gamedays").as_array().size(), 26U);
  EXPECT_EQ(make("second", "joe", "mine").status, 201) << "a key is of one person";
}

}  // namespace
}  // namespace faultline::controller::test
