// SPDX-License-Identifier: Apache-2.0
// Game days for the Kubernetes side, for chats, and what of ConfigMaps goes into a day.
#include <spdlog/spdlog.h>

#include <random>

#include "api/codec.h"
#include "controller/gameday/words.h"
#include "controller/routes/chat_note.h"
#include "controller/routes/gamedays.h"
#include "http/address_key.h"

namespace faultline::controller {
namespace {

using http::Response;

// What of runbooks is fetched: each, and all of a day.
constexpr std::size_t kMostOfRunbook = 64 << 10, kMostOfRunbooks = 256 << 10;

std::string fresh_key() {
  std::random_device device;
  static constexpr const char* kDigits = "0123456789abcdef";
  std::string key = "chat-";
  for (int i = 0; i < 4; ++i)
    for (unsigned bits = device(), digit = 0; digit < 8; ++digit, bits >>= 4)
      key += kDigits[bits & 0xf];
  return key;
}

}  // namespace

DayControl& Service::days() { return *gamedays_; }

boost::asio::awaitable<Result<DayControl::DayNow>> Service::GameDays::day_now(std::string day) {
  auto found = co_await find(std::move(day));
  co_return found;
}

boost::asio::awaitable<Result<>> Service::GameDays::make_day(std::string id, api::GameDay document,
                                                             http::Identity who, bool unattended) {
  AuditEntry entry{.via = "operator", .verb = "create-gameday", .user = who.name()};
  entry.groups = who.groups;
  entry.ns = document.metadata.namespace_;
  entry.experiment = document.metadata.name;
  Scope scope = scope_of(document);
  scope.hit.insert(document.metadata.namespace_);
  entry.namespaces = scope.hit;
  entry.namespaces.insert(scope.seen.begin(), scope.seen.end());
  Result<> made = service_.can_begin();
  if (made) made = co_await service_.allow_scope(who, std::move(scope));
  if (made) made = co_await service_.fetch_runbooks(who, document);
  if (made) {
    entry.allowed = true;
    made = service_.audit(entry);
  }
  if (made) {
    std::string no_key;
    const auto created = co_await create(std::move(document), std::move(who), unattended,
                                         std::move(no_key), std::move(id));
    if (!created) made = fail(created.error());
  }
  service_.audit_operator(std::move(entry), made ? nullptr : &made.error());
  co_return made;
}

boost::asio::awaitable<Result<api::DayEntry>> Service::GameDays::say_on_day(std::string day,
                                                                            http::Identity who,
                                                                            api::DayWord word) {
  AuditEntry entry{.via = "operator", .user = who.name()};
  entry.groups = who.groups;
  entry.verb = "gameday-" + gameday::word_of(word.kind);
  std::string user = who.user, asked = day;
  const auto ref = co_await service_.may_say(who, std::move(user), std::move(asked), word);
  if (ref) {
    entry.ns = ref->summary.namespace_;
    entry.experiment = ref->summary.name;
  }
  entry.allowed = ref.has_value();
  if (!ref) entry.reason = ref.error().message;
  if (!ref && ref.error().code == Errc::kUnavailable) co_return fail(ref.error());
  if (!ref || gameday::is_control(word.kind))
    if (auto written = service_.audit(entry);
        ref && !written && word.kind != api::EntryKind::aborted)
      co_return fail(Errc::kUnavailable, "this cannot be done: " + written.error().message);
  if (!ref) co_return fail(ref.error());
  std::string name = who.user, via = "kubectl";
  auto said = co_await say(std::move(day), std::move(word), std::move(name), std::move(via));
  co_return said;
}

std::map<std::string, std::string> Service::GameDays::days_of_objects() const {
  std::map<std::string, std::string> days;
  for (const auto& [id, active] : days_) {
    const api::Metadata& metadata = active->day.record().document.metadata;
    const auto uid = metadata.annotations.find(kDayUid);
    if (uid == metadata.annotations.end() || active->day.over()) continue;
    if (id == metadata.name + "-" + uid->second) days[uid->second] = id;
  }
  return days;
}

bool Service::GameDays::outlives_controller() const { return service_.day_journal_ != nullptr; }

boost::asio::awaitable<void> Service::GameDays::wait_for_day_change(std::uint64_t seen,
                                                                    SteadyTime until) {
  while (changes_ == seen && !stopped_ && service_.clock_.steady() < until)
    co_await changed_.wait(until);
}

boost::asio::awaitable<Result<>> Service::fetch_runbooks(http::Identity who, api::GameDay& day) {
  auto surprises = co_await fetch_surprises(who, day);
  if (!surprises || !fetch_text_) co_return surprises;
  std::vector<std::pair<api::Runbook*, std::string>> books;
  api::for_each_step(day, [&](api::Step& step, const std::string& at) {
    if (step.task && step.task->runbook && !step.task->runbook->configMap.empty() &&
        step.task->runbook->text.empty())
      books.emplace_back(&*step.task->runbook, at + ".task.runbook.configMap");
  });
  std::size_t all = 0;
  for (const auto& [book, at] : books) {
    const std::size_t slash = book->configMap.find('/');
    std::string ns = day.metadata.namespace_, name = book->configMap.substr(0, slash),
                key = book->configMap.substr(slash + 1);
    auto text = co_await fetch_text_(who, std::move(ns), std::move(name), std::move(key));
    if (!text) co_return fail(text.error().with_context(at));
    all += text->size();
    if (text->size() > kMostOfRunbook || all > kMostOfRunbooks)
      co_return fail(Errc::kInvalid,
                     at + ": a runbook has at most " + std::to_string(kMostOfRunbook) +
                         " bytes, those of a day " + std::to_string(kMostOfRunbooks) +
                         " in all; this one has " + std::to_string(text->size()));
    book->text = std::move(*text);
  }
  co_return Result<>{};
}

// A chat knows no users of the cluster: what it says is a note and nothing else, of somebody
// without a role, and says so.
boost::asio::awaitable<Response> Service::take_chat_note(http::Request request) {
  if (elsewhere(0)) {
    Response again = http::problem(503, "another controller leads");
    again.headers["Connection"] = "close";
    co_return again;
  }
  if (!chat_notes_.take(http::address_key(request.peer), clock_.steady()).allowed)
    co_return http::problem(429, "too many notes a second of this address");
  auto note = parse_chat_note(request.body, fresh_key());
  if (!note) co_return http::problem(note.error());
  const std::string day = request.params.at("day");
  std::optional<std::string> ns;
  if (const auto given = request.query.find("namespace"); given != request.query.end())
    ns = given->second;
  const std::string id = gamedays_->open_day(day, ns);
  if (id.empty()) co_return http::problem(404, "there is no game day " + day + " under way");
  std::string asked = id, via = "webhook";
  const auto said = co_await gamedays_->say(std::move(asked), std::move(note->word),
                                            std::move(note->who), std::move(via));
  if (!said) co_return http::problem(said.error());
  // The timeline is for those who may see the day: a chat learns that it was taken.
  co_return Response{.status = 201, .body = "{}"};
}

std::string Service::GameDays::open_day(const std::string& day,
                                        const std::optional<std::string>& ns) const {
  std::string newest;
  api::Timestamp created;
  for (const auto& [id, active] : days_) {
    const api::GameDayRecord& record = active->day.record();
    if (active->day.over() || (id != day && record.document.metadata.name != day)) continue;
    if (ns && record.document.metadata.namespace_ != *ns) continue;
    if (!newest.empty() && record.entries.front().at < created) continue;
    newest = id;
    created = record.entries.front().at;
  }
  return newest;
}

}  // namespace faultline::controller
