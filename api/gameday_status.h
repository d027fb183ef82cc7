// SPDX-License-Identifier: Apache-2.0
// GameDayStatus: what `kubectl get gameday -o yaml` shows of a game day, and the GameDay as the
// cluster keeps it.
#pragma once

#include <boost/describe.hpp>
#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/experiment_status.h"
#include "api/gameday.h"
#include "base/result.h"

namespace faultline::api {

// starting: the controller is about to make the day, and makes none a second time. The others are
// those of the day (DayState); `failed` is also a day that was refused.
enum class GameDayPhase {
  starting,
  checking,
  waiting,
  running,
  held,
  aborting,
  completed,
  aborted,
  failed
};
BOOST_DESCRIBE_ENUM(GameDayPhase, starting, checking, waiting, running, held, aborting, completed,
                    aborted, failed)

struct GameDayStepStatus {
  std::string name;
  std::string state;  // waiting, running, over
  std::optional<StepOutcome> outcome;
  std::string reason;
  std::vector<std::string> runs;  // the newest
};
BOOST_DESCRIBE_STRUCT(GameDayStepStatus, (), (name, state, outcome, reason, runs))

// The newest word that somebody wrote into the annotation faultline.dev/gameday-do.
struct GameDayWordStatus {
  std::string word;  // as it was written
  std::string by;
  Timestamp at;
  std::string key;  // of the word: another annotation of the same words has another one
  bool taken = false;
  std::string answer;  // what became of it, or why it was not taken
};
BOOST_DESCRIBE_STRUCT(GameDayWordStatus, (), (word, by, at, key, taken, answer))

struct GameDayStatus {
  std::optional<GameDayPhase> phase;  // absent: no controller has seen it
  std::string reason;
  std::string day;  // id of the day, for `faultline gameday`
  std::int64_t observedGeneration = 0;
  std::string step;  // those that are under way
  std::string next;  // what the day waits for
  std::vector<GameDayStepStatus> steps;
  std::optional<GameDayWordStatus> word;
  std::optional<StepOutcome> verdict;  // the worst of the steps, when the day is over
  Timestamp startedAt, completedAt;
  std::string report;  // path at the controller
};
BOOST_DESCRIBE_STRUCT(GameDayStatus, (),
                      (phase, reason, day, observedGeneration, step, next, steps, word, verdict,
                       startedAt, completedAt, report))

// A GameDay as the API server returns it.
struct ClusterGameDay {
  GameDay day;
  ObjectMeta object;
  GameDayStatus status;
  std::string status_problem;  // as of ClusterExperiment
};

// As from_cluster_json() of an Experiment: the same language and errors as parse_gameday().
[[nodiscard]] Result<ClusterGameDay> gameday_from_cluster_json(const boost::json::value& object);

// What only a file beside the command can hold, and what an object of the cluster cannot keep a
// secret, one line each; empty: an object can hold the day.
[[nodiscard]] std::string not_for_an_object(const GameDay& day);

// The CustomResourceDefinition of GameDay, and the text of daemonset/base/gameday-crd.yaml.
[[nodiscard]] boost::json::value gameday_crd();
[[nodiscard]] std::string gameday_crd_yaml();

}  // namespace faultline::api
