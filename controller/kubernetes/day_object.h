// SPDX-License-Identifier: Apache-2.0
// A GameDay as the API server has it: what the controller keeps and reads of it, and what it says
// of the day in its status. Pure and thread-safe.
#pragma once

#include <boost/json/object.hpp>
#include <optional>
#include <string>

#include "api/gameday_status.h"
#include "base/clock.h"
#include "controller/gameday/day.h"

namespace faultline::controller {

// The id of the day of an object: of one object there is at most one day, whoever makes it.
[[nodiscard]] std::string day_id(const boost::json::object& gameday);

// Takes away what nobody needs before the object is kept, as keep_what_is_needed() of an
// Experiment: of a day that is over also its spec but for how long it is kept.
void keep_needed_of_day(boost::json::object& gameday);

struct SeenDayStatus {
  api::GameDayStatus status;  // empty: there is none, or it cannot be read
  std::string problem;        // why a status that is there cannot be read
  bool fresh = true;          // nothing was ever written there: the day has not begun
};
[[nodiscard]] SeenDayStatus day_status_of(const boost::json::object& gameday);
[[nodiscard]] bool is_final(const std::optional<api::GameDayPhase>& phase);
// When it was over; nothing: it is not, or its status does not say when.
[[nodiscard]] std::optional<UtcTime> day_finished_at(const boost::json::object& gameday);

// The annotation; empty: there is none.
[[nodiscard]] std::string note_on(const boost::json::object& object, const char* key);

// The key of the word that the object holds, as its proof has it. Nothing: it holds no word; empty:
// a word without a proof.
[[nodiscard]] std::optional<std::string> word_key(const boost::json::object& gameday);
// Whether the status says what became of the word that the object holds, or it holds none.
[[nodiscard]] bool is_answered(const boost::json::object& gameday,
                               const std::optional<api::GameDayWordStatus>& answered);

[[nodiscard]] api::GameDayStatus status_of_day(const gameday::Day& day,
                                               std::optional<api::GameDayWordStatus> word,
                                               std::int64_t generation);
// Of one that did not begin. `before` keeps its word.
[[nodiscard]] api::GameDayStatus refused_day(std::string why, const api::GameDayStatus& before,
                                             std::int64_t generation, UtcTime now);
// Printable, and no longer than the definition of the object allows.
[[nodiscard]] api::GameDayStatus shown(api::GameDayStatus status);

}  // namespace faultline::controller
