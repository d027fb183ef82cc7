// SPDX-License-Identifier: Apache-2.0
#include "controller/kubernetes/day_admission.h"

#include <boost/json/serialize.hpp>
#include <optional>
#include <set>

#include "api/gameday_status.h"
#include "api/plan.h"
#include "controller/engine/scope.h"
#include "controller/gameday/experiments.h"
#include "controller/gameday/spoken.h"
#include "controller/kubernetes/access.h"
#include "controller/kubernetes/day_object.h"
#include "controller/kubernetes/experiment_object.h"
#include "controller/kubernetes/proofs.h"
#include "controller/kubernetes/review.h"
#include "http/problem.h"
#include "kube/json.h"

namespace faultline::controller {
namespace {

using boost::asio::awaitable;
using review::note_of;
using Object = boost::json::object;

// Written by us alone when the object is created, and with each word.
constexpr const char* kOfCreation[] = {kRequestedBy, kRequestedAs, kAdmitted};
constexpr const char* kOfWord[] = {kSaid, kSaidBy, kSaidAs};

// Said when the object is created, and proven with its spec.
std::vector<std::string> said_at_creation() { return {std::string(api::kAnywayNote), kUnattended}; }

bool is_creation(const Object& request) { return kube::text_at(request, "operation") == "CREATE"; }

Result<api::GameDay> read_day(const Object& request) {
  const Object* object = kube::object_at(request, "object");
  if (object == nullptr) return fail(Errc::kInvalid, "the request has no object");
  if (std::string why = why_too_large(*object); !why.empty())
    return fail(Errc::kInvalid, std::move(why));
  auto read = api::gameday_from_cluster_json(review::with_name(request));
  if (!read) return fail(std::move(read.error()));
  if (std::string why = api::not_for_an_object(read->day); !why.empty())
    return fail(Errc::kInvalid, std::move(why));
  return std::move(read->day);
}

Scope all_of(const api::GameDay& day) {
  Scope scope = scope_of(day);
  scope.hit.insert(day.metadata.namespace_);
  return scope;
}

}  // namespace

DayAdmission::DayAdmission(Access& access, Proofs& proofs, const Clock& clock,
                           AdmissionOptions options)
    : access_(access),
      proofs_(proofs),
      options_(std::move(options)),
      questions_(clock, options_.questions) {}

void DayAdmission::add_routes(http::Server& server) {
  const auto reply = [](Result<Object> made) {
    if (!made) return http::problem(made.error());
    return http::Response{.body = boost::json::serialize(*made)};
  };
  server.route(
      "POST", "/webhook/gamedays/mutate", {},
      [this, reply](http::Request request) -> awaitable<http::Response> {
        auto made = co_await mutate(std::move(request.body), std::move(request.peer));
        co_return reply(std::move(made));
      },
      questions_.route());
  server.route(
      "POST", "/webhook/gamedays/validate", {},
      [this, reply](http::Request request) -> awaitable<http::Response> {
        auto made = co_await validate(std::move(request.body), std::move(request.peer));
        co_return reply(std::move(made));
      },
      questions_.route());
}

void DayAdmission::decided(const Object& request, const std::string& from, std::string verb,
                           const Result<>& judged) {
  if (!options_.decided) return;
  const http::Identity who = review::who_asks(request);
  AuditEntry entry{.via = "webhook", .user = who.user, .groups = who.groups, .from = from};
  entry.verb = std::move(verb);
  if (review::is_dry_run(request)) entry.verb += ", dry run";
  entry.ns = kube::text_at(request, "namespace");
  entry.experiment = kube::text_at(request, "name");
  if (entry.experiment.empty()) entry.experiment = "?";
  entry.allowed = judged.has_value();
  if (!judged) entry.reason = judged.error().message;
  options_.decided(std::move(entry));
}

awaitable<Result<Object>> DayAdmission::mutate(std::string review, std::string from) {
  const auto question = co_await questions_.open(std::move(review), from);
  if (!question) co_return fail(question.error());
  Object request = question->request;
  if (kube::object_at(request, "object") == nullptr || review::is_about_status(request))
    co_return review::answer(request, {{"allowed", true}});
  if (is_creation(request)) {
    auto made = co_await mutate_created(std::move(request), std::move(from));
    co_return made;
  }
  auto made = co_await mutate_changed(std::move(request), std::move(from));
  co_return made;
}

awaitable<Result<Object>> DayAdmission::mutate_created(Object request, std::string from) {
  const http::Identity asks = review::who_asks(request);
  const auto as = write_asker(review::asker_of(asks));
  const auto day = read_day(request);
  Result<> judged;
  if (!day)
    judged = fail(day.error());
  else if (!as)
    judged = fail(as.error());
  else
    judged = co_await judge_created(request, *day);
  std::optional<std::string> proof;
  if (judged && !review::is_dry_run(request)) {
    Object metadata;
    if (const Object* given = kube::object_at(*kube::object_at(request, "object"), "metadata"))
      metadata = *given;
    std::string ns = day->metadata.namespace_, by = asks.user, how = *as;
    ProofSubject subject = subject_of(*day);
    auto made = co_await proofs_.make(std::move(metadata), std::move(ns), std::move(subject),
                                      std::move(by), std::move(how));
    if (made)
      proof = std::move(*made);
    else
      judged = fail(made.error());
  }
  if (!judged || proof) decided(request, from, proof ? "prove gameday" : "create gameday", judged);
  if (!judged) co_return review::refused_with(request, judged.error());
  review::Notes ours{{kRequestedBy, asks.user}, {kRequestedAs, *as}, {kAdmitted, std::move(proof)}};
  for (const char* key : kOfWord) ours[key] = std::nullopt;
  co_return review::allowed_with(request, review::patch_to(request, ours));
}

// What was written of who created it stays; a word that is new gets the name of who writes it now.
awaitable<Result<Object>> DayAdmission::mutate_changed(Object request, std::string from) {
  review::Notes ours;
  for (const char* key : kOfCreation) ours[key] = note_of(request, "oldObject", key);
  const auto before = note_of(request, "oldObject", kDayWord);
  const auto now = note_of(request, "object", kDayWord);
  if (now == before || !now) {
    for (const char* key : kOfWord)
      ours[key] = now ? note_of(request, "oldObject", key) : std::nullopt;
    co_return review::allowed_with(request, review::patch_to(request, ours));
  }
  const http::Identity who = review::who_asks(request);
  const auto as = write_asker(review::asker_of(who));
  std::optional<Error> wrong;
  if (!as) wrong = as.error();
  if (const auto word = gameday::spoken_word(*now); !word)
    wrong = word.error().with_context(kDayWord);
  std::string proof;
  if (!wrong && !review::is_dry_run(request)) {
    Object object = review::with_name(request);
    std::string by = who.user, how = *as;
    auto made = co_await proofs_.make_word(std::move(object), std::move(by), std::move(how));
    if (made)
      proof = std::move(*made);
    else
      wrong = made.error();
  }
  if (wrong) {
    decided(request, from, "gameday word", fail(*wrong));
    co_return review::refused_with(request, *wrong);
  }
  ours[kSaidBy] = who.user;
  ours[kSaidAs] = *as;
  ours[kSaid] = proof.empty() ? std::nullopt : std::optional(std::move(proof));
  co_return review::allowed_with(request, review::patch_to(request, ours));
}

awaitable<Result<Object>> DayAdmission::validate(std::string review, std::string from) {
  const auto question = co_await questions_.open(std::move(review), from);
  if (!question) co_return fail(question.error());
  Object request = question->request;
  if (review::is_about_status(request)) {
    const std::string user = review::who_asks(request).user;
    if (user == options_.controller) co_return review::answer(request, {{"allowed", true}});
    const Result<> mine =
        fail(Errc::kDenied, "the status of a GameDay is written by " + options_.controller +
                                " and nobody else; you are " + user);
    decided(request, from, "update gameday status", mine);
    co_return review::refused_with(request, mine.error());
  }
  Object asked = request;
  const auto judged = co_await judge(std::move(asked));
  decided(request, from, is_creation(request) ? "create gameday" : "update gameday", judged);
  if (!judged) co_return review::refused_with(request, judged.error());
  Object response{{"allowed", true}};
  if (options_.warnings && is_creation(request)) {
    std::vector<std::string> texts;
    if (const auto day = read_day(request))
      for (const auto& [step, experiment] : gameday::experiments_of(*day, true))
        for (const std::string& text : options_.warnings(experiment))
          texts.push_back("step " + step + ": " + text);
    if (auto warnings = review::warnings_of(std::move(texts)); !warnings.empty())
      response["warnings"] = std::move(warnings);
  }
  co_return review::answer(request, std::move(response));
}

awaitable<Result<>> DayAdmission::judge(Object request) {
  const std::string_view operation = kube::text_at(request, "operation");
  if (operation != "CREATE" && operation != "UPDATE") co_return Result<>{};
  const Object* object = kube::object_at(request, "object");
  if (object == nullptr) co_return fail(Errc::kInvalid, "the request has no object");
  if (operation == "CREATE") {
    auto day = read_day(request);
    if (!day) co_return fail(day.error());
    auto judged = co_await judge_created(request, *day);
    if (!judged || review::is_dry_run(request)) co_return judged;
    // Else it would be refused when it is to begin.
    Object kept = *object;
    ProofSubject subject = subject_of(*day);
    co_return co_await proofs_.check(std::move(kept), std::move(subject));
  }
  std::vector<std::string> fixed(std::begin(kOfCreation), std::end(kOfCreation));
  for (std::string& key : said_at_creation()) fixed.push_back(std::move(key));
  for (const std::string& key : fixed)
    if (note_of(request, "oldObject", key) != note_of(request, "object", key))
      co_return fail(
          Errc::kDenied,
          "the annotation " + key + " is written when a GameDay is created, and does not change");
  const auto *before = review::spec_of(request, "oldObject"),
             *now = review::spec_of(request, "object");
  if (before == nullptr || now == nullptr || *before != *now)
    co_return fail(Errc::kDenied,
                   "a GameDay is done once, as it was created: its spec does not change. Delete it "
                   "and create another");
  const auto word = note_of(request, "object", kDayWord);
  const bool new_word = word != note_of(request, "oldObject", kDayWord);
  if (!new_word) {
    for (const char* key : kOfWord)
      if (note_of(request, "oldObject", key) != note_of(request, "object", key))
        co_return fail(Errc::kDenied, "the annotation " + std::string(key) +
                                          " is written by the controller, with the word");
    co_return Result<>{};
  }
  // An annotation holds one word: the one before must not be lost.
  const Object* old = kube::object_at(request, "oldObject");
  if (old != nullptr && !is_answered(*old, day_status_of(*old).status.word))
    co_return fail(Errc::kConflict, "the word before (\"" + note_on(*old, kDayWord) +
                                        "\") is not answered yet: write this one again in a "
                                        "moment; status.word says when");
  if (!word || review::is_dry_run(request)) co_return Result<>{};
  Object kept = *object;
  const auto said = co_await proofs_.check_word(std::move(kept));
  if (!said) co_return fail(said.error());
  if (said->who.user != review::who_asks(request).user)
    co_return fail(Errc::kDenied, "the word is said to be by " + said->who.user);
  co_return Result<>{};
}

awaitable<Result<>> DayAdmission::judge_created(Object request, api::GameDay day) {
  if (note_of(request, "object", kDayWord))
    co_return fail(Errc::kInvalid, std::string("the annotation ") + kDayWord +
                                       " is for a day that is there: create the GameDay without "
                                       "it, and write it then");
  for (const std::string& key : said_at_creation())
    if (const auto said = note_of(request, "object", key);
        said && *said != "true" && *said != "false")
      co_return fail(Errc::kInvalid,
                     "the annotation " + key + ": expected true or false, got \"" + *said + "\"");
  if (options_.allowed)
    for (const auto& [step, experiment] : gameday::experiments_of(day, true))
      if (auto allowed = options_.allowed(experiment); !allowed)
        co_return fail(allowed.error().with_context("step " + step));
  Scope scope = all_of(day);
  http::Identity who = review::who_asks(request);
  http::Identity asks = who;
  auto allowed = co_await access_.may_run(std::move(asks), std::move(scope));
  if (!allowed) co_return allowed;
  // What is in it is read when the day is made, by the same person's rights: not here, where
  // anybody may ask in anybody's name.
  std::set<std::string> asked;
  for (const api::SecretOfStep& secret : api::unread_secrets(day)) {
    if (!asked.insert(secret.name).second) continue;
    asks = who;
    std::string ns = day.metadata.namespace_, name = secret.name;
    auto may = co_await access_.may_get_secret(std::move(asks), std::move(ns), std::move(name));
    if (!may) co_return fail(may.error().with_context(secret.at));
  }
  co_return Result<>{};
}

}  // namespace faultline::controller
