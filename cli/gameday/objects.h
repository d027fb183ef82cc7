// SPDX-License-Identifier: Apache-2.0
// A game day as objects of a cluster, for `kubectl apply`. Pure.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <string>
#include <vector>

#include "api/gameday.h"
#include "base/result.h"

namespace faultline::cli {

// Of the object, "true": nobody is there.
inline constexpr const char* kUnattendedNote = "faultline.dev/gameday-unattended";

struct DayObjects {
  // Before the day: a Secret with the Experiments of its surprises, and the right of the controller
  // to read that one. None: it has no surprises.
  std::vector<boost::json::object> before;
  api::GameDay day;
  std::vector<std::string> remarks;  // what whoever may read the object still sees, a line each
};

// Errors: kInvalid, api::not_for_an_object().
[[nodiscard]] Result<DayObjects> day_objects(api::GameDay day);

// As YAML, one document after the other, and as one JSON value.
[[nodiscard]] std::string yaml_of(const DayObjects& objects);
[[nodiscard]] boost::json::value json_of(const DayObjects& objects);

}  // namespace faultline::cli
