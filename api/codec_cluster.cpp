// SPDX-License-Identifier: Apache-2.0
// The Experiment as a custom resource.
#include "api/detail/check.h"
#include "api/detail/instances.h"

namespace faultline::api {

FAULTLINE_CODEC(ExperimentStatus)
FAULTLINE_CODEC(ObjectMeta)

Result<ClusterExperiment> from_cluster_json(const boost::json::value& object) {
  detail::Problems problems;
  detail::Decoder decoder(problems);
  if (!object.is_object()) {
    decoder.expected("an Experiment", object);
    return fail(problems.error());
  }
  ClusterExperiment out;
  boost::json::object document = object.get_object();
  if (const auto* status = document.if_contains("status")) {
    if (auto read = from_json<ExperimentStatus>(*status))
      out.status = std::move(*read);
    else
      out.status_problem = read.error().message;
    document.erase("status");
  }
  auto* metadata = document.if_contains("metadata");
  if (metadata != nullptr && metadata->is_object()) {
    const detail::Decoder::Step step(decoder, "metadata");
    detail::decode(decoder, *metadata, out.object);
    boost::json::object ours;
    for (const std::string_view key : detail::keys_of<Metadata>())
      if (auto* value = metadata->get_object().if_contains(key)) ours.emplace(key, *value);
    // kubectl's own copy of the whole document.
    if (auto* notes = ours.if_contains("annotations"); notes != nullptr && notes->is_object())
      notes->get_object().erase("kubectl.kubernetes.io/last-applied-configuration");
    *metadata = std::move(ours);
  }
  detail::decode(decoder, boost::json::value(std::move(document)), out.experiment);
  detail::check_experiment(out.experiment, problems);
  if (!problems.empty()) return fail(problems.error());
  return out;
}

}  // namespace faultline::api
