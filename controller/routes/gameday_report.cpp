// SPDX-License-Identifier: Apache-2.0
// GET /api/v1/gamedays/{day}/report.
#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "controller/routes/gamedays.h"
#include "controller/routes/run_rules.h"
#include "report/gameday/gameday.h"
#include "report/report.h"

namespace faultline::controller {
namespace {

using http::Response;

constexpr std::int64_t kEarlierDays = 5;  // that a report is compared with
// Of the day, and of all earlier days: of each run little is kept. The whole records, for metrics
// of an incident, only of so many.
constexpr std::size_t kMostRunsRead = 1000, kMostRecords = 64;
// An incident has the whole reports.
constexpr std::size_t kMostOfIncident = 256;
constexpr std::int64_t kLookedAt = 50;

std::vector<std::string> runs_of(const api::GameDayRecord& record) {
  std::vector<std::string> runs;
  for (const api::DayEntry& entry : record.entries)
    if (entry.kind == api::EntryKind::run_begun) runs.push_back(entry.run);
  return runs;
}

bool is_over(api::DayState state) {
  return state == api::DayState::completed || state == api::DayState::aborted ||
         state == api::DayState::failed;
}

Response incident(const api::GameDayReport& report, const std::map<std::string, api::Report>& runs,
                  const std::map<std::string, api::RunRecord>& records) {
  boost::json::array files;
  for (report::IncidentFile& file : report::gameday_incident(report, runs, records))
    files.push_back({{"name", std::move(file.name)}, {"content", std::move(file.content)}});
  return {.body = boost::json::serialize(boost::json::object{{"files", std::move(files)}})};
}

}  // namespace

boost::asio::awaitable<Response> Service::get_gameday_report(http::Request request) {
  std::string asked = request.params.at("day");
  const auto ref = co_await choose_day(request.who, "get", std::move(asked));
  if (!ref) co_return http::problem(ref.error());
  const std::string format = query_or(request, "format", "json");
  if (format != "json" && format != "md" && format != "html" && format != "incident")
    co_return http::problem(400,
                            "format must be json, md, html or incident, got \"" + format + "\"");
  const auto names = query_or(request, "names", "false") == "true" ? report::Names::kShown
                                                                   : report::Names::kHidden;
  // Each takes time and memory: the others wait for none of them.
  const auto place = gamedays_->report_place(request.who.name());
  if (!place)
    co_return http::problem(429,
                            "too many reports of game days are being made, or too many of one "
                            "caller; ask again when they are done");
  std::string id = ref->summary.day;
  const auto day = co_await gamedays_->find(std::move(id));
  if (!day) co_return http::problem(day.error());
  const std::string user = speaker(request, query_or(request, "as", "")).user;
  if (!(*day)->over() && !(*day)->may_lead(user))
    co_return http::problem(409,
                            "the game day is not over: until then its report is the "
                            "facilitator's, since it tells the surprises");
  if ((*day)->hides_any() && !(*day)->may_lead(user))
    co_return http::problem(409,
                            "the game day failed before all of it began: its report is the "
                            "facilitator's, since it tells what would have come");
  // A copy of the whole record, what is made of it, and its text.
  constexpr std::size_t kCopies = 6;
  const auto held = co_await gamedays_->room_for(kCopies * (*day)->record_bytes());
  if (!held) co_return http::problem(held.error());
  api::GameDayRecord record = (*day)->record();

  // Earlier days of this name that the caller may see, oldest first.
  auto list = [name = ref->summary.name](Store& store) { return store.day_refs(name, kLookedAt); };
  auto refs = co_await gamedays_->looks().read(std::move(list));
  if (!refs) co_return http::problem(refs.error());
  std::vector<std::string> earlier;
  for (const DayRef& other : *refs) {
    if (static_cast<std::int64_t>(earlier.size()) >= kEarlierDays) break;
    if (other.summary.createdAt >= ref->summary.createdAt || !is_over(other.summary.state) ||
        other.summary.namespace_ != ref->summary.namespace_)
      continue;
    std::set<std::string> namespaces = other.namespaces;
    const auto allowed = co_await allow_day(request.who, "get", std::move(namespaces));
    if (allowed) earlier.insert(earlier.begin(), other.summary.day);
  }

  auto make = [this, record = std::move(record), earlier = std::move(earlier), format, names,
               user]() -> Response {
    try {
      auto reader = gamedays_->reports().store();
      if (!reader) return http::problem(reader.error());
      std::map<std::string, api::RunRecord> records;
      std::map<std::string, std::string> not_read;
      const auto reports_of = [&](const api::GameDayRecord& of, std::size_t& room, bool keep) {
        std::map<std::string, api::Report> reports;
        not_read.clear();
        const std::size_t most = keep ? kMostOfIncident : kMostRunsRead;
        for (const std::string& run : runs_of(of)) {
          if (room == 0) {
            not_read.emplace(run, "at most " + std::to_string(most) + " runs are read");
            continue;
          }
          --room;
          auto stored = (*reader)->load(run, Windows::kWith);
          if (!stored) {  // of one that is not there the report says so
            if (stored.error().code != Errc::kNotFound)
              not_read.emplace(run, stored.error().message);
            continue;
          }
          api::Report whole = report::build(*stored);
          reports.emplace(run, keep ? std::move(whole) : report::for_gameday(std::move(whole)));
          if (keep && records.size() < kMostRecords) records.emplace(run, std::move(*stored));
        }
        return reports;
      };
      // The newest first: it is what the day is compared with.
      std::size_t room = kMostRunsRead;
      std::vector<api::GameDayReport> before;
      for (auto one = earlier.rbegin(); one != earlier.rend(); ++one)
        if (auto stored = (*reader)->load_day(*one)) {
          // Of one that failed not everything is told to everybody.
          const gameday::Day known(*stored);
          if (known.hides_any() && !known.may_lead(user)) continue;
          const auto theirs = reports_of(*stored, room, false);
          before.insert(before.begin(),
                        report::gameday_report(*stored, theirs, {}, names, not_read));
        }
      room = format == "incident" ? kMostOfIncident : kMostRunsRead;
      const auto runs = reports_of(record, room, format == "incident");
      const api::GameDayReport made = report::gameday_report(record, runs, before, names, not_read);
      if (format == "incident") return incident(made, runs, records);
      if (format == "md")
        return {.content_type = "text/markdown; charset=utf-8",
                .body = report::gameday_markdown(made)};
      if (format == "html")
        return {.content_type = "text/html; charset=utf-8", .body = report::gameday_html(made)};
      return {.body = report::gameday_json(made)};
    } catch (const std::exception& e) {  // of the worker's thread: nobody else would catch it
      return http::problem(500, std::string("the report cannot be made: ") + e.what());
    }
  };
  co_return co_await gamedays_->reports().worker().run(std::move(make));
}

}  // namespace faultline::controller
