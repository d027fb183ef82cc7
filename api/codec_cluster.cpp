// SPDX-License-Identifier: Apache-2.0
// The Experiment and the GameDay as custom resources.
#include <algorithm>

#include "api/detail/check.h"
#include "api/detail/check_gameday.h"
#include "api/detail/instances.h"
#include "api/detail/rules_gameday_status.h"
#include "document/measure.h"

namespace faultline::api {

FAULTLINE_CODEC(ExperimentStatus)
FAULTLINE_CODEC(GameDayStatus)
FAULTLINE_CODEC(ObjectMeta)

namespace {

// Takes an object of the API server apart: its status, and what the server adds to `metadata`, go
// into `out`; what is left is the document.
template <class Cluster>
boost::json::object without_servers_part(const boost::json::object& object,
                                         detail::Decoder& decoder, Cluster& out) {
  boost::json::object given = object;
  if (const auto* status = given.if_contains("status")) {
    using Status = decltype(out.status);
    if (auto read = from_json<Status>(*status))
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
  return given;
}

}  // namespace

Result<ClusterExperiment> from_cluster_json(const boost::json::value& object) {
  detail::Problems problems;
  detail::Decoder decoder(problems);
  if (!object.is_object()) {
    decoder.expected("an Experiment", object);
    return fail(problems.error());
  }
  ClusterExperiment out;
  const boost::json::value written(without_servers_part(object.get_object(), decoder, out));
  if (std::string why = document::beyond(written, kExperimentBudget); !why.empty()) {
    decoder.problem("is more than an Experiment may hold: " + why);
    return fail(problems.error());
  }
  detail::decode(decoder, written, out.experiment);
  detail::check_experiment(out.experiment, problems);
  if (!problems.empty()) return fail(problems.error());
  return out;
}

Result<ClusterGameDay> gameday_from_cluster_json(const boost::json::value& object) {
  detail::Problems problems;
  detail::Decoder decoder(problems);
  if (!object.is_object()) {
    decoder.expected("a GameDay", object);
    return fail(problems.error());
  }
  ClusterGameDay out;
  boost::json::value written(without_servers_part(object.get_object(), decoder, out));
  if (std::string why = document::beyond(written, kGameDayBudget); !why.empty()) {
    decoder.problem("is more than a GameDay may hold: " + why);
    return fail(problems.error());
  }
  detail::read_gameday(written, problems, out.day);
  if (!problems.empty()) return fail(problems.error());
  return out;
}

std::string not_for_an_object(const GameDay& day) {
  std::string why;
  const auto add = [&](const std::string& at, const std::string& what) {
    if (!why.empty()) why += '\n';
    why += at + ": " + what;
  };
  std::vector<std::string> surprises;  // the paths of steps that are one
  for_each_step(day, [&](const Step& step, const std::string& at) {
    if (step.surprise) surprises.push_back(at);
    // Groups come before what is in them; a group and a pause tell nothing but that they are there.
    const bool hidden = std::ranges::any_of(surprises, [&](const std::string& group) {
      return at == group || at.starts_with(group + ".");
    });
    const bool tells = step.experiment
                           ? step.experiment->secret.empty()
                           : step.sweep || step.task || step.waitFor || !step.note.empty();
    if (hidden && tells)
      add(at + "." + std::string(step_kind(step)),
          "whoever may read this object would see the surprise: an object has only experiments as "
          "surprises, in a Secret beside it (experiment.secret), which `faultline gameday manifest "
          "FILE` makes; `faultline gameday run` shows any to nobody but the facilitator");
    const std::string beside =
        " is not here: `faultline gameday manifest FILE` prints the day with what its files say";
    if (step.experiment && !step.experiment->file.empty())
      add(at + ".experiment.file", "the file " + step.experiment->file + beside);
    if (step.task && step.task->runbook && !step.task->runbook->file.empty() &&
        step.task->runbook->text.empty())
      add(at + ".task.runbook.file", "the file " + step.task->runbook->file + beside);
  });
  return why;
}

}  // namespace faultline::api
