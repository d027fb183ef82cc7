// SPDX-License-Identifier: Apache-2.0
#include "controller/kubernetes/day_operator.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "api/codec.h"
#include "api/plan.h"
#include "controller/gameday/spoken.h"
#include "controller/gameday/words.h"
#include "controller/kubernetes/day_object.h"
#include "controller/kubernetes/experiment_object.h"
#include "controller/kubernetes/experiment_writer.h"
#include "controller/kubernetes/experiments.h"
#include "controller/kubernetes/object_loops.h"
#include "controller/kubernetes/review.h"
#include "kube/json.h"
#include "kube/times.h"

namespace faultline::controller {
namespace {

using api::GameDayPhase;
using boost::asio::awaitable;
using Object = boost::json::object;

bool same(const api::GameDayStatus& a, const api::GameDayStatus& b) {
  return api::to_json(a) == api::to_json(b);
}

// The document of the day: what the webhook wrote for the controller alone is left out, since the
// day's record is read by more people.
api::GameDay document_of(api::GameDay day, const std::string& uid) {
  auto& notes = day.metadata.annotations;
  for (const char* key : {kRequestedBy, kRequestedAs, kAdmitted, kDayWord, kSaid, kSaidBy, kSaidAs})
    notes.erase(key);
  notes[kDayUid] = uid;
  return day;
}

}  // namespace

struct DayOperator::Impl : ObjectLoops {
  // Beside the object, by its uid; forgotten when the day is over.
  struct Entry {
    kube::ObjectKey key;
    SteadyTime first_seen, next_write;
    bool begun = false;                // by us: its status says so
    bool asked_to_start = false;       // and the answer is final
    std::optional<GameDayPhase> told;  // by an event
  };

  Impl(boost::asio::any_io_executor ex, kube::Client& api_client, const Clock& time,
       DayControl& control, DayOperatorOptions given)
      : ObjectLoops(std::move(ex), api_client, time,
                    {.kind = {gamedays(), "game day", day_finished_at},
                     .trim = keep_needed_of_day,
                     .kept_for = given.kept_for}),
        days(control),
        options(std::move(given)),
        writer(api_client, time, gamedays(), "GameDay") {}

  void changed(const Object& object) override {
    queue.add(kube::key_of(object), clock.steady());
    woken.notify();
  }
  void gone(const Object& last) override {
    days.end_day(day_id(last), "the GameDay " + name_of(last) + " was deleted");
    entries.erase(uid_of(last));
    queue.remove(kube::key_of(last));
    finished.forget(kube::key_of(last));
  }
  // Days whose object was deleted while nobody looked.
  void synced() override {
    std::set<std::string> there;
    for (const auto& [key, object] : informer.objects()) there.insert(uid_of(object));
    for (const auto& [uid, day] : days.days_of_objects())
      if (!there.contains(uid)) days.end_day(day, "its GameDay was deleted");
  }
  [[nodiscard]] bool follows(const std::string& uid) const override {
    return entries.contains(uid);
  }
  // The object is over, whoever wrote that, and no day of it goes on.
  [[nodiscard]] bool is_over(const Object& object, const SeenDayStatus& seen) const {
    return seen.problem.empty() && is_final(seen.status.phase) &&
           !days.days_of_objects().contains(uid_of(object));
  }
  // Not before its last word was answered.
  awaitable<bool> may_go(Object object) override {
    const SeenDayStatus seen = day_status_of(object);
    const bool may = is_over(object, seen) && is_answered(object, seen.status.word);
    if (!may) queue.add(kube::key_of(object), clock.steady());
    co_return may;
  }
  [[nodiscard]] std::uint64_t changes() const override { return days.day_changes(); }
  awaitable<void> wait_for_change(std::uint64_t seen, SteadyTime until) override {
    return days.wait_for_day_change(seen, until);
  }
  void followed_changed(SteadyTime now) override {
    for (const auto& [uid, entry] : entries) queue.add(entry.key, std::max(now, entry.next_write));
  }

  // ---- one GameDay

