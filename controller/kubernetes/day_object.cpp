// SPDX-License-Identifier: Apache-2.0
#include "controller/kubernetes/day_object.h"

#include <limits>

#include "api/codec.h"
#include "api/step_outcome.h"
#include "base/printable.h"
#include "controller/gameday/words.h"
#include "controller/kubernetes/experiment_object.h"
#include "controller/kubernetes/proof.h"
#include "kube/json.h"

namespace faultline::controller {
namespace {

using api::EntryKind;
using api::GameDayPhase;
using Object = boost::json::object;

constexpr const char* kKubectlsCopy = "kubectl.kubernetes.io/last-applied-configuration";
constexpr std::size_t kMostRuns = 4;            // of a step, in a status
constexpr std::size_t kMostStepReason = 256;    // bytes
constexpr std::size_t kMostStatusText = 4096;   // bytes
constexpr std::size_t kMostStatusSteps = 1024;  // bytes of the names of running steps
constexpr std::size_t kKeyLength = 32;          // of a MAC

Object* member(Object& object, std::string_view key) {
  auto* value = object.if_contains(key);
  return value == nullptr ? nullptr : value->if_object();
}

GameDayPhase phase_of(api::DayState state) {
  switch (state) {
    case api::DayState::checking:
      return GameDayPhase::checking;
    case api::DayState::waiting:
      return GameDayPhase::waiting;
    case api::DayState::running:
      return GameDayPhase::running;
    case api::DayState::held:
      return GameDayPhase::held;
    case api::DayState::aborting:
      return GameDayPhase::aborting;
    case api::DayState::completed:
      return GameDayPhase::completed;
    case api::DayState::aborted:
      return GameDayPhase::aborted;
    case api::DayState::failed:
      return GameDayPhase::failed;
  }
  return GameDayPhase::failed;
}

std::string cut(std::string_view text, std::size_t most) {
  std::string shown = printable_prose(text);
  if (shown.size() <= most) return shown;
  std::size_t size = most - 3;
  while (size > 0 && (static_cast<unsigned char>(shown[size]) & 0xc0) == 0x80) --size;
  return shown.substr(0, size) + "...";
}

}  // namespace

std::string day_id(const Object& gameday) {
  return std::string(kube::meta(gameday, "name")) + "-" + std::string(kube::meta(gameday, "uid"));
}

std::string note_on(const Object& object, const char* key) {
  const Object* metadata = kube::object_at(object, "metadata");
  const Object* notes = metadata == nullptr ? nullptr : kube::object_at(*metadata, "annotations");
  return notes == nullptr ? std::string() : std::string(kube::text_at(*notes, key));
}

void keep_needed_of_day(Object& gameday) {
  Object* metadata = member(gameday, "metadata");
  if (metadata != nullptr) {
    metadata->erase("managedFields");
    if (Object* notes = member(*metadata, "annotations")) notes->erase(kKubectlsCopy);
  }
  Object* spec = member(gameday, "spec");
  if (is_final(day_status_of(gameday).status.phase)) {
    if (spec != nullptr) keep_only(*spec, {"ttlAfterFinished"});
    if (Object* status = member(gameday, "status")) status->erase("steps");
    return;
  }
  drop_too_large(gameday);
}

SeenDayStatus day_status_of(const Object& gameday) {
  SeenDayStatus seen;
  const auto* status = gameday.if_contains("status");
  if (status == nullptr || status->is_null()) return seen;
  seen.fresh = status->is_object() && status->get_object().empty();
  auto read = api::from_json<api::GameDayStatus>(*status);
  if (read)
    seen.status = std::move(*read);
  else
    seen.problem = read.error().message;
  return seen;
}

bool is_final(const std::optional<GameDayPhase>& phase) {
  return phase == GameDayPhase::completed || phase == GameDayPhase::aborted ||
         phase == GameDayPhase::failed;
}

std::optional<UtcTime> day_finished_at(const Object& gameday) {
  const SeenDayStatus seen = day_status_of(gameday);
  if (!seen.problem.empty() || !is_final(seen.status.phase) || !seen.status.completedAt.set())
    return std::nullopt;
  return seen.status.completedAt.value;
}

std::optional<std::string> word_key(const Object& gameday) {
  if (note_on(gameday, kDayWord).empty()) return std::nullopt;
  const auto proof = read_proof(note_on(gameday, kSaid));
  return proof ? proof->mac.substr(0, kKeyLength) : std::string();
}

bool is_answered(const Object& gameday, const std::optional<api::GameDayWordStatus>& answered) {
  const auto key = word_key(gameday);
  if (!key) return true;
  if (!answered || answered->key != *key) return false;
  return !key->empty() || answered->word == cut(note_on(gameday, kDayWord), kMostStatusText);
}

api::GameDayStatus status_of_day(const gameday::Day& day,
                                 std::optional<api::GameDayWordStatus> word,
                                 std::int64_t generation) {
  // As somebody without a role sees it: whoever may read the object reads this.
  const api::GameDayView view = day.view("", std::numeric_limits<std::uint64_t>::max());
  api::GameDayStatus status{.phase = phase_of(view.state),
                            .reason = view.stateReason,
                            .day = view.day,
                            .observedGeneration = generation,
                            .next = view.next,
                            .word = std::move(word),
                            .report = "/api/v1/gamedays/" + view.day + "/report"};
  for (const api::StepView& step : view.steps) {
    api::GameDayStepStatus one{.name = step.name,
                               .state = step.state,
                               .outcome = step.outcome,
                               .reason = step.reason,
                               .runs = step.runs};
    if (one.runs.size() > kMostRuns)
      one.runs.erase(one.runs.begin(), one.runs.end() - static_cast<long>(kMostRuns));
    const bool group = step.kind == "serial" || step.kind == "parallel";
    if (step.state == "running" && !group)
      status.step += (status.step.empty() ? "" : ", ") + step.name;
    status.steps.push_back(std::move(one));
  }
  // Of all times that a step was done, not of the last only: whoever reads this sees all of it when
  // the day is over.
  std::optional<api::StepOutcome> worst;
  for (const api::DayEntry& entry : day.record().entries) {
    if (entry.kind == EntryKind::step_over && entry.outcome)
      worst = worst ? api::worse(*worst, *entry.outcome) : *entry.outcome;
    if (entry.kind == EntryKind::started) status.startedAt = entry.at;
    if (entry.kind == EntryKind::over) status.completedAt = entry.at;
  }
  if (view.state == api::DayState::aborted) worst = api::StepOutcome::aborted;
  if (view.state == api::DayState::failed) worst = api::StepOutcome::failed;
  if (day.over()) status.verdict = worst;
  return shown(std::move(status));
}

api::GameDayStatus refused_day(std::string why, const api::GameDayStatus& before,
                               std::int64_t generation, UtcTime now) {
  api::GameDayStatus status{.phase = GameDayPhase::failed,
                            .reason = std::move(why),
                            .day = before.day,
                            .observedGeneration = generation,
                            .word = before.word,
                            .verdict = api::StepOutcome::failed,
                            .startedAt = before.startedAt,
                            .completedAt = {now}};
  return shown(std::move(status));
}

api::GameDayStatus shown(api::GameDayStatus status) {
  status.reason = cut(status.reason, kMostStatusText);
  status.next = cut(status.next, kMostStatusText);
  status.step = cut(status.step, kMostStatusSteps);
  for (api::GameDayStepStatus& step : status.steps) step.reason = cut(step.reason, kMostStepReason);
  if (status.word) {
    status.word->word = cut(status.word->word, kMostStatusText);
    status.word->by = cut(status.word->by, 1024);
    status.word->answer = cut(status.word->answer, kMostStatusText);
  }
  return status;
}

}  // namespace faultline::controller
