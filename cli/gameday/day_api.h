// SPDX-License-Identifier: Apache-2.0
// The game days of a controller, as calls that wait, and what a person says of one: a word that is
// neither lost nor doubled while the controller is away. Not thread-safe.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "api/gameday_plan.h"
#include "api/gameday_record.h"
#include "cli/controller_api.h"
#include "cli/interrupt.h"

namespace faultline::cli {

[[nodiscard]] bool ended(api::DayState state);

// Whether asking again may help: nobody answered, or one who does not lead, or who is busy.
[[nodiscard]] bool is_away(const Error& error);
// Whether it is there, and was asked too much.
[[nodiscard]] bool asks_to_wait(const Error& error);

// One file of a labelled incident; `name` is a path below its folder.
struct IncidentFile {
  std::string name, content;
};

class DayApi {
 public:
  // `api` must outlive this.
  explicit DayApi(const ControllerApi& api) : api_(api) {}

  // `document`: the JSON of api::with_files(), or YAML without files.
  [[nodiscard]] Result<api::GameDayPlan> plan(const std::string& document) const;
  // Makes the day, which then checks and waits for its start. A check that is not good ends it,
  // unless `anyway`. `as`: see day(). The same key again is the same day, so that it can be asked
  // again when the answer was lost.
  [[nodiscard]] Result<api::GameDayView> create(const std::string& document, bool unattended,
                                                bool anyway, const std::string& as,
                                                const std::string& key) const;
  // The newest first. `ns` and `name`: only those; empty: of all that the person may see.
  [[nodiscard]] Result<std::vector<api::GameDaySummary>> days(const std::string& ns = "",
                                                              const std::string& name = "",
                                                              const std::string& as = "") const;
  // The id of the day that a DAY of the command line means: an id; else the newest of this name in
  // the person's namespace; else, if the namespace was not said, the newest of the only other one
  // that has it. kInvalid: several have it. What is no name of a day comes back as it is: it may be
  // an id.
  [[nodiscard]] Result<std::string> id_of(const std::string& name) const;
  // The day as `as` may see it (empty: the person of the token), with the entries above `after`.
  [[nodiscard]] Result<api::GameDayView> day(const std::string& id, std::uint64_t after = 0,
                                             const std::string& as = "") const;
  // `format`: json, md, html. `names`: with the names of people. Until the day is over only those
  // who know its surprises get it: `as`, see day().
  [[nodiscard]] Result<std::string> report(const std::string& id, const std::string& format,
                                           bool names, const std::string& as = "") const;
  [[nodiscard]] Result<std::vector<IncidentFile>> incident(const std::string& id, bool names,
                                                           const std::string& as = "") const;
  // Once; see Speaker. The same word again is the same entry.
  [[nodiscard]] Result<api::DayEntry> say(const std::string& id, const api::DayWord& word) const;

  [[nodiscard]] const ControllerApi& api() const { return api_; }
  // GET target of one day, which answers when there is something above `after`, or after `wait`.
  [[nodiscard]] static std::string day_target(const std::string& id, std::uint64_t after,
                                              const std::string& as, std::chrono::seconds wait);

 private:
  const ControllerApi& api_;
};

// Does `once` until it succeeds or fails for another reason than that the controller is away, at
// most for `patience`. `say` gets a line when the waiting begins and when it ends. An interrupt
// ends it.
template <class T>
[[nodiscard]] Result<T> patiently(const std::function<Result<T>()>& once,
                                  std::chrono::milliseconds patience, const Interrupt& interrupt,
                                  const std::function<void(const std::string&)>& say);
extern template Result<std::string> patiently(const std::function<Result<std::string>()>&,
                                              std::chrono::milliseconds, const Interrupt&,
                                              const std::function<void(const std::string&)>&);
extern template Result<api::DayEntry> patiently(const std::function<Result<api::DayEntry>()>&,
                                                std::chrono::milliseconds, const Interrupt&,
                                                const std::function<void(const std::string&)>&);
extern template Result<api::GameDayView> patiently(const std::function<Result<api::GameDayView>()>&,
                                                   std::chrono::milliseconds, const Interrupt&,
                                                   const std::function<void(const std::string&)>&);

}  // namespace faultline::cli
