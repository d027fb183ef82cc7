// SPDX-License-Identifier: Apache-2.0
// Starting, listing, stopping: docs/http-api.md.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/describe/enum_to_string.hpp>
#include <charconv>

#include "api/codec.h"
#include "controller/routes/run_rules.h"
#include "controller/routes/service.h"
#include "http/target.h"

namespace faultline::controller {
namespace {

using http::Response;

constexpr std::size_t kMostParsing = 4;  // experiments that one caller has parsed at a time
constexpr std::uint64_t kListed = 100, kMostListed = 1000;
constexpr std::size_t kMostBytes = 4 << 20;  // of what is stored, in one answer

// A query parameter that is true, false or left out.
Result<bool> flag(const http::Request& request, const std::string& name) {
  const auto value = request.query.find(name);
  if (value == request.query.end() || value->second == "false") return false;
  if (value->second == "true" || value->second.empty()) return true;
  return fail(Errc::kInvalid, name + " must be true or false, got \"" + value->second + "\"");
}

Result<std::uint64_t> number(const std::string& text, const std::string& name) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc{} && end == text.data() + text.size()) return value;
  return fail(Errc::kInvalid, name + " must be a whole number, got \"" + text + "\"");
}

// Where the next page of a list begins, as text and back: "1795428902000000.slow-1".
std::string page_text(const std::pair<UtcTime, std::string>& from) {
  const auto us =
      std::chrono::duration_cast<std::chrono::microseconds>(from.first.time_since_epoch());
  return std::to_string(us.count()) + "." + from.second;
}
Result<std::pair<UtcTime, std::string>> page_of(const std::string& text) {
  std::int64_t us = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), us);
  if (error == std::errc{} && end != text.data() + text.size() && *end == '.')
    return std::pair{UtcTime(std::chrono::microseconds(us)), std::string(end + 1)};
  return fail(Errc::kInvalid,
              "continue must be of an answer to this request, got \"" + text + "\"");
}

}  // namespace

boost::asio::awaitable<Response> Service::start_experiment(http::Request request,
                                                           AuditEntry& entry) {
  const Result<bool> dry_run = flag(request, "dryRun");
  if (!dry_run) co_return http::problem(dry_run.error());
  if (*dry_run) entry.verb = "plan";
  auto experiment = co_await parse_experiment(request);
  if (!experiment) co_return http::problem(experiment.error());
  describe(entry, *experiment);
  if (may_) {
    if (experiment->metadata.namespace_.empty())
      experiment->metadata.namespace_ = query_or(request, "namespace", "default");
    *experiment = in_own_namespace(std::move(*experiment));
    describe(entry, *experiment);
    const auto allowed = co_await allow_start(request.who, *experiment);
    if (!allowed) co_return http::problem(allowed.error());
  }

  // What a plan showed is what is hit: its seed comes back with the experiment that had none.
  if (const auto seed = request.query.find("seed"); seed != request.query.end()) {
    const Result<std::uint64_t> asked = number(seed->second, "seed");
    if (!asked) co_return http::problem(asked.error());
    if (experiment->spec.seed == 0) experiment->spec.seed = *asked;
  }

  if (const auto choice = request.query.find("choice"); choice != request.query.end())
    experiment->metadata.annotations[std::string(api::kChoiceNote)] = choice->second;

  const Result<bool> anyway = flag(request, "anyway");
  if (!anyway) co_return http::problem(anyway.error());
  if (*anyway) experiment->metadata.annotations[std::string(api::kAnywayNote)] = "true";

  if (*dry_run) {
    Result<api::RunPlan> plan = engine_.plan(*experiment, now());
    if (!plan) co_return http::problem(plan.error());
    auto alerts = co_await plan_alerts(std::move(*experiment), request.who.name());
    if (!alerts) co_return http::problem(alerts.error());
    plan->alerts = std::move(*alerts);
    co_return Response{.body = api::to_json_text(*plan)};
  }
  std::string no_uid;
  auto run =
      co_await begin_run(std::move(*experiment), request.who.name(), std::move(no_uid), entry);
  if (!run) co_return http::problem(run.error());
  Response response{.status = 201, .body = api::to_json_text(engine_.find(*run)->summary(now()))};
  response.headers["Location"] = "/api/v1/experiments/" + *run;
  co_return response;
}

