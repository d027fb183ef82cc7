// SPDX-License-Identifier: Apache-2.0
// Which alerts were ever shown to fire, and a test of one that was.
#include "api/alerts.h"

#include <algorithm>
#include <set>

#include "api/codec.h"
#include "controller/observe/others.h"
#include "controller/observe/rule_test.h"
#include "controller/routes/run_rules.h"
#include "controller/routes/service.h"

namespace faultline::controller {
namespace {

using http::Response;

constexpr std::chrono::seconds kAfterRun{60}, kAgain{1};
constexpr std::int64_t kToldAtStart = 200;  // runs whose detections /metrics begins with
constexpr std::size_t kMostRuns = 1'000;    // in which an alert fired, the newest

// Who may not read everywhere gets what is of the run's namespaces, and not what is of the whole
// cluster. Returns how many went.
std::size_t keep_namespaces(std::vector<observe::Series>& series,
                            const std::set<std::string>& namespaces) {
  return std::erase_if(series, [&](const observe::Series& one) {
    return namespaces.empty() || observe::whose(one.labels, namespaces) != observe::Whose::own;
  });
}

}  // namespace

boost::asio::awaitable<void> Service::tell_detections() {
  while (!complete_ && !closed_) co_await event_signal_.wait(clock_.steady() + kAgain);
  if (closed_) co_return;
  auto read = [this]() -> Result<std::vector<FiredAlert>> {
    const auto refs = reader_->refs({.limit = kToldAtStart, .fired = true});
    if (!refs) return fail(refs.error());
    std::vector<std::string> runs;
    for (const RunRef& ref : *refs) runs.push_back(ref.run);
    std::ranges::reverse(runs);  // the newest is told last
    return reader_->fired(runs);
  };
  const auto fired = co_await report_worker_.run(std::move(read));
  if (!fired) co_return;
  for (const FiredAlert& one : *fired) {
    const bool expected = one.verdict != api::DetectionVerdict::false_alarm;
    metrics_.fired(one.alert, expected ? one.at : api::Timestamp{});
    if (one.seconds && expected) metrics_.detection(one.alert, *one.seconds);
  }
}

boost::asio::awaitable<Response> Service::get_alerts(http::Request request) {
  RefQuery query{.fired = true};
  auto page = co_await visible(request.who, std::move(query), kMostRuns);
  if (!page) co_return http::problem(page.error());
  std::vector<std::string> runs;
  std::map<std::string, std::string> experiments;
  for (const RunRef& ref : page->runs) {
    runs.push_back(ref.run);
    experiments[ref.run] = ref.name;
  }
  auto read = [this, runs = std::move(runs)] { return reader_->fired(runs); };
  const auto fired = co_await report_worker_.run(std::move(read));
  if (!fired) co_return http::problem(fired.error());

  api::AlertList list;
  if (page->more)
    list.notes.push_back("runs from before " + api::Timestamp{page->more->first}.format() +
                         " were not looked at");
  if (!complete_) list.notes.emplace_back("this controller still reads earlier runs");
  std::map<std::string, api::AlertRow> rows;
  for (const FiredAlert& one : *fired) {
    api::AlertRow& row = rows[one.alert];
    if (row.lastFiredAt.set() && one.at <= row.lastFiredAt) continue;
    row = {.alert = one.alert,
           .source = one.source,
           .known = false,
           .lastFiredAt = one.at,
           .run = one.run,
           .experiment = experiments[one.run],
           .verdict = one.verdict,
           .seconds = one.seconds};
  }
  std::set<std::string> everywhere{""};
  const auto all = co_await allow(request.who, "get", std::move(everywhere));
  if (!all && all.error().code == Errc::kUnavailable) co_return http::problem(all.error());
  if (!all) {
    list.notes.emplace_back(
        "only alerts of runs that you may see; all rules are for those who may get everywhere");
  } else if (!monitoring_.has_prometheus()) {
    list.notes.emplace_back("this controller has no Prometheus to ask for its rules");
  } else {
    api::Experiment nothing;
    const auto watcher = co_await monitoring_.begin(std::move(nothing), request.who.name());
    if (!watcher) co_return http::problem(watcher.error());
    const api::MonitoringRecord& record = (*watcher)->record();
    bool asked = true;
    for (const api::MonitoringSource& source : record.sources)
      if (source.kind == "prometheus" && !source.problem.empty()) {
        asked = false;
        list.notes.push_back(source.name + " could not be asked for its rules: " + source.problem);
      }
    std::uint64_t tested = 0;
    for (const std::string& name : record.ruleNames) {
      api::AlertRow& row = rows[name];
      row.alert = name;
      row.known = true;
      if (row.lastFiredAt.set()) ++tested;
    }
    if (asked) {
      metrics_.rules(record.ruleNames);
      list.rules = record.ruleNames.size();
      list.tested = tested;
    }
  }
  for (auto& [name, row] : rows) list.alerts.push_back(std::move(row));
  co_return Response{.body = api::to_json_text(list)};
}

boost::asio::awaitable<Response> Service::get_rule_test(http::Request request) {
  auto which = wanted(request, request.params.at("run"));
  if (!which) co_return http::problem(which.error());
  const auto chosen = co_await choose(request.who, "get", std::move(*which));
  if (!chosen) co_return http::problem(chosen.error());
  const std::string alert = query_or(request, "alert", "");
  if (alert.empty()) co_return http::problem(400, "alert= must name an alert of the run");
  std::string run = chosen->run;
  const auto record = co_await load(std::move(run), Windows::kWithout);
  if (!record) co_return http::problem(record.error());
  const auto rule = rule_of(*record, alert);
  if (!rule) co_return http::problem(rule.error());
  observe::RuleTestInput input{.run = record->run,
                               .rule = **rule,
                               .changes = record->monitoring->changes,
                               .first_injected = first_injected(*record),
                               .series = {},
                               .offset = {}};
  // Of several rules of the name one that fired.
  const auto& rules = record->monitoring->rules;
  const auto fired = std::ranges::find_if(rules, [&](const api::AlertRule& one) {
    return one.alert == alert && !one.expr.empty() &&
           observe::first_firing(input.changes, one, input.first_injected).set();
  });
  if (fired != rules.end()) input.rule = *fired;
  for (const api::MonitoringSource& source : record->monitoring->sources)
    if (source.name == input.rule.source)
      input.offset = {source.clockOffset, source.clockUncertainty};
  // What is refused without samples need not ask for them.
  if (!input.first_injected.set() ||
      !observe::first_firing(input.changes, input.rule, input.first_injected).set()) {
    const auto refused = observe::rule_test(input);
    co_return http::problem(refused ? Error{Errc::kInternal, "no test"} : refused.error());
  }
  std::string source = input.rule.source, expr = input.rule.expr;
  const double from = observe::to_theirs(
      observe::rule_test_from(input.rule, input.first_injected.value), input.offset);
  // What came after the run too, so that no series seems to end with it.
  const double to = observe::to_theirs(
      std::min(record->history.back().at.value + kAfterRun, clock_.utc()), input.offset);
  auto series = co_await monitoring_.samples(std::move(source), std::move(expr), from, to,
                                             request.who.name());
  if (!series) co_return http::problem(series.error());
  std::set<std::string> everywhere{""};
  const auto all = co_await allow(request.who, "get", std::move(everywhere));
  if (!all && all.error().code == Errc::kUnavailable) co_return http::problem(all.error());
  const std::size_t gone = all ? 0 : keep_namespaces(*series, chosen->namespaces);
  input.series = std::move(*series);
  auto make = [input = std::move(input), gone]() -> Response {
    try {
      auto test = observe::rule_test(input);
      if (!test) return http::problem(test.error());
      if (gone > 0)
        test->notes.push_back(std::to_string(gone) +
                              " series are not of the run's namespaces, and left out: it may not "
                              "pass");
      const api::RuleTestFiles files{.rulesFile = test->rules_file,
                                     .testFile = test->test_file,
                                     .rules = std::move(test->rules),
                                     .test = std::move(test->test),
                                     .notes = std::move(test->notes)};
      return {.body = api::to_json_text(files)};
    } catch (const std::exception& e) {  // of the worker's thread: nobody else would catch it
      return http::problem(500, std::string("the test cannot be made: ") + e.what());
    }
  };
  co_return co_await report_worker_.run(std::move(make));
}

}  // namespace faultline::controller
