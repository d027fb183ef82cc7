// SPDX-License-Identifier: Apache-2.0
// Which run is meant, and who may see and do what with it, where an authority beyond the tokens is
// set (a cluster's). A name becomes the id of one run here, once, before rights are asked; what
// follows asks and acts on this id only, whatever begins or ends meanwhile.
#include <algorithm>

#include "controller/routes/gamedays.h"
#include "controller/routes/service.h"

namespace faultline::controller {
namespace {

constexpr std::int64_t kPage = 200;  // refs that are read at once
constexpr std::size_t kMostLookedAt = 2000;
constexpr std::size_t kMostAsked = 64;  // different sets of namespaces in one request

std::set<std::string> namespaces_of(const api::RunRecord& head) {
  std::set<std::string> namespaces;
  for (const api::RunPod& pod : head.pods) namespaces.insert(pod.pod.namespace_);
  if (!head.experiment.metadata.namespace_.empty())
    namespaces.insert(head.experiment.metadata.namespace_);
  return namespaces;
}

std::string words(const RunRef& ref) {
  return (ref.ns.empty() ? ref.name : ref.ns + "/" + ref.name) + " (run " + ref.run + ")";
}

}  // namespace

// What a request may see, each question asked once.
class Service::Sight {
 public:
  Sight(Service& service, http::Identity who) : service_(service), who_(std::move(who)) {}

  // kUnavailable: it cannot be asked now; kInvalid: this request has asked enough.
  boost::asio::awaitable<Result<bool>> sees(const RunRef& ref) {
    if (service_.hidden(ref.run, who_)) co_return false;
    if (!service_.may_) co_return true;
    if (!everywhere_) {
      std::set<std::string> all{""};
      const auto allowed = co_await service_.allow(who_, "get", std::move(all));
      if (!allowed && allowed.error().code == Errc::kUnavailable) co_return fail(allowed.error());
      everywhere_ = allowed.has_value();
    }
    if (*everywhere_) co_return true;
    if (const auto known = known_.find(ref.namespaces); known != known_.end())
      co_return known->second;
    if (known_.size() >= kMostAsked)
      co_return fail(Errc::kInvalid,
                     "too many namespaces come into question; say which with namespace=");
    const auto allowed = co_await service_.allow_run(who_, "get", ref);
    if (!allowed && allowed.error().code == Errc::kUnavailable) co_return fail(allowed.error());
    known_[ref.namespaces] = allowed.has_value();
    co_return allowed.has_value();
  }
  // Of pods of one namespace.
  boost::asio::awaitable<Result<bool>> sees_pods(std::string ns) {
    const RunRef pods{.namespaces = {std::move(ns)}};
    co_return co_await sees(pods);
  }
  // The next question may be one too many.
  [[nodiscard]] bool tired() const { return known_.size() >= kMostAsked; }

