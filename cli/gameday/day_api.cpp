// SPDX-License-Identifier: Apache-2.0
#include "cli/gameday/day_api.h"

#include <poll.h>

#include <algorithm>
#include <boost/json.hpp>
#include <set>

#include "base/printable.h"
#include "cli/answers.h"
#include "document/json.h"
#include "http/target.h"

namespace faultline::cli {
namespace {

constexpr const char* kDays = "/api/v1/gamedays";
constexpr int kListed = 1000;
constexpr std::chrono::milliseconds kFirstPause{250}, kLongestPause{5000};
// An incident of a large day: metrics of all its pods.
constexpr document::Budget kIncidentBudget{64 << 20, 200'000, 8};

std::string day_path(const std::string& id) {
  return std::string(kDays) + "/" + http::percent_encode(id);
}

std::string with_query(std::string path, const std::vector<std::string>& query) {
  for (std::size_t i = 0; i < query.size(); ++i) path += (i == 0 ? "?" : "&") + query[i];
  return path;
}

}  // namespace

bool ended(api::DayState state) {
  switch (state) {  // no default: a new state must be thought about here
    case api::DayState::checking:
    case api::DayState::waiting:
    case api::DayState::running:
    case api::DayState::held:
    case api::DayState::aborting:
      return false;
    case api::DayState::completed:
    case api::DayState::aborted:
    case api::DayState::failed:
      break;
  }
  return true;
}

bool is_away(const Error& error) { return error.code == Errc::kUnavailable; }

bool asks_to_wait(const Error& error) {
  constexpr int kTooMany = 429;
  return error.http_status == kTooMany;
}

Result<api::GameDayPlan> DayApi::plan(const std::string& document) const {
  std::vector<std::string> query{"dryRun=true"};
  if (!api_.home().empty()) query.push_back("namespace=" + http::percent_encode(api_.home()));
  return decoded<api::GameDayPlan>(api_.ask("POST", with_query(kDays, query), document, true),
                                   "the plan of a game day");
}

Result<api::GameDayView> DayApi::create(const std::string& document, bool unattended, bool anyway,
                                        const std::string& as, const std::string& key) const {
  std::vector<std::string> query{"key=" + http::percent_encode(key)};
  if (!as.empty()) query.push_back("as=" + http::percent_encode(as));
  if (unattended) query.emplace_back("unattended=true");
  if (anyway) query.emplace_back("anyway=true");
  if (!api_.home().empty()) query.push_back("namespace=" + http::percent_encode(api_.home()));
  return decoded<api::GameDayView>(api_.ask("POST", with_query(kDays, query), document, true),
                                   "a game day");
}

Result<std::vector<api::GameDaySummary>> DayApi::days(const std::string& ns,
                                                      const std::string& name,
                                                      const std::string& as) const {
  std::vector<std::string> query{"limit=" + std::to_string(kListed)};
  if (!name.empty()) query.push_back("name=" + http::percent_encode(name));
  if (!as.empty()) query.push_back("as=" + http::percent_encode(as));
  auto listed = decoded<std::vector<api::GameDaySummary>>(
      api_.ask("GET", with_query(kDays, query), "", true), "the game days");
  if (listed && !ns.empty())
    std::erase_if(*listed, [&](const api::GameDaySummary& day) {
      return !day.namespace_.empty() && day.namespace_ != ns;
    });
  return listed;
}

Result<std::string> DayApi::id_of(const std::string& name) const {
  const auto wanted = api_.named(name);
  if (!wanted) return fail(wanted.error());
  const auto listed = days("", wanted->name);
  if (!listed) return fail(listed.error());
  std::set<std::string> spaces;
  const api::GameDaySummary* other = nullptr;
  for (const api::GameDaySummary& day : *listed) {
    if (day.day == wanted->name) return day.day;
    if (day.name != wanted->name) continue;
    if (wanted->ns.empty() || day.namespace_.empty() || day.namespace_ == wanted->ns)
      return day.day;
    spaces.insert(day.namespace_ + "/" + day.name);
    if (other == nullptr) other = &day;
  }
  if (wanted->said || other == nullptr) return wanted->name;
  if (spaces.size() == 1) return other->day;
  std::string all;
  for (const std::string& space : spaces) all += (all.empty() ? "" : ", ") + space;
  return fail(Errc::kInvalid,
              faultline::printable("'" + wanted->name + "' could mean " + all +
                                   "; say which by -n NAMESPACE, by NAMESPACE/NAME or by its id"));
}

std::string DayApi::day_target(const std::string& id, std::uint64_t after, const std::string& as,
                               std::chrono::seconds wait) {
  std::vector<std::string> query{"after=" + std::to_string(after),
                                 "wait=" + std::to_string(wait.count())};
  if (!as.empty()) query.push_back("as=" + http::percent_encode(as));
  return with_query(day_path(id), query);
}

Result<api::GameDayView> DayApi::day(const std::string& id, std::uint64_t after,
                                     const std::string& as) const {
  const auto page = [&](std::uint64_t above) {
    return decoded<api::GameDayView>(
        api_.ask("GET", day_target(id, above, as, std::chrono::seconds(0)), "", true),
        "a game day");
  };
  // A long timeline comes in pages: until there is nothing above the last one. A timeline has 20
  // 000 entries, 500 on a page; who sends pages without an end is no controller of ours.
  constexpr int kMostPages = 400;
  auto view = page(after);
  for (int pages = 1;
       pages < kMostPages && view && !view->entries.empty() && view->entries.back().number > after;
       ++pages) {
    after = view->entries.back().number;
    auto next = page(after);
    if (!next) return next;
    std::vector<api::DayEntry> entries = std::move(view->entries);
    for (api::DayEntry& entry : next->entries)
      if (entry.number > after) entries.push_back(std::move(entry));
    view = std::move(next);
    view->entries = std::move(entries);
  }
  return view;
}

Result<std::string> DayApi::report(const std::string& id, const std::string& format, bool names,
                                   const std::string& as) const {
  std::vector<std::string> query{"format=" + format};
  if (!as.empty()) query.push_back("as=" + http::percent_encode(as));
  if (names) query.emplace_back("names=true");
  return api_.ask("GET", with_query(day_path(id) + "/report", query), "", true);
}

Result<std::vector<IncidentFile>> DayApi::incident(const std::string& id, bool names,
                                                   const std::string& as) const {
  const auto text = report(id, "incident", names, as);
  if (!text) return fail(text.error());
  const auto wrong = [](const std::string& why) {
    return fail(Errc::kInternal, "the controller's answer (an incident) cannot be read: " + why);
  };
  const auto value = document::parse_json(*text, kIncidentBudget);
  if (!value) return wrong(value.error().message);
  const auto* files = value->is_object() ? value->get_object().if_contains("files") : nullptr;
  if (files == nullptr || !files->is_array()) return wrong("it has no list of files");
  std::vector<IncidentFile> out;
  for (const boost::json::value& file : files->get_array()) {
    const auto field = [&](const char* key) -> const boost::json::string* {
      const auto* found = file.is_object() ? file.get_object().if_contains(key) : nullptr;
      return found != nullptr && found->is_string() ? &found->get_string() : nullptr;
    };
    const auto *name = field("name"), *content = field("content");
    if (name == nullptr || content == nullptr) return wrong("a file of it has no name or content");
    out.push_back({std::string(*name), std::string(*content)});
  }
  return out;
}

Result<api::DayEntry> DayApi::say(const std::string& id, const api::DayWord& word) const {
  return decoded<api::DayEntry>(
      api_.ask("POST", day_path(id) + "/entries", api::to_json_text(word), true), "an entry");
}

template <class T>
Result<T> patiently(const std::function<Result<T>()>& once, std::chrono::milliseconds patience,
                    const Interrupt& interrupt,
                    const std::function<void(const std::string&)>& say) {
  const auto end = std::chrono::steady_clock::now() + patience;
  auto pause = kFirstPause;
  bool told = false;
  while (true) {
    auto answer = once();
    const auto now = std::chrono::steady_clock::now();
    if (answer || !is_away(answer.error()) || interrupt.requested() || now >= end) {
      if (answer && told) say("in touch again");
      return answer;
    }
    if (!told)
      say(std::string(asks_to_wait(answer.error()) ? "the controller asks to wait"
                                                   : "the controller is away") +
          " (" + answer.error().message + "); trying again for " +
          std::to_string(std::chrono::duration_cast<std::chrono::seconds>(patience).count()) +
          " s");
    told = true;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - now);
    pollfd polled{interrupt.fd(), POLLIN, 0};
    poll(&polled, 1, static_cast<int>(std::min(pause, left).count()));
    pause = std::min(2 * pause, kLongestPause);
  }
}

template Result<std::string> patiently(const std::function<Result<std::string>()>&,
                                       std::chrono::milliseconds, const Interrupt&,
                                       const std::function<void(const std::string&)>&);
template Result<api::DayEntry> patiently(const std::function<Result<api::DayEntry>()>&,
                                         std::chrono::milliseconds, const Interrupt&,
                                         const std::function<void(const std::string&)>&);

template Result<api::GameDayView> patiently(const std::function<Result<api::GameDayView>()>&,
                                            std::chrono::milliseconds, const Interrupt&,
                                            const std::function<void(const std::string&)>&);

}  // namespace faultline::cli