boost::asio::awaitable<Result<api::Experiment>> Service::parse_experiment(http::Request& request) {
  const std::string who = request.who.name();
  // In which namespaces it will be is known when it is read. Who may create none in all of them,
  // nor in the one that is the default, has little read; and of what cannot be read hears only
  // that.
  Result<> right;
  if (may_) {
    std::set<std::string> everywhere{""}, there{query_or(request, "namespace", "default")};
    right = co_await allow(request.who, "create", std::move(there));
    if (!right && right.error().code == Errc::kDenied) {
      const auto all = co_await allow(request.who, "create", std::move(everywhere));
      if (all) right = {};
    }
    if (!right && right.error().code != Errc::kDenied) co_return fail(right.error());
    if (!right && !strangers_.take(who, clock_.steady()).allowed)
      co_return fail(Errc::kDenied, right.error().message +
                                        " (of another namespace one experiment a second is read; "
                                        "?namespace= names it before)");
  }
  if (parsing_[who] >= kMostParsing)
    co_return fail(Errc::kUnavailable, "too many experiments of " + who + " are being read");
  struct Count {
    std::map<std::string, std::size_t>& all;
    const std::string& who;
    Count(std::map<std::string, std::size_t>& a, const std::string& w) : all(a), who(w) {
      ++all[w];
    }
    ~Count() {
      if (--all[who] == 0) all.erase(who);
    }
    Count(const Count&) = delete;
    Count& operator=(const Count&) = delete;
  } const count{parsing_, who};
  const auto held = std::move(request.held);  // given back on this thread
  auto parse = [body = std::move(request.body),
                file = query_or(request, "file", "experiment")]() -> Result<api::Experiment> {
    try {
      return api::parse_experiment(body, file);
    } catch (const std::exception& e) {  // of the worker's thread: nobody else would catch it
      return fail(Errc::kInvalid, file + ": cannot be read: " + e.what());
    }
  };
  auto experiment = co_await parse_worker_.run(std::move(parse));
  if (!experiment && !right) co_return fail(right.error());
  co_return experiment;
}

boost::asio::awaitable<Response> Service::list_experiments(http::Request request) {
  const std::string text = query_or(request, "limit", std::to_string(kListed));
  const Result<std::uint64_t> limit = number(text, "limit");
  if (!limit || *limit < 1 || *limit > kMostListed)
    co_return http::problem(400, "limit must be a number from 1 to " + std::to_string(kMostListed) +
                                     ", got \"" + text + "\"");
  RefQuery query{.name = query_or(request, "name", "")};
  const std::string ns = query_or(request, "namespace", "");
  if (!ns.empty()) query.ns = ns;
  const std::string from = query_or(request, "continue", "");
  if (!from.empty()) {
    auto page = page_of(from);
    if (!page) co_return http::problem(page.error());
    query.before = std::move(*page);
  }
  auto page = co_await visible(request.who, std::move(query), *limit);
  if (!page) co_return http::problem(page.error());
  std::vector<std::string> runs;
  for (const RunRef& ref : page->runs) runs.push_back(ref.run);
  auto read = [this, runs = std::move(runs)] { return reader_->summaries(runs, kMostBytes); };
  auto listed = co_await report_worker_.run(std::move(read));
  if (!listed) co_return http::problem(listed.error());
  // As many bytes as one answer has: the rest is on the next page.
  if (!listed->empty() && listed->back().run != page->runs.back().run) {
    const auto last = std::ranges::find(page->runs, listed->back().run, &RunRef::run);
    if (last != page->runs.end()) page->more = {last->asked_at, last->run};
  }
  // What is in memory is newer.
  for (api::RunSummary& summary : engine_.summaries(now())) {
    const auto known = std::ranges::find(*listed, summary.run, &api::RunSummary::run);
    if (known != listed->end()) *known = std::move(summary);
  }
  Response response{.body = api::to_json_text(*listed)};
  if (page->more) {
    std::string next = "/api/v1/experiments?limit=" + std::to_string(*limit) +
                       "&continue=" + http::percent_encode(page_text(*page->more));
    for (const char* same : {"namespace", "name"})
      if (const std::string value = query_or(request, same, ""); !value.empty())
        next += std::string("&") + same + "=" + http::percent_encode(value);
    response.headers["Link"] = "<" + next + ">; rel=\"next\"";
  }
  co_return response;
}

