// SPDX-License-Identifier: Apache-2.0
#include "cli/cluster/experiment_objects.h"

#include <poll.h>

#include <boost/json.hpp>
#include <chrono>

#include "api/codec.h"
#include "cli/cluster/blocking.h"
#include "kube/client.h"
#include "kube/json.h"

namespace faultline::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kPatience{45};
constexpr int kPause = 500;  // milliseconds between two looks
constexpr int kTries = 3;    // to delete it

kube::ResourceRef experiments() {
  return {.group = "faultline.dev", .version = "v1alpha1", .plural = "experiments"};
}

boost::json::object object_of(const api::Experiment& experiment) {
  boost::json::object object = api::to_json(experiment).as_object();
  object["metadata"].as_object()["namespace"] = experiment.metadata.namespace_;
  return object;
}

// Ends early when a signal comes.
void pause_for(int milliseconds, const Interrupt& interrupt) {
  pollfd wake{.fd = interrupt.requested() ? -1 : interrupt.fd(), .events = POLLIN, .revents = 0};
  (void)poll(&wake, 1, milliseconds);
}

}  // namespace

kube::Answer<boost::json::object> ExperimentObjects::ask(const std::string& method,
                                                         const std::string& target,
                                                         const std::string& body) const {
  boost::asio::io_context io(1);
  kube::ClientSettings settings;
  settings.request_timeout = std::chrono::seconds(30);  // a webhook may take its time
  kube::Client client(io.get_executor(), config_, settings);
  return wait_for(client.raw(method, target, body), io);
}

kube::Answer<MadeExperiment> ExperimentObjects::create(const api::Experiment& experiment) const {
  const auto ref = experiments().in(experiment.metadata.namespace_);
  if (auto good = ref.check(); !good) return kube::api_fail(good.error());
  const auto made = ask("POST", ref.path(), boost::json::serialize(object_of(experiment)));
  if (!made) return kube::api_fail(made.error());
  return MadeExperiment{.ns = experiment.metadata.namespace_,
                        .name = experiment.metadata.name,
                        .uid = std::string(kube::meta(*made, "uid"))};
}

kube::Answer<> ExperimentObjects::try_create(const api::Experiment& experiment) const {
  const auto ref = experiments().in(experiment.metadata.namespace_);
  if (auto good = ref.check(); !good) return kube::api_fail(good.error());
  const auto tried =
      ask("POST", ref.path() + "?dryRun=All", boost::json::serialize(object_of(experiment)));
  if (!tried) return kube::api_fail(tried.error());
  return {};
}

kube::Answer<api::ClusterExperiment> ExperimentObjects::get(const std::string& ns,
                                                            const std::string& name) const {
  const auto ref = experiments().in(ns).named(name);
  if (auto good = ref.check(); !good) return kube::api_fail(good.error());
  const auto found = ask("GET", ref.path(), "");
  if (!found) return kube::api_fail(found.error());
  auto read = api::from_cluster_json(*found);
  if (read) return std::move(*read);
  return kube::api_fail(read.error().with_context("the Experiment " + ns + "/" + name));
}

kube::Answer<> ExperimentObjects::remove(const MadeExperiment& made) const {
  const auto ref = experiments().in(made.ns).named(made.name);
  if (auto good = ref.check(); !good) return kube::api_fail(good.error());
  boost::json::object options{{"apiVersion", "v1"}, {"kind", "DeleteOptions"}};
  if (!made.uid.empty()) options["preconditions"] = boost::json::object{{"uid", made.uid}};
  const auto removed = ask("DELETE", ref.path(), boost::json::serialize(options));
  // Conflict: another object has its name by now.
  if (removed || removed.error().reason == kube::Reason::kNotFound ||
      removed.error().reason == kube::Reason::kConflict)
    return {};
  return kube::api_fail(removed.error());
}

Result<WatchedExperiment> watch_experiment(
    const ExperimentObjects& objects, const MadeExperiment& made, const Interrupt& interrupt,
    const std::function<bool(const api::ExperimentStatus&)>& enough,
    const std::function<void(const api::ExperimentStatus&)>& on_status,
    const std::function<void(const std::string&)>& say) {
  WatchedExperiment watched;
  const std::string by_hand =
      "to end it: kubectl -n " + made.ns + " delete experiment " + made.name;
  auto reached = Clock::now();
  bool told = false;
  for (int tries = 0;;) {
    if (interrupt.requested()) {
      say("deleting the Experiment " + made.words() +
          ", which ends its run; once more to leave at once");
      const auto removed = objects.remove(made);
      if (removed) {
        watched.interrupted = true;
        return watched;
      }
      if (++tries == kTries || removed.error().code != Errc::kUnavailable)
        return fail(Errc::kUnavailable, "the Experiment " + made.words() +
                                            " could not be deleted: " + removed.error().message +
                                            "; " + by_hand);
      pause_for(kPause, interrupt);
      continue;
    }
    const auto now = objects.get(made.ns, made.name);
    if (now && now->object.uid == made.uid) {
      reached = Clock::now();
      if (told) say("in touch again");
      told = false;
      watched.status = now->status;
      on_status(watched.status);
      if (enough(watched.status)) return watched;
    } else if (now || now.error().reason == kube::Reason::kNotFound) {
      watched.gone = true;
      return watched;
    } else if (now.error().code != Errc::kUnavailable) {
      return fail(now.error().with_context("following the Experiment " + made.words()));
    } else {
      if (!told) say("lost touch with the API server (" + now.error().message + ")");
      told = true;
      if (Clock::now() - reached > kPatience)
        return fail(Errc::kUnavailable, "the API server is away: " + now.error().message +
                                            "; what became of " + made.words() +
                                            " is not known here; " + by_hand);
    }
    pause_for(kPause, interrupt);
  }
}

}  // namespace faultline::cli
