// SPDX-License-Identifier: Apache-2.0
// What other settings of an alert rule would have made of runs.
#include "api/tune.h"

#include <algorithm>
#include <cmath>

#include "api/codec.h"
#include "controller/observe/tune_ask.h"
#include "controller/routes/run_rules.h"
#include "controller/routes/service.h"

namespace faultline::controller {
namespace {

using http::Response;

constexpr std::size_t kMostRuns = 8;
constexpr std::int64_t kMostKnown = 1'000;  // runs whose time is left out of the history
constexpr std::chrono::hours kLongestRun{24};
constexpr const char* kWhy =
    "to tune a rule is to ask for the metrics of every namespace that it reads";

Result<std::vector<std::string>> names_of_runs(const std::string& text) {
  std::vector<std::string> out;
  std::size_t from = 0;
  while (from <= text.size()) {
    const std::size_t comma = std::min(text.find(',', from), text.size());
    std::string one = text.substr(from, comma - from);
    if (!one.empty() && std::ranges::find(out, one) == out.end()) out.push_back(std::move(one));
    from = comma + 1;
  }
  if (out.empty())
    return fail(Errc::kInvalid, "run= must name the runs to look at, with commas between them");
  if (out.size() > kMostRuns)
    return fail(Errc::kInvalid, "run: " + std::to_string(out.size()) + " are more than the " +
                                    std::to_string(kMostRuns) + " that one question may have");
  return out;
}

}  // namespace

boost::asio::awaitable<Result<std::vector<api::RunRecord>>> Service::runs_to_tune(
    const http::Request& request) {
  const auto names = names_of_runs(query_or(request, "run", ""));
  if (!names) co_return fail(names.error());
  std::vector<api::RunRecord> out;
  for (const std::string& name : *names) {
    auto which = wanted(request, name);
    if (!which) co_return fail(std::move(which.error()));
    const auto chosen = co_await choose(request.who, "get", std::move(*which));
    if (!chosen) co_return fail(chosen.error());
    std::string run = chosen->run;
    auto record = co_await load(std::move(run), Windows::kWithout);
    if (!record) co_return fail(std::move(record.error()));
    const Run* active = in_memory(record->run);
    if (active != nullptr && !active->over())
      co_return fail(Errc::kInvalid, "run: " + record->run + " is not over yet");
    if (std::ranges::find(out, record->run, &api::RunRecord::run) == out.end())
      out.push_back(std::move(*record));
  }
  co_return out;
}

boost::asio::awaitable<Response> Service::get_tune(http::Request request) {
  std::set<std::string> everywhere{""};
  const auto queries = co_await allow(request.who, kQueryVerb, std::move(everywhere));
  if (!queries) co_return http::problem(queries.error().with_context(kWhy));
  auto records = co_await runs_to_tune(request);
  if (!records) co_return http::problem(records.error());
  const std::string alert = query_or(request, "alert", "");
  if (alert.empty()) co_return http::problem(400, "alert= must name an alert of the runs");
  auto wish = observe::tune_wish({.fors = query_or(request, "for", ""),
                                  .thresholds = query_or(request, "threshold", ""),
                                  .windows = query_or(request, "window", ""),
                                  .history = query_or(request, "history", ""),
                                  .step = query_or(request, "step", "")});
  if (!wish) co_return http::problem(wish.error());

  // The rule as the newest run had it that knows it.
  const api::AlertRule* rule = nullptr;
  api::Timestamp newest;
  for (const api::RunRecord& record : *records) {
    const auto found = rule_of(record, alert);
    if (!found || (rule != nullptr && record.history.front().at < newest)) continue;
    rule = *found;
    newest = record.history.front().at;
  }
  if (rule == nullptr) co_return http::problem(rule_of(records->front(), alert).error());
  observe::TuneQuestion question{
      .recorded = *rule, .wish = std::move(*wish), .runs = {}, .known = {}};
  for (const api::RunRecord& record : *records)
    question.runs.push_back(observe::tuned_run(record, *rule, first_injected(record)));

  const UtcTime now = clock_.utc();
  const auto history = std::chrono::milliseconds(std::llround(question.wish.history * 1000));
  auto read = [this, since = now - history - kLongestRun] {
    return reader_->times(since, kMostKnown);
  };
  const auto times = co_await report_worker_.run(std::move(read));
  if (!times) co_return http::problem(times.error());
  for (const RunTime& time : *times) question.known.emplace_back(time.from, time.to.value_or(now));
  const bool not_all = times->size() >= static_cast<std::size_t>(kMostKnown);

  auto data = co_await monitoring_.tune(std::move(question), request.who.name());
  if (!data) co_return http::problem(data.error());
  if (not_all)
    data->notes.push_back("only the newest " + std::to_string(kMostKnown) +
                          " runs are left out of the history");
  if (!complete_) data->notes.emplace_back("this controller still reads earlier runs");
  auto judge = [data = std::move(*data)]() -> Response {
    try {
      return {.body = api::to_json_text(observe::tuned(data))};
    } catch (const std::exception& e) {  // of the worker's thread: nobody else would catch it
      return http::problem(500, std::string("the settings cannot be compared: ") + e.what());
    }
  };
  co_return co_await report_worker_.run(std::move(judge));
}

}  // namespace faultline::controller
