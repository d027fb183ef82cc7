// SPDX-License-Identifier: Apache-2.0
// What of requests and runs is in the audit log.
#include <algorithm>
#include <boost/describe/enum_to_string.hpp>
#include <boost/json/parse.hpp>

#include "controller/routes/service.h"

namespace faultline::controller {
namespace {

using http::Response;

constexpr std::size_t kMostRemembered = 1000;

AuditEntry entry_of(const http::Request& request, std::string verb) {
  AuditEntry entry{.via = "http", .verb = std::move(verb), .from = request.peer};
  entry.user = request.who.name();
  entry.groups = request.who.groups;
  return entry;
}

// Of an answer that says no.
std::string detail_of(const Response& response) {
  boost::system::error_code error;
  const auto body = boost::json::parse(response.body, error);
  const auto* object = error ? nullptr : body.if_object();
  const auto* detail = object == nullptr ? nullptr : object->if_contains("detail");
  return detail != nullptr && detail->is_string() ? std::string(detail->get_string())
                                                  : std::to_string(response.status);
}

bool forbids(const Response& response) { return response.status == 401 || response.status == 403; }

// A path may hold any byte, a line only text.
std::string printable(std::string text) {
  std::ranges::replace_if(
      text, [](unsigned char c) { return c < 0x20 || c >= 0x7f; }, '?');
  return text;
}

}  // namespace

Result<> Service::audit(const AuditEntry& entry) {
  return options_.audit == nullptr ? Result<>{} : options_.audit->write(entry);
}

void Service::audit_within_budget(AuditEntry entry) {
  const std::string caller = audit_caller(entry);
  if (audit_budget_.take(entry, caller, clock_.steady())) (void)audit(entry);
}

void Service::audit_denied(AuditEntry entry) {
  entry.allowed = false;
  audit_within_budget(std::move(entry));
}

void Service::audit_refused(const http::Request& request, const Response& response) {
  AuditEntry entry = entry_of(request, printable(request.method + " " + request.path));
  entry.reason = detail_of(response);
  audit_denied(std::move(entry));
}

boost::asio::awaitable<Response> Service::audited(Changing handler, std::string verb,
                                                  http::Request request) {
  if (auto there = elsewhere(0)) co_return std::move(*there);
  AuditEntry entry = entry_of(request, std::move(verb));
  if (const auto run = request.params.find("run"); run != request.params.end())
    entry.run = printable(run->second);
  Response response = co_await (this->*handler)(std::move(request), entry);
  if (response.status >= 400) {
    entry.allowed = false;
    entry.state.clear();
    entry.reason = detail_of(response);
    audit_within_budget(std::move(entry));
  }
  co_return response;
}

boost::asio::awaitable<Response> Service::audited_reading(Reading handler, http::Request request) {
  // What a follower has of runs is old, or nothing.
  if (request.who.role == "person")
    if (auto there = elsewhere(0)) co_return std::move(*there);
  AuditEntry entry = entry_of(request, printable(request.method + " " + request.path));
  Response response = co_await (this->*handler)(std::move(request));
  if (forbids(response)) {
    entry.reason = detail_of(response);
    audit_denied(std::move(entry));
  }
  co_return response;
}

// Also says that this is who ends it.
void Service::audit_stop(const Run& run, const AuditEntry& asked) {
  AuditEntry entry = about(run);
  entry.via = asked.via;
  entry.verb = asked.verb;
  entry.user = asked.user;
  entry.groups = asked.groups;
  entry.from = asked.from;
  entry.reason = asked.reason;
  entry.allowed = true;
  entry.state = boost::describe::enum_to_string(run.head().state, "?");
  (void)audit(entry);
  note_cause(entry.run, entry);
}

void Service::audit_operator(AuditEntry entry, const Error* error) {
  const std::string what = entry.ns + "/" + entry.experiment;
  if (error == nullptr) {
    operator_said_.erase(what);
    return;
  }
  // It is asked again and again until agents are connected.
  if (operator_said_.size() > kMostRemembered) operator_said_.clear();
  if (std::exchange(operator_said_[what], error->message) == error->message) return;
  entry.allowed = false;
  entry.state.clear();
  entry.reason = error->message;
  (void)audit(entry);
}

void Service::describe(AuditEntry& entry, const api::Experiment& experiment) {
  entry.ns = experiment.metadata.namespace_;
  entry.experiment = experiment.metadata.name;
  const Scope scope = scope_of(experiment);
  entry.namespaces = scope.hit;
  entry.namespaces.insert(scope.seen.begin(), scope.seen.end());
}

AuditEntry Service::about(const Run& run) {
  const api::RunRecord& head = run.head();
  AuditEntry entry{.run = head.run, .requested_by = head.requestedBy};
  entry.ns = head.experiment.metadata.namespace_;
  entry.experiment = head.experiment.metadata.name;
  for (const api::RunPod& pod : head.pods)
    if (pod.role != api::PodRole::control) entry.namespaces.insert(pod.pod.namespace_);
  return entry;
}

void Service::note_cause(const std::string& run, const AuditEntry& entry) {
  const Run* found = engine_.find(run);
  // The first reason is the cause.
  if (found == nullptr || found->over() || found->ending()) return;
  causes_.try_emplace(found->head().run, entry);
}

void Service::note_cause_of_all(const std::string& via) {
  for (const api::RunSummary& summary : engine_.summaries(now()))
    note_cause(summary.run, {.via = via});
}

void Service::audit_run(const Run& run) {
  if (options_.audit == nullptr) return;
  const auto word = [](api::RunState state) {
    return std::string(boost::describe::enum_to_string(state, "?"));
  };
  const auto with_cause = [&](AuditEntry entry) {
    const auto cause = causes_.find(run.head().run);
    switch (run.ended_by()) {
      case EndedBy::kPhases:
        entry.via = "phases";
        break;
      case EndedBy::kAgents:
        entry.via = "agents";
        break;
      case EndedBy::kLease:
        entry.via = "lease";
        break;
      case EndedBy::kCaller:
        // Of those that call it only abortWhen is not one of ours.
        entry.via = cause == causes_.end() ? "abortWhen" : cause->second.via;
        if (cause == causes_.end()) break;
        entry.user = cause->second.user;
        entry.groups = cause->second.groups;
        entry.from = cause->second.from;
        break;
    }
    return entry;
  };
  Audited& known = audited_[run.head().run];
  const std::vector<api::PhaseMark>& history = run.head().history;
  for (; known.marks < history.size(); ++known.marks) {
    const api::PhaseMark& mark = history[known.marks];
    AuditEntry entry = about(run);
    entry.via = "phases";
    if (run.over() && known.marks + 1 == history.size()) entry = with_cause(std::move(entry));
    entry.at = mark.at.value;
    entry.verb = "state";
    entry.state = word(mark.state);
    entry.reason = mark.reason;
    (void)audit(entry);
  }
  if (run.over() || !run.ending() || *run.ending() == api::RunState::Completed) return;
  if (std::exchange(known.ending_told, true)) return;
  AuditEntry entry = with_cause(about(run));
  entry.verb = "ending";
  entry.state = word(run.head().state);
  entry.ending = word(*run.ending());
  entry.reason = run.head().stateReason;
  (void)audit(entry);
}

}  // namespace faultline::controller