boost::asio::awaitable<Result<api::RunSummary>> Service::stored_summary(std::string run) {
  auto read = [this, run = std::move(run)] { return reader_->summary(run); };
  auto found = co_await report_worker_.run(std::move(read));
  if (!found && found.error().code == Errc::kNotFound && !complete_) co_return not_complete();
  co_return found;
}

tl::unexpected<Error> Service::not_complete() {
  return fail(Errc::kUnavailable,
              "this controller took over a moment ago, and still reads earlier runs");
}

boost::asio::awaitable<Response> Service::get_experiment(http::Request request) {
  auto which = wanted(request, request.params.at("run"));
  if (!which) co_return http::problem(which.error());
  const auto chosen = co_await choose(request.who, "get", std::move(*which));
  if (!chosen) co_return http::problem(chosen.error());
  std::string run = chosen->run;
  auto record = co_await load(std::move(run), Windows::kWithout);
  if (!record) co_return http::problem(record.error());
  Response response;
  response.body_stream = [self = shared_from_this(),
                          record = std::make_shared<api::RunRecord>(std::move(*record))](
                             http::BodySink& sink) { return self->stream_record(sink, record); };
  co_return response;
}

boost::asio::awaitable<Response> Service::stop_experiment(http::Request request,
                                                          AuditEntry& entry) {
  const Result<bool> at_once = flag(request, "now");
  if (!at_once) co_return http::problem(at_once.error());
  auto which = wanted(request, request.params.at("run"));
  if (!which) co_return http::problem(which.error());
  const auto chosen = co_await choose(request.who, "delete", std::move(*which));
  if (!chosen) co_return http::problem(chosen.error());
  entry.run = chosen->run;
  entry.ns = chosen->ns;
  entry.experiment = chosen->name;
  entry.namespaces = chosen->namespaces;
  if (const Run* found = in_memory(chosen->run); found != nullptr && !found->over()) {
    audit_stop(*found, entry);
    const auto stopped = engine_.stop(chosen->run, "stopped by " + request.who.name(),
                                      *at_once ? Recovery::kNone : Recovery::kShort, now());
    publish();
    if (stopped) co_return Response{.body = api::to_json_text(*stopped)};
  }
  std::string run = chosen->run;
  const auto known = co_await stored_summary(std::move(run));
  if (!known) co_return http::problem(known.error());
  co_return http::problem(
      409, "run " + known->run + " is over: " + boost::describe::enum_to_string(known->state, "?"));
}

boost::asio::awaitable<Response> Service::stop_all(http::Request request, AuditEntry& entry) {
  const Result<bool> at_once = flag(request, "now");
  if (!at_once) co_return http::problem(at_once.error());
  const Recovery recovery = *at_once ? Recovery::kNone : Recovery::kShort;
  const std::string reason = "stopped by " + request.who.name() + " (stop --all)";
  std::set<std::string> everywhere{""};
  const auto all = co_await allow(request.who, "delete", std::move(everywhere));
  std::vector<api::RunSummary> stopped;
  if (all) {
    for (const api::RunSummary& summary : engine_.summaries(now()))
      if (const Run* found = engine_.find(summary.run); found != nullptr && !found->over())
        audit_stop(*found, entry);
    stopped = engine_.stop_all(reason, recovery, now());
  } else {
    // Those that this person may stop.
    for (const api::RunSummary& summary : engine_.summaries(now())) {
      const Run* run = in_memory(summary.run);
      if (run == nullptr) continue;
      RunRef ref = ref_of(*run);
      const auto one = co_await allow_run(request.who, "delete", std::move(ref));
      if (!one) continue;
      const Run* found = in_memory(summary.run);
      if (found == nullptr || found->over()) continue;
      audit_stop(*found, entry);
      if (auto ended = engine_.stop(summary.run, reason, recovery, now()))
        stopped.push_back(std::move(*ended));
    }
  }
  if (stopped.empty()) {
    entry.allowed = all.has_value();
    entry.reason = all ? "no run is under way" : all.error().message;
    audit_within_budget(entry);
  }
  publish();
  std::erase_if(stopped, [&](const api::RunSummary& one) { return hidden(one.run, request.who); });
  co_return Response{.body = api::to_json_text(stopped)};
}

}  // namespace faultline::controller
