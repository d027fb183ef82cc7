// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/cli/gamedays.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/packaged_task.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace faultline::cli {

GameDayDouble::GameDayDouble(Script script, std::uint16_t port)
    : script_(std::move(script)), io_(1), work_(io_.get_executor()) {
  http::ServerOptions options;
  options.port = port;
  server_.emplace(io_.get_executor(), std::move(options));
  server_->authenticator(
      [](const http::Request& request) -> boost::asio::awaitable<Result<http::Identity>> {
        http::Identity who;
        if (http::same_token(http::bearer(request), kToken)) who.role = "person";
        co_return who;
      });
  view_.day = "pay-1";
  view_.name = "pay";
  view_.title = "Payments is slow";
  view_.steps = {{.name = "briefing", .kind = "waitFor", .state = "waiting"},
                 {.name = "mend", .kind = "task", .state = "waiting"}};
  view_.steps[1].items = {"look", "mend"};
  routes();
  started_ = server_->start().has_value();
  port_ = server_->port();
  thread_ = std::thread([this] { io_.run(); });
}

void GameDayDouble::vanish() {
  if (!thread_.joinable()) return;
  in_loop([this] { server_.reset(); });
  work_.reset();
  io_.stop();
  thread_.join();
}

void GameDayDouble::use(Shell& shell, const Folder& folder) const {
  shell.env["FAULTLINE_CONTROLLER"] = "http://127.0.0.1:" + std::to_string(port_);
  shell.env["FAULTLINE_TOKEN_FILE"] = folder.file("person.token", kToken);
}

void GameDayDouble::begin_day() {
  in_loop([this] {
    view_.state = api::DayState::running;
    view_.steps[0].state = "running";
    add({.kind = api::EntryKind::started});
  });
}

void GameDayDouble::change(const std::function<void(api::GameDayView&)>& how) {
  in_loop([&] { how(view_); });
}

std::vector<api::DayWord> GameDayDouble::words() {
  std::vector<api::DayWord> words;
  in_loop([&] { words = words_; });
  return words;
}

std::vector<std::string> GameDayDouble::asked() {  // targets of what was asked
  std::vector<std::string> asked;
  in_loop([&] { asked = asked_; });
  return asked;
}

std::string GameDayDouble::document() {
  std::string text;
  in_loop([&] { text = document_; });
  return text;
}

void GameDayDouble::in_loop(std::function<void()> work) {
  asio::post(io_, std::packaged_task<void()>(std::move(work))).wait();
}

http::Response GameDayDouble::json(const boost::json::value& value, int status) {
  http::Response response;
  response.status = status;
  response.body = boost::json::serialize(value);
  return response;
}

const api::DayEntry& GameDayDouble::add(api::DayEntry entry) {
  entry.number = entries_.size() + 1;
  if (!entry.at.set()) entry.at = now();
  entry.recordedAt = now();
  entries_.push_back(std::move(entry));
  return entries_.back();
}

asio::awaitable<void> GameDayDouble::sleep(milliseconds time) {
  asio::steady_timer timer(io_, time);
  co_await timer.async_wait(asio::use_awaitable);
}

asio::awaitable<void> GameDayDouble::course() {
  co_await sleep(script_.step);
  add({.kind = api::EntryKind::check, .word = "agents", .good = script_.checks_good});
  view_.state = api::DayState::waiting;
  if (alone_) {
    add({.kind = api::EntryKind::started, .text = "nobody is there"});
    view_.state = api::DayState::running;
  }
  while (view_.state == api::DayState::waiting) co_await sleep(milliseconds(5));
  if (view_.state != api::DayState::running) co_return;
  add({.kind = api::EntryKind::step_begun, .step = "briefing"});
  view_.steps[0].state = "running";
  view_.next = "a person: everybody is here";
  co_await sleep(script_.step);
  if (view_.state != api::DayState::running) co_return;
  if (script_.surprise) {
    hidden_.clear();
    revealed_at_ = entries_.size() + 1;
  }
  api::DayEntry over{.kind = api::EntryKind::step_over, .step = "briefing"};
  over.outcome = script_.outcome;
  add(over);
  view_.steps[0].state = "over";
  view_.steps[0].outcome = script_.outcome;
  view_.next.clear();
  add({.kind = api::EntryKind::over, .word = "completed"});
  view_.state = script_.end;
}

api::GameDayView GameDayDouble::seen(std::uint64_t after) const {
  api::GameDayView view = view_;
  for (const api::DayEntry& entry : entries_) {
    const bool hidden = std::ranges::find(hidden_, entry.number) != hidden_.end();
    const bool revealed = after < revealed_at_ && entry.number == kHidden;
    if (!hidden && (entry.number > after || revealed)) view.entries.push_back(entry);
  }
  return view;
}

api::GameDayView GameDayDouble::shown(std::uint64_t after) const {
  api::GameDayView view = sent(seen(after));
  view.day = view_.day;
  return view;
}

