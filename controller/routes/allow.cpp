// SPDX-License-Identifier: Apache-2.0
// Who may see and do what, where an authority beyond the tokens is set (a cluster's).
#include "controller/routes/service.h"

namespace faultline::controller {
namespace {

std::set<std::string> namespaces_of(const api::RunRecord& head) {
  std::set<std::string> namespaces;
  for (const api::RunPod& pod : head.pods) namespaces.insert(pod.pod.namespace_);
  if (!head.experiment.metadata.namespace_.empty())
    namespaces.insert(head.experiment.metadata.namespace_);
  return namespaces;
}

}  // namespace

boost::asio::awaitable<Result<>> Service::allow(http::Identity who, std::string verb,
                                                std::set<std::string> namespaces) {
  if (!may_) co_return Result<>{};
  co_return co_await may_(std::move(who), std::move(verb), std::move(namespaces));
}

// All that a run is about, also what it only measures. A run that does not exist is nobody's: that
// it does not is told by whoever looks for it.
boost::asio::awaitable<Result<>> Service::allow_run(http::Identity who, std::string verb,
                                                    std::string run) {
  if (!may_) co_return Result<>{};
  std::set<std::string> namespaces;
  if (const Run* active = engine_.find(run)) {
    namespaces = namespaces_of(active->head());
  } else {
    const auto record = co_await load(std::move(run));
    if (!record) co_return fail(record.error());
    namespaces = namespaces_of(*record);
  }
  co_return co_await may_(std::move(who), std::move(verb), std::move(namespaces));
}

// Those of `summaries` that `who` may see.
boost::asio::awaitable<std::vector<api::RunSummary>> Service::visible(
    http::Identity who, std::vector<api::RunSummary> summaries) {
  std::set<std::string> everywhere{""};
  const auto all = co_await allow(who, "get", std::move(everywhere));
  if (all) co_return summaries;
  std::vector<api::RunSummary> seen;
  for (api::RunSummary& summary : summaries) {
    const auto one = co_await allow_run(who, "get", summary.run);
    if (one) seen.push_back(std::move(summary));
  }
  co_return seen;
}

boost::asio::awaitable<Result<>> Service::allow_events(http::Identity who, std::string run) {
  if (!run.empty()) co_return co_await allow_run(std::move(who), "get", std::move(run));
  std::set<std::string> everywhere{""};
  co_return co_await allow(std::move(who), "get", std::move(everywhere));
}

boost::asio::awaitable<Result<>> Service::allow_start(http::Identity who,
                                                      const api::Experiment& experiment) {
  if (!may_) co_return Result<>{};
  Scope scope = scope_of(experiment);
  scope.hit.insert(experiment.metadata.namespace_);
  auto hit = co_await allow(who, "create", std::move(scope.hit));
  if (!hit || scope.seen.empty()) co_return hit;
  co_return co_await allow(std::move(who), "get", std::move(scope.seen));
}

}  // namespace faultline::controller