 private:
  Service& service_;
  http::Identity who_;
  std::optional<bool> everywhere_;
  std::map<std::set<std::string>, bool> known_;
};

bool Service::hidden(const std::string& run, const http::Identity& who) const {
  return gamedays_->hidden(run, who);
}

boost::asio::awaitable<Result<>> Service::allow(http::Identity who, std::string verb,
                                                std::set<std::string> namespaces) {
  if (!may_) co_return Result<>{};
  co_return co_await may_(std::move(who), std::move(verb), std::move(namespaces));
}

// All that a run is about, also what it only measures.
boost::asio::awaitable<Result<>> Service::allow_run(http::Identity who, std::string verb,
                                                    RunRef ref) {
  // Of whom it is nobody knows: only who may everywhere.
  if (ref.namespaces.empty()) ref.namespaces.insert("");
  co_return co_await allow(std::move(who), std::move(verb), std::move(ref.namespaces));
}

RunRef Service::ref_of(const Run& run) {
  const api::RunRecord& head = run.head();
  return {.run = head.run,
          .name = head.experiment.metadata.name,
          .ns = head.experiment.metadata.namespace_,
          .namespaces = namespaces_of(head),
          .asked_at = head.history.front().at.value};
}

const Run* Service::in_memory(const std::string& run) const {
  const Run* found = engine_.find(run);  // also by name
  return found != nullptr && found->head().run == run ? found : nullptr;
}

boost::asio::awaitable<Result<RunRef>> Service::ref(std::string run) {
  if (const Run* active = in_memory(run)) co_return ref_of(*active);
  auto read = [this, run = std::move(run)] { return reader_->ref(run); };
  auto found = co_await report_worker_.run(std::move(read));
  if (!found && found.error().code == Errc::kNotFound && !complete_) co_return not_complete();
  co_return found;
}

boost::asio::awaitable<Result<std::vector<RunRef>>> Service::refs(RefQuery query) {
  auto read = [this, query = std::move(query)] { return reader_->refs(query); };
  auto found = co_await report_worker_.run(std::move(read));
  if (found)
    for (RunRef& ref : *found)
      if (const Run* active = in_memory(ref.run)) ref = ref_of(*active);  // it may have more pods
  co_return found;
}

Result<Service::Wanted> Service::wanted(const http::Request& request, const std::string& text) {
  Wanted wanted{.name = text};
  if (const auto ns = request.query.find("namespace");
      ns != request.query.end() && !ns->second.empty())
    wanted.ns = ns->second;
  const std::size_t slash = text.find('/');
  if (slash == text.npos) return wanted;
  const std::string ns = text.substr(0, slash);
  if (wanted.ns && *wanted.ns != ns)
    return fail(Errc::kInvalid,
                "namespace=" + *wanted.ns + " and the name " + text + " contradict each other");
  wanted.ns = ns;
  wanted.name = text.substr(slash + 1);
  wanted.is_name = true;
  return wanted;
}

// The newest run of this name that the caller may see.
boost::asio::awaitable<Result<RunRef>> Service::newest(Sight& sight, Wanted wanted) {
  RefQuery query{.name = wanted.name, .ns = wanted.ns, .limit = kPage};
  for (std::size_t looked_at = 0; looked_at < kMostLookedAt;) {
    RefQuery page = query;
    auto found = co_await refs(std::move(page));
    if (!found) co_return fail(found.error());
    for (const RunRef& ref : *found) {
      auto seen = co_await sight.sees(ref);
      if (!seen) co_return fail(seen.error());
      if (*seen) co_return ref;
    }
    looked_at += found->size();
    if (found->size() < static_cast<std::size_t>(kPage)) break;
    query.before = {found->back().asked_at, found->back().run};
  }
  if (!complete_) co_return not_complete();
  const std::string what = wanted.ns ? *wanted.ns + "/" + wanted.name : wanted.name;
  co_return fail(Errc::kNotFound,
                 "there is no run " + what + (may_ ? " among those that you may see" : ""));
}

boost::asio::awaitable<Result<RunRef>> Service::choose(http::Identity who, std::string verb,
                                                       Wanted wanted) {
  if (!wanted.is_name) {
    std::string id = wanted.name;
    auto found = co_await ref(std::move(id));
    // What is a surprise on a game day is not there.
    if (found && hidden(found->run, who)) found = fail(Errc::kNotFound, "");
    if (!found && found.error().code != Errc::kNotFound) co_return fail(found.error());
    if (found) {
      auto allowed = co_await allow_run(std::move(who), std::move(verb), *found);
      if (!allowed) co_return fail(allowed.error());
      co_return found;
    }
  }
  if (wanted.ns) {
    // Whoever has no rights there learns nothing of what is there.
    std::set<std::string> there{*wanted.ns};
    auto allowed = co_await allow(who, verb, std::move(there));
    if (!allowed) co_return fail(allowed.error());
  }
  Sight sight(*this, who);
  auto chosen = co_await newest(sight, wanted);
  if (!chosen) co_return chosen;
  if (verb != "get" && !wanted.ns) {
    auto only = co_await only_active(sight, *chosen);
    if (!only) co_return only;
    chosen = std::move(only);
  } else if (verb != "get") {
    for (const api::RunSummary& summary : engine_.summaries(now()))
      if (const Run* run = in_memory(summary.run);
          run != nullptr && !run->over() && summary.name == wanted.name &&
          summary.namespace_ == *wanted.ns && !hidden(summary.run, who)) {
        chosen = ref_of(*run);
        break;  // the newest that is under way
      }
  }
  auto allowed = co_await allow_run(std::move(who), std::move(verb), *chosen);
  if (!allowed) co_return fail(allowed.error());
  co_return chosen;
}

// Who changes something must have said which: of several namespaces' runs of one name none is
// chosen. `newest`: what the name means to a reader. kConflict names the candidates.
boost::asio::awaitable<Result<RunRef>> Service::only_active(Sight& sight, RunRef newest) {
  std::vector<RunRef> active;
  for (const api::RunSummary& summary : engine_.summaries(now()))
    if (const Run* run = in_memory(summary.run);
        run != nullptr && !run->over() && summary.name == newest.name)
      active.push_back(ref_of(*run));
  std::vector<RunRef> candidates;
  for (const RunRef& ref : active) {
    auto seen = co_await sight.sees(ref);
    if (!seen) co_return fail(seen.error());
    if (*seen) candidates.push_back(ref);
  }
  if (candidates.empty()) co_return newest;
  if (std::ranges::find(candidates, newest.run, &RunRef::run) == candidates.end())
    candidates.push_back(newest);
  const bool one_namespace = std::ranges::all_of(
      candidates, [&](const RunRef& ref) { return ref.ns == candidates.front().ns; });
  if (one_namespace) co_return candidates.front();
  std::string all;
  for (const RunRef& ref : candidates) all += (all.empty() ? "" : ", ") + words(ref);
  co_return fail(Errc::kConflict,
                 newest.name + " is the name of runs of several namespaces: " + all +
                     "; say which by namespace=, by NAMESPACE/NAME or by the run's id");
}

boost::asio::awaitable<Result<Service::Page>> Service::visible(http::Identity who, RefQuery query,
                                                               std::size_t most) {
  Sight sight(*this, std::move(who));
  Page page;
  query.limit = kPage;
  for (std::size_t looked_at = 0; looked_at < kMostLookedAt;) {
    RefQuery next = query;
    auto found = co_await refs(std::move(next));
    if (!found) co_return fail(found.error());
    for (const RunRef& ref : *found) {
      if (page.runs.size() >= most || sight.tired()) {
        page.more = query.before;
        co_return page;
      }
      auto seen = co_await sight.sees(ref);
      if (!seen) co_return fail(seen.error());
      query.before = {ref.asked_at, ref.run};
      if (*seen) page.runs.push_back(ref);
    }
    looked_at += found->size();
    if (found->size() < static_cast<std::size_t>(kPage)) co_return page;
  }
  page.more = query.before;
  co_return page;
}

// Everybody sees the nodes; of pods those that one may see experiments of.
boost::asio::awaitable<Result<std::vector<api::NodeStatus>>> Service::visible_pods(
    http::Identity who, std::vector<api::NodeStatus> nodes, std::optional<std::string> ns) {
  Sight sight(*this, std::move(who));
  std::map<std::string, bool> visible;
  for (api::NodeStatus& node : nodes) {
    for (const api::PodRef& pod : node.pods) {
      if (visible.contains(pod.namespace_)) continue;
      if (ns && pod.namespace_ != *ns) {
        visible[pod.namespace_] = false;
        continue;
      }
      std::string space = pod.namespace_;
      const auto seen = co_await sight.sees_pods(std::move(space));
      if (!seen) co_return fail(seen.error());
      visible[pod.namespace_] = *seen;
    }
    std::erase_if(node.pods, [&](const api::PodRef& pod) { return !visible[pod.namespace_]; });
  }
  co_return nodes;
}

boost::asio::awaitable<Result<>> Service::allow_start(http::Identity who,
                                                      const api::Experiment& experiment) {
  if (!may_) co_return Result<>{};
  Scope scope = scope_of(experiment);
  scope.hit.insert(experiment.metadata.namespace_);
  co_return co_await allow_scope(std::move(who), std::move(scope));
}

boost::asio::awaitable<Result<>> Service::allow_scope(http::Identity who, Scope scope) {
  if (!may_) co_return Result<>{};
  auto hit = co_await allow(who, "create", std::move(scope.hit));
  if (!hit) co_return hit;
  if (!scope.seen.empty()) {
    auto seen = co_await allow(who, "get", std::move(scope.seen));
    if (!seen) co_return seen;
  }
  if (!scope.queries) co_return Result<>{};
  std::set<std::string> everywhere{""};
  auto queries = co_await allow(std::move(who), kQueryVerb, std::move(everywhere));
  if (!queries && queries.error().code == Errc::kDenied)
    co_return fail(queries.error().with_context(kQueryWhy));
  co_return queries;
}

}  // namespace faultline::controller
