// SPDX-License-Identifier: Apache-2.0
// The Experiment as a custom resource.
#include "api/detail/check.h"
#include "api/detail/instances.h"
#include "document/measure.h"

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
  boost::json::object given = object.get_object();
  if (const auto* status = given.if_contains("status")) {
    if (auto read = from_json<ExperimentStatus>(*status))
      out.status = std::move(*read);
    else
      out.status_problem = read.error().message;
    given.erase("status");
  }
  auto* metadata = given.if_contains("metadata");
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
  const boost::json::value written(std::move(given));
  if (std::string why = document::beyond(written, kExperimentBudget); !why.empty()) {
    decoder.problem("is more than an Experiment may hold: " + why);
    return fail(problems.error());
  }
  detail::decode(decoder, written, out.experiment);
  detail::check_experiment(out.experiment, problems);
  if (!problems.empty()) return fail(problems.error());
  return out;
}

}  // namespace faultline::api