  awaitable<void> reconcile(kube::ObjectKey key) override {
    const Object* found = informer.find(key.ns, key.name);
    if (found == nullptr) co_return;
    const Object object = *found;  // the informer goes on while we write
    const std::string uid = uid_of(object);
    if (uid.empty()) co_return;
    const SeenDayStatus seen = day_status_of(object);
    const bool over = is_over(object, seen);
    if (over && is_answered(object, seen.status.word)) {
      entries.erase(uid);
      finished.keep(object);
      co_return;
    }
    // Somebody else's finalizer holds it: for us it is gone.
    const bool leaving = !kube::meta(object, "deletionTimestamp").empty();
    if (leaving)
      days.end_day(day_id(object), "the GameDay " + name_of(object) + " is being deleted");
    Entry& entry = entries[uid];
    if (entry.key.name.empty()) {
      entry.key = key;
      entry.first_seen = clock.steady();
    }
    std::string id = day_id(object);
    const auto day = co_await days.day_now(std::move(id));
    if (stopped || is_gone(object)) co_return;
    if (day) co_return co_await follow(object, uid, seen);
    if (day.error().code != Errc::kNotFound) co_return;  // another time
    if (over) co_return co_await answer_without_day(object, uid, seen.status);
    if (leaving) {
      entries.erase(uid);
      co_return;
    }
    const bool again = entries[uid].begun || (days.outlives_controller() && seen.problem.empty() &&
                                              seen.status.phase == GameDayPhase::starting);
    if (seen.fresh || again) co_return co_await begin(object, uid, seen.status);
    std::string why =
        seen.problem.empty()
            ? "the controller that led the day is gone with what it had stored; faults end with "
              "their lease. A day does not begin twice: create another"
            : "the status cannot be read by this version of the controller (" + seen.problem +
                  "): the GameDay counts as begun, and does not begin again";
    if (!seen.problem.empty()) co_return co_await tell_unreadable(object, uid, std::move(why));
    spdlog::warn("game day {}: {}", name_of(object), why);
    auto lost = refused_day(why, seen.status, generation_of(object), clock.utc());
    co_await write(object, uid, std::move(lost));
  }

  // It is left as it is: who can read it may need it.
  awaitable<void> tell_unreadable(Object object, std::string uid, std::string why) {
    entries.erase(uid);
    kube::EventText event{true, "StatusUnreadable", std::move(why)};
    event.once = event.reason;
    co_await writer.tell(std::move(object), std::move(event));
  }

  static Result<api::ClusterGameDay> readable(const Object& object) {
    if (std::string why = too_large(object); !why.empty())
      return fail(Errc::kInvalid, std::move(why));
    auto read = api::gameday_from_cluster_json(object);
    if (!read) return read;
    if (std::string why = api::not_for_an_object(read->day); !why.empty())
      return fail(Errc::kInvalid, std::move(why));
    return read;
  }

  awaitable<void> begin(Object object, std::string uid, api::GameDayStatus before) {
    auto read = readable(object);
    if (!read) co_return co_await refuse(object, uid, before, read.error());
    if (std::string why = too_late(object); !why.empty() && !entries[uid].begun) {
      Error error{Errc::kDenied, std::move(why), 0};
      co_return co_await refuse(object, uid, before, std::move(error));
    }
    Asker asker;
    if (options.admitted) {
      Object asked = object;
      api::GameDay day = read->day;
      auto admitted = co_await options.admitted(std::move(asked), std::move(day));
      if (stopped || is_gone(object)) co_return;
      if (!admitted && admitted.error().code == Errc::kUnavailable) co_return;  // another time
      if (!admitted) co_return co_await refuse(object, uid, before, admitted.error());
      asker = std::move(*admitted);
    }
    if (!entries[uid].begun) {
      api::GameDayStatus starting = before;
      starting.phase = GameDayPhase::starting;
      starting.day = day_id(object);
      starting.observedGeneration = generation_of(object);
      // Only if the object is still what we saw: of two controllers one is first.
      std::string version(kube::meta(object, "resourceVersion"));
      Object whole = whole_status(starting);
      const bool first = co_await writer.write_status(object, std::move(whole), std::move(version));
      if (!first || stopped || is_gone(object)) co_return;
      before = starting;
      entries[uid].begun = true;
    }
    const bool unattended = note_on(object, kUnattended) == "true";
    std::string id = day_id(object);
    http::Identity who = review::person_of(asker);
    const bool has_secrets = !api::unread_secrets(read->day).empty();
    api::GameDay document = document_of(std::move(read->day), uid);
    const auto made =
        co_await days.make_day(std::move(id), std::move(document), std::move(who), unattended);
    if (is_gone(object)) {  // while it was being made
      if (made) days.end_day(day_id(object), "the GameDay " + name_of(object) + " was deleted");
      co_return;
    }
    if (made) {
      spdlog::info("game day {}: of the GameDay {}", day_id(object), name_of(object));
      queue.add(kube::key_of(object), clock.steady());
      co_return;
    }
    const auto age = clock.steady() - entries[uid].first_seen;
    const Errc code = made.error().code;
    const bool beside = has_secrets && (code == Errc::kDenied || code == Errc::kNotFound);
    const bool early = (code == Errc::kUnavailable && age < options.patience) ||
                       (beside && age < options.applied_beside);
    if (!early) co_return co_await refuse(object, uid, before, made.error());
  }

