// SPDX-License-Identifier: Apache-2.0
// The rules of a game day that no single field can express.
#pragma once

#include <boost/json/value.hpp>
#include <map>
#include <string>
#include <vector>

#include "api/detail/problems.h"
#include "api/gameday.h"

namespace faultline::api::detail {

// `written`: of each sweep, by its path, what fill_place_holders() returned.
void check_gameday(const GameDay& day, const std::map<std::string, std::vector<bool>>& written,
                   Problems& problems);

// The document as JSON to a day, with everything that is wrong with it.
void read_gameday(boost::json::value& document, Problems& problems, GameDay& day);

}  // namespace faultline::api::detail
