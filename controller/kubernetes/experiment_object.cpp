// SPDX-License-Identifier: Apache-2.0
#include "controller/kubernetes/experiment_object.h"

#include <boost/json/serialize.hpp>

#include "api/codec.h"
#include "controller/kubernetes/status.h"
#include "kube/json.h"

namespace faultline::controller {
namespace {

using Object = boost::json::object;

// A member of the kept object that no object of the API has: why something was thrown away.
constexpr const char* kThrownAway = "thrownAway";
constexpr const char* kKubectlsCopy = "kubectl.kubernetes.io/last-applied-configuration";

Object* member(Object& object, std::string_view key) {
  auto* value = object.if_contains(key);
  return value == nullptr ? nullptr : value->if_object();
}

}  // namespace

void keep_only(Object& object, std::initializer_list<std::string_view> keys) {
  Object kept;
  for (const std::string_view key : keys)
    if (auto* value = object.if_contains(key)) kept.emplace(key, std::move(*value));
  object = std::move(kept);
}

std::string name_of(const Object& experiment) {
  return std::string(kube::meta(experiment, "namespace")) + "/" +
         std::string(kube::meta(experiment, "name"));
}

std::int64_t generation_of(const Object& experiment) {
  const auto* metadata = kube::object_at(experiment, "metadata");
  return metadata == nullptr ? 0 : kube::number_at(*metadata, "generation").value_or(0);
}

void keep_what_is_needed(Object& experiment) {
  Object* metadata = member(experiment, "metadata");
  if (metadata != nullptr) {
    metadata->erase("managedFields");
    if (Object* notes = member(*metadata, "annotations")) notes->erase(kKubectlsCopy);
  }
  Object* spec = member(experiment, "spec");
  if (is_finished(experiment)) {
    if (metadata != nullptr)
      keep_only(*metadata, {"name", "namespace", "uid", "resourceVersion", "generation"});
    if (spec != nullptr) keep_only(*spec, {"ttlAfterFinished"});
    keep_only(experiment["status"].as_object(),
              {"phase", "run", "observedGeneration", "completedAt"});
    return;
  }
  drop_too_large(experiment);
}

void drop_too_large(Object& object) {
  std::string why = why_too_large(object);
  if (why.empty()) return;
  if (Object* spec = member(object, "spec")) spec->clear();
  if (Object* metadata = member(object, "metadata")) {
    metadata->erase("annotations");
    metadata->erase("labels");
  }
  object[kThrownAway] = std::move(why);
}

std::string why_too_large(const Object& experiment) {
  std::size_t bytes = 0;
  if (const auto* spec = experiment.if_contains("spec"))
    bytes += boost::json::serialize(*spec).size();
  const Object* metadata = kube::object_at(experiment, "metadata");
  for (const char* of : {"annotations", "labels"})
    if (const Object* texts = metadata == nullptr ? nullptr : kube::object_at(*metadata, of))
      for (const auto& [key, value] : *texts)
        if (key != kKubectlsCopy && value.is_string())
          bytes += key.size() + value.get_string().size();
  if (bytes <= kLargestExperiment) return {};
  return "spec, labels and annotations have " + std::to_string(bytes) +
         " bytes of JSON, and at most " + std::to_string(kLargestExperiment) +
         " are read: say less";
}

std::string too_large(const Object& experiment) {
  return std::string(kube::text_at(experiment, kThrownAway));
}

SeenStatus status_of(const Object& experiment) {
  SeenStatus seen;
  const auto* status = experiment.if_contains("status");
  if (status == nullptr || status->is_null()) return seen;
  seen.fresh = status->is_object() && status->get_object().empty();
  auto read = api::from_json<api::ExperimentStatus>(*status);
  if (read)
    seen.status = std::move(*read);
  else
    seen.problem = read.error().message;
  return seen;
}

bool is_finished(const Object& experiment) {
  const Object* status = kube::object_at(experiment, "status");
  if (status == nullptr || kube::text_at(*status, "phase").empty()) return false;
  const SeenStatus seen = status_of(experiment);
  return seen.problem.empty() && is_final(seen.status.phase);
}

std::optional<UtcTime> finished_at(const Object& experiment) {
  const SeenStatus seen = status_of(experiment);
  if (!seen.problem.empty() || !is_final(seen.status.phase) || !seen.status.completedAt.set())
    return std::nullopt;
  return seen.status.completedAt.value;
}

}  // namespace faultline::controller