  [[nodiscard]] std::string too_late(const Object& object) const {
    const auto created = kube::parse_time(kube::meta(object, "creationTimestamp"));
    if (!created || clock.utc() - *created < options.latest_begin) return {};
    return "the GameDay was created at " + kube::format_time(*created) +
           ", and did not begin within " + api::Duration{options.latest_begin}.format() +
           ": create it anew";
  }

  awaitable<void> refuse(Object object, std::string uid, api::GameDayStatus before, Error error) {
    spdlog::warn("game day {} is refused: {}", name_of(object), error.message);
    auto refused = refused_day(error.message, before, generation_of(object), clock.utc());
    const bool told = co_await write(object, uid, std::move(refused));
    if (!told) co_return;
    kube::EventText text{true, "GameDayRefused", error.message};
    co_await writer.tell(std::move(object), std::move(text));
  }

  // ---- a day that is there

  awaitable<void> follow(Object object, std::string uid, SeenDayStatus seen) {
    co_await start_if_asked(object, uid);
    if (stopped || is_gone(object)) co_return;
    auto word = co_await hear(object, seen.status.word);
    if (stopped || is_gone(object)) co_return;
    // Looked at after all that was waited for; nothing is waited for until the status is made.
    std::string id = day_id(object);
    const auto day = co_await days.day_now(std::move(id));
    if (!day || stopped || is_gone(object)) co_return;
    api::GameDayStatus status = status_of_day(**day, std::move(word), generation_of(object));
    const bool over = (*day)->over();
    const bool urgent = over || !is_answered(object, seen.status.word);
    Entry& entry = entries[uid];
    if (!urgent && clock.steady() < entry.next_write) co_return;
    if (seen.problem.empty() && same(status, seen.status)) {
      if (over) entries.erase(uid);
      co_return;
    }
    const bool told = co_await write(object, uid, status);
    if (!told) co_return;
    co_await tell_phase(std::move(object), std::move(uid), std::move(status));
  }

  // Who applied the file began the day. Where they do not lead it, somebody else starts it.
  awaitable<void> start_if_asked(Object object, std::string uid) {
    std::string id = day_id(object);
    const auto day = co_await days.day_now(std::move(id));
    if (!day || (*day)->record().state != api::DayState::waiting || (*day)->record().unattended)
      co_return;
    if (entries[uid].asked_to_start) co_return;
    const api::GameDayRecord& record = (*day)->record();
    http::Identity who = review::person_of(
        {record.asker.user, record.asker.uid, record.asker.groups, record.asker.extra});
    if (!(*day)->may_lead(who.user)) co_return;
    api::DayWord word{.kind = api::EntryKind::started, .key = "apply-" + uid};
    id = day_id(object);
    const auto said = co_await days.say_on_day(std::move(id), std::move(who), std::move(word));
    if (!said && said.error().code == Errc::kUnavailable) co_return;
    entries[uid].asked_to_start = true;
    if (!said) spdlog::warn("game day {}: not started: {}", name_of(object), said.error().message);
  }

  // What became of the word that the object holds; what is known of the one before where it cannot
  // be said now.
  awaitable<std::optional<api::GameDayWordStatus>> hear(
      Object object, std::optional<api::GameDayWordStatus> before) {
    if (is_answered(object, before)) co_return before;
    api::GameDayWordStatus answer{.word = note_on(object, kDayWord),
                                  .by = note_on(object, kSaidBy),
                                  .at = {clock.utc()},
                                  .key = word_key(object).value_or("")};
    Result<Proofs::Said> said = fail(Errc::kDenied, "nobody can say who wrote it");
    if (options.said) {
      Object asked = object;
      said = co_await options.said(std::move(asked));
      if (!said && said.error().code == Errc::kUnavailable) co_return before;
    }
    auto word = gameday::spoken_word(answer.word);
    if (said && word) {
      answer.at = {said->at};
      std::string id = day_id(object);
      const auto day = co_await days.day_now(std::move(id));
      if (!day) co_return before;
      // A clock behind ours must not put it before the day.
      word->at = std::max(answer.at, (*day)->record().entries.front().at);
      word->key = said->key;
      http::Identity who = review::person_of(said->who);
      id = day_id(object);
      api::DayWord spoken = std::move(*word);
      const auto entry = co_await days.say_on_day(std::move(id), std::move(who), std::move(spoken));
      if (!entry && entry.error().code == Errc::kUnavailable) co_return before;
      answer.taken = entry.has_value();
      answer.answer = entry ? "entry " + std::to_string(entry->number) + " of the timeline"
                            : entry.error().message;
    } else {
      answer.answer = said ? word.error().message : said.error().message;
    }
    co_await tell_word(std::move(object), answer);
    co_return answer;
  }

