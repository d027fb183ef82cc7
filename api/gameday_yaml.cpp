// SPDX-License-Identifier: Apache-2.0
// A game day as YAML.
#include "api/codec.h"
#include "api/detail/yaml.h"
#include "api/gameday.h"
#include "document/yaml_write.h"

namespace faultline::api {
namespace {

namespace json = boost::json;

// Takes away what is in `value` as it is in `defaults`.
void leave_out(json::value* value, const json::value& defaults) {
  if (value == nullptr || !value->is_object()) return;
  for (const auto& [key, usual] : defaults.as_object())
    if (const auto* given = value->get_object().if_contains(key);
        given != nullptr && *given == usual)
      value->get_object().erase(key);
}

json::value* child(json::value& value, std::string_view key) {
  return value.is_object() ? value.get_object().if_contains(key) : nullptr;
}

// What a step has that nobody wrote, with what a task and a wait have.
json::value usual_step() {
  GameDay day;
  Step& step = day.spec.steps.emplace_back();
  step.task.emplace();
  step.waitFor.emplace();
  return to_json(day).at("spec").at("steps").at(0);
}

// The spec as to_yaml(Experiment) writes it.
json::value short_spec(const ExperimentSpec& spec) {
  Experiment experiment;
  experiment.spec = spec;
  detail::SourceMap map;
  detail::Problems problems;
  json::value read;
  if (!detail::read_yaml(to_yaml(experiment), kExperimentBudget, read, map, problems))
    return to_json(experiment).at("spec");
  return read.at("spec");
}

void shorten(json::value& json, const Step& step, const json::value& usual) {
  leave_out(child(json, "task"), usual.at("task"));
  leave_out(child(json, "waitFor"), usual.at("waitFor"));
  leave_out(&json, usual);
  if (step.experiment && step.experiment->spec)
    json.at("experiment").as_object()["spec"] = short_spec(*step.experiment->spec);
  // What varies is not written: a place holder stands there.
  if (step.sweep)
    for (std::size_t i = 0; i < step.sweep->faults.size(); ++i) {
      const SweptFault& row = step.sweep->faults[i];
      auto& fault = json.at("sweep").at("faults").at(i).at("fault").as_object();
      fault.begin()->value().as_object().erase(row.vary);
    }
  for (const auto& [key, steps] : {std::pair{"serial", &step.serial}, {"parallel", &step.parallel}})
    for (std::size_t i = 0; i < steps->size(); ++i) shorten(json.at(key).at(i), (*steps)[i], usual);
}

}  // namespace

std::string to_yaml(const GameDay& day) {
  json::value value = to_json(day);
  const json::value usual = usual_step();
  for (std::size_t i = 0; i < day.spec.steps.size(); ++i)
    shorten(value.at("spec").at("steps").at(i), day.spec.steps[i], usual);
  json::value plain = to_json(GameDay{}).at("spec");
  plain.as_object().erase("steps");
  leave_out(&value.at("spec"), plain);
  return document::write_yaml(value);
}

}  // namespace faultline::api
