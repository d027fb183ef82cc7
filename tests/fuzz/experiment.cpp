// SPDX-License-Identifier: Apache-2.0
// Documents that people write: an experiment, a pods file, a policy, where the monitoring is, a
// sweep and its progress, a game day, its runbooks and what people say of it. What is read and
// written again reads as the same.
#include "api/codec.h"
#include "api/gameday_record.h"
#include "api/monitoring_config.h"
#include "api/policy.h"
#include "api/sweep_progress.h"
#include "tests/fuzz/fuzz.h"

namespace faultline::fuzz {

void fuzz(std::string_view input) {
  switch (choose(input, 9)) {
    case 0: {
      const auto read = api::parse_experiment(input, "fuzz.yaml");
      if (!read) break;
      const auto again = api::parse_experiment(api::to_yaml(*read), "again.yaml");
      must(again.has_value(), "a valid experiment, written as YAML, is valid");
      must(api::to_json_text(*again) == api::to_json_text(*read), "and the same");
      break;
    }
    case 1:
      (void)api::parse_pods_file(input, "pods.yaml").has_value();
      break;
    case 2:
      (void)api::parse_policy(input, "policy.yaml").has_value();
      break;
    case 3:
      (void)api::parse_monitoring(input, "monitoring.yaml").has_value();
      break;
    case 4: {
      const auto read = api::parse_sweep(input, "sweep.yaml");
      if (!read) break;
      for (const api::SweptFault& row : read->spec.faults)
        for (const std::string& severity : row.severities)
          must(api::cell_experiment(*read, row, severity, "cell").has_value(),
               "each cell of a valid sweep is an experiment");
      break;
    }
    case 6: {
      const auto read = api::parse_gameday(input, "gameday.yaml");
      if (!read) break;
      must(api::least_length(*read) >= std::chrono::nanoseconds(0), "a day has a length");
      const auto again = api::from_json<api::GameDay>(api::to_json(*read));
      must(again.has_value(), "a valid game day that was written can be read");
      must(api::to_json_text(*again) == api::to_json_text(*read), "and is the same");
      api::for_each_step(*read, [&](const api::Step& step, const std::string&) {
        if (step.experiment && step.experiment->spec)
          must(api::validate(api::step_experiment(*read, step, 0)).has_value(),
               "the experiment of each step is valid");
      });
      const auto files = [&](const std::string&) {
        return Result<std::string>(std::string(input));
      };
      (void)api::with_files(input, "gameday.yaml", files).has_value();
      break;
    }
    case 7: {
      std::size_t size = 0;
      for (const std::string& item : api::runbook_steps(input)) {
        must(item.size() <= api::kMostRunbookItem, "an item of a runbook is short");
        size += item.size();
      }
      must(size <= input.size() + 3 * api::kMostRunbookSteps, "and nothing is in it twice");
      break;
    }
    case 8: {
      const auto read = api::from_json_text<api::DayWord>(input);
      if (!read) break;
      const std::string text = api::to_json_text(*read);
      const auto again = api::from_json_text<api::DayWord>(text);
      must(again.has_value() && api::to_json_text(*again) == text, "a word reads as written");
      break;
    }
    default: {
      const auto read = api::parse_sweep_progress(input);
      if (!read) break;
      const std::string text = api::sweep_progress_text(*read);
      const auto again = api::parse_sweep_progress(text);
      must(again.has_value(), "progress that was read and written is valid");
      must(api::sweep_progress_text(*again) == text, "and the same");
    }
  }
}

}  // namespace faultline::fuzz