  awaitable<void> tell_word(Object object, api::GameDayWordStatus answer) {
    kube::EventText event{!answer.taken, answer.taken ? "WordTaken" : "WordRefused",
                          "\"" + answer.word + "\" by " +
                              (answer.by.empty() ? "somebody" : answer.by) + ": " + answer.answer};
    event.once = answer.key.empty() ? "" : answer.key;
    co_await writer.tell(std::move(object), std::move(event));
  }

  // A word on a day that never was: it must be answered, or no other could be written.
  awaitable<void> answer_without_day(Object object, std::string uid, api::GameDayStatus status) {
    status.word = api::GameDayWordStatus{.word = note_on(object, kDayWord),
                                         .by = note_on(object, kSaidBy),
                                         .at = {clock.utc()},
                                         .key = word_key(object).value_or(""),
                                         .answer =
                                             "the game day did not begin, or is not stored "
                                             "any more"};
    auto answered = shown(std::move(status));
    co_await write(std::move(object), std::move(uid), std::move(answered));
  }

  awaitable<void> tell_phase(Object object, std::string uid, api::GameDayStatus status) {
    const auto known = entries.find(uid);
    if (known == entries.end() || known->second.told == status.phase || !status.phase) co_return;
    known->second.told = status.phase;
    std::string reason;
    if (status.phase == GameDayPhase::running) reason = "GameDayRuns";
    if (status.phase == GameDayPhase::held) reason = "GameDayHeld";
    if (is_final(status.phase)) reason = "GameDayOver";
    if (reason.empty()) co_return;
    const bool bad = status.phase != GameDayPhase::running &&
                     status.verdict != api::StepOutcome::met &&
                     status.verdict != api::StepOutcome::done;
    std::string text = "day " + status.day;
    if (is_final(status.phase) && status.verdict)
      text += " ended: " + gameday::word_of(*status.verdict);
    if (!status.reason.empty()) text += ": " + status.reason;
    kube::EventText event{bad, std::move(reason), std::move(text)};
    // A day may be held and go on many times; its end is told once, whoever leads.
    if (is_final(status.phase)) event.once = event.reason + " " + status.day;
    co_await writer.tell(std::move(object), std::move(event));
  }

  awaitable<bool> write(Object object, std::string uid, api::GameDayStatus status) {
    Object whole = whole_status(status);
    std::string any_version;
    const bool written =
        co_await writer.write_status(std::move(object), std::move(whole), std::move(any_version));
    if (const auto entry = entries.find(uid); written && entry != entries.end())
      entry->second.next_write = clock.steady() + options.status_every;
    co_return written;
  }

  DayControl& days;
  DayOperatorOptions options;
  ObjectWriter writer;
  std::map<std::string, Entry> entries;  // by uid
};

DayOperator::DayOperator(boost::asio::any_io_executor executor, kube::Client& client,
                         const Clock& clock, DayControl& days, DayOperatorOptions options)
    : impl_(std::make_shared<Impl>(std::move(executor), client, clock, days, std::move(options))) {}

DayOperator::~DayOperator() { stop(); }

void DayOperator::start() { impl_->begin_loops(); }
void DayOperator::stop() { impl_->end_loops(); }

DayOperatorState DayOperator::state() const {
  const kube::InformerState& seen = impl_->seen();
  return {.synced = seen.synced,
          .last_error = seen.out_of_touch_since ? seen.last_error : impl_->writer.last_error(),
          .status_writes = impl_->writer.writes(),
          .followed = impl_->entries.size(),
          .deleted = impl_->deleted()};
}

}  // namespace faultline::controller
