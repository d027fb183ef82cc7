// SPDX-License-Identifier: Apache-2.0
#include "controller/kubernetes/experiment_writer.h"

#include <spdlog/spdlog.h>

#include "controller/kubernetes/experiment_object.h"
#include "controller/kubernetes/experiments.h"
#include "kube/json.h"

namespace faultline::controller {

using boost::asio::awaitable;
using Object = boost::json::object;

ObjectWriter::ObjectWriter(kube::Client& client, const Clock& clock, kube::ResourceRef collection,
                           std::string kind)
    : client_(client),
      recorder_(client, clock, {.component = "faultline-controller"}),
      collection_(std::move(collection)),
      kind_(std::move(kind)) {}

awaitable<bool> ObjectWriter::write_status(Object object, Object status,
                                           std::string only_if_version) {
  Object metadata;
  metadata["uid"] = kube::meta(object, "uid");  // never another one's
  if (!only_if_version.empty()) metadata["resourceVersion"] = only_if_version;
  Object patch;
  patch["metadata"] = std::move(metadata);
  patch["status"] = std::move(status);
  auto ref = collection_.in(std::string(kube::meta(object, "namespace")))
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
    spdlog::warn("{} {}: {}", kind_, name_of(object), written.error().message);
  last_error_ = written.error().message;
  co_return false;
}

awaitable<void> ObjectWriter::tell(Object object, kube::EventText text) {
  kube::ObjectReference about = kube::reference_to(object, "faultline.dev/v1alpha1", kind_);
  (void)co_await recorder_.record(std::move(about), std::move(text));
}

ExperimentWriter::ExperimentWriter(kube::Client& client, const Clock& clock)
    : ObjectWriter(client, clock, experiments(), "Experiment") {}

awaitable<bool> ExperimentWriter::write(Object object, api::ExperimentStatus status,
                                        std::string only_if_version) {
  Object whole = whole_status(status);
  co_return co_await write_status(std::move(object), std::move(whole), std::move(only_if_version));
}

}  // namespace faultline::controller
