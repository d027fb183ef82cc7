// SPDX-License-Identifier: Apache-2.0
// Starting, listing, stopping: docs/http-api.md.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/describe/enum_to_string.hpp>
#include <charconv>

#include "api/codec.h"
#include "controller/routes/service.h"

namespace faultline::controller {
namespace {

using http::Response;

constexpr std::size_t kLargestExperiment = 1 << 20;  // bytes
constexpr std::uint64_t kListed = 100, kMostListed = 1000;

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

std::string query_or(const http::Request& request, const std::string& name, std::string other) {
  const auto value = request.query.find(name);
  return value == request.query.end() ? other : value->second;
}

tl::unexpected<Error> not_complete() {
  return fail(Errc::kUnavailable,
              "this controller took over a moment ago, and still reads earlier runs");
}

}  // namespace

boost::asio::awaitable<Response> Service::start_experiment(http::Request request,
                                                           AuditEntry& entry) {
  if (request.body.size() > kLargestExperiment)
    co_return http::problem(413, "an experiment may have at most 1 MiB");
  const Result<bool> dry_run = flag(request, "dryRun");
  if (!dry_run) co_return http::problem(dry_run.error());
  if (*dry_run) entry.verb = "plan";
  auto experiment = api::parse_experiment(request.body, query_or(request, "file", "experiment"));
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

  if (*dry_run) {
    const Result<api::RunPlan> plan = engine_.plan(std::move(*experiment), now());
    if (!plan) co_return http::problem(plan.error());
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

boost::asio::awaitable<Response> Service::list_experiments(http::Request request) {
  const std::string text = query_or(request, "limit", std::to_string(kListed));
  const Result<std::uint64_t> limit = number(text, "limit");
  if (!limit || *limit < 1 || *limit > kMostListed)
    co_return http::problem(400, "limit must be a number from 1 to " + std::to_string(kMostListed) +
                                     ", got \"" + text + "\"");
  auto list = [this, most = static_cast<std::int64_t>(*limit)] { return reader_->list(most); };
  auto listed = co_await report_worker_.run(std::move(list));
  if (!listed) co_return http::problem(listed.error());
  // What is in memory is newer.
  for (api::RunSummary& summary : engine_.summaries(now())) {
    const auto known = std::ranges::find(*listed, summary.run, &api::RunSummary::run);
    if (known != listed->end()) *known = std::move(summary);
  }
  auto seen = co_await visible(request.who, std::move(*listed));
  co_return Response{.body = api::to_json_text(seen)};
}

boost::asio::awaitable<Result<api::RunRecord>> Service::load(std::string run_or_name) {
  std::optional<api::RunRecord> head;
  if (const Run* run = engine_.find(run_or_name)) head = run->head();
  auto read = [this, head = std::move(head),
               run_or_name = std::move(run_or_name)]() mutable -> Result<api::RunRecord> {
    if (head) {
      if (auto filled = reader_->fill(*head); !filled) return fail(std::move(filled.error()));
      return std::move(*head);
    }
    auto run = reader_->find(run_or_name);
    if (!run) return fail(std::move(run.error()));
    return reader_->load(*run);
  };
  auto found = co_await report_worker_.run(std::move(read));
  if (!found && found.error().code == Errc::kNotFound && !complete_) co_return not_complete();
  co_return found;
}

boost::asio::awaitable<Result<api::RunSummary>> Service::stored_summary(std::string run_or_name) {
  auto read = [this, run_or_name = std::move(run_or_name)]() -> Result<api::RunSummary> {
    auto run = reader_->find(run_or_name);
    if (!run) return fail(std::move(run.error()));
    return reader_->summary(*run);
  };
  auto found = co_await report_worker_.run(std::move(read));
  if (!found && found.error().code == Errc::kNotFound && !complete_) co_return not_complete();
  co_return found;
}

boost::asio::awaitable<Response> Service::get_experiment(http::Request request) {
  std::string run = request.params.at("run");
  const auto allowed = co_await allow_run(request.who, "get", run);
  if (!allowed) co_return http::problem(allowed.error());
  const auto record = co_await load(std::move(run));
  if (!record) co_return http::problem(record.error());
  co_return Response{.body = api::to_json_text(*record)};
}

boost::asio::awaitable<Response> Service::stop_experiment(http::Request request,
                                                          AuditEntry& entry) {
  const std::string run = request.params.at("run");
  const Result<bool> at_once = flag(request, "now");
  if (!at_once) co_return http::problem(at_once.error());
  const auto allowed = co_await allow_run(request.who, "delete", run);
  if (!allowed) co_return http::problem(allowed.error());
  if (const Run* found = engine_.find(run); found != nullptr && !found->over())
    audit_stop(*found, entry);
  const auto stopped = engine_.stop(run, "stopped by " + request.who.name(),
                                    *at_once ? Recovery::kNone : Recovery::kShort, now());
  publish();
  if (stopped) co_return Response{.body = api::to_json_text(*stopped)};
  const auto known = co_await stored_summary(run);
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
      const auto one = co_await allow_run(request.who, "delete", summary.run);
      if (!one) continue;
      if (const Run* found = engine_.find(summary.run); found != nullptr && !found->over())
        audit_stop(*found, entry);
      if (auto ended = engine_.stop(summary.run, reason, recovery, now()))
        stopped.push_back(std::move(*ended));
    }
  }
  if (stopped.empty()) {
    entry.allowed = all.has_value();
    entry.reason = all ? "no run is under way" : all.error().message;
    (void)audit(entry);
  }
  publish();
  co_return Response{.body = api::to_json_text(stopped)};
}

}  // namespace faultline::controller
