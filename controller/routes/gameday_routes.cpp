// SPDX-License-Identifier: Apache-2.0
// /api/v1/gamedays: docs/http-api.md.
#include <algorithm>
#include <charconv>

#include "api/codec.h"
#include "api/plan.h"
#include "controller/gameday/words.h"
#include "controller/routes/gamedays.h"
#include "controller/routes/run_rules.h"
#include "http/target.h"

namespace faultline::controller {
namespace {

using http::Response;

constexpr std::uint64_t kListedDays = 100, kMostListedDays = 1000;
constexpr std::int64_t kDaysLookedAt = 5000;  // for those that the caller may see
constexpr std::size_t kMostAsked = 64;        // different sets of namespaces of one request
constexpr std::chrono::seconds kLongestWait{30};

bool is_true(const http::Request& request, const char* name) {
  const std::string text = query_or(request, name, "false");
  return text == "true" || text.empty();
}

std::uint64_t number_or(const http::Request& request, const char* name, std::uint64_t otherwise) {
  const std::string text = query_or(request, name, "");
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() && !text.empty() ? value
                                                                                   : otherwise;
}

// Which namespace it is that keeps somebody out would tell where a hidden step acts: it is not
// named.
Error denied_day(const Error& error, const http::Identity& who, const std::string& verb,
                 const std::string& day) {
  if (error.code != Errc::kDenied) return error;
  return {Errc::kDenied, who.name() + " may not " + verb + " the game day " + day +
                             ": needs a Role with this verb on experiments.faultline.dev in each "
                             "namespace that the day is about"};
}

}  // namespace

// Who speaks: the cluster's word where it knows users, else what they say of themselves.
http::Identity Service::speaker(const http::Request& request, const std::string& as) const {
  http::Identity who = request.who;
  if (who.user.empty() && !may_) who.user = as;
  return who;
}

boost::asio::awaitable<Result<>> Service::allow_day(http::Identity who, std::string verb,
                                                    std::set<std::string> namespaces) {
  if (namespaces.empty()) namespaces.insert("");
  co_return co_await allow(std::move(who), std::move(verb), std::move(namespaces));
}

boost::asio::awaitable<Result<api::GameDay>> Service::parse_day(http::Request& request) {
  const std::string name = request.who.name();
  if (may_) {
    std::set<std::string> there{query_or(request, "namespace", "default")};
    const auto right = co_await allow(request.who, "create", std::move(there));
    if (!right) co_return fail(right.error());
  }
  if (parsing_[name] >= kMostDaysParsed)
    co_return fail(Errc::kUnavailable, "too many documents of " + name + " are being read");
  ++parsing_[name];
  const auto held = std::move(request.held);  // given back on this thread
  auto parse = [body = std::move(request.body),
                file = query_or(request, "file", "gameday")]() -> Result<api::GameDay> {
    try {
      return api::parse_gameday(body, file);
    } catch (const std::exception& e) {  // of the worker's thread: nobody else would catch it
      return fail(Errc::kInvalid, file + ": cannot be read: " + e.what());
    }
  };
  auto day = co_await parse_worker_.run(std::move(parse));
  if (--parsing_[name] == 0) parsing_.erase(name);
  if (!day) co_return fail(day.error());
  if (const auto missing = api::missing_files(*day); !missing.empty())
    co_return fail(Errc::kInvalid, "the file " + missing.front() +
                                       " is not here: the command line puts in what it says");
  if (may_ && day->metadata.namespace_.empty())
    day->metadata.namespace_ = query_or(request, "namespace", "default");
  co_return day;
}

boost::asio::awaitable<Response> Service::start_gameday(http::Request request, AuditEntry& entry) {
  const bool dry_run = is_true(request, "dryRun");
  entry.verb = dry_run ? "plan-gameday" : "create-gameday";
  if (journal_ && !day_journal_)
    co_return http::problem(501, "game days need a store, and this controller's takes only runs");
  auto day = co_await parse_day(request);
  if (!day) co_return http::problem(day.error());
  entry.ns = day->metadata.namespace_;
  entry.experiment = day->metadata.name;
  // Whoever asks for a day needs the rights for each of its steps.
  Scope scope = scope_of(*day);
  const auto allowed = co_await allow_scope(request.who, std::move(scope));
  if (!allowed) co_return http::problem(allowed.error());
  // What only the controller says of days that are of objects of the cluster.
  day->metadata.annotations.erase(kDayUid);
  const auto fetched = co_await fetch_runbooks(request.who, *day);
  if (!fetched) co_return http::problem(fetched.error());
  if (dry_run) {
    std::string who = request.who.name();
    auto plan = co_await gamedays_->plan(std::move(*day), std::move(who));
    if (!plan) co_return http::problem(plan.error());
    auto make = [plan = std::move(*plan)]() -> Response {
      return {.body = api::to_json_text(plan)};
    };
    co_return co_await gamedays_->reports().worker().run(std::move(make));
  }
  if (is_true(request, "anyway")) day->metadata.annotations[std::string(api::kAnywayNote)] = "true";
  if (auto can = can_begin(); !can) co_return http::problem(can.error());
  entry.allowed = true;
  if (auto written = audit(entry); !written)
    co_return http::problem(503, "no game day can begin: " + written.error().message);
  const http::Identity who = speaker(request, query_or(request, "as", ""));
  http::Identity asker = who;
  std::string key = query_or(request, "key", "");
  constexpr std::size_t kLongestKey = 128;
  if (key.size() > kLongestKey)
    co_return http::problem(400, "key: longer than " + std::to_string(kLongestKey) + " bytes");
  const auto id = co_await gamedays_->create(std::move(*day), std::move(asker),
                                             is_true(request, "unattended"), std::move(key));
  if (!id) co_return http::problem(id.error());
  // In memory, or one that was made with this key before and is over.
  std::string made = *id;
  const auto found = co_await gamedays_->find(std::move(made));
  if (!found) co_return http::problem(found.error());
  gamedays_->ask_ahead(request.who, *id);
  Response response{.status = 201,
                    .body = api::to_json_text((*found)->view(who.user, 0, gameday::kPage))};
  response.headers["Location"] = "/api/v1/gamedays/" + *id;
  co_return response;
}

boost::asio::awaitable<Response> Service::list_gamedays(http::Request request) {
  const std::uint64_t most =
      std::clamp<std::uint64_t>(number_or(request, "limit", kListedDays), 1, kMostListedDays);
  auto read = [name = query_or(request, "name", "")](Store& store) {
    return store.day_refs(name, kDaysLookedAt);
  };
  auto refs = co_await gamedays_->looks().read(std::move(read));
  if (!refs) co_return http::problem(refs.error());
  std::vector<api::GameDaySummary> visible;
  std::map<std::set<std::string>, bool> known;
  for (DayRef& ref : *refs) {
    if (visible.size() >= most) break;
    if (!gamedays_->is_there(ref)) continue;
    auto right = known.find(ref.namespaces);
    if (right == known.end()) {
      if (known.size() >= kMostAsked) break;
      std::set<std::string> namespaces = ref.namespaces;
      const auto allowed = co_await allow_day(request.who, "get", std::move(namespaces));
      if (!allowed && allowed.error().code == Errc::kUnavailable)
        co_return http::problem(allowed.error());
      right = known.emplace(ref.namespaces, allowed.has_value()).first;
    }
    if (!right->second) continue;
    if (const gameday::Day* day = gamedays_->in_memory(ref.summary.day)) {
      ref.summary.state = day->record().state;
      ref.summary.stateReason = day->reason_for(speaker(request, query_or(request, "as", "")).user);
    }
    visible.push_back(std::move(ref.summary));
  }
  co_return Response{.body = api::to_json_text(visible)};
}

// The rights to end a day are asked for apart, since the answer must not wait for long.
boost::asio::awaitable<Service::DayVerdict> Service::judge_day(http::Identity who, std::string verb,
                                                               DayRef ref) {
  if (verb == "delete") {
    std::string day = ref.summary.day;
    co_return co_await gamedays_->may_end(std::move(who), std::move(day),
                                          std::move(ref.namespaces));
  }
  DayVerdict verdict;
  http::Identity same = who;
  std::set<std::string> namespaces = ref.namespaces;
  std::string see = "get";
  verdict.see = co_await allow_day(std::move(same), std::move(see), std::move(namespaces));
  if (verdict.see && verb != "get")
    verdict.act = co_await allow_day(std::move(who), std::move(verb), std::move(ref.namespaces));
  co_return verdict;
}

// By id, or the newest of this name that the caller may see. Of one under way that is given by its
// id nothing is read.
boost::asio::awaitable<Result<DayRef>> Service::choose_day(http::Identity who, std::string verb,
                                                           std::string day) {
  Result<std::vector<DayRef>> refs;
  if (auto known = gamedays_->ref_in_memory(day)) {
    refs->push_back(std::move(*known));
  } else {
    auto read = [day](Store& store) -> Result<std::vector<DayRef>> {
      if (auto one = store.day_ref(day)) return std::vector<DayRef>{std::move(*one)};
      return store.day_refs(day, kDaysLookedAt);
    };
    refs = co_await gamedays_->looks().read(std::move(read));
  }
  if (!refs) co_return fail(refs.error());
  std::optional<Error> denied;
  std::set<std::set<std::string>> refused;  // namespaces that the caller may not see
  for (DayRef& ref : *refs) {
    if (refused.contains(ref.namespaces) || !gamedays_->is_there(ref)) continue;
    if (refused.size() >= kMostAsked) break;
    http::Identity same = who;
    std::string what = verb;
    DayRef copy = ref;
    const DayVerdict verdict =
        co_await judge_day(std::move(same), std::move(what), std::move(copy));
    if (!verdict.see && verdict.see.error().code == Errc::kUnavailable)
      co_return fail(verdict.see.error());
    if (!verdict.see) {
      denied = denied_day(verdict.see.error(), who, "get", day);
      refused.insert(ref.namespaces);
      continue;
    }
    if (!verdict.act) co_return fail(denied_day(verdict.act.error(), who, verb, day));
    co_return std::move(ref);
  }
  if (denied) co_return fail(std::move(*denied));
  co_return fail(Errc::kNotFound, "there is no game day " + day);
}

boost::asio::awaitable<Response> Service::get_gameday(http::Request request) {
  std::string asked = request.params.at("day");
  const auto ref = co_await choose_day(request.who, "get", std::move(asked));
  if (!ref) co_return http::problem(ref.error());
  gamedays_->ask_ahead(request.who, ref->summary.day);
  const std::string as = query_or(request, "as", "");
  const std::string user = speaker(request, as).user;
  const std::uint64_t after = number_or(request, "after", 0);
  const auto wait = std::min<std::uint64_t>(number_or(request, "wait", 0), kLongestWait.count());
  if (wait > 0) {
    std::string id = ref->summary.day, of = user;
    co_await gamedays_->wait_for_entry(std::move(id), std::move(of), after,
                                       clock_.steady() + std::chrono::seconds(wait));
  }
  std::string id = ref->summary.day;
  const auto day = co_await gamedays_->find(std::move(id));
  if (!day) co_return http::problem(day.error());
  // The copy is one page, made here; its text beside the loop. Both, and what is between them, are
  // there until the text is.
  constexpr std::size_t kCopies = 4;
  const auto room = co_await gamedays_->room_for(kCopies * (*day)->view_bytes(user, after));
  if (!room) co_return http::problem(room.error());
  auto view = std::make_shared<api::GameDayView>((*day)->view(user, after, gameday::kPage));
  const std::uint64_t last = view->entries.empty() ? after : view->entries.back().number;
  const bool more = last < (*day)->newest(user);
  auto make = [view = std::move(view)]() -> Response { return {.body = api::to_json_text(*view)}; };
  Response response = co_await gamedays_->looks().worker().run(std::move(make));
  if (more) {
    std::string next = "/api/v1/gamedays/" + http::percent_encode(ref->summary.day) +
                       "?after=" + std::to_string(last);
    if (!as.empty()) next += "&as=" + http::percent_encode(as);
    response.headers["Link"] = "<" + next + ">; rel=\"next\"";
  }
  co_return response;
}

boost::asio::awaitable<Result<DayRef>> Service::may_say(http::Identity asks, std::string who,
                                                        std::string day, const api::DayWord& word) {
  // Whoever changes the course of the day changes what is hit, so needs the rights for it.
  std::string verb = "get";
  if (word.kind == api::EntryKind::aborted)
    verb = "delete";
  else if (gameday::is_control(word.kind))
    verb = "create";
  const bool answer = word.kind == api::EntryKind::answered;
  auto ref = co_await choose_day(asks, std::move(verb), std::move(day));
  if (!ref || !answer || !may_) co_return ref;
  // What a step waits for lets the next one begin: that is for who may begin it, or has a role in
  // it. Observers look on.
  std::string id = ref->summary.day;
  const auto found = co_await gamedays_->find(std::move(id));
  if (!found) co_return fail(found.error());
  const api::DayRole role = (*found)->role_of(who);
  if (role != api::DayRole::none && role != api::DayRole::observer) co_return ref;
  std::set<std::string> namespaces = ref->namespaces;
  const http::Identity same = asks;
  const auto may = co_await allow_day(std::move(asks), "create", std::move(namespaces));
  if (!may) co_return fail(denied_day(may.error(), same, "create", ref->summary.day));
  co_return ref;
}

boost::asio::awaitable<Response> Service::say_on_gameday(http::Request request, AuditEntry& entry) {
  auto word = api::from_json_text<api::DayWord>(request.body);
  if (!word) co_return http::problem(word.error());
  entry.verb = "gameday-" + gameday::word_of(word->kind);
  const http::Identity who = speaker(request, word->as);
  std::string asked = request.params.at("day"), user = who.user;
  const auto ref = co_await may_say(request.who, std::move(user), std::move(asked), *word);
  if (!ref) co_return http::problem(ref.error());
  gamedays_->ask_ahead(request.who, ref->summary.day);
  entry.ns = ref->summary.namespace_;
  entry.experiment = ref->summary.name;
  // By the name, and by the token: of one token people may give themselves any number of names. An
  // order to abort has a budget of its own, which no flood of words empties; nor does it wait for
  // the audit log to have room, as no end of a run does.
  const bool ends = word->kind == api::EntryKind::aborted;
  const std::string budget = ends ? "abort " + ref->summary.day + " " + who.name() : who.name();
  const bool fair = ends || day_callers_.take(request.who.name(), clock_.steady()).allowed;
  if (!fair || !day_speakers_.take(budget, clock_.steady()).allowed)
    co_return http::problem(429, "too many entries a second; say it again");
  entry.allowed = true;
  if (gameday::is_control(word->kind))
    if (auto written = audit(entry); !written && !ends)
      co_return http::problem(503, "this cannot be done: " + written.error().message);
  std::string id = ref->summary.day, name = who.user, via = "http";
  const auto said =
      co_await gamedays_->say(std::move(id), std::move(*word), std::move(name), std::move(via));
  if (!said) co_return http::problem(said.error());
  co_return Response{.status = 201, .body = api::to_json_text(*said)};
}

}  // namespace faultline::controller
