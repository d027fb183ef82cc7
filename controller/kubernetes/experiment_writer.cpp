// SPDX-License-Identifier: Apache-2.0
#include "controller/kubernetes/experiment_writer.h"

#include <spdlog/spdlog.h>

#include <boost/describe.hpp>
#include <boost/mp11.hpp>

#include "api/codec.h"
#include "controller/kubernetes/experiment_object.h"
#include "controller/kubernetes/experiments.h"
#include "kube/json.h"

namespace faultline::controller {
namespace {

using boost::asio::awaitable;
using Object = boost::json::object;

// With a null for what is empty: a merge patch leaves alone what it does not name.
Object whole(const api::ExperimentStatus& status) {
  Object written = api::to_json(status).as_object();
  using Members =
      boost::describe::describe_members<api::ExperimentStatus, boost::describe::mod_any_access>;
  boost::mp11::mp_for_each<Members>([&](auto member) {
    if (!written.contains(member.name)) written[member.name] = nullptr;
  });
  return written;
}

}  // namespace

ExperimentWriter::ExperimentWriter(kube::Client& client, const Clock& clock)
    : client_(client), recorder_(client, clock, {.component = "faultline-controller"}) {}

awaitable<bool> ExperimentWriter::write(Object object, api::ExperimentStatus status,
                                        std::string only_if_version) {
  Object metadata;
  metadata["uid"] = kube::meta(object, "uid");  // never another one's
  if (!only_if_version.empty()) metadata["resourceVersion"] = only_if_version;
  Object patch;
  patch["metadata"] = std::move(metadata);
  patch["status"] = whole(status);
  auto ref = experiments()
                 .in(std::string(kube::meta(object, "namespace")))
                 .named(std::string(kube::meta(object, "name")))
                 .status();
  const auto written = co_await client_.merge_patch(std::move(ref), std::move(patch));
  if (written) {
    last_error_.clear();
    ++writes_;
    co_return true;
  }
  ++errors_;
  const bool stale = written.error().reason == kube::Reason::kConflict ||
                     written.error().reason == kube::Reason::kNotFound;
  if (stale) co_return false;
  if (last_error_ != written.error().message)
    spdlog::warn("experiment {}: {}", name_of(object), written.error().message);
  last_error_ = written.error().message;
  co_return false;
}

awaitable<void> ExperimentWriter::tell(Object object, kube::EventText text) {
  kube::ObjectReference about = kube::reference_to(object, "faultline.dev/v1alpha1", "Experiment");
  (void)co_await recorder_.record(std::move(about), std::move(text));
}

}  // namespace faultline::controller