http::Response GameDayDouble::said(const http::Request& request) {
  auto word = api::from_json_text<api::DayWord>(request.body);
  if (!word) return http::problem(word.error());
  const std::string& day = request.params.at("day");
  if (day != view_.day && day != view_.name)
    return http::problem(404, "there is no game day " + day);
  if (script_.too_many > 0 && script_.too_many--)
    return http::problem(429, "too many entries a second");
  const bool busy = script_.busy > 0 && script_.busy--;
  if (busy && !script_.takes_busy) return http::problem(503, "the journal is away");
  const auto known = std::ranges::find(entries_, word->key, &api::DayEntry::key);
  api::DayEntry entry;
  if (known != entries_.end()) {
    entry = *known;
  } else {
    entry = {.kind = word->kind, .at = word->at, .who = word->as, .key = word->key};
    entry.step = word->step;
    entry.word = word->word;
    entry.text = word->text;
    entry.outcome = word->outcome;
    entry.item = word->item;
    entry.good = word->good;
    entry.action = word->action;
    if (entry.step.empty() && word->kind == api::EntryKind::answered) {
      const auto waits =
          std::ranges::find(view_.steps, std::string("running"), &api::StepView::state);
      if (waits == view_.steps.end())
        return http::problem(409, "the game day waits for nobody now");
      entry.step = waits->name;
    }
    entry = add(entry);
    words_.push_back(*word);
    if (word->kind == api::EntryKind::started) view_.state = api::DayState::running;
    if (word->kind == api::EntryKind::aborted) view_.state = api::DayState::aborted;
  }
  if (busy) return http::problem(503, "the answer was lost");
  return json(api::to_json(sent(entry)), 201);
}

void GameDayDouble::routes() {
  const auto route = [this](const char* method, const char* pattern, auto answer) {
    server_->route(method, pattern, {"person"},
                   [this, answer](http::Request request) -> asio::awaitable<http::Response> {
                     std::string target = request.path;
                     for (const auto& [key, value] : request.query)
                       target += "&" + key + "=" + value;
                     asked_.push_back(std::move(target));
                     co_return answer(request);
                   });
  };
  route("POST", "/api/v1/gamedays", [this](const http::Request& request) {
    const auto day = api::parse_gameday(request.body, "body");
    if (!day) return http::problem(day.error());
    document_ = request.body;
    if (request.query.contains("dryRun")) {
      api::GameDayPlan plan{.leastSeconds = 50, .steps = script_.plans};
      plan.hit = {{"shop", "payments-0", "node-1", {}}};
      plan.sources = {"main"};
      plan.notes = {"nobody is told"};
      return json(api::to_json(sent(plan)));
    }
    // The same key is the same day.
    const std::string key = request.query.contains("key") ? request.query.at("key") : "";
    if (!key.empty() && key == key_)
      return script_.lost-- > 0 ? http::problem(503, "the answer was lost")
                                : json(api::to_json(shown(0)), 201);
    key_ = key;
    ++created_;
    alone_ = request.query.contains("unattended");
    view_.state = api::DayState::checking;
    add({.kind = api::EntryKind::created, .who = "jane", .role = api::DayRole::facilitator});
    if (script_.surprise) {
      add({.kind = api::EntryKind::note, .text = "the hidden one"});
      hidden_ = {kHidden};
    }
    asio::co_spawn(io_, course(), asio::detached);
    if (script_.lost-- > 0) return http::problem(503, "the answer was lost");
    return json(api::to_json(shown(0)), 201);
  });
  route("GET", "/api/v1/gamedays", [this](const http::Request& request) {
    std::vector<api::GameDaySummary> all;
    const auto name = request.query.find("name");
    if (name == request.query.end() || name->second == view_.name)
      all.push_back({.day = view_.day, .name = view_.name, .title = view_.title});
    if (script_.hostile && !all.empty()) {
      all = sent(all);
      all[0].day = view_.day;
      all[0].name = view_.name;
    }
    return json(api::to_json(all));
  });
  server_->route("GET", "/api/v1/gamedays/{day}", {"person"},
                 [this](http::Request request) -> asio::awaitable<http::Response> {
                   if (request.params.at("day") != view_.day)
                     co_return http::problem(404,
                                             "there is no game day " + request.params.at("day"));
                   const auto after = std::stoull(request.query.at("after"));
                   const auto state = view_.state;
                   const auto end = std::chrono::steady_clock::now() +
                                    std::chrono::seconds(std::stoi(request.query.at("wait")));
                   while (seen(after).entries.empty() && view_.state == state &&
                          std::chrono::steady_clock::now() < end)
                     co_await sleep(milliseconds(5));
                   co_return json(api::to_json(shown(after)));
                 });
  route("POST", "/api/v1/gamedays/{day}/entries",
        [this](const http::Request& request) { return said(request); });
  route("GET", "/api/v1/gamedays/{day}/report", [this](const http::Request& request) {
    if (request.params.at("day") != view_.day)
      return http::problem(404, "there is no game day " + request.params.at("day"));
    const std::string& format = request.query.at("format");
    http::Response response;
    if (format == "json") {
      api::GameDayReport report{.day = view_.day, .name = view_.name};
      report.title = view_.title;
      report.summary =
          std::string("What it showed.") + (script_.hostile ? testing_words::kHostile : "");
      response.body = api::gameday_report_text(report);
      return response;
    }
    // As a controller makes it: what people wrote is tame in it, and ends no line.
    response.body = format + " of " + view_.day;
    if (format != "incident") return response;
    boost::json::array files;
    for (const auto& [name, content] : script_.incident)
      files.push_back({{"name", name}, {"content", content}});
    return json({{"files", files}});
  });
}

}  // namespace faultline::cli
