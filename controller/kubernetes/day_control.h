// SPDX-License-Identifier: Apache-2.0
// What the Kubernetes side of the controller asks of the game days. All on the event loop's thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/gameday_record.h"
#include "base/clock.h"
#include "base/result.h"
#include "controller/gameday/day.h"
#include "http/server.h"

namespace faultline::controller {

// In the annotations of a day that is of a GameDay of the cluster: its uid.
inline constexpr const char* kDayUid = "faultline.dev/gameday-uid";

class DayControl {
 public:
  using DayNow = std::shared_ptr<const gameday::Day>;
  template <class T>
  using awaitable = boost::asio::awaitable<T>;

  virtual ~DayControl() = default;
  // The day with this id, also one that is over. Good until the caller waits. kNotFound;
  // kUnavailable: not known now, ask again.
  virtual awaitable<Result<DayNow>> day_now(std::string day) = 0;
  // Makes the day `id` of a document and begins with its pre-checks. The rights of `who` are asked
  // for each step. Errors: as POST /api/v1/gamedays; kConflict: it exists, or there are too many.
  virtual awaitable<Result<>> make_day(std::string id, api::GameDay document, http::Identity who,
                                       bool unattended) = 0;
  // As POST /api/v1/gamedays/{day}/entries: the rights of `who` are asked as they are now.
  virtual awaitable<Result<api::DayEntry>> say_on_day(std::string day, http::Identity who,
                                                      api::DayWord word) = 0;
  // Ends a day whose GameDay is gone. One that is over, or unknown, is no error.
  virtual void end_day(const std::string& day, const std::string& why) = 0;
  // Those under way that are of GameDays of the cluster: uid of the object, id of the day.
  [[nodiscard]] virtual std::map<std::string, std::string> days_of_objects() const = 0;
  // Whether what is stored outlives this controller's pod.
  [[nodiscard]] virtual bool outlives_controller() const = 0;
  // Raised by each entry of any day.
  [[nodiscard]] virtual std::uint64_t day_changes() const = 0;
  // Until day_changes() is no longer `seen`, or `until`.
  virtual awaitable<void> wait_for_day_change(std::uint64_t seen, SteadyTime until) = 0;
};

}  // namespace faultline::controller
